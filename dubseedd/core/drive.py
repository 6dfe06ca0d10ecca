"""Drives: may this one be made a seed, and which file system does it get? Facts in, the first refusal out.

A whole drive that nothing uses and that is made to be carried about is taken; its name has to be typed, so that nobody
erases another one than he thinks.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dubseedd.core.sentence import shown
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName

LEAST_BYTES = 64 << 20
SYSTEM = frozenset({"/", "/boot", "/efi", "/etc", "/home", "/nix", "/opt", "/root", "/srv", "/usr", "/var"})
BELOW_SYSTEM = ("/boot/", "/etc/", "/nix/", "/usr/")

EXFAT = "exfat"
EXT4 = "ext4"
MAKERS: Mapping[str, str] = {EXFAT: "exfatprogs", EXT4: "e2fsprogs"}
"""The file systems that a seed is made with, the preferred one first, and the package that brings its mkfs."""
LABEL_MOST: Mapping[str, int] = {EXFAT: 11, EXT4: 16}


@dataclass(frozen=True, slots=True)
class Part:
    """A drive itself or a partition of it, and what uses it: `mount_points` also of what stands on it, `holders` what
    stands on it in words ("the RAID md0"). `filesystem` is whatever it carries, "swap" and "LVM2_member" too."""

    node: str
    size: int
    filesystem: str
    label: str
    mount_points: tuple[str, ...] = ()
    swap: bool = False
    holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drive:
    """What is known of a drive: `disk` is the whole one, `image` the file of a loop device, `stands_on` the drives
    below one that is put together, `claimed` that the kernel gives it to somebody else alone. Sizes in bytes.

    `parts` are the drive itself and its partitions.
    """

    node: str
    disk: str
    vendor: str
    model: str
    serial: str
    size: int
    removable: bool
    read_only: bool
    image: str = ""
    stands_on: tuple[str, ...] = ()
    claimed: bool = False
    parts: tuple[Part, ...] = ()

    @property
    def name(self) -> str:
        """What has to be typed before it is erased: its model; of a drive that has none the image, or the device."""
        return self.model or self.image.rpartition("/")[2] or self.node


def check_drive(drive: Drive, *, any_drive: bool, store: str) -> None:
    """May it be erased? CallRefused with the first reason that it may not."""
    if drive.disk != drive.node:
        raise CallRefused(
            ErrorName.INVALID_ARGS,
            f"{drive.node} is a partition, and a seed takes the whole drive; name that: dubseedctl format {drive.disk}",
        )
    _check_unused(drive, store)
    if drive.read_only:
        raise CallRefused(
            ErrorName.WRITE_FAILED, f"{drive.node} is read-only; move the switch at its side, or take another drive"
        )
    if drive.size < LEAST_BYTES:
        raise CallRefused(
            ErrorName.NO_SPACE,
            f"{drive.node} has {drive.size:,} bytes, and {LEAST_BYTES:,} are the least for a seed; take a larger drive",
        )
    if not (drive.removable or any_drive):
        raise CallRefused(
            ErrorName.INVALID_ARGS,
            f"{drive.node} ({shown(drive.name)}) is not a removable drive; take a stick, or say --any if it is meant",
        )


def _check_unused(drive: Drive, store: str) -> None:
    for part in drive.parts:
        for point in part.mount_points:
            if _is_system(point, store):
                raise _busy(f"{part.node} holds {shown(point)} of the running system; name another drive")
    for part in drive.parts:
        if part.swap:
            raise _busy(f"{part.node} is used as swap; end that first: swapoff {part.node}")
        if part.holders:
            raise _busy(f"{part.node} is part of {part.holders[0]}; take that apart first, or name another drive")
        if part.mount_points:
            point = part.mount_points[0]
            raise _busy(f"{part.node} is mounted at {shown(point)}; unmount it first: umount {part.node}")
    if drive.stands_on:
        below = ", ".join(drive.stands_on)
        raise _busy(f"{drive.node} is put together from {below}; name a drive that stands for itself")
    if drive.claimed:
        raise _busy(f"{drive.node} is in use by another program or container; end that first: lsof {drive.node}")


def _is_system(point: str, store: str) -> bool:
    return point in SYSTEM or point.startswith(BELOW_SYSTEM) or f"{store}/".startswith(f"{point}/")


def _busy(sentence: str) -> CallRefused:
    return CallRefused(ErrorName.BUSY, sentence)


class Choice(NamedTuple):
    """A file system, and why it is none that would be preferred."""

    filesystem: str
    why: tuple[str, ...] = ()


def choose_filesystem(wanted: str | None, label: str, *, made: Collection[str], taken: Collection[str]) -> Choice:
    """The file system for a new seed, by default exFAT where it can be had; CallRefused where none can.

    `made` are those that this machine can make, `taken` those that the daemon mounts, `[seed] filesystems`.
    """
    reasons: list[str] = []
    for filesystem in [wanted] if wanted else MAKERS:
        reason = _why_not(filesystem, label, made, taken)
        if not reason:
            return Choice(filesystem, tuple(reasons))
        reasons.append(reason)
    raise CallRefused(ErrorName.INVALID_ARGS, "; ".join(reasons))


def _why_not(filesystem: str, label: str, made: Collection[str], taken: Collection[str]) -> str:
    if filesystem not in taken:
        return f"{filesystem} is not among [seed] filesystems; add it there, or take another --type"
    if len(label) > LABEL_MOST[filesystem]:
        return (
            f"{filesystem} takes labels of {LABEL_MOST[filesystem]} characters, and {label} has {len(label)}; "
            "take another --type, or shorten [seed] label"
        )
    if filesystem not in made:
        return f"UDisks2 finds no mkfs.{filesystem} here; install {MAKERS[filesystem]}, or take another --type"
    return ""
