"""The conductor between its neighbours: what happens when they act while it waits."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from dubseedd.core.config import AfterSync, Automatic, SeedConfig, TrustConfig
from dubseedd.core.lifecycle import JobState, SeedState
from dubseedd.core.plan import Verdict
from dubseedd.engine.mounts import MountRecord
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Wish
from dubseedd.errors import NO_ERROR, CallRefused, SeedRefused
from dubseedd.names import ErrorName, EventName
from dubseedd.service import patience
from dubseedd.service.board import Listener, Thing
from dubseedd.service.conductor import Conductor
from dubseedd.service.job import Job
from dubseedd.service.jobs import Jobs
from dubseedd.service.requests import Requests
from dubseedd.service.seed import Seed
from dubseedd.service.worker import in_thread
from tests.support.bundles import contents, model_files, published
from tests.support.world import World, conducted, config_of, is_served, served, served_all

FILES = model_files()


async def test_a_stick_is_served(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        assert contents(world.folder / "store/tiny") == published(FILES)
        await world.until(lambda: world.told(EventName.SAFE_TO_REMOVE))
        assert world.asked == ["find", "mount", "unmount"]


async def test_a_stick_that_nobody_has_looked_at_yet_may_not_be_pulled_out(world: World) -> None:
    """Whoever waits for that would pull it right before it is mounted."""
    async with conducted(world) as conductor:
        device = world.plug(world.stick({"tiny": FILES}))
        seed = conductor.seeds.all[device.number]
        assert (seed.readers, seed.mount_points, conductor.safe_to_remove) == (0, (), False)
        await served(world, conductor)
        await world.until(lambda: conductor.safe_to_remove)


async def test_a_stick_that_is_not_taken_at_all_may_be_pulled_out_at_once(world: World) -> None:
    shown: list[tuple[bool, SeedState]] = []

    class Shown(Listener):
        def changed(self, thing: Thing) -> None:
            if isinstance(thing, Seed):
                shown.append((thing.safe_to_remove, thing.state))

    async with conducted(world) as conductor:
        conductor.board.listeners.append(Shown())
        world.plug(replace(world.stick({"tiny": FILES}), filesystem="minix"))
        await world.until(lambda: shown[-1] == (True, SeedState.FAILED))


async def test_two_bundles_of_one_content_are_both_installed(world: World) -> None:
    """Under two names: they share what names an unfinished copy, the digest of the manifest."""
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES, "tiny-latest": FILES}))
        await served(world, conductor)
        assert contents(world.folder / "store/tiny") == contents(world.folder / "store/tiny-latest") == published(FILES)


async def test_code_that_a_model_brings_or_asks_for_is_told(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": {**FILES, "modeling.py": b"", "config.json": b'{"auto_map": {}}'}}))
        await served(world, conductor)
        found = world.told(EventName.BUNDLE_FOUND)
        assert any(line.endswith("is new; modeling.py is code") for line in found)
        assert "tiny: config.json has an auto_map, which asks loaders to run code of the bundle" in found


async def test_a_scan_in_the_middle_of_a_look_leaves_it_alone(world: World) -> None:
    """Sticks that came together are done with together: until then one that was looked at already is no idle one."""
    sticks = [world.stick({name: FILES}, uuid=name) for name in ("one", "two")]
    looked_at, held = world.hold("find"), world.hold("find", of=sticks[1])
    for stick in sticks:
        world.plug(stick)
    async with conducted(world) as conductor:
        looked_at.set()
        first = conductor.seeds.all[sticks[0].number]
        await first.looked_at.wait()
        await Requests(conductor).scan()
        held.set()
        await world.until(lambda: all(is_served(seed) for seed in conductor.seeds.all.values()))
        assert first.looked_at.is_set()


async def test_an_eject_whose_caller_goes_away_leaves_no_job_half_ended(world: World) -> None:
    """A lost bus cancels the calls that came from it."""
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        mounted = world.hold("mount")
        (job,) = await Requests(conductor).sync("", "tiny")
        await world.until(lambda: world.asked[-1] == "mount")
        ejected = asyncio.ensure_future(Requests(conductor).eject(seed))
        await world.until(lambda: job.halt.reason)
        ejected.cancel()
        mounted.set()
        await world.until(lambda: job.ended)


@pytest.mark.parametrize("member", ["find", "mount"])
async def test_a_job_is_cancelled_while_its_stick_is_being_mounted(world: World, member: str) -> None:
    """UDisks2 may take its time; what it mounts after all is unmounted again."""
    async with conducted(world) as conductor:
        stick = world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        answered = world.hold(member)
        (job,) = await Requests(conductor).sync("", "tiny")
        await world.until(lambda: world.asked[-1] == member)
        Requests(conductor).cancel(job)
        await world.until(lambda: job.state is JobState.CANCELLED)
        answered.set()
        await world.until(lambda: world.asked[-1] == "unmount" and seed.safe_to_remove)
        assert not world.points[stick.number]


class TestWhoseMountItIs:
    async def test_a_mount_that_was_refused_to_us_and_made_by_hand_is_not_ours(self, world: World) -> None:
        async with conducted(world) as conductor:
            world.refuse("mount")
            stick = world.plug(world.stick({"tiny": FILES}))
            seed = await served(world, conductor)
            assert seed.state is SeedState.FAILED
            point = world.mounted_by_hand(stick)
            await Requests(conductor).scan()
            await served(world, conductor)
            assert seed.state is SeedState.DONE
            assert world.points[stick.number] == (point,)

    async def test_a_mount_of_ours_that_somebody_has_undone_is_ours_no_more(self, world: World) -> None:
        async with conducted(world, config_of(world, after=AfterSync.KEEP)) as conductor:
            stick = world.plug(world.stick({"tiny": FILES}))
            seed = await served(world, conductor)
            assert seed.our_mount
            world.unmounted_by_hand(stick)
            point = world.mounted_by_hand(stick)
            await world.until(lambda: seed.others_mounts == (point,))
            await Requests(conductor).scan()
            await served(world, conductor)
            assert seed.state is SeedState.DONE
            assert world.points[stick.number] == (point,)

    async def test_a_seed_that_is_refused_is_not_safe_while_somebody_has_it_mounted(self, world: World) -> None:
        stick = world.stick({"tiny": FILES})
        point = world.mounted_by_hand(stick)
        config = config_of(world)
        async with conducted(world, replace(config, seed=replace(config.seed, filesystems=("vfat",)))) as conductor:
            world.plug(stick)
            seed = await served(world, conductor)
            assert seed.state is SeedState.FAILED
            assert seed.others_mounts == (point,)
            assert not conductor.safe_to_remove

    @pytest.mark.parametrize(
        ("spoiled", "error"),
        [
            ({"filesystem": "iso9660"}, ErrorName.MOUNT_FAILED),
            ({"loops": ("/dev/loop7",)}, ErrorName.UNSAFE_MOUNT),
            ({"loops": ("/dev/loop6", "/dev/loop7")}, ErrorName.UNSAFE_MOUNT),
        ],
        ids=["a file system that is not taken", "a loop device of a user", "stacked on one"],
    )
    async def test_a_device_that_is_not_taken_is_not_mounted(
        self, world: World, spoiled: dict[str, Any], error: ErrorName
    ) -> None:
        world.owners["/dev/loop7"] = 1000
        async with conducted(world) as conductor:
            world.plug(replace(world.stick({"tiny": FILES}), **spoiled))
            seed = await served(world, conductor)
            assert (seed.state, seed.error[0]) == (SeedState.FAILED, error.full)
            assert "mount" not in world.asked

    async def test_a_loop_device_of_roots_is_taken(self, world: World) -> None:
        async with conducted(world) as conductor:
            world.plug(replace(world.stick({"tiny": FILES}), loops=("/dev/loop6",)))
            assert (await served(world, conductor)).state is SeedState.DONE

    @pytest.mark.parametrize("by_hand", [True, False])
    async def test_that_it_was_busy_is_no_error_any_more_once_it_is_unmounted(
        self, world: World, monkeypatch: pytest.MonkeyPatch, by_hand: bool
    ) -> None:
        monkeypatch.setattr(patience, "RETRIES_SECONDS", ())
        async with conducted(world) as conductor:
            answered = world.hold("unmount")
            world.refuse("unmount")
            stick = world.plug(world.stick({"tiny": FILES}))
            (seed,) = conductor.seeds.all.values()
            await world.until(lambda: seed.state is SeedState.DONE)
            answered.set()
            await world.until(lambda: seed.error[1] == "the world refuses to unmount")
            world.allow("unmount")
            if by_hand:
                world.unmounted_by_hand(stick)
            else:
                await Requests(conductor).eject(seed)
            await world.until(lambda: seed.safe_to_remove)
            assert seed.error == NO_ERROR
            assert "may be pulled out" in conductor.status

    async def test_what_is_kept_mounted_is_unmounted_when_it_is_a_seed_no_more(self, world: World) -> None:
        async with conducted(world, config_of(world, after=AfterSync.KEEP)) as conductor:
            stick = world.plug(world.stick({"tiny": FILES}))
            seed = await served(world, conductor)
            assert seed.our_mount
            conductor.reconfigure(replace(conductor.config, seed=SeedConfig(label="OTHER")))
            await world.until(lambda: not world.points[stick.number])

    async def test_what_is_kept_mounted_is_unmounted_at_the_stop(self, world: World) -> None:
        async with conducted(world, config_of(world, after=AfterSync.KEEP)) as conductor:
            stick = world.plug(world.stick({"tiny": FILES}))
            assert (await served(world, conductor)).our_mount
        assert not world.points[stick.number]

    async def test_a_late_unmount_leaves_the_next_plug_of_the_same_stick_alone(self, world: World) -> None:
        """The number, the label and the UUID are the same; the plug is not."""
        async with conducted(world) as conductor:
            stick = world.plug(world.stick({"tiny": FILES}))
            world.refuse("unmount")
            await world.until(lambda: "unmount" in world.asked)
            (left,) = conductor.seeds.all.values()
            mounted = world.hold("mount")
            world.pull(stick)
            again = world.plug(stick)
            await world.until(lambda: world.asked[-1] == "mount")
            asked = len(world.asked)
            await world.until(lambda: not left.mounting.locked())
            assert world.asked[asked:] == []
            assert MountRecord(str(world.folder / "run")).made(again)
            world.allow("unmount")
            mounted.set()
            await served(world, conductor)


async def test_a_stick_pulled_while_it_is_mounted_holds_up_no_other(world: World) -> None:
    sticks = [world.stick({name: FILES}, uuid=name) for name in ("one", "two")]
    plugged = [world.plug(stick) for stick in sticks]
    world.hold("find", of=sticks[1])
    async with conducted(world) as conductor:
        await world.until(lambda: len(world.asked) > 1)
        world.pull(plugged[1])
        await served(world, conductor)
        assert contents(world.folder / "store/one") == published(FILES)


async def test_a_seed_that_cannot_be_looked_at_anew_has_failed(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        world.refuse("mount")
        await Requests(conductor).scan()
        await served(world, conductor)
        assert (seed.state, seed.error[1]) == (SeedState.FAILED, "the world refuses to mount")
        assert not seed.offers


async def test_damage_that_is_found_changes_the_verdict_on_what_is_plugged_in(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        await world.until(lambda: seed.verdicts["tiny"] == "current")
        (world.folder / "store/tiny/config.json").write_bytes(b"{}")
        Requests(conductor).verify("tiny")
        await world.until(lambda: seed.verdicts["tiny"] == "update")


async def test_a_store_that_cannot_be_read_leaves_no_seed_at_work(world: World) -> None:
    """A loop of links stands for a disk that fails."""
    async with conducted(world, config_of(world, automatic=Automatic.OFF)) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        receipt = world.folder / "store/.dubseed/receipts/tiny.json"
        receipt.symlink_to(receipt)
        await Requests(conductor).sync("", "tiny")
        assert seed.state is SeedState.WORKING
        await served(world, conductor)
        assert (seed.state, seed.error[0]) == (SeedState.FAILED, ErrorName.WRITE_FAILED.full)
        assert seed.error[1].startswith("tiny: ")


class Most(Listener):
    """How many jobs verified at once."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.most = 0

    def overall(self) -> None:
        self.most = max(self.most, sum(job.state is JobState.VERIFYING for job in self._jobs.all.values()))


