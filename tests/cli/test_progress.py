"""Progress as a person sees it: a bar on a terminal, lines anywhere else."""

import pytest

from dubseedd.cli.progress import Lines
from dubseedd.cli.views import JobView, Progress
from tests.cli.conftest import Ctl, ToyDaemon, ended
from tests.support.terminal import Terminal

JOB = JobView("/j/1", 1, "sync", "tiny", "copying", bytes_total=100, progress=Progress(0, "", 1))
GREEN = "\x1b[32m"
WITHOUT_RICH = "import sys; sys.modules['rich'] = None"


async def test_a_terminal_of_60_columns_shows_bar_amount_and_file(
    toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal
) -> None:
    path = toy.show_job(1)
    process = await start_ctl("watch", stdout=terminal.end, TERM="xterm-256color", NO_COLOR="")
    await terminal.until("800 B of 1.95 KiB, 100 B/s █, config.json")
    assert "✓ planning  ● copying  ○ verifying  ○ publishing" in terminal.seen
    assert "━" in terminal.seen
    assert "40 %" in terminal.seen
    toy.end_job(path, "done")
    await terminal.until("tiny: done")
    assert f"{GREEN}✓" in terminal.seen
    assert (await ended(process)).status == 0


async def test_where_there_is_nothing_to_watch_the_terminal_is_told_how_things_are(
    toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal
) -> None:
    process = await start_ctl("watch", "--once", stdout=terminal.end, TERM="xterm-256color")
    assert (await ended(process)).status == 0
    await terminal.until("\x1b[2Kno bundles installed, waiting for a stick labelled DUB-SEED\r\n")


async def test_no_color_is_heeded(toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal) -> None:
    path = toy.show_job(1)
    await start_ctl("watch", stdout=terminal.end, TERM="xterm-256color", NO_COLOR="1")
    await terminal.until("config.json")
    toy.end_job(path, "done")
    await terminal.until("tiny: done")
    assert "✓ tiny: done" in terminal.seen
    assert "\x1b[3" not in terminal.seen


@pytest.mark.parametrize(("terminal_type", "code"), [("dumb", ""), ("xterm-256color", WITHOUT_RICH)])
async def test_a_terminal_without_rich_or_a_cursor_gets_lines(
    toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal, terminal_type: str, code: str
) -> None:
    toy.show_job(1)
    await start_ctl("watch", stdout=terminal.end, code=code, TERM=terminal_type)
    await terminal.until("tiny: copying, 40 %, 800 B of 1.95 KiB, 100 B/s\r\n")
    assert "\x1b" not in terminal.seen


async def test_what_a_person_has_read_on_the_terminal_still_reaches_a_log_of_errors(
    toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal
) -> None:
    path = toy.show_job(1)
    process = await start_ctl("watch", stdout=terminal.end, TERM="dumb")
    await terminal.until("40 %")
    toy.end_job(path, "failed", "org.dubnium.Seed1.Error.NoSpace", "the store is full")
    said = await ended(process)
    assert (said.status, said.err) == (1, "dubseedctl: tiny: failed: the store is full\n")


def test_lines_come_at_each_tenth_and_each_change_of_state(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for percent in range(100):
        lines.update(
            [JobView("/j/1", 1, "sync", "tiny", "copying", bytes_total=100, progress=Progress(percent, "", 1))]
        )
    lines.update([JobView("/j/1", 1, "sync", "tiny", "done", bytes_total=100, progress=Progress(100, "", 1))])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 11
    assert told[-1] == "tiny: done, 0 B of 100 B"
