"""R3, R4: the power goes, at random moments of a real file system, and in every state that a disk may be left in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.amounts import amount, randomness
from tests.torture.disk import Disk
from tests.torture.faults import PowerCut, Watching, moments
from tests.torture.figures import Row
from tests.torture.invariants import assert_invariants
from tests.torture.nursery import Nursery
from tests.torture.scene import Scene
from tests.torture.versions import NEW, OLD


@pytest.fixture
def template(request: pytest.FixtureRequest, ground: Path, seeds: Path, nursery: Nursery) -> Iterator[Disk]:
    """A disk with the old version installed, not mounted."""
    disk = Disk.made(ground / "template.img", request.param)
    try:
        with disk as folder:
            Scene(folder, seeds, nursery).install(OLD)
        yield disk
    finally:
        disk.forget()


@pytest.mark.parametrize("template", ["ext4", "xfs"], indirect=True)
def test_a_power_cut_at_a_random_moment_of_an_update_leaves_the_old_version_or_the_new_one(
    template: Disk, ground: Path, seeds: Path, nursery: Nursery
) -> None:
    """The file system is shut down under the process, which is killed then, or lives on and finds every write fail."""
    rng = randomness("R3", template.filesystem)
    total = calls_of_an_update(template, ground, seeds, nursery)
    with Row("R3", f"power cut, {template.filesystem}") as row:
        for n in moments(rng, total, amount("R3")):
            lives_on = rng.random() < 0.5
            with row.point(f"call {n} of {total}, {'lives on' if lives_on else 'killed'}"):
                disk = template.copied(ground / "cut.img")
                try:
                    cut_and_look(disk, seeds, nursery, n=n, lives_on=lives_on)
                finally:
                    disk.forget()


def calls_of_an_update(template: Disk, ground: Path, seeds: Path, nursery: Nursery) -> int:
    disk = template.copied(ground / "counted.img")
    try:
        with disk as folder:
            scene = Scene(folder, seeds, nursery)
            return len(scene.sync(NEW, Watching(str(scene.store))).plan.seen)
    finally:
        disk.forget()


def cut_and_look(disk: Disk, seeds: Path, nursery: Nursery, *, n: int, lives_on: bool) -> None:
    with disk as folder:
        scene = Scene(folder, seeds, nursery)
        ended = scene.sync(NEW, PowerCut(str(scene.store), n=n, disk=str(folder), lives_on=lives_on))
        assert ended.plan.hit, f"call {n} never came"
    with disk:
        assert_invariants(scene, ended, before=OLD, after=NEW)
