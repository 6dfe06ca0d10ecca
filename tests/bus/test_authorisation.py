"""Every method, called by everybody, with polkit there, absent, refusing and dying: the table of the contract.

The polkitd is the real one, and so are the callers' users and sessions; the daemon is this process.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import Match, RemoteError, Signal, Variant
from dubseedd.adapters.polkit import Polkit
from dubseedd.bus import faces
from dubseedd.bus.calls import Calls
from dubseedd.bus.interface import load
from dubseedd.bus.publisher import Publisher
from dubseedd.bus.tree import ObjectTree
from dubseedd.core.config import Automatic, Config, SeedConfig, StoreConfig, SyncConfig
from dubseedd.names import (
    BUNDLE_INTERFACE,
    BUS_NAME,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    ROOT_PATH,
    SEED_INTERFACE,
    Action,
    ErrorName,
)
from dubseedd.service.requests import Requests
from tests.support.bundles import model_files
from tests.support.caller import Caller
from tests.support.polkitd import Agent, Polkitd, private_polkit
from tests.support.users import NOBODY, SOMEBODY, SOMEBODY_ELSE, needs_root
from tests.support.world import LABEL, World, conducted

pytestmark = needs_root
LIMIT_SECONDS = 60.0
REPLACE = {"replace-foreign": Variant("b", True)}


class Row(NamedTuple):
    """A method, what it is called with, and the actions that it needs."""

    interface: str
    member: str
    signature: str
    body: tuple[Any, ...]
    actions: frozenset[Action]

    def __str__(self) -> str:
        return f"{self.interface.rpartition('.')[2]}.{self.member}{'+replace' if REPLACE in self.body else ''}"


def row(interface: str, member: str, signature: str, *body: Any, needs: tuple[Action, ...]) -> Row:
    return Row(interface, member, signature, body, frozenset(needs))


ROWS = [
    row(MANAGER_INTERFACE, "Scan", "", needs=(Action.SYNC,)),
    row(MANAGER_INTERFACE, "Sync", "ssa{sv}", "", "", {}, needs=(Action.SYNC,)),
    row(MANAGER_INTERFACE, "Sync", "ssa{sv}", "", "", REPLACE, needs=(Action.SYNC, Action.REPLACE_FOREIGN)),
    row(MANAGER_INTERFACE, "Verify", "sa{sv}", "", {}, needs=(Action.VERIFY,)),
    row(MANAGER_INTERFACE, "Rollback", "sa{sv}", "tiny", {}, needs=(Action.MANAGE,)),
    row(MANAGER_INTERFACE, "Remove", "sa{sv}", "nowhere", {}, needs=(Action.MANAGE,)),
    row(MANAGER_INTERFACE, "Inhibit", "ss", "a test", "to see", needs=(Action.INHIBIT,)),
    row(MANAGER_INTERFACE, "GetHistory", "u", 1, needs=()),
    row(SEED_INTERFACE, "Sync", "a{sv}", {}, needs=(Action.SYNC,)),
    row(SEED_INTERFACE, "Sync", "a{sv}", REPLACE, needs=(Action.SYNC, Action.REPLACE_FOREIGN)),
    row(SEED_INTERFACE, "Eject", "a{sv}", {}, needs=(Action.EJECT,)),
    row(BUNDLE_INTERFACE, "Verify", "a{sv}", {}, needs=(Action.VERIFY,)),
    row(BUNDLE_INTERFACE, "Rollback", "a{sv}", {}, needs=(Action.MANAGE,)),
    row(BUNDLE_INTERFACE, "Remove", "a{sv}", {"unknown": Variant("b", True)}, needs=(Action.MANAGE,)),
    row(JOB_INTERFACE, "Cancel", "", needs=(Action.CANCEL,)),
]
GUARDED = [row for row in ROWS if row.actions]
SITTING_HERE = {Action.SYNC, Action.VERIFY, Action.CANCEL, Action.EJECT, Action.INHIBIT}
"""What an active session may do without a password."""


def test_no_method_is_forgotten() -> None:
    declared = {(name, member) for name, interface in load().items() for member in interface.methods}
    assert {(row.interface, row.member) for row in ROWS} == declared


class Stage:
    """A daemon with one of everything, and those who call it."""

    def __init__(self, polkitd: Polkitd, paths: Mapping[str, str], undo: AsyncExitStack) -> None:
        self.polkitd = polkitd
        self.address = polkitd.machine.bus_address
        self._paths = paths
        self.undo = undo

    async def caller(self, uid: int, group: Path | None = None) -> Caller:
        return await self.undo.enter_async_context(Caller.connected(self.address, uid, group))

    async def everybody(self) -> dict[str, Caller]:
        here, away = self.polkitd.log_in(SOMEBODY), self.polkitd.log_in(SOMEBODY_ELSE, active=False)
        return {
            "root": await self.caller(0),
            "active": await self.caller(SOMEBODY, here.group),
            "inactive": await self.caller(SOMEBODY_ELSE, away.group),
            "nobody": await self.caller(NOBODY),
        }

    async def agent(self, caller: Caller, **person: bool) -> Agent:
        connection = await Connection.open(self.address)
        self.undo.push_async_callback(connection.close)
        agent = Agent(connection, **person)
        await agent.register(caller.process.pid)
        return agent

    async def may(self, caller: Caller, row: Row, **flags: bool) -> bool:
        """Is the call let through, whatever becomes of it then?"""
        path = self._paths[row.interface]
        outcome = await caller.call(BUS_NAME, path, row.interface, row.member, row.signature, *row.body, **flags)
        assert outcome.error != ErrorName.INTERNAL.full
        return outcome.error != ErrorName.NOT_AUTHORIZED.full


@pytest.fixture
async def stage(world: World, tmp_path: Path) -> AsyncIterator[Stage]:
    """polkitd is not there yet."""
    store = StoreConfig(str(world.folder / "store"), 0)
    config = Config(seed=SeedConfig(label=LABEL), store=store, sync=SyncConfig(automatic=Automatic.OFF))
    with private_polkit(tmp_path / "polkit") as polkitd:
        async with AsyncExitStack() as undo, asyncio.timeout(LIMIT_SECONDS):
            conductor = await undo.enter_async_context(conducted(world, config))
            connection = await Connection.open(polkitd.machine.bus_address)
            undo.push_async_callback(connection.close)
            tree = ObjectTree(Calls(conductor, Polkit(lambda: connection)))
            conductor.board.listeners.append(Publisher(conductor, tree))
            tree.attach(connection)
            world.plug(world.stick({"tiny": model_files()}))
            (job,) = await Requests(conductor).sync("", "tiny")
            await world.until(lambda: job.ended)
            await connection.request_name(BUS_NAME)
            (seed,) = conductor.seeds.all.values()
            paths = {
                MANAGER_INTERFACE: ROOT_PATH,
                SEED_INTERFACE: faces.seed_path(seed),
                BUNDLE_INTERFACE: faces.bundle_path("tiny"),
                JOB_INTERFACE: faces.job_path(job),
            }
            yield Stage(polkitd, paths, undo)


async def test_with_polkit_everybody_may_what_the_table_says(stage: Stage) -> None:
    stage.polkitd.start()
    for who, caller in (await stage.everybody()).items():
        allowed = {str(row) for row in ROWS if await stage.may(caller, row)}
        unasked = {"root": set(Action), "active": SITTING_HERE}.get(who, set())
        assert allowed == {str(row) for row in ROWS if row.actions <= unasked}, who


@pytest.mark.parametrize("state", ["absent", "refusing"])
async def test_without_a_yes_of_polkit_only_root_may(stage: Stage, state: str) -> None:
    if state == "refusing":
        stage.polkitd.start("polkit.addRule(function() { return polkit.Result.NO; });\n")
    for who, caller in (await stage.everybody()).items():
        allowed = {str(row) for row in ROWS if await stage.may(caller, row)}
        assert allowed == {str(row) for row in ROWS if who == "root" or not row.actions}, who


@pytest.mark.parametrize("who", ["active", "nobody"])
async def test_a_polkit_that_dies_over_a_question_has_said_no(stage: Stage, who: str) -> None:
    """And has said no to all that is asked afterwards, also to what needs no password."""
    root, unasked = await stage.caller(0), SITTING_HERE if who == "active" else set[Action]()
    uid, group = (SOMEBODY, stage.polkitd.log_in(SOMEBODY).group) if who == "active" else (NOBODY, None)
    for row in (row for row in GUARDED if not row.actions <= unasked):
        stage.polkitd.start()
        caller = await stage.caller(uid, group)
        agent = await stage.agent(caller, holds=True)
        answer = asyncio.ensure_future(stage.may(caller, row, interactive=True))
        await agent.asked.get()
        stage.polkitd.kill()
        assert not await answer, str(row)
        allowed = {str(one) for one in ROWS if await stage.may(caller, one, interactive=True)}
        assert allowed == {str(one) for one in ROWS if not one.actions}
        assert await stage.may(root, row), str(row)


async def test_a_password_lets_anybody_do_anything(stage: Stage) -> None:
    stage.polkitd.start()
    for row in GUARDED:
        caller = await stage.caller(NOBODY)
        agent = await stage.agent(caller)
        assert not await stage.may(caller, row), f"{row}: the caller did not ask for a dialog"
        assert agent.asked.empty()
        assert await stage.may(caller, row, interactive=True), str(row)
        asked = {agent.asked.get_nowait().action for _ in row.actions}
        assert asked == {action.full for action in row.actions}
        assert agent.asked.empty()


@pytest.mark.parametrize("granted", [{action} for action in Action] + [{Action.SYNC, Action.REPLACE_FOREIGN}], ids=str)
async def test_each_method_asks_for_its_own_action_and_for_no_other(stage: Stage, granted: set[Action]) -> None:
    """polkit allows these actions to everybody, and refuses all others."""
    ids = ", ".join(f'"{action.full}"' for action in granted)
    stage.polkitd.start(
        f"polkit.addRule(function(action) {{ return [{ids}].indexOf(action.id) >= 0 ? polkit.Result.YES"
        " : polkit.Result.NO; });\n"
    )
    caller = await stage.caller(NOBODY)
    allowed = {str(row) for row in ROWS if await stage.may(caller, row)}
    assert allowed == {str(row) for row in ROWS if row.actions <= granted}


async def test_nobody_waits_for_somebody_elses_dialog(stage: Stage) -> None:
    stage.polkitd.start()
    slow, quick = await stage.caller(NOBODY), await stage.caller(SOMEBODY, stage.polkitd.log_in(SOMEBODY).group)
    agent = await stage.agent(slow, holds=True)
    waiting = asyncio.ensure_future(stage.may(slow, GUARDED[0], interactive=True))
    await agent.asked.get()
    for row in ROWS:
        await stage.may(quick, row)
    assert not waiting.done()
    await slow.leave()
    waiting.cancel()
    await agent.withdrawn.get()


async def test_an_inhibitor_holds_as_long_as_its_descriptor_is_open(stage: Stage) -> None:
    stage.polkitd.start()
    connection = await Connection.open(stage.address)
    stage.undo.push_async_callback(connection.close)
    changed = asyncio.Queue[Signal]()
    await connection.subscribe(Match(path=ROOT_PATH, member="PropertiesChanged"), changed.put_nowait)

    async def until_inhibited_by(inhibitors: list[list[str]]) -> None:
        while (await changed.get()).body[1].get("Inhibitors") != inhibitors:
            pass

    descriptor = await connection.call_for_descriptor(
        BUS_NAME, ROOT_PATH, MANAGER_INTERFACE, "Inhibit", "ss", ["vllm", "a request runs"]
    )
    await until_inhibited_by([["vllm", "a request runs"]])
    with pytest.raises(RemoteError) as refused:
        await connection.call(BUS_NAME, ROOT_PATH, MANAGER_INTERFACE, "Remove", "sa{sv}", ["tiny", {}])
    assert refused.value.name == ErrorName.INHIBITED.full
    os.close(descriptor)
    await until_inhibited_by([])
