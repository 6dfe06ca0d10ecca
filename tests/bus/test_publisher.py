"""The state of the conductor as it is shown on the bus."""

from typing import Any

from dubseedd.bus import faces
from dubseedd.bus.publisher import Publisher
from dubseedd.bus.tree import ObjectTree
from dubseedd.core.lifecycle import JobKind, JobState, SeedState
from dubseedd.engine.syncing import Wish
from dubseedd.service.conductor import Conductor
from dubseedd.service.job import Job
from tests.support.bundles import model_files
from tests.support.world import World, conducted

FILES = model_files()


class Shown:
    """What a conductor has on the bus; there is none, and nobody calls."""

    def __init__(self, conductor: Conductor) -> None:
        self._tree = ObjectTree(nobody)
        conductor.board.listeners.append(Publisher(conductor, self._tree))

    def of(self, path: str) -> dict[str, Any]:
        (properties,) = self._tree._objects[path].values()
        return properties


async def nobody(*_: object) -> list[Any]:
    raise AssertionError


async def test_what_comes_late_of_a_pulled_seed_is_not_shown_as_the_next_plug(world: World) -> None:
    """The object's path is that of its file system: pulled and plugged in again, it is another seed at the same one."""
    async with conducted(world) as conductor:
        shown = Shown(conductor)
        stick = world.plug(world.stick({"tiny": FILES}))
        unmounted = world.hold("unmount")
        await world.until(lambda: "unmount" in world.asked)
        (pulled,) = conductor.seeds.all.values()
        held = world.hold("find")
        world.pull(stick)
        again = world.plug(stick)
        path = faces.seed_path(conductor.seeds.all[again.number])
        assert path == faces.seed_path(pulled)
        assert shown.of(path)["State"] == SeedState.MOUNTING
        unmounted.set()
        await world.until(lambda: not pulled.mounting.locked())
        assert shown.of(path)["State"] == SeedState.MOUNTING
        held.set()


async def test_a_job_that_is_forgotten_is_no_job_of_its_seed_any_more(world: World) -> None:
    async with conducted(world) as conductor:
        shown = Shown(conductor)
        world.plug(world.stick({"tiny": FILES}))
        await world.until(lambda: [job.state for job in conductor.jobs.all.values()] == [JobState.DONE])
        (job,) = conductor.jobs.all.values()
        (seed,) = conductor.seeds.all.values()
        assert shown.of(faces.seed_path(seed))["Jobs"] == [faces.job_path(job)]
        conductor.jobs._forget(job, job.task)
        assert shown.of(faces.seed_path(seed))["Jobs"] == []


async def test_work_that_is_counted_anew_has_no_rate_below_zero(world: World) -> None:
    """An older revision is verified and adopted, then it is updated: two counts, one job."""
    async with conducted(world) as conductor:
        shown = Shown(conductor)
        job = Job(1, JobKind.SYNC, Wish("tiny"), state=JobState.VERIFYING)
        for now, done in ((1.0, 1000), (1.2, 2000), (1.4, 0)):
            job.meter.work_total, job.meter.work_done = 5000, done
            job.look(now, 0)
            conductor.board.changed(job)
        assert shown.of(faces.job_path(job))["Rate"] == 0
