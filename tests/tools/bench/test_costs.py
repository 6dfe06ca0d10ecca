"""Runs are compared within their round, and the median counts."""

import pytest

from tools.bench.costs import Cost, cpu_seconds, median, median_ratio, peak_bytes, turns

ROUNDS = [
    {"ours": Cost(1.0, 0.5, 100), "theirs": Cost(4.0)},
    {"ours": Cost(9.0, 0.7, 300), "theirs": Cost(18.0)},
    {"ours": Cost(2.0, 0.9, 200), "theirs": Cost(3.0)},
]


def test_the_median_of_the_ratios_is_no_ratio_of_medians() -> None:
    """A round in which the whole machine was slow counts like any other."""
    assert median_ratio(ROUNDS, "ours", "theirs") == 0.5
    assert median(ROUNDS, "ours") / median(ROUNDS, "theirs") == 0.5
    drifting = [{"a": Cost(1), "b": Cost(1)}, {"a": Cost(10), "b": Cost(20)}, {"a": Cost(3), "b": Cost(2)}]
    assert median_ratio(drifting, "a", "b") == 1.0
    assert median(drifting, "a") / median(drifting, "b") == 1.5


def test_every_figure_has_a_median() -> None:
    assert median(ROUNDS, "ours") == 2.0
    assert median(ROUNDS, "ours", cpu_seconds) == 0.7
    assert median(ROUNDS, "ours", peak_bytes) == 200


def test_any_figure_can_be_set_against_that_of_another() -> None:
    rounds = [{"ours": Cost(9.0, 3.0), "bound": Cost(1.0, 2.0)}, {"ours": Cost(1.0, 5.0), "bound": Cost(1.0, 2.0)}]
    assert median_ratio(rounds, "ours", "bound", cpu_seconds) == 2.0


def test_steps_add_up_but_their_memory_does_not() -> None:
    assert Cost(1.0, 0.5, 300) + Cost(2.0, 0.25, 200) == Cost(3.0, 0.75, 300)


def test_each_comes_first_in_turn_and_all_take_part() -> None:
    orders = [turns(["a", "b", "c"], number) for number in range(4)]
    assert [order[0] for order in orders] == ["a", "b", "c", "a"]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)


def test_a_candidate_that_did_not_run_has_no_median() -> None:
    with pytest.raises(KeyError):
        median(ROUNDS, "nobody")
