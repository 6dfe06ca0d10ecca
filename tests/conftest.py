"""What every test may use."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from dubseedd.adapters.bus import Connection

pytest_plugins = ["tests.machine", "tests.support.world"]

Connect = Callable[[], Awaitable[Connection]]


@pytest.fixture(scope="session")
def bus_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private bus where everyone may do everything; it takes no root and no devices."""
    from tests.machine import Machine  # noqa: PLC0415 - pytest has to be the first to load a plugin

    machine = Machine(tmp_path_factory.mktemp("bus"))
    machine.start_bus()
    yield machine.bus_address
    machine.stop()


@pytest.fixture
async def connect(bus_address: str) -> AsyncIterator[Connect]:
    """Opens connections to the private bus; they are closed after the test."""
    async with AsyncExitStack() as undo:

        async def one_more() -> Connection:
            connection = await Connection.open(bus_address)
            undo.push_async_callback(connection.close)
            return connection

        yield one_more
