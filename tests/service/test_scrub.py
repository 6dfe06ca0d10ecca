"""What is installed is read back when its time has come, and everything else goes first."""

import threading
from dataclasses import replace

import pytest

from dubseedd.core.config import ScrubConfig
from dubseedd.core.lifecycle import JobState
from dubseedd.engine.leisure import Rests
from dubseedd.engine.store_view import BundleState
from dubseedd.names import EventName
from dubseedd.service import scrub
from dubseedd.service.conductor import Conductor
from dubseedd.service.requests import Requests
from dubseedd.service.worker import in_thread
from tests.support.bundles import contents, model_files, published
from tests.support.world import World, conducted, config_of, now, served

FILES = model_files()
DAY = 86400 * 1_000_000


class Time:
    """A wall clock that stands still until it is set; it is right in the beginning."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> int:
        return self.now


class Gate:
    """In the place of the rests: the reader is held up in each, until it is let through."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, length: int) -> None:
        self.read.append(length)
        self.reached.set()
        self._open.wait()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "Rests", lambda: Rests(sleep=lambda _: None))


async def installed(world: World, conductor: Conductor) -> None:
    device = world.plug(world.stick({"tiny": FILES}))
    await served(world, conductor)
    world.pull(device)
    await world.until(lambda: not conductor.seeds.all)


def verified_at(conductor: Conductor) -> int:
    return conductor.shelf.bundles["tiny"].verified_at


@pytest.mark.usefixtures("restless")
async def test_a_bundle_is_read_back_when_its_time_has_come_and_not_before(world: World, time: Time) -> None:
    async with conducted(world, config_of(world), clock=time) as conductor:
        await installed(world, conductor)
        time.now += 29 * DAY
        await Requests(conductor).scan()
        time.now += 2 * DAY
        await Requests(conductor).scan()
        await world.until(lambda: verified_at(conductor) == time.now)
        assert conductor.shelf.bundles["tiny"].state is BundleState.INSTALLED


@pytest.mark.usefixtures("restless")
async def test_damage_is_told_and_the_next_seed_mends_just_what_is_damaged(world: World, time: Time) -> None:
    async with conducted(world, config_of(world), clock=time) as conductor:
        await installed(world, conductor)
        damaged = world.folder / "store/tiny/tokenizer.json"
        damaged.write_bytes(damaged.read_bytes()[::-1])
        time.now += 31 * DAY
        await Requests(conductor).scan()
        await world.until(lambda: world.told(EventName.BUNDLE_DAMAGED))
        (sentence,) = world.told(EventName.BUNDLE_DAMAGED)
        assert "tokenizer.json of tiny is damaged" in sentence
        await world.until(lambda: conductor.shelf.bundles["tiny"].state is BundleState.DAMAGED)
        world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        (first, mending) = conductor.jobs.all.values()
        assert mending.state is JobState.DONE
        assert mending.seen.bytes_done == damaged.stat().st_size < first.seen.bytes_done
        assert contents(world.folder / "store/tiny") == published(FILES)


async def test_it_gives_way_to_a_seed_and_goes_on_with_the_file_that_it_was_in(
    world: World, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = [Gate(), Gate()]
    beginning = iter(gates)
    monkeypatch.setattr(scrub, "Rests", lambda: next(beginning))
    gates[1].open()
    async with conducted(world, config_of(world), clock=time) as conductor:
        await installed(world, conductor)
        time.now += 31 * DAY
        await Requests(conductor).scan()
        await in_thread(gates[0].reached.wait)
        assert conductor.status.endswith("; reading tiny back meanwhile")
        mounting = world.hold("mount")
        world.plug(world.stick({"other": model_files(seed=b"other")}))
        await world.until(lambda: "mount" in world.asked[3:])
        gates[0].open()
        mounting.set()
        await served(world, conductor)
        await world.until(lambda: verified_at(conductor) == time.now)
        sizes = sorted([*map(len, FILES.values()), len(published(FILES)["SHA256SUMS"])])
        assert len(gates[0].read) == 1
        assert sorted(gates[0].read + gates[1].read) == sizes


@pytest.mark.usefixtures("restless")
async def test_an_interval_of_0_is_never(world: World, time: Time) -> None:
    config = config_of(world)
    async with conducted(world, replace(config, scrub=ScrubConfig(interval_seconds=0)), clock=time) as conductor:
        await installed(world, conductor)
        time.now += 1000 * DAY
        await Requests(conductor).scan()
        conductor.reconfigure(config)
        await world.until(lambda: verified_at(conductor) == time.now)


@pytest.mark.usefixtures("restless")
async def test_a_bundle_that_somebody_has_removed_is_shown_no_more(world: World, time: Time) -> None:
    async with conducted(world, config_of(world), clock=time) as conductor:
        await installed(world, conductor)
        (world.folder / "store/tiny").rename(world.folder / "elsewhere")
        time.now += 31 * DAY
        conductor.board.overall()
        await world.until(lambda: "tiny" not in conductor.shelf.bundles)
        assert world.told(EventName.BUNDLE_DAMAGED) == []


@pytest.mark.usefixtures("restless")
async def test_a_stick_that_has_what_is_damaged_is_told_so(world: World, time: Time) -> None:
    async with conducted(world, config_of(world), clock=time) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        assert seed.verdicts == {"tiny": "current"}
        damaged = world.folder / "store/tiny/tokenizer.json"
        damaged.write_bytes(damaged.read_bytes()[::-1])
        time.now += 31 * DAY
        conductor.board.overall()
        await world.until(lambda: seed.verdicts == {"tiny": "update"})
