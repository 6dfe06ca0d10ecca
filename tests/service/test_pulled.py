"""A stick is pulled between any two things that happen, and plugged in again."""

from dataclasses import dataclass
from itertools import count

import pytest

from dubseedd.core.device import BlockDevice
from dubseedd.core.lifecycle import JobState
from dubseedd.names import EventName
from dubseedd.service.board import Listener
from dubseedd.service.conductor import Conductor
from tests.support.bundles import contents, model_files, published
from tests.support.world import World, conducted, served

FILES = model_files()


@dataclass
class Hand(Listener):
    """Pulls a stick at the n-th thing that is told of."""

    world: World
    device: BlockDevice
    moment: int
    seen: int = 0

    @property
    def has_pulled(self) -> bool:
        return self.seen >= self.moment

    def overall(self) -> None:
        self.seen += 1
        if self.seen == self.moment:
            self.world.pull(self.device)


async def test_a_stick_that_is_pulled_at_any_moment_leaves_nothing_behind_and_goes_on_when_it_comes_back(
    world: World,
) -> None:
    moments = count(1)
    while await survives_a_pull(world, moment := next(moments)):
        assert contents(world.folder / "store/tiny") == published(FILES), f"moment {moment}"
        (world.folder / "store").rename(world.folder / f"store-{moment}")
    assert moment > 10


@pytest.mark.parametrize("member", ["find", "mount"])
async def test_what_looked_for_a_pulled_stick_does_not_mount_the_next_one(world: World, member: str) -> None:
    """UDisks2 knows both by the same number and UUID; whose mount it is, and who unmounts it, has to be clear."""
    stick = world.stick({"tiny": FILES})
    async with conducted(world) as conductor:
        found = world.hold(member)
        first = world.plug(stick)
        await world.until(lambda: member in world.asked)
        world.pull(first)
        await world.until(lambda: not conductor.seeds.all)
        world.plug(stick)
        await world.until(lambda: world.asked.count(member) == 2)
        found.set()
        await served(world, conductor)
        await world.until(lambda: conductor.safe_to_remove)
        assert len(world.told(EventName.SEED_MOUNTED)) == 1
        assert len(world.told(EventName.SEED_UNMOUNTED)) == 1
        assert len(world.told(EventName.SAFE_TO_REMOVE)) == 1


async def survives_a_pull(world: World, moment: int) -> bool:
    """Pull a stick at this moment and plug it in again; False where all was over before."""
    stick = world.stick({"tiny": FILES}, uuid=f"u-{moment}")
    async with conducted(world) as conductor:
        hand = Hand(world, world.plug(stick), moment)
        conductor.board.listeners.append(hand)
        await world.until(lambda: hand.has_pulled or is_idle(conductor))
        if not hand.has_pulled:
            return False
        await world.until(lambda: not conductor.seeds.all and not any_at_work(conductor))
        assert set(states(conductor)) <= {JobState.INTERRUPTED, JobState.DONE}, f"moment {moment}"
        back = world.plug(stick)
        await served(world, conductor)
        assert set(states(conductor)) <= {JobState.DONE}, f"moment {moment}"
        await world.until(lambda: conductor.safe_to_remove)
        assert world.told(EventName.JOB_FAILED) == [], f"moment {moment}"
        world.pull(back)
        await world.until(lambda: not conductor.seeds.all)
    return True


def is_idle(conductor: Conductor) -> bool:
    return conductor.safe_to_remove and bool(conductor.jobs.all) and not any_at_work(conductor)


def any_at_work(conductor: Conductor) -> bool:
    return any(state.at_work for state in states(conductor))


def states(conductor: Conductor) -> list[JobState]:
    return [job.state for job in conductor.jobs.all.values()]
