"""The machine stays awake while a seed is copied, and is kept waiting no longer than it takes to publish."""

import threading

import pytest

from dubseedd.core.lifecycle import JobKind, JobState
from dubseedd.engine.syncing import BundleSync, Wish
from dubseedd.service.job import Job
from dubseedd.service.wakefulness import Wakefulness
from tests.support.bundles import model_files
from tests.support.world import Nightwatch, World, conducted, served

FILES = model_files()
EVERYTHING = set(JobState)


class Bedside:
    """Wakefulness over one job that can be put into any state."""

    def __init__(self, kind: JobKind = JobKind.SYNC) -> None:
        self.night = Nightwatch()
        self._job = Job(1, kind, Wish("tiny"))
        self.wakefulness = Wakefulness(self.night, {1: self._job})

    async def held_in(self, state: JobState) -> bool:
        self._job.state = state
        self.wakefulness.overall()
        if self.wakefulness._asking:
            await self.wakefulness._asking
        return bool(self.night.held)


async def test_a_sync_that_moves_bytes_or_publishes_holds_it() -> None:
    bedside = Bedside()
    held = {state for state in JobState if await bedside.held_in(state)}
    assert held == {JobState.COPYING, JobState.VERIFYING, JobState.PUBLISHING}


async def test_a_verification_can_be_cut_short_at_any_time() -> None:
    bedside = Bedside(JobKind.VERIFY)
    assert not any([await bedside.held_in(state) for state in JobState])


async def test_once_the_machine_prepares_only_a_publication_is_waited_for() -> None:
    bedside = Bedside()
    assert await bedside.held_in(JobState.COPYING)
    bedside.night.prepare(True)
    assert not bedside.night.held
    held = {state for state in JobState if await bedside.held_in(state)}
    assert held == {JobState.PUBLISHING}
    bedside.night.prepare(False)
    assert await bedside.held_in(JobState.COPYING)


async def test_a_job_that_ends_while_it_is_asked_for_leaves_nothing_held() -> None:
    bedside = Bedside()
    bedside._job.state = JobState.COPYING
    bedside.wakefulness.overall()
    assert not await bedside.held_in(JobState.DONE)
    assert bedside.night.ever_held == ["copying tiny from a seed"]


async def test_stopping_lets_go() -> None:
    bedside = Bedside()
    assert await bedside.held_in(JobState.COPYING)
    bedside.wakefulness.stop()
    assert not bedside.night.held


async def test_a_whole_sync_holds_it_and_lets_it_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The publication waits here until it was seen that the machine is held awake for it."""
    seen = threading.Event()

    def publish(sync: BundleSync) -> object:
        seen.wait(10)
        return original(sync)

    original = BundleSync.publish
    monkeypatch.setattr(BundleSync, "publish", publish)
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        await world.until(lambda: any("publishing tiny" in why for why in world.night.held))
        seen.set()
        await served(world, conductor)
        await world.until(lambda: not world.night.held)
