"""What a person may ask of the benchmark."""

import pytest

from tools.bench.__main__ import parser
from tools.bench.parts import PARTS, steps


def test_without_a_word_everything_is_measured() -> None:
    options = parser().parse_args([])
    assert (options.size, options.small, options.runs) == (4 << 30, 100_000, 5)
    assert options.only == list(PARTS)


def test_some_parts_come_in_the_order_that_was_asked_for() -> None:
    assert parser().parse_args(["--only", "small,idle"]).only == ["small", "idle"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "4G"), "4G is no size: write it like 256MiB or 4GiB"),
        (("--size", "0GiB"), "0GiB is no size"),
        (("--runs", "0"), "0 is no number of at least 1"),
        (("--small", "-3"), "-3 is no number of at least 1"),
        (("--only", "small,speed"), "there is no part speed; there are throughput, throttled, small"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args([f"{words[0]}={words[1]}"])
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err


def test_growth_goes_up_to_the_last_step() -> None:
    assert steps(8, 2, 6) == [1, 2, 4, 8]
    assert steps(100_000, 10, 4) == [100, 1000, 10_000, 100_000]