async def test_bundles_are_verified_one_after_the_other(world: World) -> None:
    """Each takes its buffers, and the disk has one head, or as good as one."""
    async with conducted(world) as conductor:
        world.plug(world.stick({name: model_files(seed=name.encode()) for name in ("one", "two", "three")}))
        await served(world, conductor)
        seen = Most(conductor.jobs)
        conductor.board.listeners.append(seen)
        jobs = Requests(conductor).verify("")
        await world.until(lambda: all(job.state is JobState.DONE for job in jobs))
        assert (len(jobs), seen.most) == (3, 1)


class Queued(Listener):
    """The jobs that were told of while they were queued."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def changed(self, thing: Thing) -> None:
        if isinstance(thing, Job) and thing.state is JobState.QUEUED:
            self.told.append(thing.id)


async def test_a_job_that_is_queued_is_told_of_once(world: World) -> None:
    """A stick may bring hundreds: to tell of each of them five times a second would leave no time for anything else."""
    async with conducted(world) as conductor:
        seen = Queued()
        conductor.board.listeners.append(seen)
        world.plug(world.stick({name: model_files(seed=name.encode()) for name in ("one", "two", "three")}))
        await served(world, conductor)
        assert seen.told == [1, 2, 3]


async def test_of_ended_jobs_the_one_that_ended_first_is_forgotten_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that was begun first: that may have taken an hour and have ended just now."""
    monkeypatch.setattr("dubseedd.service.jobs.REMEMBER_MOST", 3)
    async with conducted(world, config_of(world, automatic=Automatic.OFF)) as conductor:
        slow = world.plug(world.stick({"tiny": FILES}, uuid="slow"))
        world.plug(world.stick({"tiny": FILES}, uuid="quick"))
        await world.until(lambda: all(is_served(seed) for seed in conductor.seeds.all.values()))
        mounted = world.hold("find", of=slow)
        (long,) = await Requests(conductor).sync("slow", "")
        for _ in range(3):
            (job,) = await Requests(conductor).sync("quick", "", dry_run=True)
            await world.until(lambda job=job: job.ended)
        mounted.set()
        await world.until(lambda: long.ended)
        assert long.id in conductor.jobs.all
        assert len(conductor.jobs.all) == 3


