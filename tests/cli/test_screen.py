"""The screen of watch: every stick, every job, what was skipped and why, within the columns that there are."""

import io
from dataclasses import replace

import pytest
from rich.console import Console, Group

from dubseedd.cli import screen
from dubseedd.cli.screen import BUNDLES_MOST, Rates, Screen
from dubseedd.cli.views import NO_ERROR, Error, JobView, ManagerView, Offered, Progress, SeedView, State

MANAGER = ManagerView("0.1.0", "working", "copying tiny: file 2 of 9, 40 %", NO_ERROR, False, "/store", "integrity")
SEED = SeedView(
    "/s", "u", "DUB-SEED", "/dev/sdb1", "exfat", 31 << 30, "ACME Stick", "", "working", False,
    (Offered("tiny", 1 << 30, "d", "new"), Offered("qwen", 1 << 30, "d", "current"),
     Offered("bad", 0, "", "org.dubnium.Seed1.Error.ManifestInvalid")), NO_ERROR,
)  # fmt: skip
JOB = JobView("/j/1", 1, "sync", "tiny", "copying", 1 << 30, 1 << 29, 0, 9, 3, "a", 1 << 20, 0, Progress(40, "s", 1))


def drawn(jobs: list[JobView], *seeds: SeedView, columns: int = 80) -> list[str]:
    """The screen as lines of text."""
    console = Console(width=columns, file=io.StringIO(), record=True)
    console.print(Group(*Screen().draw(jobs, State(MANAGER, seeds, tuple(jobs), ()))))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_stick_shows_what_it_brings_what_is_there_already_and_what_is_refused() -> None:
    lines = drawn([], SEED)
    assert lines[0] == "Seed DUB-SEED on /dev/sdb1 (exfat, 31.0 GiB, ACME Stick): working"
    assert [line.split() for line in lines[1:4]] == [
        ["bad", "-", "refused:", "ManifestInvalid"],
        ["tiny", "1.00", "GiB", "new"],
        ["qwen", "1.00", "GiB", "current"],
    ]


def test_in_sixty_columns_names_give_way_and_what_is_said_of_them_stays() -> None:
    long = Offered("a-model-with-a-very-long-name-70b-instruct-q4", 1 << 30, "d", "new")
    bad = Offered("bad", 0, "", "org.dubnium.Seed1.Error.ManifestMissing")
    seed = replace(
        SEED, bundles=(long, bad), error=Error("E", "it is mounted at a place of somebody else's; unmount it")
    )
    lines = drawn([], seed, columns=60)
    assert max(map(len, lines)) <= 60
    assert " ".join(lines[:2]).endswith(": working")
    text = " ".join(" ".join(lines).split())
    for words in ("1.00 GiB new", "- refused: ManifestMissing", "somebody else's; unmount it"):
        assert words in text


def test_that_a_stick_may_be_pulled_stands_beside_it() -> None:
    assert "  ✓ it may be pulled out" in drawn([], replace(SEED, state="done", safe_to_remove=True))
    assert "  ✓ it may be pulled out" not in drawn([], replace(SEED, state="mounting", safe_to_remove=True))


def test_a_stick_that_is_not_looked_at_yet_is_one_line() -> None:
    assert drawn([], replace(SEED, state="mounting", bundles=()))[0].endswith(": mounting")


def test_of_many_bundles_the_first_are_shown_and_the_rest_is_counted() -> None:
    many = tuple(Offered(f"bundle-{number}", 5, "d", "new") for number in range(BUNDLES_MOST + 3))
    assert "  and 3 more" in drawn([], replace(SEED, bundles=many))


def test_a_job_shows_its_phases() -> None:
    lines = drawn([JOB])
    assert "  ✓ planning  ● copying  ○ verifying  ○ publishing" in lines
    assert "  ✓ planning  ✓ copying  ● verifying  ○ publishing" in drawn([replace(JOB, state="verifying")])
    assert any("512 MiB of 1.00 GiB, 1.00 MiB/s █, a" in line for line in lines)


def test_a_job_that_waits_says_for_whom() -> None:
    held = replace(JOB, state="waiting", progress=Progress(99, "tiny is ready; held back by vllm (busy)", 1))
    assert "  … tiny is ready; held back by vllm (busy)" in drawn([held])


@pytest.mark.parametrize("columns", [60, 80])
def test_nothing_is_wider_than_the_terminal(columns: int) -> None:
    long = replace(JOB, bundle="b" * 255, current_file="f" * 255)
    drives = replace(SEED, drive="D" * 200, bundles=(Offered("n" * 255, 5, "d", "new"),))
    assert max(len(line) for line in drawn([long], drives, columns=columns)) <= columns


def test_a_name_that_speaks_to_terminals_is_escaped() -> None:
    assert "\x1b" not in "".join(drawn([], replace(SEED, drive="\x1b[2J")))


def test_rates_are_drawn_against_the_highest(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, now = Rates(), iter(range(100))
    monkeypatch.setattr(screen.time, "monotonic", lambda: next(now))
    for rate in (100, 0, 50, 800):
        rates.sample(rate)
    assert rates.line == "▂▁█"
