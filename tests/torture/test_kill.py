"""R1, R2: SIGKILL, at random moments and at every system call that changes something."""

import pytest

from tests.torture.amounts import amount, randomness
from tests.torture.faults import KillAt, Watching, moments
from tests.torture.figures import Row
from tests.torture.invariants import assert_invariants, assert_struck
from tests.torture.scene import Scene, calls_of_an_update
from tests.torture.tracer import CHANGING, READING
from tests.torture.versions import NAME, NEW


def test_a_kill_at_any_system_call_of_a_first_install_tears_nothing(scene: Scene) -> None:
    step, rng = amount("R2"), randomness("R2 first")
    total = len(scene.sync(NEW, Watching(str(scene.store))).plan.seen)
    in_a_file = 0
    with Row("R2", "SIGKILL at a system call, first install") as row:
        for n in range(rng.randint(1, step), total + 1, step):
            with row.point(f"call {n} of {total}"):
                scene.start_anew()
                ended = scene.sync(NEW, KillAt(str(scene.store), n=n))
                assert_struck(ended)
                in_a_file += scene.begun_files()
                assert_invariants(scene, ended, before=None, after=NEW)
    assert in_a_file, "no kill came between two marks of a file"


def test_a_kill_at_any_system_call_of_an_update_leaves_the_old_version_or_the_new_one(scene: Scene) -> None:
    step, rng = amount("R2"), randomness("R2 update")
    total = calls_of_an_update(scene, Watching(str(scene.store)))
    with Row("R2", "SIGKILL at a system call, update") as row:
        for n, (before, after) in zip(range(rng.randint(1, step), total + 1, step), scene.updates(), strict=False):
            with row.point(f"call {n} of {total}"):
                ended = scene.sync(after, KillAt(str(scene.store), n=n))
                assert_struck(ended)
                assert_invariants(scene, ended, before=before, after=after)


def test_kills_at_random_moments_of_one_sync_after_another_lose_nothing(scene: Scene) -> None:
    """Any call counts, on the seed as well; every other time the continued sync is killed again."""
    rng, everything = randomness("R1"), CHANGING | READING
    total = calls_of_an_update(scene, Watching("/", everything))
    with Row("R1", "SIGKILL at a random moment") as row:
        for n, (before, after) in zip(moments(rng, total, amount("R1")), scene.updates(), strict=False):
            plans = [KillAt("/", everything, n=n, midway=rng.random() < 0.5)]
            if rng.random() < 0.5:
                plans.append(KillAt("/", everything, n=rng.randint(1, total), midway=rng.random() < 0.5))
            with row.point(f"{[(plan.n, plan.midway) for plan in plans]} of {total}"):
                acknowledged = False
                for plan in plans:
                    ended = scene.sync(after, plan)
                    acknowledged |= ended.acknowledged(NAME)
                assert_invariants(scene, ended, before=before, after=after, acknowledged=acknowledged)


@pytest.mark.parametrize("midway", [False, True], ids=["before the call", "in the call"])
def test_a_kill_comes_where_it_is_asked_for(scene: Scene, midway: bool) -> None:
    """The tool itself: the process dies at the very call."""
    ended = scene.sync(NEW, KillAt(str(scene.store), frozenset({"renameat2"}), n=1, midway=midway))
    assert ended.killed
    assert ended.plan.hit is not None
    assert ended.plan.hit[1].endswith("/tree")
    assert midway or not (scene.store / NAME).exists()
    assert_invariants(scene, ended, before=None, after=NEW)
