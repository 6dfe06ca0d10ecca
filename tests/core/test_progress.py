"""Rate and milestones."""

from dubseedd.core.progress import Milestones, Pace, Standstill


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


def test_work_that_is_counted_anew_has_a_rate_of_its_own() -> None:
    pace = Pace()
    pace.sample(0.0, 0)
    pace.sample(1.0, 1000)
    pace.sample(2.0, 100)
    assert pace.rate == 0
    pace.sample(3.0, 300)
    assert pace.rate == 200


def test_milestones_are_the_tenths_and_every_thirty_seconds() -> None:
    milestones = Milestones(0.0)
    assert not milestones.reached(0.05, 1.0)
    assert milestones.reached(0.1, 2.0)
    assert not milestones.reached(0.19, 3.0)
    assert milestones.reached(0.35, 4.0)
    assert not milestones.reached(0.36, 33.9)
    assert milestones.reached(0.36, 34.0)
    assert not milestones.reached(0.37, 35.0)


def test_a_standstill_is_noticed_once_for_each_time() -> None:
    standstill, after = Standstill(0.0), Standstill.AFTER_SECONDS
    assert not standstill.noticed(5, 1.0)
    assert not standstill.noticed(5, after)
    assert standstill.noticed(5, 1.0 + after)
    assert not standstill.noticed(5, 2 + 2 * after)
    assert not standstill.noticed(6, 3 + 2 * after)
    assert standstill.noticed(6, 3 + 3 * after)
