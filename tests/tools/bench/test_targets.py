"""A target is met on its good side, the limit included."""

import pytest

from tools.bench.targets import Finding, Sense, Target


@pytest.mark.parametrize(
    ("sense", "value", "met"),
    [
        (Sense.AT_MOST, 0.39, True),
        (Sense.AT_MOST, 0.4, True),
        (Sense.AT_MOST, 0.41, False),
        (Sense.AT_LEAST, 0.39, False),
        (Sense.AT_LEAST, 0.4, True),
        (Sense.AT_LEAST, 0.41, True),
    ],
)
def test_a_limit_is_met_on_its_good_side(sense: Sense, value: float, met: bool) -> None:
    assert Target(0.4, sense).is_met_by(value) is met
    assert Finding("ours", value, "ratio", Target(0.4, sense)).is_met is met


def test_the_verdict_says_how_far_from_the_target() -> None:
    assert Finding("ours", 0.5, "ratio", Target(0.4)).verdict == "NOT MET, 1.25 of the target"
    assert Finding("ours", 0.2, "ratio", Target(0.4)).verdict == "met, 0.50 of the target"


def test_what_has_no_target_is_neither_met_nor_missed() -> None:
    finding = Finding("ours", 0.5, "seconds")
    assert finding.is_met is None
    assert finding.verdict == ""
