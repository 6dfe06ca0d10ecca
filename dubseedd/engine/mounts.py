"""Mounts: opening the root of a mounted seed and proving what it is; and the record of those that we made.

    /run/dubseedd/mounts.json       {"8:17": {"diskseq": 12, "uuid": "…"}, …}

The record is written before a mount is asked for, so that a daemon that was killed at any moment takes its mount over
instead of taking it for somebody else's.
"""

import errno
import fcntl
import json
import os
from contextlib import suppress
from uuid import UUID

from dubseedd.core import mountinfo
from dubseedd.core.device import BlockDevice, Number
from dubseedd.core.sentence import shown
from dubseedd.engine.durable import FOLDER, opened, read_file, write_file
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

RECORD = "mounts.json"

BTRFS_IOC_FS_INFO = 0x8400941F
"""_IOR(0x94, 31, struct btrfs_ioctl_fs_info_args), 1024 bytes, of which 16 to 31 are the UUID of the file system."""


def open_seed(mount_point: str, device: BlockDevice, *, ours: bool) -> tuple[int, tuple[str, ...]]:
    """The descriptor of a seed's root, proven to be this device mounted as it must be, and notes on what is missing.

    StoreTrouble: UnsafeMount where the proof fails, MountFailed where it cannot be opened.
    """
    try:
        root = os.open(mount_point, FOLDER)
    except OSError as error:
        raise StoreTrouble(
            ErrorName.MOUNT_FAILED,
            f"{shown(mount_point)}, where {device.node} is mounted, cannot be opened ({error.strerror}); "
            "plug it in again",
        ) from error
    try:
        return root, _prove(root, device, ours=ours)
    except BaseException:
        os.close(root)
        raise


def _prove(root: int, device: BlockDevice, *, ours: bool) -> tuple[str, ...]:
    line = mount_of(root)
    if line is None:
        raise StoreTrouble(
            ErrorName.UNSAFE_MOUNT,
            f"the mount of {device.node} went away while it was opened; plug it in again",
        )
    status = os.fstat(root)
    btrfs = _btrfs_devices(root) if line.filesystem == "btrfs" else None
    return mountinfo.prove(
        line,
        ours=ours,
        number=device.number,
        st_dev=(os.major(status.st_dev), os.minor(status.st_dev)),
        btrfs_devices=btrfs,
    )


def mount_of(root: int) -> mountinfo.MountLine | None:
    """The mount that an opened folder lies on; None where it is not seen from here, as in a chroot."""
    mount_id = _mount_id(root)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return next((line for line in mountinfo.parse(stream.read()) if line.id == mount_id), None)


def _mount_id(descriptor: int) -> int:
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("mnt_id:"))


def _btrfs_devices(root: int) -> frozenset[Number]:
    """The devices of the btrfs that the descriptor `root` lies on: its own device number is anonymous."""
    answer = bytearray(1024)
    fcntl.ioctl(root, BTRFS_IOC_FS_INFO, answer)
    uuid = UUID(bytes=bytes(answer[16:32]))
    found = set()
    with suppress(FileNotFoundError):
        for name in os.listdir(f"/sys/fs/btrfs/{uuid}/devices"):
            with open(f"/sys/fs/btrfs/{uuid}/devices/{name}/dev", encoding="ascii") as stream:
                major, _, minor = stream.read().strip().partition(":")
                found.add((int(major), int(minor)))
    return frozenset(found)


class MountRecord:
    """The mounts that this daemon, or one before it that was killed, has made."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, 0o755, exist_ok=True)
        self._folder = folder
        with opened(folder, FOLDER) as descriptor:
            try:
                self._mounts = json.loads(read_file(descriptor, RECORD))
            except (OSError, ValueError):
                self._mounts = {}

    def made(self, device: BlockDevice) -> bool:
        """Was a mount of this very plug made by us?"""
        return bool(self._mounts.get(_key(device)) == _plug(device))

    def note(self, device: BlockDevice) -> None:
        self._mounts[_key(device)] = _plug(device)
        self._write()

    def forget(self, device: BlockDevice) -> None:
        """Forget the mount of this very plug; that of a later one on the same number stays."""
        if self.made(device):
            del self._mounts[_key(device)]
            with suppress(StoreTrouble):  # what has no room now is written with the next change
                self._write()

    def _write(self) -> None:
        try:
            with opened(self._folder, FOLDER) as descriptor:
                write_file(descriptor, RECORD, json.dumps(self._mounts).encode(), mode=0o644)
        except OSError as error:
            reason = os.strerror(error.errno or errno.EIO)
            raise StoreTrouble(
                ErrorName.MOUNT_FAILED,
                f"{self._folder}/{RECORD} cannot be written ({reason}); make room there",
            ) from error


def _key(device: BlockDevice) -> str:
    return f"{device.number[0]}:{device.number[1]}"


def _plug(device: BlockDevice) -> dict[str, int | str]:
    return {"diskseq": device.diskseq, "uuid": device.uuid}
