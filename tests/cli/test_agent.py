"""dubseedctl at a terminal: somebody who is not root is asked for a password, by the real polkit."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import CallFailed, IncomingCall
from dubseedd.adapters.polkit import Polkit
from dubseedd.bus.tree import ObjectTree
from dubseedd.cli.agent import PROGRAM
from dubseedd.errors import Failure
from dubseedd.names import BUS_NAME, MANAGER_INTERFACE, ROOT_PATH, SEED_INTERFACE, Action
from tests.cli.conftest import MANAGER, RUN, SEED, Ctl, ToyDaemon, ended
from tests.support.polkitd import Polkitd, private_polkit
from tests.support.terminal import Terminal
from tests.support.users import NOBODY, needs_root
from tools.machine import succeeds

ROOT = Path(__file__).resolve().parents[2]
AT_A_TERMINAL = f"""
import fcntl, os, sys, termios
with open(sys.argv.pop(1) + "/cgroup.procs", "w") as group:
    group.write(str(os.getpid()))
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
{RUN}
"""


class Guarded:
    """A daemon with one seed, which asks polkit before it lets go of it."""

    def __init__(self, connection: Connection) -> None:
        self._authority = Polkit(lambda: connection)
        self.interactive: list[bool] = []
        tree = ObjectTree(self._answer)
        tree.attach(connection)
        tree.export(ROOT_PATH, {MANAGER_INTERFACE: MANAGER})
        tree.export(f"{ROOT_PATH}/seeds/a", {SEED_INTERFACE: SEED})

    async def _answer(self, call: IncomingCall) -> list[Any]:
        self.interactive.append(call.interactive)
        try:
            await self._authority.authorise(call.sender, Action.EJECT, interactive=call.interactive)
        except Failure as failure:
            raise CallFailed(*failure.pair) from failure
        return []


@pytest.fixture
def polkitd(tmp_path: Path) -> Iterator[Polkitd]:
    with private_polkit(tmp_path / "polkit") as polkitd:
        yield polkitd


@pytest.fixture
async def daemon(polkitd: Polkitd) -> AsyncIterator[Guarded]:
    connection = await Connection.open(polkitd.machine.bus_address)
    await connection.request_name(BUS_NAME)
    yield Guarded(connection)
    await connection.close()


async def typed(polkitd: Polkitd, terminal: Terminal, *words: str) -> asyncio.subprocess.Process:
    """A command of the user nobody, in a session that has been switched away from."""
    session = polkitd.log_in(NOBODY, active=False)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", AT_A_TERMINAL, str(session.group), *words),
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal.end),  # type: ignore[arg-type]
        env=dict(polkitd.machine.environment),
        cwd=ROOT,
        start_new_session=True,
    )


@needs_root
@pytest.mark.skipif(not succeeds("which", PROGRAM), reason=f"there is no {PROGRAM}")
async def test_at_a_terminal_a_user_is_asked_for_a_password(
    polkitd: Polkitd, daemon: Guarded, terminal: Terminal
) -> None:
    polkitd.start()
    process = await typed(polkitd, terminal, "eject")
    await terminal.until("AUTHENTICATING FOR org.dubnium.seed1.eject")
    await terminal.until("Authentication is required to end the work on a DUB-SEED stick and unmount it")
    assert daemon.interactive == [True]
    terminal.type("\x03")
    assert (await ended(process)).status == 130


@needs_root
async def test_with_no_polkit_to_ask_it_ends_with_4(polkitd: Polkitd, daemon: Guarded, terminal: Terminal) -> None:
    process = await typed(polkitd, terminal, "eject")
    assert (await ended(process)).status == 4
    await terminal.until("dubseedctl: you are not allowed to eject a seed")
    assert "Error" not in await terminal.until("sudo dubseedctl")


async def test_a_script_is_never_asked(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.show_seed()
    toy.on["Eject"] = lambda path, args: []
    assert (await ended(await start_ctl("eject"))).status == 0
    assert [call.interactive for call in toy.calls] == [False]
