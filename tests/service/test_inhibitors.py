"""While somebody holds publications back nothing changes in the store, and everybody is told who it is."""

import asyncio
import os
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from dubseedd.core.lifecycle import JobState
from dubseedd.core.progress import Milestones
from dubseedd.core.tidings import Tiding
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.versions import remove
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName, EventName
from dubseedd.service import work
from dubseedd.service.conductor import Conductor
from dubseedd.service.inhibitors import MOST_OF_A_USER, TEXT_MOST_BYTES, Inhibitor
from dubseedd.service.job import Job
from dubseedd.service.requests import Requests
from dubseedd.service.worker import in_thread
from tests.support.bundles import contents, model_files, published, write_bundle
from tests.support.world import World, conducted, served, updated

OLD, NEW = model_files(seed=b"1"), model_files(seed=b"2")
UID = 1000


async def plug_and_wait(world: World, conductor: Conductor, files: dict[str, bytes]) -> None:
    """A stick with this version comes and waits to be published."""
    world.plug(world.stick({"tiny": files}))
    await world.until(lambda: any(job.state is JobState.WAITING for job in conductor.jobs.all.values()))


async def test_a_publication_waits_until_the_last_inhibitor_is_gone(world: World) -> None:
    async with conducted(world) as conductor:
        requests = Requests(conductor)
        first = await requests.inhibit("vllm", "a request runs", UID)
        second = await requests.inhibit("backup", "a snapshot", 0)
        await plug_and_wait(world, conductor, OLD)
        (job,) = conductor.jobs.all.values()
        await world.until(lambda: "vllm (a request runs), backup (a snapshot)" in job.sentence)
        os.close(first)
        await world.until(lambda: "held back by backup (a snapshot)" in job.sentence)
        assert job.state is JobState.WAITING
        assert not (world.folder / "store/tiny").exists()
        os.close(second)
        await world.until(lambda: job.state is JobState.DONE)
        assert contents(world.folder / "store/tiny") == published(OLD)


async def test_the_stick_is_free_while_its_publication_is_held_back(world: World) -> None:
    async with conducted(world) as conductor:
        held = await Requests(conductor).inhibit("vllm", "a request runs", UID)
        await plug_and_wait(world, conductor, OLD)
        await world.until(lambda: conductor.safe_to_remove)
        os.close(held)
        await served(world, conductor)


async def test_copying_and_verifying_go_on_beside_a_publication_that_is_held_back(world: World) -> None:
    """Whoever waits for the name keeps nobody else from the stick or the disk."""
    async with conducted(world) as conductor:
        requests = Requests(conductor)
        world.plug(world.stick({"alpha": OLD, "beta": model_files(seed=b"3")}))
        await served(world, conductor)
        held = await requests.inhibit("vllm", "a request runs", UID)
        for uuid in ("u-2", "u-3"):
            world.plug(
                world.stick(
                    {"alpha": NEW, "gamma": model_files(seed=b"4")} if uuid == "u-3" else {"alpha": NEW}, uuid=uuid
                )
            )
            await world.until(lambda: any(job.state is JobState.WAITING for job in conductor.jobs.all.values()))
        verified = requests.verify("")
        await world.until(lambda: verified[1].state is JobState.DONE)
        await world.until(lambda: waiting(conductor) == ["alpha", "gamma"])
        os.close(held)
        await world.until(lambda: all(job.ended for job in conductor.jobs.all.values()))


def waiting(conductor: Conductor) -> list[str]:
    return [job.bundle for job in conductor.jobs.all.values() if job.state is JobState.WAITING]


async def test_what_was_adopted_on_the_way_is_seen_before_its_update_is_published(world: World) -> None:
    write_bundle(world.folder / "store/tiny", OLD)
    async with conducted(world) as conductor:
        held = await Requests(conductor).inhibit("vllm", "a request runs", UID)
        await plug_and_wait(world, conductor, NEW)
        assert world.told(EventName.BUNDLE_ADOPTED)
        await world.until(lambda: conductor.shelf.bundles["tiny"].state is BundleState.INSTALLED)
        os.close(held)


async def test_whoever_asks_in_the_middle_of_a_removal_is_answered_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, end = threading.Event(), threading.Event()

    def slow(store: Store, name: str) -> Iterable[Tiding]:
        began.set()
        end.wait()
        return remove(store, name)

    monkeypatch.setattr(work, "remove", slow)
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": OLD}))
        await served(world, conductor)
        requests = Requests(conductor)
        removal = asyncio.ensure_future(requests.remove("tiny"))
        await in_thread(began.wait)
        asked = asyncio.ensure_future(requests.inhibit("vllm", "a request runs", UID))
        await world.until(lambda: conductor.inhibitors.all)
        assert not asked.done()
        end.set()
        os.close(await asked)
        assert not (world.folder / "store/tiny").exists()
        await removal


async def test_what_waits_can_be_cancelled(world: World) -> None:
    async with conducted(world) as conductor:
        requests = Requests(conductor)
        held = await requests.inhibit("vllm", "a request runs", UID)
        await plug_and_wait(world, conductor, OLD)
        (job,) = conductor.jobs.all.values()
        requests.cancel(job)
        await world.until(lambda: job.state is JobState.CANCELLED)
        os.close(held)


