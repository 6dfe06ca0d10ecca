"""Blocking work of the engine, watched: it runs in a thread, its counters are shown, Ctrl-C ends it."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TypeVar

from dubseedd.cli.progress import Display
from dubseedd.cli.views import JobView, Progress
from dubseedd.core.progress import Pace
from dubseedd.engine.meter import Meter
from dubseedd.engine.stop import StopFlag
from dubseedd.errors import Cancelled

LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 3.0
"""How long a thread may take to heed its stop flag; one that is stuck in a read of a dead stick never does."""
MICROSECONDS = 1_000_000

T = TypeVar("T")


def watched(work: Callable[[], T], job: JobView, meter: Meter, stop: StopFlag, screen: Display) -> T:
    """Run `work` and show how far `meter` is, as the job `job`; returns or raises what it does."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as failure:  # noqa: BLE001 - it belongs to whoever waits for the outcome
            outcome.set_exception(failure)

    pace = Pace()
    threading.Thread(target=run, name="dubseedctl-work", daemon=True).start()
    try:
        while wait([outcome], LOOK_SECONDS).not_done:
            screen.update([_seen(job, meter, pace)])
    except BaseException:
        stop.set(Cancelled())
        wait([outcome], PATIENCE_SECONDS)
        raise
    return outcome.result()


def _seen(job: JobView, meter: Meter, pace: Pace) -> JobView:
    pace.sample(time.monotonic(), meter.work_done)
    left = pace.seconds_left(meter.work_total - meter.work_done)
    return replace(
        job,
        state=meter.phase.value,
        bytes_total=meter.bytes_total,
        bytes_done=meter.bytes_done,
        bytes_skipped=meter.bytes_skipped,
        files_total=meter.files_total,
        files_done=meter.files_done,
        current_file=meter.current_file,
        rate=pace.rate,
        expected_end_time=int((time.time() + left) * MICROSECONDS) if left is not None else 0,
        progress=Progress(int(meter.fraction * 99), "", 1),
    )
