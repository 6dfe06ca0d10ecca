"""Text: values, tables and sentences as a person reads them. Of all this `left` alone looks at the clock."""

import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
MICROSECONDS = 1_000_000
SHORTEST_NAME = 12

V = TypeVar("V")
Paint: TypeAlias = Callable[[str, "Colour | None"], str]
"""Gives words a colour, where there is one, or leaves them as they are."""


class Colour(StrEnum):
    """What a colour says, as a terminal takes it (ECMA-48, select graphic rendition)."""

    STRONG = "1"
    BAD = "31"
    GOOD = "32"


def in_colour(words: str, colour: Colour | None) -> str:
    """Words for a terminal."""
    return f"\033[{colour}m{words}\033[0m" if colour else words


def as_it_is(words: str, _: Colour | None) -> str:
    """Words for anything else."""
    return words


def size(count: int) -> str:
    """Bytes for a person: three digits and a binary unit."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{count} B" if unit == 0 else f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {UNITS[unit]}"


def day(microseconds: int) -> str:
    """A time as a local date; `never` for 0."""
    if not microseconds:
        return "never"
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).astimezone().strftime("%Y-%m-%d")


def moment(microseconds: int) -> str:
    """A time as local date and time."""
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: int) -> str:
    """m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def left(end: int) -> str:
    """The time left until an expected end; empty while nothing can be said."""
    seconds = round(end / MICROSECONDS - time.time()) if end else -1
    return duration(seconds) if seconds >= 0 else ""


def printable(value: V) -> V:
    """A view or a text with whatever could speak to a terminal escaped, at any depth: names come from sticks."""
    found: Any = value
    if isinstance(value, str):
        found = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
    elif isinstance(value, tuple):
        items = [printable(item) for item in value]
        found = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    elif hasattr(value, "__dataclass_fields__"):
        view: Any = value
        found = replace(view, **{field.name: printable(getattr(view, field.name)) for field in fields(view)})
    return found  # type: ignore[no-any-return]  # what came in, in the same shape


def columns(rows: Sequence[Sequence[str]], width: int | None = None, *, gives_way: int = 0) -> str:
    """Rows as aligned columns, the last one ragged; one of them gives way where `width` characters do not do."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    if width is not None:
        others = sum(widths) - widths[gives_way] + 2 * (len(widths) - 1)
        widths[gives_way] = min(widths[gives_way], max(SHORTEST_NAME, width - others))
    lines = ("  ".join(cut(cell, room).ljust(room) for cell, room in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def cut(text: str, most: int) -> str:
    """The beginning of a text, where there is no room for more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(text: str, width: int | None, hanging: str = "  ") -> str:
    """A sentence in lines of `width`, all but the first indented; words stay whole, for they may be commands."""
    if width is None:
        return text
    return textwrap.fill(text, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
