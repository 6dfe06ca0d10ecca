"""Who may do what, asked of a real bus."""

import subprocess
import sys
from pathlib import Path

import pytest
from dubseedd.adapters.authority import RootOnly

from dubseedd.adapters.bus import BusGone, Connection
from dubseedd.names import Action
from tests.machine import Machine

NOBODY = 65534
STAY = """
import asyncio, sys
from dubseedd.adapters.bus import Connection
async def stay():
    connection = await Connection.open(sys.argv[1])
    print(connection.unique_name, flush=True)
    await connection.lost()
asyncio.run(stay())
"""


@pytest.mark.parametrize("action", Action)
async def test_root_may_do_everything(machine: Machine, action: Action) -> None:
    connection = await Connection.open(machine.bus_address)
    assert await RootOnly(lambda: connection).check(connection.unique_name, action)
    await connection.close()


async def test_another_user_may_do_nothing(machine: Machine) -> None:
    connection = await Connection.open(machine.bus_address)
    with unprivileged(machine) as caller:
        assert caller.stdout is not None
        name = caller.stdout.readline().strip()
        allowed = [await RootOnly(lambda: connection).check(name, action) for action in Action]
        caller.kill()
    await connection.close()
    assert name.startswith(":")
    assert not any(allowed)


def unprivileged(machine: Machine) -> "subprocess.Popen[str]":
    """A caller that is not root: its connection is authenticated as nobody's."""
    become = f"import os; os.setgid({NOBODY}); os.setuid({NOBODY})"
    script = STAY.replace("asyncio.run", f"{become}\nasyncio.run")
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", script, machine.bus_address], stdout=subprocess.PIPE, text=True, cwd=root
    )


async def test_a_caller_that_went_away_may_do_nothing(machine: Machine) -> None:
    connection = await Connection.open(machine.bus_address)
    caller = await Connection.open(machine.bus_address)
    name = caller.unique_name
    await caller.close()
    assert not await RootOnly(lambda: connection).check(name, Action.SYNC)
    await connection.close()


async def test_without_a_bus_nobody_may_do_anything() -> None:
    def gone() -> Connection:
        raise BusGone("the system bus cannot be reached")

    assert not await RootOnly(gone).check(":1.1", Action.SYNC)
