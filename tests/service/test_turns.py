"""Nobody keeps what somebody else could work on: neither while waiting for more, nor out of turn."""

import asyncio
import threading
from typing import Any

import pytest

from dubseedd.core.lifecycle import JobState
from dubseedd.service import work
from dubseedd.service.requests import Requests
from dubseedd.service.turns import Turns
from dubseedd.service.worker import in_thread
from tests.support.bundles import contents, model_files, published
from tests.support.world import World, conducted, served, served_all, updated

OLD, NEW, NEWEST = (model_files(seed=seed) for seed in (b"1", b"2", b"3"))
STICK, NAME = ("seed", "u-1"), ("name", "tiny")


async def begun(*waiting: "asyncio.Task[None]") -> list[bool]:
    """Who of them has got what it wants, when all that can go on have gone on."""
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in waiting]


async def test_who_waits_for_two_things_keeps_neither() -> None:
    turns = Turns()
    await turns.take(NAME)
    both = asyncio.create_task(turns.take(NAME, STICK))
    stick = asyncio.create_task(turns.take(STICK))
    assert await begun(both, stick) == [False, True]
    turns.free(NAME)
    assert await begun(both) == [False]
    turns.free(STICK)
    assert await begun(both) == [True]
    assert NAME in turns


async def test_who_came_first_is_first() -> None:
    turns = Turns()
    await turns.take(STICK)
    one, two, three = (asyncio.create_task(turns.take(STICK)) for _ in range(3))
    for expected in ([True, False, False], [True, True, False], [True, True, True]):
        await begun(one, two, three)
        turns.free(STICK)
        assert await begun(one, two, three) == expected


async def test_who_gives_up_waiting_has_taken_nothing() -> None:
    turns = Turns()
    await turns.take(NAME)
    both = asyncio.create_task(turns.take(NAME, STICK))
    await begun(both)
    both.cancel()
    turns.free(NAME)
    await begun(both)
    assert NAME not in turns
    assert STICK not in turns


class Held:
    """A function that waits until it may go on."""

    def __init__(self, function: Any) -> None:
        self.began, self.goes_on = threading.Event(), threading.Event()
        self._function = function

    def __call__(self, *args: Any, **more: Any) -> Any:
        self.began.set()
        self.goes_on.wait()
        return self._function(*args, **more)


async def test_a_bundle_whose_verification_waits_for_another_can_be_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(work.verify)
    monkeypatch.setattr(work, "verify", held)
    async with conducted(world) as conductor:
        world.plug(world.stick({"alpha": OLD, "beta": NEW}))
        await served(world, conductor)
        requests = Requests(conductor)
        jobs = requests.verify("")
        await in_thread(held.began.wait)
        await requests.remove("beta")
        held.goes_on.set()
        await world.until(lambda: all(job.ended for job in jobs))
        assert [job.state for job in jobs] == [JobState.DONE, JobState.FAILED]


async def test_a_rollback_comes_before_a_sync_that_waits_for_its_stick(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        held = Held(work.SeedFolder)
        monkeypatch.setattr(work, "SeedFolder", held)
        world.plug(world.stick({"alpha": OLD, "tiny": NEWEST}, uuid="u-3"))
        await in_thread(held.began.wait)
        back = Requests(conductor).roll_back("tiny")
        await world.until(lambda: back.state is JobState.DONE)
        assert contents(world.folder / "store/tiny") == published(OLD)
        held.goes_on.set()
        await served_all(world, conductor)
        assert contents(world.folder / "store/tiny") == published(NEWEST)
