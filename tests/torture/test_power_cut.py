"""R3, R4: the power goes, at random moments of a real file system, and in every state that a disk may be left in."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.torture import recorder
from tests.torture.amounts import amount, randomness
from tests.torture.disk import SIZES, Disk, temporary
from tests.torture.faults import Acknowledging, PowerCut, Watching, moments
from tests.torture.figures import Row
from tests.torture.invariants import assert_invariants, assert_nothing_is_torn_or_lost, assert_struck
from tests.torture.nursery import Ended, Nursery
from tests.torture.recorder import recording
from tests.torture.replay import crash_states
from tests.torture.scene import Scene
from tests.torture.versions import NEW, OLD, Version

CONTROLS = 60
"""States of each file system, whatever the amount: enough that some are lost."""


@pytest.fixture
def template(request: pytest.FixtureRequest, ground: Path, seeds: Path, nursery: Nursery) -> Iterator[Disk]:
    """A disk with the old version installed, not mounted."""
    with temporary(Disk.made(ground / "template.img", request.param)) as disk:
        with disk as folder:
            Scene(folder, seeds, nursery).install(OLD)
        yield disk


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
            point = row.point(f"call {n} of {total}, {'lives on' if lives_on else 'killed'}")
            with point, temporary(template.copied(ground / "cut.img")) as disk:
                cut_and_look(disk, seeds, nursery, n=n, lives_on=lives_on)


def calls_of_an_update(template: Disk, ground: Path, seeds: Path, nursery: Nursery) -> int:
    with temporary(template.copied(ground / "counted.img")) as disk, disk as folder:
        scene = Scene(folder, seeds, nursery)
        return len(scene.sync(NEW, Watching(str(scene.store))).plan.seen)


def cut_and_look(disk: Disk, seeds: Path, nursery: Nursery, *, n: int, lives_on: bool) -> None:
    with disk as folder:
        scene = Scene(folder, seeds, nursery)
        ended = scene.sync(NEW, PowerCut(str(scene.store), n=n, disk=str(folder), lives_on=lives_on))
        assert_struck(ended)
    with disk:
        assert_invariants(scene, ended, before=OLD, after=NEW)


@dataclass(frozen=True, slots=True)
class Life:
    """The life of a disk: nothing, the old version installed, the new one. `moments` are when each was acknowledged."""

    base: Disk
    log: Path
    moments: tuple[int, int]

    def expected(self, moment: int) -> tuple[Version | None, Version, bool]:
        """(installed before, being installed, is that acknowledged) at a moment."""
        if moment < self.moments[0]:
            return None, OLD, False
        return OLD, NEW, moment >= self.moments[1]


@pytest.fixture
def life(request: pytest.FixtureRequest, ground: Path, seeds: Path, nursery: Nursery) -> Iterator[Life]:
    """The recorded life of a disk of a file system, with or without fsync."""
    filesystem, forgets_to_sync = request.param
    if not os.path.exists(recorder.DEVICE):
        pytest.skip(f"a disk is recorded by FUSE, and there is no {recorder.DEVICE}")
    disk, log = Disk.made(ground / "life.img", filesystem), ground / "life.log"
    with disk as folder:
        Scene(folder, seeds, nursery, shared=False)
    base = disk.copied(ground / "base.img")
    try:
        with recording(disk.image, log) as recorded, Disk(recorded, disk.folder, filesystem) as folder:
            scene = Scene(folder, seeds, nursery, shared=False)
            plans = [scene.sync(version, Acknowledging(str(log), forgets_to_sync)).plan for version in (OLD, NEW)]
        yield Life(base, log, (plans[0].moment, plans[1].moment))
    finally:
        log.unlink(missing_ok=True)
        disk.forget()
        base.forget()


@pytest.mark.parametrize("life", [(name, False) for name in SIZES], ids=list(SIZES), indirect=True)
def test_whatever_state_a_power_cut_leaves_a_disk_in_nothing_is_torn_or_lost(
    life: Life, seeds: Path, nursery: Nursery
) -> None:
    """The store's own folder is made under way; what was not flushed survives in part, page by page."""
    rng = randomness("R4", life.base.filesystem)
    assert 0 < life.moments[0] < life.moments[1]
    with Row("R4", f"crash states, {life.base.filesystem}") as row:
        for state in crash_states(life.base, life.log, share(amount("R4")), rng):
            before, after, acknowledged = life.expected(state.moment)
            with row.point(f"{state.label}, from {before and before.name} to {after.name}"), state.disk as folder:
                scene = Scene(folder, seeds, nursery, shared=False)
                ended = Ended.by_power_cut()
                assert_invariants(scene, ended, before=before, after=after, acknowledged=acknowledged)


@pytest.mark.parametrize("life", [(name, True) for name in SIZES], ids=list(SIZES), indirect=True)
def test_without_fsync_the_same_states_are_found_torn_or_lost(life: Life, seeds: Path, nursery: Nursery) -> None:
    """The control: a test that finds nothing here would find nothing anywhere."""
    rng = randomness("R4 control", life.base.filesystem)
    with Row("R4", f"the control without fsync, {life.base.filesystem}", is_control=True) as row:
        for state in crash_states(life.base, life.log, CONTROLS, rng):
            before, after, acknowledged = life.expected(state.moment)
            with row.point(state.label), state.disk as folder:
                scene = Scene(folder, seeds, nursery, shared=False)
                assert_nothing_is_torn_or_lost(scene, before=before, after=after, acknowledged=acknowledged)


def share(total: int) -> int:
    """Of each file system."""
    return -(-total // len(SIZES))
