"""Seeds that are lent to somebody who writes to them."""

import asyncio
import os
from pathlib import Path

import pytest

from dubseedd.core.config import AfterSync
from dubseedd.core.lifecycle import JobState, SeedState
from dubseedd.engine.workshop import Workshop
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName, EventName
from dubseedd.service.awaited import MOST as MOST_AWAITED
from dubseedd.service.requests import Requests
from tests.support.bundles import contents, manifest_of, model_files, published, write_bundle, write_files
from tests.support.world import World, conducted, config_of, served, served_all

FILES = model_files()
NEWER = model_files(seed=b"2")


async def test_what_was_written_meanwhile_is_looked_at_as_if_just_plugged_in(world: World) -> None:
    async with conducted(world) as conductor:
        stick = world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        ended = asyncio.Event()
        await Requests(conductor).lend(seed, ended.wait)
        point = world.mounted_by_hand(stick)
        assert seed.error[0] == ErrorName.BUSY.full
        write_bundle(Path(point) / "models/tiny", NEWER)
        await Requests(conductor).scan()
        with pytest.raises(CallRefused):
            await Requests(conductor).sync("", "tiny")
        assert contents(world.folder / "store/tiny") == published(FILES)
        world.unmounted_by_hand(stick)
        ended.set()
        await world.until(lambda: len(world.told(EventName.BUNDLE_INSTALLED)) == 2)
        assert contents(world.folder / "store/tiny") == published(NEWER)


async def test_a_sync_is_ended_before_a_stick_is_lent(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        mounted = world.hold("mount")
        (job,) = await Requests(conductor).sync("", "tiny")
        await world.until(lambda: world.asked[-1] == "mount")
        lending = asyncio.ensure_future(Requests(conductor).lend(seed, asyncio.Event().wait))
        await world.until(lambda: job.halt.reason)
        mounted.set()
        await world.until(lambda: job.state is JobState.CANCELLED)
        await asyncio.wait([lending])
        assert not seed.readers or isinstance(lending.exception(), CallRefused)


async def test_a_stick_that_is_pulled_while_it_is_lent_is_gone(world: World) -> None:
    async with conducted(world) as conductor:
        stick = world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        ended = asyncio.Event()
        await Requests(conductor).lend(seed, ended.wait)
        world.pull(stick)
        ended.set()
        await world.until(lambda: seed.state is SeedState.GONE)
        world.plug(stick)
        assert (await served(world, conductor)).state is SeedState.DONE


async def test_a_stick_that_is_pulled_while_it_is_let_go_of_is_not_lent(world: World) -> None:
    async with conducted(world, config_of(world, after=AfterSync.KEEP)) as conductor:
        stick = world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        unmounted = world.hold("unmount")
        lending = asyncio.ensure_future(Requests(conductor).lend(seed, asyncio.Event().wait))
        await world.until(lambda: world.asked[-1] == "unmount")
        world.pull(stick)
        unmounted.set()
        with pytest.raises(CallRefused, match="pulled out meanwhile"):
            await lending


async def test_a_stick_is_lent_once(world: World) -> None:
    """Nobody is to look at it while the other still writes."""
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        await Requests(conductor).lend(seed, asyncio.Event().wait)
        with pytest.raises(StoreTrouble, match="a bundle is being made on WORLD") as refused:
            await Requests(conductor).lend(seed, asyncio.Event().wait)
        assert refused.value.error is ErrorName.BUSY


async def test_a_stick_that_comes_back_is_looked_at_and_no_other(world: World) -> None:
    """Whatever another one has: what is plugged in wins, and so does what was just made."""
    async with conducted(world) as conductor:
        older = world.plug(world.stick({"tiny": FILES}, uuid="u-1"))
        await served(world, conductor)
        stick = world.plug(world.stick({"tiny": FILES}, uuid="u-2"))
        await served_all(world, conductor)
        seed, ended = conductor.seeds.all[stick.number], asyncio.Event()
        await Requests(conductor).lend(seed, ended.wait)
        write_bundle(Path(world.mounted_by_hand(stick)) / "models/tiny", NEWER)
        world.unmounted_by_hand(stick)
        asked = len(world.asked)
        ended.set()
        await world.until(lambda: len(world.told(EventName.BUNDLE_INSTALLED)) == 2)
        assert contents(world.folder / "store/tiny") == published(NEWER)
        await served_all(world, conductor)
        assert world.asked[asked:].count("mount") == 1
        assert conductor.seeds.all[older.number].verdicts == {"tiny": "update"}


async def test_the_lock_on_a_stick_keeps_everybody_off_who_was_not_asked(world: World) -> None:
    stick = world.stick({"tiny": FILES})
    root = os.open(world.mounted_by_hand(stick), os.O_RDONLY)
    with Workshop(root, "models"):
        async with conducted(world) as conductor:
            world.plug(stick)
            seed = await served(world, conductor)
            assert (seed.state, seed.error[0]) == (SeedState.FAILED, ErrorName.BUSY.full)
    os.close(root)


@pytest.mark.parametrize("begun", [False, True], ids=["missing", "half"])
async def test_a_bundle_that_is_still_being_written_is_looked_at_again_when_its_manifest_is_there(
    world: World, begun: bool
) -> None:
    stick = world.stick({"other": NEWER})
    folder = Path(world.mounted_by_hand(stick)) / "models/tiny"
    write_files(folder, FILES)
    if begun:
        (folder / "SHA256SUMS").write_text("# not yet\n")
    async with conducted(world) as conductor:
        world.plug(stick)
        seed = await served(world, conductor)
        assert seed.verdicts["tiny"].startswith(ErrorName.MANIFEST_MISSING.full[:-7])
        (folder / "SHA256SUMS").write_bytes(manifest_of(FILES))
        await world.until((world.folder / "store/tiny").exists)
        await served(world, conductor)
        assert contents(world.folder / "store/tiny") == published(FILES)


async def test_a_stick_full_of_bundles_without_a_manifest_does_not_use_up_what_root_may_watch(world: World) -> None:
    stick = world.stick({})
    models = Path(world.mounted_by_hand(stick)) / "models"
    for number in range(200):
        (models / f"b{number:03}").mkdir()
    async with conducted(world) as conductor:
        world.plug(stick)
        seed = await served(world, conductor)
        assert len(seed.offers) == 200
        assert watches() == MOST_AWAITED
        write_bundle(models / "b000", FILES)
        await world.until((world.folder / "store/b000").exists)
        await served(world, conductor)
        assert watches() == MOST_AWAITED
        world.pull(stick)
        await world.until(lambda: seed.state is SeedState.GONE)
        assert watches() == 0


def watches() -> int:
    """The folders that this process watches."""
    links = (os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path))
    return sum(link == "anon_inode:inotify" for link in links)
