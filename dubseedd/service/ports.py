"""The ports: what the conductor needs of the world. Adapters provide them; nothing here knows how."""

from collections.abc import Callable, Mapping
from typing import Protocol

from dubseedd.core.device import BlockDevice, BlockEvent, Disk, Number
from dubseedd.core.events import Event
from dubseedd.names import Action


class Devices(Protocol):
    """The block devices of this machine."""

    def listed(self) -> list[BlockDevice]:
        """All block devices there are now."""

    def present(self, device: BlockDevice) -> bool:
        """Is this very plug still in the kernel's list of devices?"""

    def watch(self, on_event: Callable[[BlockEvent], None], on_lost: Callable[[], None]) -> Callable[[], None]:
        """Report every uevent from now on; `on_lost` when events were dropped: list again. Returns the undo."""


class Disks(Protocol):
    """Mounting and unmounting. Every method raises StoreTrouble with MountFailed."""

    async def find(self, device: BlockDevice) -> Disk:
        """Wait until the disk service knows this device (same number, same label) and tell of it."""

    async def loop_owner(self, node: str) -> int:
        """The uid that set a loop device up."""

    async def mount(
        self, device: BlockDevice, options: tuple[str, ...], wanted: Callable[[], bool]
    ) -> tuple[str, bool]:
        """Mount it: (mount point, was it us). False where somebody else had mounted it already.

        Whatever has to be waited for, it is mounted only while it is `wanted`; SeedGone where it is not any more.
        """

    async def unmount(self, device: BlockDevice) -> None:
        """Unmount it; that it is mounted no more is success."""

    async def power_off(self, device: BlockDevice) -> None:
        """Power its drive down; a drive that cannot do that is left alone."""

    def mount_points(self, number: Number) -> tuple[str, ...]:
        """Where a device is mounted, as it was last reported."""

    def watch(self, on_change: Callable[[Number, tuple[str, ...]], None]) -> Callable[[], None]:
        """Report the mount points of every device whose mounts change. Returns the undo."""


class Arrivals(Protocol):
    """Files that are written while we look on."""

    def watch(self, folder: str, name: str, on_arrival: Callable[[], None]) -> Callable[[], None]:
        """Tell of each time that a file of this name has been written in a folder, or moved into it. Returns the undo;
        a folder that cannot be watched has no arrivals."""


class Sleep(Protocol):
    """Whoever puts this machine to sleep, or shuts it down."""

    def watch(self, on_prepare: Callable[[bool], None]) -> Callable[[], None]:
        """Report True when that is about to happen, False when it is not any more. Returns the undo."""

    async def delay(self, why: str) -> Callable[[], None]:
        """Hold it up for as long as is granted; returns the release. Nobody there to ask: nothing is held up."""


class Recorder(Protocol):
    """Journal and history."""

    def record(self, event: Event) -> None:
        """Take an event in; returns at once."""

    def flush(self) -> None:
        """Wait until all that was recorded is written. Blocks."""


class Authority(Protocol):
    """Who may do what."""

    async def authorise(
        self, sender: str, action: Action, *, interactive: bool = False, details: Mapping[str, str] | None = None
    ) -> None:
        """Return when the connection with this unique bus name may do it, else raise CallRefused: every doubt is a no.

        `interactive`: its user may be asked for a password, which takes minutes. `details` say what it is about.
        """

    async def uid_of(self, sender: str) -> int:
        """The user of the connection with this unique bus name; CallRefused where it has left."""

    async def until_gone(self, sender: str) -> None:
        """Return when the connection with this unique bus name has left, or nobody can tell any more."""


class Clock(Protocol):
    """Wall-clock time."""

    def __call__(self) -> int:
        """Microseconds since the epoch."""
