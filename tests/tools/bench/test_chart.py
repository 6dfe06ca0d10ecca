"""The chart is well-formed, and its points lie where the values are."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from tools.bench.chart import Axis, Panel, Series, chart, decades, guide

SVG = "{http://www.w3.org/2000/svg}"
PANEL = Panel("Sizes & times", "GiB", "seconds", [Series("ours", [(1, 2), (10, 20)]), Series("cp <a>", [(1, 3)])])


def test_equal_factors_are_equal_distances() -> None:
    axis = Axis(1, 100, 0, 200)
    assert [axis.at(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])


@pytest.mark.parametrize(
    ("values", "ends"),
    [([0.2, 30], (0.1, 100)), ([1, 10], (1, 10)), ([5], (1, 10)), ([10], (10, 100)), ([0.001, 1000], (0.001, 1000))],
)
def test_whole_decades_hold_all_values(values: list[float], ends: tuple[float, float]) -> None:
    found = decades(values)
    assert (found[0], found[-1]) == pytest.approx(ends)
    assert [b / a for a, b in pairwise(found)] == pytest.approx([10] * (len(found) - 1))


def test_the_picture_is_well_formed_and_names_everything() -> None:
    root = ET.fromstring(chart([PANEL, PANEL]))
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert words.count("Sizes & times") == 2
    assert words.count("cp <a>") == 1
    assert len(list(root.iter(f"{SVG}polyline"))) == 4


def test_the_picture_suits_a_dark_page_and_depends_on_nothing() -> None:
    picture = chart([PANEL])
    assert "prefers-color-scheme: dark" in picture
    assert re.findall(r"https?://[^\"]*", picture) == ["http://www.w3.org/2000/svg"]


def test_linear_growth_is_drawn_through_the_last_point_and_stays_inside() -> None:
    x_axis, y_axis = Axis(1, 100, 0, 200), Axis(1, 100, 300, 0)
    drawn = guide(Series("ours", [(1, 40), (100, 10)]), x_axis, y_axis)
    found = {name: float(value) for name, value in re.findall(r'(x1|y1|x2|y2)="([\d.]+)"', drawn)}
    assert found == pytest.approx({"x1": 100, "y1": 300, "x2": 200, "y2": 150})
