"""Threads beside the loop: stopped, waited for, or left behind."""

import asyncio
import threading

import pytest

from dubseedd.errors import Cancelled
from dubseedd.service.worker import Halt, in_thread


async def test_the_future_has_the_result_or_the_error() -> None:
    assert await in_thread(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_work_that_heeds_its_stop_flag_ends_with_the_reason() -> None:
    halt, begun = Halt(), threading.Event()

    def work() -> None:
        begun.set()
        while True:
            halt.flag.check()

    running = asyncio.ensure_future(halt.run(work, left_behind=lambda: None))
    await in_thread(begun.wait)
    halt.ask(Cancelled())
    with pytest.raises(Cancelled):
        await running


async def test_work_that_is_stuck_is_left_behind_and_cleaned_up_when_it_comes_back() -> None:
    halt, begun, release = Halt(), threading.Event(), threading.Event()
    cleaned = asyncio.Event()

    def stuck() -> None:
        begun.set()
        release.wait()

    running = asyncio.ensure_future(halt.run(stuck, left_behind=cleaned.set))
    await in_thread(begun.wait)
    halt.ask(Cancelled())
    with pytest.raises(Cancelled):
        await running
    assert not cleaned.is_set()
    release.set()
    async with asyncio.timeout(10):
        await cleaned.wait()


async def test_a_stop_ends_waiting() -> None:
    halt = Halt()
    waiting = asyncio.ensure_future(halt.unless_asked(asyncio.Event().wait()))
    halt.ask(Cancelled())
    with pytest.raises(Cancelled):
        await waiting


async def test_the_first_reason_counts() -> None:
    halt = Halt()
    first = Cancelled("first")
    halt.ask(first)
    halt.ask(Cancelled("second"))
    assert halt.reason is first
