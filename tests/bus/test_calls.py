"""Calls from the bus, as the conductor gets them."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dubseedd.adapters.messages import CallFailed, IncomingCall
from dubseedd.bus import faces
from dubseedd.bus.calls import Calls
from dubseedd.core.config import Automatic, Config, SeedConfig, StoreConfig, SyncConfig
from dubseedd.core.lifecycle import JobState
from dubseedd.engine.syncing import Wish
from dubseedd.names import JOB_INTERFACE, MANAGER_INTERFACE, ROOT_PATH, SEED_INTERFACE, Action, ErrorName
from tests.support.bundles import model_files, write_bundle
from tests.support.world import LABEL, World, conducted

FILES = model_files()
CALLER = ":1.1"


class Anybody:
    """An authority that allows everything; `meanwhile` happens while it is asked."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.asked: list[tuple[Action, bool]] = []
        self.details: dict[Action, Mapping[str, str]] = {}

    async def authorise(
        self, sender: str, action: Action, *, interactive: bool = False, details: Mapping[str, str] | None = None
    ) -> None:
        self.asked.append((action, interactive))
        self.details[action] = details or {}
        self.meanwhile()

    async def uid_of(self, sender: str) -> int:
        return 1000


def called(path: str, interface: str, member: str, *body: Any, interactive: bool = False) -> IncomingCall:
    return IncomingCall(CALLER, path, interface, member, "", list(body), interactive)


@pytest.fixture
def config(world: World) -> Config:
    """Nothing happens unasked."""
    store = StoreConfig(str(world.folder / "store"), 0)
    return Config(seed=SeedConfig(label=LABEL), store=store, sync=SyncConfig(automatic=Automatic.OFF))


@pytest.mark.parametrize("member", ["Sync", "Eject"])
async def test_a_seed_that_leaves_while_the_caller_is_authorised_is_not_found(
    world: World, config: Config, member: str
) -> None:
    async with conducted(world, config) as conductor:
        authority = Anybody()
        calls = Calls(conductor, authority)
        stick = world.plug(world.stick({"tiny": FILES}))
        (seed,) = conductor.seeds.all.values()
        authority.meanwhile = lambda: world.pull(stick)
        with pytest.raises(CallFailed) as refused:
            await calls(called(faces.seed_path(seed), SEED_INTERFACE, member, {}))
        assert refused.value.name == ErrorName.NOT_FOUND.full


async def test_the_sync_of_one_seed_is_none_of_its_clone(world: World, config: Config) -> None:
    async with conducted(world, config) as conductor:
        calls = Calls(conductor, Anybody())
        for _ in range(2):
            world.plug(world.stick({"tiny": FILES}, uuid="same"))
        for seed in conductor.seeds.all.values():
            (jobs,) = await calls(called(faces.seed_path(seed), SEED_INTERFACE, "Sync", {}))
            assert [job.seed for job in conductor.jobs.all.values() if faces.job_path(job) in jobs] == [seed]


async def test_a_job_that_ends_while_the_caller_is_authorised_cannot_be_cancelled_any_more(
    world: World, config: Config
) -> None:
    async with conducted(world, config) as conductor:
        authority = Anybody()
        calls = Calls(conductor, authority)
        stick = world.plug(world.stick({"tiny": FILES}))
        world.hold("mount", of=stick)
        (seed,) = conductor.seeds.all.values()
        job = conductor.jobs.sync(seed, Wish("tiny"))
        authority.meanwhile = lambda: conductor.jobs._end(job, JobState.CANCELLED)
        with pytest.raises(CallFailed) as refused:
            await calls(called(faces.job_path(job), JOB_INTERFACE, "Cancel"))
        assert refused.value.name == ErrorName.NOT_FOUND.full


async def test_replace_foreign_takes_a_second_permission(world: World, config: Config) -> None:
    async with conducted(world, config) as conductor:
        authority = Anybody()
        world.plug(world.stick({"tiny": FILES}))
        options = {"replace-foreign": True}
        call = called(ROOT_PATH, MANAGER_INTERFACE, "Sync", "", "", options, interactive=True)
        await Calls(conductor, authority)(call)
        assert authority.asked == [(Action.SYNC, True), (Action.REPLACE_FOREIGN, True)]


@pytest.mark.parametrize(("bundle", "told"), [("theirs", "theirs"), ("tiny", None), ("", None)])
async def test_who_lets_a_folder_be_replaced_is_told_which_but_never_in_the_words_of_a_stranger(
    world: World, config: Config, bundle: str, told: str | None
) -> None:
    """`theirs` is in the store; of what is not, the name is only what the caller says."""
    write_bundle(world.folder / "store/theirs", FILES)
    async with conducted(world, config) as conductor:
        authority = Anybody()
        world.plug(world.stick({"tiny": FILES, "theirs": FILES}))
        await Calls(conductor, authority)(
            called(ROOT_PATH, MANAGER_INTERFACE, "Sync", "", bundle, {"replace-foreign": True})
        )
        assert authority.details[Action.REPLACE_FOREIGN].get("bundle") == told


async def test_a_seed_is_not_lent_and_powered_off_at_once(world: World, config: Config) -> None:
    async with conducted(world, config) as conductor:
        calls = Calls(conductor, Anybody())
        world.plug(world.stick({"tiny": FILES}))
        (seed,) = conductor.seeds.all.values()
        with pytest.raises(CallFailed, match="ask for one of the two") as refused:
            await calls(called(faces.seed_path(seed), SEED_INTERFACE, "Eject", {"lend": True, "power-off": True}))
        assert refused.value.name == ErrorName.INVALID_ARGS.full
        assert not seed.lent
