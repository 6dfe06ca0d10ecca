"""R8, R9: the disk of the store is full, or fails, at every single call; and a disk that is really full."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.amounts import amount, randomness
from tests.torture.disk import Disk, temporary
from tests.torture.faults import FailAt, FillDisk, Watching, moments
from tests.torture.figures import Row
from tests.torture.invariants import assert_invariants, assert_nothing_is_torn_or_lost, assert_struck
from tests.torture.nursery import Ended, Nursery
from tests.torture.scene import Scene, calls_of_an_update
from tests.torture.tracer import MAKING, RENAMING, SYNCING, WRITING
from tests.torture.versions import NAME, NEW, OLD, Version

TAKING_ROOM = WRITING | MAKING | RENAMING
MAKING_LAST = SYNCING | RENAMING
SIZES = {"ext4": 40 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}
"""Of disks that are soon full."""
LITTLE_BYTES = 2 << 20
NO_ROOM = re.compile(r" full | bytes free, ")
"""It came to nothing while writing, or before."""


def test_no_room_at_any_call_of_a_first_install_is_told_and_continued(scene: Scene) -> None:
    total = len(scene.sync(NEW, Watching(str(scene.own), TAKING_ROOM)).plan.seen)
    with Row("R8", "ENOSPC at a call, first install") as row:
        for n in range(1, total + 1):
            with row.point(f"call {n} of {total}"):
                scene.start_anew()
                ended = scene.sync(NEW, FailAt(str(scene.own), TAKING_ROOM, n=n, number=errno.ENOSPC))
                assert_not_acknowledged(ended)
                assert_invariants(scene, ended, before=None, after=NEW)


def test_no_room_at_any_call_of_an_update_is_told_and_continued(scene: Scene) -> None:
    total = calls_of_an_update(scene, Watching(str(scene.own), TAKING_ROOM))
    with Row("R8", "ENOSPC at a call, update") as row:
        for n, (before, after) in zip(range(1, total + 1), scene.updates(), strict=False):
            with row.point(f"call {n} of {total}"):
                ended = scene.sync(after, FailAt(str(scene.own), TAKING_ROOM, n=n, number=errno.ENOSPC))
                assert_not_acknowledged(ended)
                assert_invariants(scene, ended, before=before, after=after)


def test_an_error_at_any_fsync_or_rename_is_never_acknowledged(scene: Scene) -> None:
    """What an fsync has failed for is given up: a second one would succeed and prove nothing."""
    total = calls_of_an_update(scene, Watching(str(scene.store), MAKING_LAST))
    with Row("R9", "EIO at an fsync or rename") as row:
        for n, (before, after) in zip(range(1, total + 1), scene.updates(), strict=False):
            with row.point(f"call {n} of {total}"):
                ended = scene.sync(after, FailAt(str(scene.store), MAKING_LAST, n=n))
                assert_not_acknowledged(ended)
                again = assert_invariants(
                    scene, ended, before=before, after=after, watching=Watching(str(scene.store), WRITING)
                )
                assert_given_up(ended, {path for _, path in again.plan.seen}, after)


def assert_not_acknowledged(ended: Ended[FailAt]) -> None:
    """But where it was the history that could not be written: what was done stands, and it is told."""
    assert ended.plan.hit is not None, "the call never came"
    assert "dubseedctl: " in ended.errors, f"nothing is said of {ended.plan.hit}"
    if Path(ended.plan.hit[1]).name == "history.jsonl" or "history" in ended.errors:
        assert "the history" in ended.errors, ended.errors
    else:
        assert not ended.acknowledged(NAME), f"acknowledged although {ended.plan.hit} failed"
        assert ended.status == 1


def assert_given_up(ended: Ended[FailAt], rewritten: set[str], version: Version) -> None:
    """A file of the bundle whose fsync has failed was written anew."""
    assert ended.plan.hit is not None
    name, path = ended.plan.hit
    _, _, inner = path.partition("/tree/")
    if name == "fsync" and version.files.get(inner):
        assert path in rewritten, f"{inner} was kept after its fsync had failed"


@pytest.fixture
def small(request: pytest.FixtureRequest, ground: Path, seeds: Path, nursery: Nursery) -> Iterator[Scene]:
    """A store on a small disk of its own."""
    made = Disk.made(ground / "small.img", request.param, size=SIZES[request.param])
    with temporary(made) as disk, disk as folder:
        yield Scene(folder, seeds, nursery)


@pytest.mark.parametrize("small", ["ext4", "xfs", "btrfs"], indirect=True)
def test_a_disk_that_becomes_full_under_an_update_is_told_and_the_sync_goes_on_when_there_is_room(
    small: Scene, request: pytest.FixtureRequest
) -> None:
    filesystem = request.node.callspec.params["small"]
    filler = small.folder / "filler"
    total = calls_of_an_update(small, Watching(str(small.store)))
    with Row("R8", f"a full disk, {filesystem}") as row:
        rounds = moments(randomness("R8", filesystem), total, amount("R8"))
        for n, (before, after) in zip(rounds, small.updates(), strict=False):
            with row.point(f"full from call {n} of {total}"):
                ended = small.sync(after, FillDisk(str(small.store), n=n, filler=str(filler)))
                acknowledged = ended.acknowledged(NAME)
                try:
                    assert_struck(ended)
                    assert acknowledged or NO_ROOM.search(ended.errors), ended.errors
                    assert_nothing_is_torn_or_lost(small, before=before, after=after, acknowledged=acknowledged)
                finally:
                    filler.unlink(missing_ok=True)
                assert_invariants(small, ended, before=before, after=after)


def test_a_bundle_that_does_not_fit_is_refused_before_anything_is_copied(scene: Scene) -> None:
    scene.install(OLD)
    filler = scene.folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(scene.folder).free - LITTLE_BYTES)
    ended = scene.sync(NEW, Watching(str(scene.store), WRITING))
    assert ended.status == 1
    assert "bytes free" in ended.errors
    assert not [path for _, path in ended.plan.seen if "/tree/" in path]
    filler.unlink()
    assert_invariants(scene, ended, before=OLD, after=NEW)
