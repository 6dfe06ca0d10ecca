"""`format`: a drive erased and made an empty seed, after its model was typed or given. UDisks2 does it."""

import argparse
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from dubseedd.cli import text
from dubseedd.cli.disks import TO_WRITE, mounted, with_udisks
from dubseedd.cli.document import document
from dubseedd.cli.exits import DONE, FAILED, USAGE, Complaint
from dubseedd.cli.terminal import answer_to
from dubseedd.core.device import BlockDevice, Number
from dubseedd.core.drive import Drive, check_drive, choose_filesystem
from dubseedd.engine.configfile import load
from dubseedd.engine.durable import owned
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName

if TYPE_CHECKING:
    from dubseedd.adapters.drives import Drives


LOCK_ATTEMPTS, LOCK_SECONDS = 50, 0.1
"""udev holds it while it has the table read: for a moment."""


class Found(NamedTuple):
    """A drive, and the file systems that can be made on it here."""

    drive: Drive
    makers: tuple[str, ...]


def format_drive(options: argparse.Namespace) -> int:
    """Show a drive, have it confirmed, erase it and make it a seed."""
    config = load(options.config)
    number = _number_of(options.device)
    found = with_udisks(lambda disks: _look(disks.drives, number))
    if not options.json:
        print(_about(found.drive), flush=True)
    check_drive(found.drive, any_drive=options.any, store=config.store.path)
    choice = choose_filesystem(options.type, config.seed.label, made=found.makers, taken=config.seed.filesystems)
    remarks = [f"it becomes {choice.filesystem}, which only Linux reads: {reason}" for reason in choice.why]
    if not options.json:
        _say(remarks)
    _confirm(found.drive, options)
    label = config.seed.label
    with _left_alone(found.drive.node):
        device = with_udisks(lambda disks: _make(disks.drives, number, found.drive, choice.filesystem))
        notes = _furnish(device, config.seed.models)
        with_udisks(lambda disks: disks.drives.name(device, label))
    if options.json:
        seed = {"device": device.node, "filesystem": choice.filesystem, "label": label, "size": device.size}
        print(document("format", drive=found.drive, seed=seed, notes=[*remarks, *notes]))
        return DONE
    _say(notes)
    print(
        f"{device.node} is an empty seed: {choice.filesystem}, labelled {label}, {text.size(device.size)}; "
        f"fill it: dubseedctl create SOURCE --to {device.node}"
    )
    return DONE


def _say(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", flush=True)


def _number_of(node: str) -> Number:
    try:
        status = os.stat(node)
    except OSError as error:
        raise CallRefused(
            ErrorName.NOT_FOUND, f"{node} cannot be found ({error.strerror}); lsblk lists drives"
        ) from error
    if not stat.S_ISBLK(status.st_mode):
        raise CallRefused(ErrorName.INVALID_ARGS, f"{node} is no drive; lsblk lists the drives there are")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


async def _look(drives: "Drives", number: Number) -> Found:
    return Found(await drives.look(number), await drives.makers())


# What is shown and asked


def _about(drive: Drive) -> str:
    """The drive and what is on it, as a person knows it."""
    names = " ".join(name for name in (drive.vendor, drive.model) if name) or drive.image or "no model"
    serial = f", serial {drive.serial}" if drive.serial else ""
    kind = "removable" if drive.removable else "not removable"
    head = f"{drive.node}: {names}{serial}, {text.size(drive.size)}, {kind}"
    rows = [
        (part.node, text.size(part.size), part.filesystem or "-", part.label or "-", " ".join(part.mount_points))
        for part in drive.parts
        if part.node != drive.node or part.filesystem or part.mount_points
    ]
    table = text.columns(text.printable(tuple(rows))).splitlines() if rows else ["nothing that is known of is on it"]
    return "\n".join([text.printable(head), *(f"  {row}" for row in table)])


def _confirm(drive: Drive, options: argparse.Namespace) -> None:
    """Return where this very drive is meant: by `--expected`, or by what a person types."""
    name = text.printable(_plain(drive.name))
    if options.expected:
        if _plain(options.expected) != _plain(drive.name):
            raise CallRefused(
                ErrorName.INVALID_ARGS, f"{drive.node} is {name}, expected was {options.expected}; nothing is erased"
            )
        return
    question = f"all of it will be erased; type its name to go on ({name}):"
    answer = None if options.json else answer_to(question)
    if answer is None:
        raise Complaint(
            f"nobody is here to confirm that {drive.node} is to be erased; say which drive is meant: "
            f'--expected "{name}"',
            USAGE,
        )
    if _plain(answer) != _plain(drive.name):
        raise Complaint(f"that is not the name of {drive.node}; nothing is erased", FAILED)


def _plain(name: str) -> str:
    """A name without the blanks that drives pad theirs with."""
    return " ".join(name.split())


# What is done


@contextmanager
def _left_alone(node: str) -> Iterator[None]:
    """Keep udev from having the table read again, which takes partitions away for a moment, until all is made.

    Source: systemd.io/BLOCK_DEVICE_LOCKING. UDisks2 takes the same lock, for less long and only if it is free; where we
    may not open the drive, that has to do.
    """
    try:
        drive = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        yield
        return
    with owned(drive):
        for left in reversed(range(LOCK_ATTEMPTS)):
            try:
                fcntl.flock(drive, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    raise CallRefused(
                        ErrorName.BUSY,
                        f"another program is at work on {node}; nothing is erased, wait until it has ended",
                    ) from None
                time.sleep(LOCK_SECONDS)
        yield


async def _make(drives: "Drives", number: Number, meant: Drive, filesystem: str) -> BlockDevice:
    """Make the file system, if this is still the drive that was confirmed."""
    if await drives.look(number) != meant:
        raise CallRefused(
            ErrorName.BUSY, f"{meant.node} is not as it was shown any more; nothing is erased, look at it again"
        )
    return await drives.make(meant, number, filesystem)


def _furnish(device: BlockDevice, models: str) -> tuple[str, ...]:
    """Make the folder of bundles; where that cannot be, a note: it is still a seed."""
    try:
        with mounted(device, TO_WRITE) as (point, _):
            os.makedirs(f"{point}/{models}", exist_ok=True)
    except (StoreTrouble, OSError) as error:
        return (f"{models}/ is not made yet: {error}; wherever it can be mounted, mkdir {models} makes it",)
    return ()
