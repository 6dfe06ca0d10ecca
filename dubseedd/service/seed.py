"""A seed: one plugged-in file system with our label, from its plug to its pull."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from dubseedd.core.device import BlockDevice, Disk
from dubseedd.core.lifecycle import SeedState, seed_step
from dubseedd.core.plan import INSTALLABLE, Verdict
from dubseedd.engine.scanning import Offer
from dubseedd.errors import NO_ERROR, Failure, SeedGone
from dubseedd.names import Field
from dubseedd.service.worker import unless

T = TypeVar("T")

VERDICTS = frozenset(verdict.value for verdict in Verdict)


@dataclass(slots=True)
class Seed:
    """What is known of one plug. The conductor alone changes it, on the loop.

    `id` is its name on D-Bus before escaping. `mount_points` are all mounts of its device, `our_mount` the one that we
    made, "" while we have none; `root` is the descriptor of its root while somebody reads it, `mounting` the lock of
    whoever mounts or unmounts it. While it is `lent`, somebody writes to it and nobody reads it; it is `outdated`
    when something was written since it was looked at. `verdicts` are by bundle name, as on D-Bus.
    """

    id: str
    device: BlockDevice
    state: SeedState = SeedState.MOUNTING
    disk: Disk | None = None
    mount_points: tuple[str, ...] = ()
    our_mount: str = ""
    offers: dict[str, Offer] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    unasked: set[str] = field(default_factory=set)
    error: tuple[str, str] = NO_ERROR
    readers: int = 0
    was_busy: bool = False
    lent: bool = False
    outdated: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    looked_at: asyncio.Event = field(default_factory=asyncio.Event)
    mounting: asyncio.Lock = field(default_factory=asyncio.Lock)
    root: int | None = None

    def enter(self, state: SeedState, failure: Failure | None = None) -> None:
        self.state = seed_step(self.state, state)
        self.error = failure.pair if failure else (self.error if state is SeedState.GONE else NO_ERROR)

    @property
    def mount_point(self) -> str:
        """Where it is mounted: by us, else by somebody else, else nowhere."""
        return self.our_mount or next(iter(self.mount_points), "")

    @property
    def others_mounts(self) -> tuple[str, ...]:
        """Where somebody else has it mounted."""
        return tuple(point for point in self.mount_points if point != self.our_mount)

    @property
    def safe_to_remove(self) -> bool:
        """It has been looked at, no job reads it and nobody has it mounted."""
        return self.looked_at.is_set() and self.readers == 0 and not self.mount_points and not self.our_mount

    @property
    def fields(self) -> dict[Field, str | int]:
        return {Field.SEED: self.device.uuid, Field.DEVICE: self.device.node}

    @property
    def names(self) -> tuple[str, ...]:
        """What a caller may name it by: UUID, device node, id or mount point."""
        return (self.device.uuid, self.device.node, self.id, *self.mount_points)

    @property
    def called(self) -> str:
        """What a person calls it: the label and the device."""
        return self.device.called

    async def unless_gone(self, waiting: Awaitable[T]) -> T:
        """Wait for work on the seed; SeedGone when it is pulled first, the work is left behind then."""
        return await unless(self.gone, waiting, self._leave)

    def _leave(self) -> None:
        raise SeedGone

    def offers_same(self, name: str, manifest_sha256: str) -> bool:
        """Does it hold this very version of a bundle?"""
        offer = self.offers.get(name)
        return offer is not None and offer.refusal is None and offer.manifest_sha256 == manifest_sha256

    @property
    def refused(self) -> list[str]:
        """The bundles that are not taken as they are: their verdict is the name of an error."""
        return [name for name, verdict in self.verdicts.items() if verdict not in VERDICTS]

    @property
    def installable(self) -> list[str]:
        """The bundles that a sync would install."""
        return [name for name, verdict in self.verdicts.items() if verdict in INSTALLABLE]

    def wants(self, name: str) -> bool:
        """Is the bundle one to take unasked: not here yet, and not the version that was rolled back from?"""
        return name in self.unasked and self.verdicts.get(name) in VERDICTS - {Verdict.CURRENT.value}
