"""Figures for a monitoring system, in the text format of Prometheus.

Source: Prometheus documentation, "Exposition formats", version 0.0.4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Whether a figure only grows."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: a value for every set of labels."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]


def exposition(families: Iterable[Family]) -> str:
    """All of it, as a file for the textfile collector; times are seconds, sizes bytes."""
    return "".join(line for one in families for line in _lines(one))


def _lines(one: Family) -> Iterable[str]:
    yield f"# HELP {one.name} {one.help}\n# TYPE {one.name} {one.kind}\n"
    for labels, value in one.samples:
        shown = ",".join(f'{name}="{_escaped(word)}"' for name, word in labels.items())
        yield f"{one.name}{{{shown}}} {value:.16g}\n" if shown else f"{one.name} {value:.16g}\n"


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
