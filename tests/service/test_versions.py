"""Rollback and removal, as jobs and calls beside everything else."""

import os
from hashlib import sha256

import pytest

from dubseedd.core.lifecycle import JobState
from dubseedd.core.plan import Verdict
from dubseedd.engine.store import Store
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName, EventName, Field
from dubseedd.service.inhibitors import Inhibitor
from dubseedd.service.requests import Requests
from tests.support.bundles import contents, manifest_of, model_files, published, write_bundle
from tests.support.world import World, conducted, served, served_all, updated

OLD, NEW = model_files(seed=b"1"), model_files(seed=b"2")


async def test_a_rollback_is_a_job_and_the_version_rolled_back_from_comes_again_on_request_alone(world: World) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        requests = Requests(conductor)
        job = requests.roll_back("tiny")
        assert requests.roll_back("tiny") is job
        await world.until(lambda: job.state is JobState.DONE)
        assert contents(world.folder / "store/tiny") == published(OLD)
        assert world.told(EventName.BUNDLE_ROLLED_BACK)
        (seed,) = conductor.seeds.all.values()
        await world.until(lambda: seed.verdicts["tiny"] == Verdict.UPDATE)
        await requests.scan()
        await served(world, conductor)
        assert world.told(EventName.BUNDLE_FOUND)[-1].endswith(
            "is the version that was rolled back from, installed again by: dubseedctl sync --bundle tiny"
        )
        assert contents(world.folder / "store/tiny") == published(OLD)
        (again,) = await requests.sync("", "tiny")
        await world.until(lambda: again.state is JobState.DONE)
        assert contents(world.folder / "store/tiny") == published(NEW)


async def test_a_bundle_without_a_previous_version_cannot_be_rolled_back(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": OLD}))
        await served(world, conductor)
        with pytest.raises(CallRefused) as refused:
            Requests(conductor).roll_back("tiny")
        assert refused.value.error is ErrorName.NO_PREVIOUS


async def test_what_is_removed_is_shown_no_more_and_is_new_to_the_stick(world: World) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        await Requests(conductor).remove("tiny")
        assert not conductor.shelf.bundles
        assert not (world.folder / "store/tiny").exists()
        (seed,) = conductor.seeds.all.values()
        await world.until(lambda: seed.verdicts["tiny"] == Verdict.NEW)


class Full(Store):
    """On a disk that is full but for what its previous versions take."""

    def free_bytes(self) -> int:
        return 0 if os.listdir(self.previous) else 1 << 30


async def test_a_previous_version_that_made_room_is_gone_on_d_bus_and_in_the_journal(world: World) -> None:
    async with conducted(world, kind=Full) as conductor:
        await updated(world, conductor, OLD, NEW)
        held = conductor.inhibitors.take(Inhibitor("a test", "to see it before the end", 0))
        world.plug(world.stick({"other": model_files(shard_bytes=50_000)}, uuid="u-3"))
        await world.until(lambda: not conductor.shelf.bundles["tiny"].can_roll_back)
        (event,) = (event for event in world.events if event.name is EventName.BUNDLE_REMOVED)
        digest = sha256(manifest_of(OLD)).hexdigest()
        assert (event.fields[Field.BUNDLE], event.fields[Field.MANIFEST]) == ("tiny", digest)
        os.close(held)
        await served_all(world, conductor)


async def test_a_bundle_that_a_job_works_on_is_not_removed(world: World) -> None:
    async with conducted(world) as conductor:
        await updated(world, conductor, OLD, NEW)
        requests = Requests(conductor)
        job = requests.roll_back("tiny")
        await world.until(lambda: job.state is JobState.PUBLISHING)
        with pytest.raises(CallRefused) as refused:
            await requests.remove("tiny")
        assert refused.value.error is ErrorName.BUSY
        await world.until(lambda: job.ended)


@pytest.mark.parametrize("name", ["mine", "nowhere"])
async def test_what_dubseedd_did_not_install_is_neither_removed_nor_rolled_back(world: World, name: str) -> None:
    write_bundle(world.folder / "store" / "mine", OLD)
    async with conducted(world) as conductor:
        requests = Requests(conductor)
        with pytest.raises(CallRefused) as refused:
            await requests.remove(name)
        assert refused.value.error is ErrorName.NOT_FOUND
        with pytest.raises(CallRefused) as refused:
            requests.roll_back(name)
        assert refused.value.error is ErrorName.NOT_FOUND
    assert (world.folder / "store/mine").exists()
