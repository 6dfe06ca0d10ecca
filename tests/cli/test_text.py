"""Values and tables as a person reads them."""

import pytest

from dubseedd.cli import text


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.98 KiB"), (1024, "1.00 KiB"), (10 << 20, "10.0 MiB"), (200 << 30, "200 GiB"),
     (5 << 50, "5120 TiB")],
)  # fmt: skip
def test_sizes_have_three_digits_and_a_binary_unit(count: int, words: str) -> None:
    assert text.size(count) == words


def test_columns_are_aligned_and_have_no_trailing_blanks() -> None:
    assert text.columns([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"


def test_the_first_column_gives_way_where_there_is_no_room() -> None:
    rows = [("x" * 40, "installed", "1.00 GiB"), ("y", "foreign", "2 B")]
    table = text.columns(rows, 40)
    assert max(len(line) for line in table.splitlines()) == 40
    assert table.startswith("x" * 18 + "…  installed  1.00 GiB")
    assert text.columns(rows, 5).startswith("x" * 11 + "…")


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (65, "1:05"), (3599, "59:59"), (3600, "1:00:00")])
def test_a_duration_has_hours_where_it_needs_them(seconds: int, words: str) -> None:
    assert text.duration(seconds) == words