async def test_the_history_is_read_by_one_thread_however_many_ask(world: World) -> None:
    async with conducted(world) as conductor:
        with world.writing:
            before = threading.active_count()
            requests = Requests(conductor)
            asked = [asyncio.ensure_future(requests.history(1)) for _ in range(20)]
            await asyncio.sleep(0)
            assert threading.active_count() <= before + 1
        await asyncio.gather(*asked)


async def test_a_cancel_that_comes_before_the_switch_is_heeded(world: World) -> None:
    """Though the turn to publish is free, and taken in the same moment."""
    async with conducted(world, config_of(world, automatic=Automatic.OFF)) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        (job,) = await Requests(conductor).sync("", "tiny")
        conductor.board.listeners.append(CancelsWhenReady(conductor))
        await world.until(lambda: job.ended)
        assert job.state is JobState.CANCELLED
        assert not (world.folder / "store/tiny").exists()


class CancelsWhenReady(Listener):
    """Somebody who cancels a job as soon as it waits to be published."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def changed(self, thing: Thing) -> None:
        if isinstance(thing, Job) and thing.state is JobState.WAITING:
            Requests(self._conductor).cancel(thing)


class TestTheStop:
    async def test_nothing_is_begun_on_request_any_more(self, world: World) -> None:
        async with conducted(world) as conductor:
            world.plug(world.stick({"tiny": FILES}))
            await served(world, conductor)
        with pytest.raises(CallRefused, match="being stopped"):
            Requests(conductor).verify("tiny")


async def test_a_sync_whose_seed_leaves_while_it_is_looked_at_begins_nothing(world: World) -> None:
    async with conducted(world) as conductor:
        stick = world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        world.hold("find")
        await Requests(conductor).scan()
        asked = asyncio.ensure_future(Requests(conductor).sync("", ""))
        await asyncio.sleep(0)
        world.pull(stick)
        with pytest.raises(CallRefused, match="no seed has any bundle"):
            await asked


class Hesitant(Store):
    """A store whose verdicts, once asked to, wait for `end` before they are told."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.hesitates, self.judged, self.end = threading.Event(), threading.Event(), threading.Event()

    def verdict(self, name: str, manifest_sha256: str, entries: int) -> tuple[Verdict, bool]:
        found = super().verdict(name, manifest_sha256, entries)
        if self.hesitates.is_set():
            self.hesitates.clear()
            self.judged.set()
            self.end.wait()
        return found


