"""Counters, rate and milestones."""

from dubseedd.core.lifecycle import JobState
from dubseedd.core.progress import Meter, Milestones, Pace


def test_the_fraction_is_of_the_work_and_never_over_one() -> None:
    assert Meter().fraction == 0
    assert Meter(work_total=200, work_done=50).fraction == 0.25
    assert Meter(work_total=200, work_done=500).fraction == 1


def test_a_phase_is_told_once() -> None:
    told: list[JobState] = []
    meter = Meter(on_phase=told.append)
    meter.enter(JobState.COPYING)
    meter.enter(JobState.COPYING)
    meter.enter(JobState.VERIFYING)
    assert told == [JobState.COPYING, JobState.VERIFYING]


def test_the_rate_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.rate == 0
    assert pace.seconds_left(100) is None
    pace.sample(0.0, 0)
    assert pace.rate == 0
    pace.sample(1.0, 1000)
    assert pace.rate == 1000
    for second in range(2, 20):
        pace.sample(float(second), 1000 + 10 * second)
    assert pace.rate == 10
    assert pace.seconds_left(100) == 10


def test_milestones_are_the_tenths_and_every_thirty_seconds() -> None:
    milestones = Milestones(0.0)
    assert not milestones.reached(0.05, 1.0)
    assert milestones.reached(0.1, 2.0)
    assert not milestones.reached(0.19, 3.0)
    assert milestones.reached(0.35, 4.0)
    assert not milestones.reached(0.36, 33.9)
    assert milestones.reached(0.36, 34.0)
    assert not milestones.reached(0.37, 35.0)
