"""A transfer: what the files of one bundle are moved with, and what is common to large and small ones."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dubseedd.core.config import Config
from dubseedd.core.overlap import Overlap
from dubseedd.core.tidings import Tiding
from dubseedd.engine import trouble
from dubseedd.engine.meter import Meter
from dubseedd.engine.scanning import Examined, SeedFolder
from dubseedd.engine.staging import Staging
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.errors import StoreTrouble


@dataclass(slots=True)
class SyncTools:
    """What a sync works with: configuration, counters, stop flag, and whom to tell what is worth an event on the way.

    `overlap` finds out whether to read back while copying. `spoken_for` is the room in bytes that other syncs under way
    will still take.
    """

    config: Config
    meter: Meter = field(default_factory=Meter)
    stop: StopFlag = field(default_factory=StopFlag)
    overlap: Overlap = field(default_factory=Overlap)
    tell: Callable[[Tiding], None] = lambda _: None
    spoken_for: Callable[[], int] = lambda: 0

    @property
    def reads_back(self) -> bool:
        return self.config.sync.read_back


@dataclass(frozen=True, slots=True)
class Transfer:
    """From which seed into which staging folder, with the store beside it."""

    store: Store
    seed: SeedFolder
    bundle: Examined
    staging: Staging
    tools: SyncTools

    @property
    def meter(self) -> Meter:
        return self.tools.meter

    @property
    def reads_back(self) -> bool:
        return self.tools.reads_back

    def wrong_on_disk(self, path: str, found: str, expected: str, where: str = "") -> StoreTrouble:
        """A staged file that reads back as something else: given up, and the error that says so."""
        self.staging.forget(path)
        return trouble.wrong_on_disk(path, f"BLAKE3 {found}", expected, where)
