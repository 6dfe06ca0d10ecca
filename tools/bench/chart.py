"""The chart of growth: panels with logarithmic axes side by side, as an SVG that suits light and dark pages.

Pure: series of points in, text out. Colours and type stand in the style sheet of the picture.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

PANEL_WIDTH, PANEL_HEIGHT = 400, 300
LEFT, TOP, RIGHT, BOTTOM = 64, 92, 24, 60
"""Round each panel: room for the ticks, the heading, the legend and the axis title."""

STYLE = """
text { font: 13px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #57606a; }
.page { fill: #ffffff; } .title { font-size: 15px; font-weight: 600; fill: #1f2328; }
.grid { stroke: #d0d7de; stroke-width: 1; } .guide { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 2 5; }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; }
.dot { stroke: #ffffff; stroke-width: 1.5; }
.s0 { stroke: #0969da; } .f0 { fill: #0969da; } .s1 { stroke: #bc4c00; } .f1 { fill: #bc4c00; }
.s2 { stroke: #8250df; } .f2 { fill: #8250df; } .s3 { stroke: #1a7f37; } .f3 { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1; } .page { fill: #0d1117; } .title { fill: #f0f6fc; }
  .grid { stroke: #30363d; } .guide { stroke: #6e7681; } .dot { stroke: #0d1117; }
  .s0 { stroke: #58a6ff; } .f0 { fill: #58a6ff; } .s1 { stroke: #f0883e; } .f1 { fill: #f0883e; }
  .s2 { stroke: #bc8cff; } .f2 { fill: #bc8cff; } .s3 { stroke: #3fb950; } .f3 { fill: #3fb950; }
}
"""
COLOURS = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name in the legend and its (x, y), both above zero, in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture; `x_label` and `y_label` write a tick. The first series leads: linear growth is drawn from it."""

    title: str
    x_title: str
    y_title: str
    series: Sequence[Series]
    x_label: Callable[[float], str] = "{:g}".format
    y_label: Callable[[float], str] = "{:g}".format


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` onto pixels from `start` to `end`, logarithmically."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def decades(values: Sequence[float]) -> list[float]:
    """Powers of ten that hold all values between the first and the last; two at least."""
    low = math.floor(math.log10(min(values)) + 1e-9)
    high = max(low + 1, math.ceil(math.log10(max(values)) - 1e-9))
    return [10.0**power for power in range(low, high + 1)]


def chart(panels: Sequence[Panel]) -> str:
    """The panels in a row, with one legend for all, which takes the names of the first panel's series."""
    step = LEFT + PANEL_WIDTH + RIGHT
    width, height = step * len(panels), TOP + PANEL_HEIGHT + BOTTOM
    label = escape(" and ".join(panel.title for panel in panels))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
        *legend([series.name for series in panels[0].series]),
    ]
    for number, panel in enumerate(panels):
        body += [f'<g transform="translate({number * step + LEFT} {TOP})">', *drawn(panel), "</g>"]
    return "\n".join([*body, "</svg>"]) + "\n"


def legend(names: Sequence[str]) -> Iterator[str]:
    """A row of coloured dots with their names; the dotted line comes last."""
    x = float(LEFT)
    for number, name in enumerate(names):
        yield f'<circle class="f{number % COLOURS}" cx="{x + 6:g}" cy="26" r="5"/>'
        yield text(x + 18, 30.5, name, "start")
        x += 18 + 7.2 * len(name) + 26
    yield f'<line class="guide" x1="{x:g}" y1="26" x2="{x + 24:g}" y2="26"/>'
    yield text(x + 32, 30.5, "in proportion", "start")


def drawn(panel: Panel) -> Iterator[str]:
    """One panel, its plotting area from the origin."""
    points = [point for series in panel.series for point in series.points]
    xs, ys = sorted({x for x, _ in points}), decades([y for _, y in points])
    x_axis = Axis(xs[0], max(xs[-1], xs[0] * 2), 12, PANEL_WIDTH - 12)
    y_axis = Axis(ys[0], ys[-1], PANEL_HEIGHT, 0)
    yield text(0, -18, panel.title, "start", "title")
    for y in ys:
        yield f'<line class="grid" x1="0" x2="{PANEL_WIDTH}" y1="{y_axis.at(y):.1f}" y2="{y_axis.at(y):.1f}"/>'
        yield text(-10, y_axis.at(y) + 4.5, panel.y_label(y), "end")
    for x in xs:
        yield text(x_axis.at(x), PANEL_HEIGHT + 22, panel.x_label(x), "middle")
    yield text(PANEL_WIDTH / 2, PANEL_HEIGHT + 46, panel.x_title, "middle")
    yield f'<g transform="translate(-46 {PANEL_HEIGHT / 2:g}) rotate(-90)">{text(0, 0, panel.y_title, "middle")}</g>'
    yield guide(panel.series[0], x_axis, y_axis)
    for number, series in reversed(list(enumerate(panel.series))):
        yield from line(series, number % COLOURS, x_axis, y_axis)


def guide(series: Series, x_axis: Axis, y_axis: Axis) -> str:
    """What the series would be if it grew in proportion, drawn back from its last point as far as the panel goes."""
    x, y = series.points[-1]
    first = max(x_axis.low, x * y_axis.low / y)
    return (
        f'<line class="guide" x1="{x_axis.at(first):.1f}" y1="{y_axis.at(y * first / x):.1f}" '
        f'x2="{x_axis.at(x):.1f}" y2="{y_axis.at(y):.1f}"/>'
    )


def line(series: Series, colour: int, x_axis: Axis, y_axis: Axis) -> Iterator[str]:
    places = [(x_axis.at(x), y_axis.at(y)) for x, y in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline class="line s{colour}" points="{path}"/>'
    for x, y in places:
        yield f'<circle class="dot f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def text(x: float, y: float, words: str, anchor: str, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
