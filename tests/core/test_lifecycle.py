"""The tables of states hold together."""

import pytest

from dubseedd.core.lifecycle import JOB_WAYS, SEED_WAYS, JobState, SeedState, job_step, seed_step


def test_every_state_has_a_row() -> None:
    assert set(JOB_WAYS) == set(JobState)
    assert set(SEED_WAYS) == set(SeedState)


def test_the_way_of_a_whole_sync_is_there() -> None:
    state = JobState.QUEUED
    for following in ("planning", "copying", "verifying", "waiting", "publishing", "done"):
        state = job_step(state, JobState(following))
    assert state.ended


@pytest.mark.parametrize("state", [state for state in JobState if not state.ended])
def test_whatever_has_not_ended_may_fail_or_be_cancelled(state: JobState) -> None:
    assert {JobState.FAILED, JobState.CANCELLED} <= JOB_WAYS[state]


def test_what_has_ended_stays_as_it_is() -> None:
    for state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED):
        assert state.ended
        with pytest.raises(AssertionError):
            job_step(state, JobState.QUEUED)
    with pytest.raises(AssertionError):
        seed_step(SeedState.GONE, SeedState.MOUNTING)


def test_an_interrupted_job_goes_back_into_the_queue() -> None:
    assert not JobState.INTERRUPTED.ended
    assert not JobState.INTERRUPTED.at_work
    assert job_step(JobState.INTERRUPTED, JobState.QUEUED) is JobState.QUEUED


def test_publishing_is_never_interrupted() -> None:
    assert JobState.INTERRUPTED not in JOB_WAYS[JobState.PUBLISHING]


def test_staying_is_always_allowed() -> None:
    assert all(job_step(state, state) is state for state in JobState)
    assert all(seed_step(state, state) is state for state in SeedState)
