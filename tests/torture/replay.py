"""States that a power cut may leave a disk in, made from the log of a recorder.

What was written before the last flush is there. Of what was written after it any part may be: none, all, or one page
of 4 KiB and not the next.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.torture.disk import Disk, copy_sparse, temporary
from tests.torture.recorder import ENTRY

PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log, which ends at byte `end` of it; a flush where `length` is 0."""

    offset: int
    length: int
    data_at: int

    @property
    def end(self) -> int:
        return self.data_at + self.length


def entries(log: Path) -> list[Entry]:
    """Every entry of a log, in its order."""
    found, at = [], 0
    with log.open("rb") as file:
        while header := os.pread(file.fileno(), ENTRY.size, at):
            entry = Entry(*ENTRY.unpack(header), at + ENTRY.size)
            found.append(entry)
            at = entry.end
    return found


@dataclass(frozen=True, slots=True)
class CrashState:
    """A disk as a power cut has left it after `moment` bytes of the log; `label` says how to make it again."""

    disk: Disk
    moment: int
    label: str


def crash_states(base: Disk, log: Path, amount: int, rng: random.Random, *, since: int = 0) -> Iterator[CrashState]:
    """So many states at random moments, none before `since`, in their order. `base` is the disk before the log, and is
    used up."""
    history = entries(log)
    first = sum(entry.end <= since for entry in history)
    image = base.image.with_suffix(".state")
    done = 0
    with log.open("rb") as source, base.image.open("r+b") as durable:
        for cut in sorted(rng.randrange(first, len(history) + 1) for _ in range(amount)):
            flushed = max((at + 1 for at in range(done, cut) if not history[at].length), default=done)
            for entry in history[done:flushed]:
                _apply(entry, source.fileno(), durable.fileno(), 1.0, rng)
            done = flushed
            durable.flush()
            copy_sparse(base.image, image)
            survival = rng.choice((0.0, 0.5, 0.9, 1.0))
            with image.open("r+b") as target:
                for entry in history[done:cut]:
                    _apply(entry, source.fileno(), target.fileno(), survival, rng)
            moment = history[cut - 1].end if cut else 0
            label = f"{cut - done} of {cut} writes not flushed, of which {survival:.0%} survive"
            with temporary(Disk.of(image, base.filesystem)) as disk:
                yield CrashState(disk, moment, label)


def _apply(entry: Entry, source: int, target: int, survival: float, rng: random.Random) -> None:
    """Write an entry, or those of its pages that survive."""
    if survival >= 1:
        os.pwrite(target, os.pread(source, entry.length, entry.data_at), entry.offset)
        return
    for at in range(0, entry.length, PAGE_BYTES):
        if rng.random() < survival:
            page = os.pread(source, min(PAGE_BYTES, entry.length - at), entry.data_at + at)
            os.pwrite(target, page, entry.offset + at)
