"""R10: a bit is flipped: on the stick, on the way, on the disk after it was written. It is caught every time."""

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubseedd.names import MANIFEST
from tests.support.bundles import write_bundle
from tests.torture.amounts import amount, randomness
from tests.torture.disk import Disk, temporary
from tests.torture.faults import Flip, FlipInMemory, FlipOnDisk, FlipOnDiskOf, FlipRead, FlipWrite, flip_below
from tests.torture.figures import Row
from tests.torture.invariants import assert_invariants, assert_nothing_is_torn_or_lost
from tests.torture.nursery import Ended
from tests.torture.scene import Scene
from tests.torture.tracer import READING, WRITING
from tests.torture.versions import NAME, NEW, OLD, Version

AT_OFFSET = frozenset({"pwrite64", "pwritev", "pwritev2"})
SMALL_BYTES = 1 << 20
LETTERS = b"abcdefABCDEF"


@pytest.fixture
def stick(ground: Path) -> Iterator[Disk]:
    """Both versions on an ext4, each in a folder of its own; not mounted."""
    with temporary(Disk.made(ground / "stick.img", "ext4")) as disk:
        with disk as folder:
            for version in (OLD, NEW):
                write_bundle(folder / version.name / "models" / NAME, version.files)
        yield disk


def test_a_bit_that_is_flipped_on_the_stick_is_caught(scene: Scene, stick: Disk) -> None:
    """In the content of any file, SHA256SUMS too."""
    rng = randomness("R10 stick")
    with Row("R10", "a bit flipped on the stick") as row:
        for _, (before, after) in zip(range(amount("R10")), scene.updates(), strict=False):
            path, offset, mask = any_bit(rng, before, after)
            with row.point(f"{path}, byte {offset}, bit {mask:#x}"):
                with stick as folder:
                    flip_below(str(folder / after.name / "models" / NAME / path), offset, mask, str(stick.image))
                with stick as folder:
                    ended = scene.sync_from(folder / after.name)
                    flip_below(str(folder / after.name / "models" / NAME / path), offset, mask, str(stick.image))
                assert_caught(scene, ended, before=before, after=after)
                if path == MANIFEST:  # that is another bundle: what was staged of it waits for its return
                    shutil.rmtree(scene.own / "staging")
                assert_invariants(scene, ended, before=before, after=after)


def any_bit(rng: random.Random, before: Version, after: Version) -> tuple[str, int, int]:
    """(file, byte, mask) of what is read from the stick; a hex digit of SHA256SUMS does not just change its case."""
    paths = [path for path, data in after.published.items() if data and data != before.published.get(path)]
    while True:
        path = rng.choice(paths)
        data = after.published[path]
        offset, mask = rng.randrange(len(data)), 1 << rng.randrange(8)
        if not (path == MANIFEST and mask == 0x20 and data[offset] in LETTERS):
            return path, offset, mask


def test_a_bit_that_is_flipped_between_stick_and_memory_is_caught(scene: Scene) -> None:
    flipped_and_caught(scene, FlipRead, str(scene.sticks), READING, "a bit flipped on the way, read")


def test_a_bit_that_is_flipped_in_memory_once_it_was_checked_is_caught(scene: Scene) -> None:
    """Of small files: those are checked before they are written. Large ones are hashed while they are written."""
    flipped_and_caught(
        scene, FlipInMemory, f"{scene.own}/staging", WRITING, "a bit flipped on the way, in memory", small=True
    )


def test_a_bit_that_is_flipped_between_memory_and_disk_is_caught(scene: Scene) -> None:
    """Of what is written at an offset, as large files are."""
    flipped_and_caught(scene, FlipWrite, f"{scene.own}/staging", AT_OFFSET, "a bit flipped on the way, written")


def test_a_bit_that_is_flipped_on_the_disk_after_writing_is_caught(scene: Scene, ground: Path) -> None:
    """In the image below the file system, where a read-back from the page cache would not see it."""
    image, what = str(ground / "scene.img"), "a bit flipped on the disk after writing"
    flipped_and_caught(scene, FlipOnDisk, f"{scene.own}/staging", WRITING, what, image=image)


def test_a_bit_that_is_flipped_in_the_manifest_on_the_disk_is_caught(scene: Scene, ground: Path) -> None:
    rng, image = randomness("R10 manifest"), str(ground / "scene.img")
    with Row("R10", "a bit flipped in SHA256SUMS on the disk") as row:
        for _, (before, after) in zip(range(amount("R10") // 10), scene.updates(), strict=False):
            content = after.published[MANIFEST]
            plan = FlipOnDiskOf(str(scene.own), WRITING, n=1, where=rng.random(), image=image, content=content)
            with row.point(f"where {plan.where}"):
                ended = scene.sync(after, plan)
                assert ended.plan.hit, "SHA256SUMS was never written"
                assert_caught(scene, ended, before=before, after=after)
                assert_invariants(scene, ended, before=before, after=after)


SECOND_LOOK = re.compile(
    r"a second read gives the right bytes( between bytes [\d,]+ and [\d,]+)?, so the stick is failing"
)


def flipped_and_caught(
    scene: Scene, kind: type[Flip], below: str, only: frozenset[str], what: str, *, small: bool = False, **more: str
) -> None:
    rng = randomness("R10", what)
    _, after = next(scene.updates())
    sizes = {path: len(data) for path, data in after.files.items() if not small or len(data) < SMALL_BYTES}
    total = len(scene.sync(after, kind(below, only, n=0, sizes=sizes, **more)).plan.seen)
    with Row("R10", what) as row:
        for _, (before, after) in zip(range(amount("R10")), scene.updates(), strict=False):
            plan = kind(below, only, n=rng.randint(1, total), sizes=sizes, where=rng.random(), **more)
            with row.point(f"call {plan.n} of {total}, where {plan.where}"):
                ended = scene.sync(after, plan)
                assert ended.plan.hit, f"call {plan.n} never came"
                assert_caught(scene, ended, before=before, after=after)
                if kind is FlipRead:
                    assert SECOND_LOOK.search(ended.errors)
                assert_invariants(scene, ended, before=before, after=after)


def assert_caught(scene: Scene, ended: Ended[object], *, before: Version, after: Version) -> None:
    assert ended.status == 1, "a flipped bit was taken"
    assert not ended.acknowledged(NAME)
    assert scene.visible() is before, "a flipped bit was published"
    assert_nothing_is_torn_or_lost(scene, before=before, after=after, acknowledged=False)
