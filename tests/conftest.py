"""What every test may use."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from dubseedd.adapters.bus import Connection

pytest_plugins = ["tests.machine", "tests.support.world"]

Connect = Callable[[], Awaitable[Connection]]

signal.signal(signal.SIGINT, signal.default_int_handler)
"""The job of a shell in the background ignores Ctrl-C, and so does whatever it starts; the tests press it."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whatever works on the devices of this machine is `integration`; no test has to say so."""
    if isinstance(item, pytest.Function) and not {"machine", "ground"}.isdisjoint(item.fixturenames):
        item.add_marker("integration")


@pytest.fixture
async def connect(bus_address: str) -> AsyncIterator[Connect]:
    """Opens connections to the private bus; they are closed after the test."""
    async with AsyncExitStack() as undo:

        async def one_more() -> Connection:
            connection = await Connection.open(bus_address)
            undo.push_async_callback(connection.close)
            return connection

        yield one_more
