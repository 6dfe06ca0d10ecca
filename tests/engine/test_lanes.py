"""Every item once, in one lane or several; the first failure ends them all."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dubseedd.engine.lanes import Lanes
from dubseedd.engine.stop import StopFlag
from dubseedd.errors import Cancelled, SeedRefused
from dubseedd.names import ErrorName


@pytest.mark.parametrize("most", [1, 3])
def test_every_item_is_handled_once(most: int) -> None:
    done: list[int] = []

    @contextmanager
    def lane(_: Lanes[int]) -> Iterator[Callable[[int], None]]:
        yield done.append

    lanes = Lanes(range(100), lane, StopFlag())
    for _ in range(most):
        lanes.grow(most)
    lanes.run()
    assert sorted(done) == list(range(100))


def test_another_lane_opens_while_there_is_work_and_room_for_it() -> None:
    together = threading.Barrier(2)
    threads = set()

    @contextmanager
    def lane(lanes: Lanes[int]) -> Iterator[Callable[[int], None]]:
        threads.add(threading.current_thread())

        def handle(_: int) -> None:
            lanes.grow(2)
            together.wait(30)

        yield handle

    Lanes(range(2), lane, StopFlag()).run()
    assert len(threads) == 2


def test_a_failure_stops_the_other_lanes_and_is_what_is_raised() -> None:
    both = threading.Barrier(2)
    stopped = []

    @contextmanager
    def lane(lanes: Lanes[int]) -> Iterator[Callable[[int], None]]:
        def handle(item: int) -> None:
            both.wait(30)
            if item == 0:
                raise SeedRefused(ErrorName.READ_FAILED, "broken")
            while lanes.stop.reason is None:
                pass
            stopped.append(item)
            lanes.stop.check()

        yield handle

    lanes = Lanes(range(10), lane, StopFlag())
    lanes.grow(2)
    with pytest.raises(SeedRefused, match="broken"):
        lanes.run()
    assert stopped == [1]


def test_a_stop_from_above_ends_it_before_the_next_item() -> None:
    stop, done = StopFlag(), []

    @contextmanager
    def lane(_: Lanes[int]) -> Iterator[Callable[[int], None]]:
        def handle(item: int) -> None:
            done.append(item)
            stop.set(Cancelled())

        yield handle

    with pytest.raises(Cancelled):
        Lanes(range(10), lane, stop).run()
    assert done == [0]
