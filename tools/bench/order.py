"""What is ordered: how much is to be measured how often, and the entrants that several parts have in common."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.bench import candidates
from tools.bench.content import Content
from tools.bench.costs import Cost
from tools.bench.disk import Stage, stage
from tools.bench.plugged import Plug
from tools.bench.rounds import Entrant, on_disks
from tools.machine import CannotRun, provide

CONFIG = """seed.label = "{label}"
store.path = "{store}"
store.reserve = 0
sync.read_back = {read_back}
"""


@dataclass(frozen=True)
class Order:
    """`folder` takes the images; `undo` puts back what the daemon needs of the machine."""

    undo: ExitStack
    folder: Path
    label: str
    size_bytes: int
    small_files: int
    runs: int

    def stage(self, content: Content) -> AbstractContextManager[Stage]:
        return stage(self.folder, self.label, content)

    def config(self, *, read_back: bool = True) -> Path:
        """A configuration for this bench alone: no other daemon takes its seed where the label is its own."""
        path = self.folder / ("dubseedd.toml" if read_back else "copying.toml")
        store = self.folder / "store" / "models"
        path.write_text(CONFIG.format(label=self.label, store=store, read_back=str(read_back).lower()))
        return path

    @cached_property
    def plug(self) -> Plug:
        """A plug for the daemon, on the machine's bus or one of our own."""
        return Plug(provide(self.undo, self.folder), self.config())

    def sync(self, read_bytes_per_second: int = 0) -> Entrant:
        """dubseedctl between the mounted disks; 0 is no limit."""
        return on_disks(candidates.sync(self.config()), read_bytes_per_second)

    def ours(self, notes: list[str], read_bytes_per_second: int = 0) -> list[Entrant]:
        """dubseedctl, and the daemon where this machine can have one; else a note says why not. 0 is no limit."""
        entrants = [self.sync(read_bytes_per_second)]
        with noting(candidates.DAEMON, notes):
            entrants.append(self._daemon(self.plug, read_bytes_per_second))
        return entrants

    @staticmethod
    def _daemon(plug: Plug, read_bytes_per_second: int) -> Entrant:
        """From the plug, with an empty store, until the bundle is announced."""

        def run(stage: Stage) -> Cost:
            with stage.fresh_store():
                return plug.published(stage, read_bytes_per_second)

        return Entrant(candidates.DAEMON, run)


@contextmanager
def noting(what: str, notes: list[str], only: type[CannotRun] = CannotRun) -> Iterator[None]:
    """Something that may be left out; the note says why."""
    try:
        yield
    except only as reason:
        notes.append(f"{what} is left out: {reason}")