async def test_a_copy_of_the_descriptor_holds_as_well_and_what_is_written_into_it_means_nothing(world: World) -> None:
    async with conducted(world) as conductor:
        held = await Requests(conductor).inhibit("vllm", "a request runs", UID)
        copy = os.dup(held)
        os.close(held)
        os.write(copy, b"x" * 5000)
        await plug_and_wait(world, conductor, OLD)
        assert len(conductor.inhibitors.all) == 1
        os.close(copy)
        await world.until(lambda: not conductor.inhibitors.all)


async def test_rollback_and_removal_are_refused_at_once(world: World) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        requests = Requests(conductor)
        held = await requests.inhibit("vllm", "a request runs", UID)
        with pytest.raises(
            CallRefused, match=r"the removal of tiny is held back by vllm \(a request runs\)"
        ) as refused:
            await requests.remove("tiny")
        assert refused.value.error is ErrorName.INHIBITED
        with pytest.raises(CallRefused, match="the rollback of tiny is held back") as refused:
            requests.roll_back("tiny")
        assert refused.value.error is ErrorName.INHIBITED
        assert contents(world.folder / "store/tiny") == published(NEW)
        os.close(held)


async def test_every_publication_that_waits_says_for_whom_and_says_it_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Milestones, "EVERY_SECONDS", 0.0)
    looks, look = [], Job.look

    def noted(job: Job, *now: Any) -> None:
        looks.append(job.id)
        look(job, *now)

    monkeypatch.setattr(Job, "look", noted)
    async with conducted(world) as conductor:
        held = await Requests(conductor).inhibit("vllm", "a request runs", UID)
        world.plug(world.stick({"one": OLD, "two": NEW}))
        await world.until(lambda: len(conductor.jobs.all) == 2)
        jobs = conductor.jobs.all.values()
        await world.until(lambda: all("held back by vllm (a request runs)" in job.sentence for job in jobs))
        looks.clear()
        await world.until(lambda: len(looks) >= 4)
        told = [message for message in world.told(EventName.JOB_PROGRESS) if "held back by vllm" in message]
        assert sorted(message.split()[0] for message in told) == ["one", "two"]
        os.close(held)
        await world.until(lambda: len(world.told(EventName.BUNDLE_INSTALLED)) == 2)


async def test_a_rollback_whose_turn_comes_while_it_is_inhibited_fails(world: World) -> None:
    """It was asked for before; it is not kept for a moment that nobody knows."""
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        requests = Requests(conductor)
        job = requests.roll_back("tiny")
        held = conductor.inhibitors.take(Inhibitor("vllm", "a request runs", UID))
        await world.until(lambda: job.ended)
        assert job.error[0] == ErrorName.INHIBITED.full
        os.close(held)


async def test_whoever_asks_in_the_middle_of_a_publication_is_answered_after_it(world: World) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        requests = Requests(conductor)
        job = requests.roll_back("tiny")
        await world.until(lambda: job.state is JobState.PUBLISHING)
        held = await requests.inhibit("vllm", "a request runs", UID)
        assert job.state is JobState.DONE
        os.close(held)


async def test_whoever_gives_up_waiting_for_an_answer_holds_nothing(world: World) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        requests = Requests(conductor)
        job = requests.roll_back("tiny")
        await world.until(lambda: job.state is JobState.PUBLISHING)
        asked = asyncio.ensure_future(requests.inhibit("vllm", "a request runs", UID))
        await world.until(lambda: conductor.inhibitors.all)
        asked.cancel()
        await world.until(lambda: not conductor.inhibitors.all)


async def test_a_user_may_hold_eight_and_another_user_as_many(world: World) -> None:
    async with conducted(world) as conductor:
        requests = Requests(conductor)
        held = [await requests.inhibit("many", "to see", UID) for _ in range(MOST_OF_A_USER)]
        with pytest.raises(CallRefused, match="close one of their descriptors first") as refused:
            await requests.inhibit("many", "to see", UID)
        assert refused.value.error is ErrorName.BUSY
        held.append(await requests.inhibit("another", "to see", UID + 1))
        for descriptor in held:
            os.close(descriptor)


@pytest.mark.parametrize("text", ["", "ü" * (TEXT_MOST_BYTES // 2 + 1)])
async def test_who_and_why_are_of_some_length(world: World, text: str) -> None:
    async with conducted(world) as conductor:
        for who, why in ((text, "to see"), ("somebody", text)):
            with pytest.raises(CallRefused) as refused:
                await Requests(conductor).inhibit(who, why, UID)
            assert refused.value.error is ErrorName.INVALID_ARGS
        assert not conductor.inhibitors.all


async def test_a_stop_lets_go_of_every_pipe(world: World) -> None:
    async with conducted(world) as conductor:
        held = await Requests(conductor).inhibit("vllm", "a request runs", UID)
    assert not conductor.inhibitors.all
    with pytest.raises(BrokenPipeError):
        os.write(held, b"x")
    os.close(held)