async def test_of_two_verdicts_on_a_seed_the_later_one_stands(world: World) -> None:
    """Whichever thread comes back first."""
    async with conducted(world, config_of(world, automatic=Automatic.OFF), kind=Hesitant) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        seed, store = await served(world, conductor), conductor.store
        assert isinstance(store, Hesitant)
        store.hesitates.set()
        early = asyncio.ensure_future(conductor.seeds.judge_again("tiny"))
        await in_thread(store.judged.wait)
        await Requests(conductor).sync("", "tiny")
        await world.until(lambda: world.told(EventName.JOB_FINISHED))
        late = asyncio.ensure_future(conductor.seeds.judge_again("tiny"))
        await asyncio.wait({late}, timeout=0.2)
        store.end.set()
        await asyncio.gather(early, late)
        assert seed.verdicts == {"tiny": "current"}


async def test_an_eject_in_the_middle_of_a_look_is_told_to_wait(world: World) -> None:
    """What uses the stick is ourselves, and nobody could close that."""
    sticks = [world.stick({name: FILES}, uuid=name) for name in ("one", "two")]
    for stick in sticks:
        world.plug(stick)
    held = world.hold("find", of=sticks[1])
    async with conducted(world) as conductor:
        first = conductor.seeds.all[sticks[0].number]
        await first.looked_at.wait()
        with pytest.raises(CallRefused, match="still being looked at") as refused:
            await Requests(conductor).eject(first)
        assert refused.value.error is ErrorName.BUSY
        held.set()


