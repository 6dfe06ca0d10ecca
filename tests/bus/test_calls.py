"""Calls from the bus, as the conductor gets them."""

from collections.abc import Callable

import pytest

from dubseedd.adapters.bus import CallFailed
from dubseedd.bus import faces
from dubseedd.bus.calls import Calls
from dubseedd.core.config import Automatic, Config, SeedConfig, StoreConfig, SyncConfig
from dubseedd.names import SEED_INTERFACE, Action, ErrorName
from tests.support.bundles import model_files
from tests.support.world import LABEL, World, conducted

FILES = model_files()
CALLER = ":1.1"


class Anybody:
    """An authority that allows everything; `meanwhile` happens while it is asked."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    async def check(self, sender: str, action: Action) -> bool:
        self.meanwhile()
        return True


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
            await calls(faces.seed_path(seed), SEED_INTERFACE, member, CALLER, [{}])
        assert refused.value.name == ErrorName.NOT_FOUND.full


async def test_the_sync_of_one_seed_is_none_of_its_clone(world: World, config: Config) -> None:
    async with conducted(world, config) as conductor:
        calls = Calls(conductor, Anybody())
        for _ in range(2):
            world.plug(world.stick({"tiny": FILES}, uuid="same"))
        for seed in conductor.seeds.all.values():
            (jobs,) = await calls(faces.seed_path(seed), SEED_INTERFACE, "Sync", CALLER, [{}])
            assert [job.seed for job in conductor.jobs.all.values() if faces.job_path(job) in jobs] == [seed]
