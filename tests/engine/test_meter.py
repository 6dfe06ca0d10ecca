"""Counters, and the part of the work that is done."""

import threading

from dubseedd.core.lifecycle import JobState
from dubseedd.engine.meter import Meter


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


def test_nothing_is_lost_where_several_threads_count() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(20_000):
            meter.copied(1)
            meter.worked(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (meter.bytes_done, meter.work_done) == (80_000, 160_000)


def test_what_is_found_is_not_moved() -> None:
    meter = Meter(bytes_total=100)
    meter.found(30)
    assert (meter.bytes_total, meter.bytes_skipped) == (70, 30)
