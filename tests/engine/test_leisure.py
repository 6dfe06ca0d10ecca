"""Work that nobody waits for: how it steps back, and how long it rests."""

import os
import threading
from itertools import accumulate

import pytest

from dubseedd.engine.leisure import LONGEST_REST_SECONDS, Rests, step_back
from tools.machine import run


@pytest.mark.parametrize(
    ("worked", "rested"),
    [
        ([0.01, 0.02], [0.03, 0.06]),
        ([0.1, 5.0], [0.3, LONGEST_REST_SECONDS]),
    ],
)
def test_a_rest_is_three_times_as_long_as_the_work_and_never_longer_than_a_stop_may_wait(
    worked: list[float], rested: list[float]
) -> None:
    times = accumulate(time for work, rest in zip(worked, rested, strict=True) for time in (work, rest))
    slept: list[float] = []
    clock = iter([0.0, *times])
    rests = Rests(lambda: next(clock), slept.append)
    for _ in worked:
        rests(4096)
    assert slept == pytest.approx(rested)


def test_a_thread_that_steps_back_is_the_last_in_every_queue_and_so_are_those_that_it_begins() -> None:
    found: list[tuple[int, str]] = []

    def look() -> None:
        here = threading.get_native_id()
        found.append((os.getpriority(os.PRIO_PROCESS, here), run("ionice", "-p", str(here)).strip()))

    def work() -> None:
        step_back()
        look()
        inner = threading.Thread(target=look)
        inner.start()
        inner.join()

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(19, "idle"), (19, "idle")]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