async def test_only_so_many_jobs_can_be_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wish for another manifest is a job of its own, and nobody has to wait for one before asking for the next."""
    monkeypatch.setattr("dubseedd.service.jobs.UNFINISHED_MOST", 10)
    world.hold("mount")
    async with conducted(world, config_of(world, automatic=Automatic.OFF)) as conductor:
        device = world.plug(world.stick({"tiny": FILES}))
        seed = conductor.seeds.all[device.number]
        wishes = [Wish("tiny", manifest_sha256=f"{number:064x}") for number in range(10)]
        jobs = [conductor.jobs.sync(seed, wish, asked=True) for wish in wishes]
        with pytest.raises(CallRefused) as refused:
            conductor.jobs.sync(seed, Wish("tiny"), asked=True)
        assert refused.value.error is ErrorName.BUSY
        assert conductor.jobs.sync(seed, wishes[0], asked=True) is jobs[0]
        assert conductor.jobs.sync(seed, Wish("tiny")) not in jobs


async def test_a_conflict_names_the_sticks_that_have_something_else(world: World) -> None:
    versions = {"a": FILES, "b": FILES, "c": model_files(seed=b"other")}
    sticks = [world.plug(world.stick({"tiny": files}, uuid=uuid)) for uuid, files in versions.items()]
    async with conducted(world):
        await world.until(lambda: len(world.told(EventName.BUNDLE_REFUSED)) == len(sticks))
    one, twin, rival = (stick.called for stick in sticks)
    told = sorted(world.told(EventName.BUNDLE_REFUSED))
    assert f"tiny is on {one} and with other content on {rival};" in told[0]
    assert f"tiny is on {rival} and with other content on {one}, {twin};" in told[2]


async def test_a_scan_takes_nothing_that_a_stick_at_work_brings_in_another_version(world: World) -> None:
    """As at start: which of the two it is to be a person has to say."""
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}, uuid="u-1"))
        await served(world, conductor)
        rival = world.plug(world.stick({"tiny": model_files(seed=b"2")}, uuid="u-2"))
        await served_all(world, conductor)
        held = world.hold("mount", of=rival)
        await Requests(conductor).sync(rival.node, "tiny")
        await Requests(conductor).scan()
        await world.until(lambda: world.told(EventName.BUNDLE_REFUSED))
        assert f"with other content on {rival.called}" in world.told(EventName.BUNDLE_REFUSED)[0]
        held.set()
        await served_all(world, conductor)
        assert contents(world.folder / "store/tiny") == published(model_files(seed=b"2"))


async def test_an_eject_before_the_first_look_is_told_to_wait(world: World) -> None:
    held = world.hold("loop_owner")
    async with conducted(world) as conductor:
        device = world.plug(replace(world.stick({"tiny": FILES}), loops=("/dev/loop7",)))
        await world.until(lambda: "loop_owner" in world.asked)
        with pytest.raises(CallRefused, match="still being looked at"):
            await Requests(conductor).eject(conductor.seeds.all[device.number])
        held.set()
        await served(world, conductor)


async def test_a_sync_from_a_stick_that_could_not_be_used_says_why(world: World) -> None:
    world.refuse("mount")
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        with pytest.raises(CallRefused, match="the world refuses to mount") as refused:
            await Requests(conductor).sync("", "tiny")
        assert refused.value.error is ErrorName.MOUNT_FAILED


async def test_nothing_is_looked_at_any_more_once_it_is_stopped(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        await conductor.seeds.stop()
        world.plug(world.stick({"other": FILES}, uuid="u-2"))
        await Requests(conductor).scan()
    assert world.asked.count("mount") == 1


async def test_a_job_that_is_queued_is_done_by_the_configuration_of_the_moment_in_which_it_begins(world: World) -> None:
    """Who has tightened a rule and heard that it is taken over counts on it."""
    config = config_of(world, automatic=Automatic.OFF)
    pickled = {**FILES, "more.bin": b"code"}
    async with conducted(world, replace(config, trust=TrustConfig(pickle_allowed=True))) as conductor:
        device = world.plug(world.stick({"tiny": pickled}))
        await served(world, conductor)
        held = world.hold("mount")
        (job,) = await Requests(conductor).sync(device.node, "tiny")
        await world.until(lambda: world.asked[-1] == "mount")
        conductor.reconfigure(config)
        held.set()
        await world.until(lambda: job.ended)
        assert job.error[0] == ErrorName.UNSAFE_MODEL.full


async def test_a_job_says_what_it_has_done_and_what_it_has_not(world: World) -> None:
    async with conducted(world, config_of(world, automatic=Automatic.VERIFY)) as conductor:
        device = world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        requests = Requests(conductor)
        for dry_run in (True, False):
            (job,) = await requests.sync(device.node, "tiny", dry_run=dry_run)
            await world.until(lambda job=job: job.ended)
        (job,) = requests.verify("tiny")
        await world.until(lambda: job.ended)
        assert world.told(EventName.JOB_FINISHED) == [
            "tiny is copied and verified, not published; while the stick is plugged in: dubseedctl sync --bundle tiny",
            "tiny is planned, nothing was copied",
            "tiny is synced",
            "tiny is verified",
        ]


async def test_whoever_follows_a_job_that_was_cut_short_is_told_when_it_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Job] = []
    monkeypatch.setattr("dubseedd.service.jobs.REMEMBER_SECONDS", 0.0)
    monkeypatch.setattr(world, "ended", ended.append, raising=False)
    held = world.hold("mount")
    async with conducted(world, config_of(world, automatic=Automatic.OFF)) as conductor:
        held.set()
        device = world.plug(world.stick({"tiny": FILES}))
        await served(world, conductor)
        held = world.hold("mount")
        (job,) = await Requests(conductor).sync(device.node, "tiny")
        await world.until(lambda: world.asked[-1] == "mount")
        world.pull(device)
        held.set()
        await world.until(lambda: job.id not in conductor.jobs.all)
        assert (ended, job.state) == ([job], JobState.INTERRUPTED)


async def test_a_stop_tells_which_stick_it_leaves_mounted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with conducted(world, config_of(world, after=AfterSync.KEEP)) as conductor:
        device = world.plug(world.stick({"tiny": FILES}))
        seed = await served(world, conductor)
        world.refuse("unmount")
    told = f"{device.called} is still mounted at {seed.our_mount}; the next start of dubseedd unmounts it"
    assert told in caplog.messages


async def test_why_a_bundle_is_refused_is_said_before_what_is_wrong_with_another_stick(world: World) -> None:
    async with conducted(world) as conductor:
        world.plug(replace(world.stick({"tiny": FILES}, uuid="u-1"), filesystem="iso9660"))
        world.plug(world.stick({"tiny": {"readme": b"no model"}}, uuid="u-2"))
        await served_all(world, conductor)
        with pytest.raises(SeedRefused, match="tiny lists no config"):
            await Requests(conductor).sync("", "tiny")
