"""The recorder, the journal and standard error. The journal is a socket of ours, in a mount namespace of its own."""

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from dubseedd.adapters.journal import QueuedRecorder, journal_sink
from dubseedd.core.events import Event
from dubseedd.names import EventName, Field

LIMIT_SECONDS = 20.0
ROOT = Path(__file__).parents[2]

PRELUDE = """
import logging, os, socket, sys, time
from dubseedd.adapters.journal import QueuedRecorder, install_logging, journal_sink
from dubseedd.core.events import Event
from dubseedd.names import EventName, Field
os.makedirs("/run/systemd/journal")
journald = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journald.bind("/run/systemd/journal/socket")
def event(message="m", **fields):
    return Event(EventName.BUNDLE_FOUND, message, 1, {Field[name]: value for name, value in fields.items()})
"""


def event(message: str = "tiny is new", **fields: str | int) -> Event:
    return Event(EventName.BUNDLE_FOUND, message, 1, {Field[name]: value for name, value in fields.items()})


def with_a_journal(script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script where /run is empty but for a journal's socket."""
    if os.geteuid() != 0:
        pytest.skip("only root may have a /run of its own")
    argv = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh", sys.executable, "-c"]
    return subprocess.run(
        [*argv, PRELUDE + script], capture_output=True, text=True, timeout=LIMIT_SECONDS, cwd=ROOT, check=False
    )


def test_every_sink_has_every_event_in_order() -> None:
    one: list[Event] = []
    other: list[Event] = []
    recorder = QueuedRecorder([one.append, other.append])
    events = [event(str(number)) for number in range(200)]
    for each in events:
        recorder.record(each)
    recorder.flush()
    assert one == other == events


def test_a_sink_that_fails_is_told_each_time_and_silences_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(_: Event) -> None:
        raise OSError("the disk is full")

    written: list[Event] = []
    recorder = QueuedRecorder([failing, written.append])
    recorder.record(event("one"))
    recorder.record(event("two"))
    recorder.close()
    assert [each.message for each in written] == ["one", "two"]
    assert capsys.readouterr().err.count("the disk is full") == 2


def test_a_sink_that_fails_goes_on_when_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error may be a pipe whose reader has gone."""
    written: list[Event] = []

    def failing(event: Event) -> None:
        if not written and event.message == "first":
            raise OSError("the disk is full")
        written.append(event)

    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        recorder = QueuedRecorder([failing])
        recorder.record(event("first"))
        recorder.record(event("second"))
        recorder.flush()
        monkeypatch.undo()
        with suppress(BrokenPipeError):
            broken.close()
    assert [each.message for each in written] == ["second"]


def test_a_sink_that_hangs_holds_up_neither_the_caller_nor_another_sink() -> None:
    release, written = threading.Event(), threading.Event()
    recorder = QueuedRecorder([lambda _: release.wait(LIMIT_SECONDS) and None, lambda _: written.set()])
    recorder.record(event())
    try:
        assert written.wait(LIMIT_SECONDS)
        recorder.flush(limit_seconds=0.01)
    finally:
        release.set()
    recorder.close()


def test_without_a_journal_each_line_goes_to_standard_error_with_its_priority(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal_sink(str(tmp_path / "no-journal"))(event("tiny is new\nand more"))
    assert capsys.readouterr().err == "<6>tiny is new\n<6>and more\n"


def test_an_event_reaches_the_journal_with_its_fields() -> None:
    done = with_a_journal("""
journal_sink()(event("tiny is new", BUNDLE="tiny", BYTES_TOTAL=7, FILE=""))
sys.stdout.write(journald.recv(65536).decode())
""")
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert {
        "MESSAGE=tiny is new",
        "MESSAGE_ID=df9154325f3540e9820cbf274c4d1071",
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=dubseedd",
        "DUBSEED_EVENT=bundle-found",
        "DUBSEED_BUNDLE=tiny",
        "DUBSEED_BYTES_TOTAL=7",
    } <= set(lines)
    assert not [line for line in lines if line.startswith("DUBSEED_FILE")]


def test_a_file_name_that_is_no_text_reaches_the_journal() -> None:
    done = with_a_journal(r"""
journal_sink()(event("unlisted: a\udcff", FILE="a\udcff"))
sys.stdout.write(journald.recv(65536).decode())
""")
    assert not done.stderr
    assert r"DUBSEED_FILE=a\udcff" in done.stdout.splitlines()


def test_a_stalled_journal_holds_up_neither_events_nor_the_history() -> None:
    """Nobody reads the socket: its queue is full after some ten records."""
    done = with_a_journal("""
history = []
recorder = QueuedRecorder([journal_sink(), history.append])
begun = time.monotonic()
for number in range(1000):
    recorder.record(event(str(number)))
recorder.flush(0.5)
print(len(history), time.monotonic() - begun < 5)
sys.stdout.flush()
os._exit(0)
""")
    assert done.stdout.split() == ["1000", "True"], done.stderr


def test_log_lines_reach_the_journal_and_the_last_ones_are_not_lost() -> None:
    done = with_a_journal("""
install_logging("INFO")
logging.getLogger("dubseedd").debug("not this")
logging.getLogger("dubseedd").error("the bus %s", "is gone")
logging.shutdown()
journald.setblocking(False)
sys.stdout.write(journald.recv(65536).decode())
""")
    assert not done.stderr
    assert {"MESSAGE=the bus is gone", "PRIORITY=3", "SYSLOG_IDENTIFIER=dubseedd"} <= set(done.stdout.splitlines())


def test_log_lines_go_on_after_the_journal_refused_one() -> None:
    """journald is restarted: for a moment its socket is there and nobody behind it."""
    done = with_a_journal("""
install_logging("INFO")
journald.close()
logging.warning("refused")
logging.shutdown()
os.unlink("/run/systemd/journal/socket")
journald = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journald.bind("/run/systemd/journal/socket")
logging.warning("taken")
logging.getLogger().handlers[0].flush()
journald.setblocking(False)
sys.stdout.write(journald.recv(65536).decode())
""")
    assert "refused" in done.stderr
    assert "MESSAGE=taken" in done.stdout.splitlines()


@pytest.mark.parametrize(("level", "priority"), [(logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (10, 7)])
def test_each_level_has_its_priority(level: int, priority: int) -> None:
    script = "import logging; from dubseedd.adapters.journal import install_logging; install_logging('DEBUG', '/none');"
    script += f"logging.log({level}, 'line'); logging.shutdown()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert f"<{priority}>" in done.stderr
    assert "line" in done.stderr
