"""Reading back beside the copy is kept where the copy is as fast with it."""

import pytest

from dubseedd.core.overlap import Overlap, Way


def feed(overlap: Overlap, begin: float, seconds: float, rate: int) -> float:
    """Copy at a rate for a while, ten times a second; returns the time after it."""
    for step in range(int(seconds * 10)):
        overlap.copied(begin + step / 10, rate // 10)
    return begin + seconds


@pytest.mark.parametrize(("rate_with", "way"), [(200, Way.TOGETHER), (185, Way.TOGETHER), (120, Way.APART)])
def test_it_is_tried_and_kept_where_the_copy_is_as_fast(rate_with: int, way: Way) -> None:
    overlap = Overlap()
    now = feed(overlap, 100.0, 1.1, 200)
    assert overlap.way is Way.TRYING
    now = feed(overlap, now, 1.0, rate_with)
    assert overlap.way is way
    feed(overlap, now, 5.0, 1)
    assert overlap.way is way


def test_nothing_is_read_back_before_it_is_tried() -> None:
    overlap = Overlap()
    feed(overlap, 0.0, 0.9, 200)
    assert not overlap.together
