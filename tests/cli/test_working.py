"""Work in a thread: its outcome is ours, and Ctrl-C stops it before we go on."""

from collections.abc import Sequence

import pytest

from dubseedd.cli.progress import Silence
from dubseedd.cli.views import JobView
from dubseedd.cli.working import watched
from dubseedd.engine.meter import Meter
from dubseedd.engine.stop import StopFlag
from dubseedd.errors import Cancelled, StoreTrouble
from dubseedd.names import ErrorName

JOB = JobView("", 1, "sync", "tiny", "queued")


def test_what_the_work_returns_is_returned() -> None:
    assert watched(lambda: 7, JOB, Meter(), StopFlag(), Silence()) == 7


def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise StoreTrouble(ErrorName.NO_SPACE, "full")

    with pytest.raises(StoreTrouble, match="full"):
        watched(fail, JOB, Meter(), StopFlag(), Silence())


class Screen(Silence):
    """Keeps what it is shown; after the first look somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.shown: list[JobView] = []

    def update(self, jobs: Sequence[JobView], /) -> None:
        self.shown += jobs
        raise KeyboardInterrupt


def test_ctrl_c_stops_the_work_and_waits_for_its_end() -> None:
    stop, screen, ends = StopFlag(), Screen(), []

    def work() -> None:
        while stop.reason is None:
            pass
        ends.append(stop.reason)

    meter = Meter(bytes_total=10, bytes_done=5, work_total=20, work_done=10)
    with pytest.raises(KeyboardInterrupt):
        watched(work, JOB, meter, stop, screen)
    assert isinstance(ends[0], Cancelled)
    assert (screen.shown[0].bundle, screen.shown[0].bytes_done, screen.shown[0].progress[0]) == ("tiny", 5, 49)
