"""Block devices: which is a seed, and what counts as plugging one in.

A plug is a new DISKSEQ, or a return after `remove` or SYSTEMD_READY=0. Every other `change` of a known device starts
nothing: UDisks2's own Mount and Unmount cause one each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from dubseedd.core.filesystem import file_system
from dubseedd.core.sentence import shown
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

Number = tuple[int, int]
"""(major, minor) of a device node."""


@dataclass(frozen=True, slots=True)
class BlockDevice:
    """What udev says of one block device at one moment.

    `size` is in bytes; `loops` are the loop devices it is or stands on, `/dev/loop0` for its partition `/dev/loop0p1`.
    """

    node: str
    number: Number
    diskseq: int
    usage: str
    label: str
    uuid: str
    filesystem: str
    size: int
    ready: bool
    loops: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """What a person calls it: the label and the device."""
        return f"{self.label} ({self.node})"

    def is_seed(self, label: str) -> bool:
        """Does it carry a file system of this label, ready for use?"""
        return self.ready and self.usage == "filesystem" and self.label == label


def check_label(device: BlockDevice, label: str) -> None:
    """Would the daemon notice it at all? SeedRefused (NotFound) with the way to make it so."""
    if device.usage != "filesystem":
        raise SeedRefused(
            ErrorName.NOT_FOUND,
            f"{device.node} carries no file system; name the partition that does: lsblk -f {device.node}",
        )
    if device.label != label:
        command = file_system(device.filesystem).label_command.format(node=device.node, label=label)
        found = f"is labelled {shown(device.label)}" if device.label else "has no label"
        raise SeedRefused(
            ErrorName.NOT_FOUND,
            f"{device.node} {found}, and the daemon looks for {label}; "
            + (f"label it anew: {command}" if command else f"give it the label {label}"),
        )


def check_filesystem(device: BlockDevice, taken: Sequence[str]) -> None:
    """SeedRefused (MountFailed) where its file system is none of `taken`, which are [seed] filesystems."""
    if device.filesystem not in taken:
        raise SeedRefused(
            ErrorName.MOUNT_FAILED,
            f"{device.called} has the file system {device.filesystem or 'of no known kind'}; taken are "
            f"{', '.join(taken)}: format it anew, or extend [seed] filesystems, then systemctl reload dubseedd and "
            "plug it in again",
        )


def check_loop(device: BlockDevice, node: str, owner: int) -> None:
    """SeedRefused (UnsafeMount) where the loop device that it stands on is not root's: any user can make others."""
    if owner != 0:
        raise SeedRefused(
            ErrorName.UNSAFE_MOUNT,
            f"{device.called} stands on the loop device {node}, which a user has set up; "
            "let root attach it: losetup --find --show IMAGE",
        )


@dataclass(frozen=True, slots=True)
class BlockEvent:
    """A uevent (`action` is add, change, remove …) or, with action `present`, a device found by listing."""

    action: str
    device: BlockDevice


@dataclass(frozen=True, slots=True)
class Disk:
    """What UDisks2 tells of a block device: `drive` is vendor and model, empty where it has none."""

    mount_points: tuple[str, ...]
    drive: str
    serial: str


class Change(Enum):
    """What an event means for us."""

    PLUGGED = auto()
    UNPLUGGED = auto()


@dataclass(slots=True)
class Plugs:
    """The seeds that are plugged in, by device number, with the DISKSEQ of their plug."""

    label: str
    _plugged: dict[Number, BlockDevice] = field(default_factory=dict)

    def observe(self, event: BlockEvent) -> tuple[Change, ...]:
        """Take in one event; a device that was swapped unseen is unplugged and plugged."""
        device = event.device
        known = self._plugged.get(device.number)
        here = event.action != "remove" and device.is_seed(self.label)
        if not here:
            self._plugged.pop(device.number, None)
            return (Change.UNPLUGGED,) if known else ()
        self._plugged[device.number] = device
        if known is None:
            return (Change.PLUGGED,)
        same = known.diskseq == device.diskseq and known.uuid == device.uuid
        return () if same else (Change.UNPLUGGED, Change.PLUGGED)

    def missing_from(self, listed: frozenset[Number]) -> tuple[BlockDevice, ...]:
        """Forget and return the seeds that a fresh listing no longer shows, as after lost events."""
        gone = tuple(device for number, device in self._plugged.items() if number not in listed)
        for device in gone:
            del self._plugged[device.number]
        return gone
