"""The one sentence that a person is told."""

from typing import Any

import pytest

from dubseedd.core.device import BlockDevice
from dubseedd.core.lifecycle import JobKind, JobState, SeedState
from dubseedd.engine.syncing import Wish
from dubseedd.service.job import Job
from dubseedd.service.seed import Seed
from dubseedd.service.status import State, overall, sentence

STICK = BlockDevice("/dev/sdb1", (8, 17), 12, "filesystem", "DUB-SEED", "u-1", "ext4", 1, ready=True)


def job(state: JobState, error: tuple[str, str] = ("", "")) -> Job:
    return Job(1, JobKind.SYNC, Wish("tiny"), state=state, error=error)


def looked_at(**how: Any) -> Seed:
    """A stick with which nothing is to be done."""
    seed = Seed("s", STICK, SeedState.DONE, **how)
    seed.looked_at.set()
    return seed


def said(jobs: list[Job], seeds: list[Seed], last: Job | None = None, installed: int = 1) -> str:
    return sentence(overall(jobs, last), jobs, seeds, last, installed, label="MY-SEED")


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], State.IDLE),
        ([JobState.DONE], State.IDLE),
        ([JobState.QUEUED], State.WORKING),
        ([JobState.COPYING, JobState.INTERRUPTED], State.WORKING),
        ([JobState.WAITING], State.WAITING),
        ([JobState.INTERRUPTED, JobState.DONE], State.WAITING),
    ],
)
async def test_working_beats_waiting_beats_the_rest(states: list[JobState], expected: State) -> None:
    assert overall([job(state) for state in states], None) is expected


async def test_the_last_job_decides_between_idle_and_failed() -> None:
    assert overall([], job(JobState.FAILED)) is State.FAILED
    assert overall([], job(JobState.DONE)) is State.IDLE


async def test_nothing_plugged_in_waits_for_a_stick() -> None:
    assert said([], []) == "1 bundle installed, waiting for a stick labelled MY-SEED"
    assert said([], [], installed=0) == "no bundles installed, waiting for a stick labelled MY-SEED"


@pytest.mark.parametrize("state", [SeedState.MOUNTING, SeedState.SCANNING])
async def test_a_stick_that_is_looked_at_is_neither_done_nor_somebody_elses(state: SeedState) -> None:
    seed = Seed("s", STICK, state, mount_points=("/media/root/DUB-SEED",))
    cut = job(JobState.INTERRUPTED, ("name", "because"))
    assert said([], [seed]) == said([cut], [seed]) == "DUB-SEED (/dev/sdb1) is being looked at"


async def test_a_stick_that_is_done_may_be_pulled_out() -> None:
    assert said([], [looked_at()]) == "1 bundle installed, nothing to do; the stick may be pulled out"


async def test_a_stick_with_something_that_nobody_installs_unasked_says_how() -> None:
    seed = looked_at(verdicts={"old": "current", "tiny": "staged"})
    assert said([], [seed]) == (
        "1 bundle installed; to install tiny from the stick: dubseedctl sync --bundle tiny; the stick may be pulled out"
    )


async def test_a_stick_that_somebody_else_has_mounted_is_theirs_to_unmount() -> None:
    seed = Seed("s", STICK, SeedState.DONE, mount_points=("/media/alice/DUB-SEED",))
    told = said([], [seed])
    assert "mounted at /media/alice/DUB-SEED by somebody else: unmount it there first" in told


async def test_a_failure_is_told_with_its_sentence() -> None:
    last = job(JobState.FAILED, ("name", "because"))
    assert said([], [], last) == "tiny failed: because"


async def test_running_work_says_how_far_it_is() -> None:
    running = job(JobState.COPYING)
    running.percent = 43
    assert said([running, job(JobState.QUEUED)], []) == "copying tiny: file 0 of 0, 43 %; 1 more to do"
