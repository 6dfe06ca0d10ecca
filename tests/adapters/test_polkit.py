"""Who may do what, asked of the real polkitd, by real users."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import BusGone, CallFailed, IncomingCall, Reply
from dubseedd.adapters.polkit import AUTHORITY_PATH, MOST_OF_A_CALLER, MOST_OF_A_USER, POLKIT, Polkit
from dubseedd.errors import CallRefused
from dubseedd.names import Action, ErrorName
from tests.support.caller import Caller
from tests.support.polkitd import Agent, Polkitd, private_polkit
from tests.support.users import NOBODY, SOMEBODY, SOMEBODY_ELSE, needs_root

pytestmark = needs_root
LIMIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def polkitd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polkitd]:
    with private_polkit(tmp_path_factory.mktemp("polkit")) as polkitd:
        polkitd.start()
        yield polkitd


@pytest.fixture
async def undo() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_SECONDS):
        yield stack


async def opened(undo: AsyncExitStack, address: str) -> Connection:
    connection = await Connection.open(address)
    undo.push_async_callback(connection.close)
    return connection


async def refusal(authority: Polkit, name: str, action: Action, **how: Any) -> CallRefused | None:
    try:
        await authority.authorise(name, action, **how)
    except CallRefused as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("action", "whoever"), [(Action.EJECT, {"root", "active"}), (Action.MANAGE, {"root"})], ids=["easy", "not easy"]
)
async def test_who_may_is_told_by_polkit(
    polkitd: Polkitd, undo: AsyncExitStack, action: Action, whoever: set[str]
) -> None:
    """Root, somebody who sits here, somebody who has switched away, and somebody who has not logged in. The whole table
    of the contract is put to the daemon in tests/bus/test_authorisation.py."""
    address = polkitd.machine.bus_address
    connection = await opened(undo, address)
    authority = Polkit(lambda: connection)
    here, away = polkitd.log_in(SOMEBODY), polkitd.log_in(SOMEBODY_ELSE, active=False)
    callers = {
        "root": Caller.connected(address, 0),
        "active": Caller.connected(address, SOMEBODY, here.group),
        "inactive": Caller.connected(address, SOMEBODY_ELSE, away.group),
        "nobody": Caller.connected(address, NOBODY),
    }
    allowed = set()
    for who, connecting in callers.items():
        caller = await undo.enter_async_context(connecting)
        if (refused := await refusal(authority, caller.name, action)) is None:
            allowed.add(who)
        else:
            assert refused.error is ErrorName.NOT_AUTHORIZED
            assert "it takes a password" in refused.sentence
            assert "sudo" in refused.sentence
    assert allowed == whoever


async def test_a_password_is_asked_for_where_the_caller_wants_a_dialog(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    connection = await opened(undo, polkitd.machine.bus_address)
    caller = await undo.enter_async_context(Caller.connected(polkitd.machine.bus_address, NOBODY))
    agent = Agent(await opened(undo, polkitd.machine.bus_address))
    await agent.register(caller.process.pid)
    authority = Polkit(lambda: connection)
    assert await refusal(authority, caller.name, Action.MANAGE), "the caller did not ask for a dialog"
    assert agent.asked.empty()
    assert await refusal(authority, caller.name, Action.MANAGE, interactive=True) is None
    assert agent.asked.get_nowait().action == Action.MANAGE.full


async def test_a_dialog_that_is_closed_is_a_no(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    connection = await opened(undo, polkitd.machine.bus_address)
    caller = await undo.enter_async_context(Caller.connected(polkitd.machine.bus_address, NOBODY))
    agent = Agent(await opened(undo, polkitd.machine.bus_address), password=False)
    await agent.register(caller.process.pid)
    refused = await refusal(Polkit(lambda: connection), caller.name, Action.SYNC, interactive=True)
    assert refused is not None
    assert refused.error is ErrorName.NOT_AUTHORIZED


async def test_the_dialog_names_the_bundle(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    connection = await opened(undo, polkitd.machine.bus_address)
    caller = await undo.enter_async_context(Caller.connected(polkitd.machine.bus_address, NOBODY))
    agent = Agent(await opened(undo, polkitd.machine.bus_address))
    await agent.register(caller.process.pid)
    authority = Polkit(lambda: connection)
    await authority.authorise(caller.name, Action.MANAGE, interactive=True, details={"bundle": "llama"})
    assert agent.asked.get_nowait().message == "Authentication is required to roll back or remove bundles (llama)"


async def test_the_dialog_of_a_caller_that_leaves_is_closed(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    connection = await opened(undo, polkitd.machine.bus_address)
    caller = await undo.enter_async_context(Caller.connected(polkitd.machine.bus_address, NOBODY))
    agent = Agent(await opened(undo, polkitd.machine.bus_address), holds=True)
    await agent.register(caller.process.pid)
    question = asyncio.ensure_future(refusal(Polkit(lambda: connection), caller.name, Action.SYNC, interactive=True))
    asked = await agent.asked.get()
    await caller.leave()
    refused = await question
    assert refused is not None
    assert refused.error is ErrorName.NOT_AUTHORIZED
    assert await agent.withdrawn.get() == asked.cookie


async def test_our_own_end_closes_the_dialog(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    connection = await opened(undo, polkitd.machine.bus_address)
    caller = await undo.enter_async_context(Caller.connected(polkitd.machine.bus_address, NOBODY))
    agent = Agent(await opened(undo, polkitd.machine.bus_address), holds=True)
    await agent.register(caller.process.pid)
    question = asyncio.ensure_future(refusal(Polkit(lambda: connection), caller.name, Action.SYNC, interactive=True))
    asked = await agent.asked.get()
    await connection.close()
    assert await question is not None
    assert await agent.withdrawn.get() == asked.cookie


async def test_a_caller_that_went_away_may_do_nothing(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    connection = await opened(undo, polkitd.machine.bus_address)
    caller = await opened(undo, polkitd.machine.bus_address)
    await caller.close()
    assert await refusal(Polkit(lambda: connection), caller.unique_name, Action.SYNC) is not None


async def test_without_a_bus_nobody_may_do_anything() -> None:
    def gone() -> Connection:
        raise BusGone("the system bus cannot be reached")

    assert await refusal(Polkit(gone), ":1.1", Action.SYNC) is not None


# What the real one cannot be made to do on demand


class Doubt:
    """A polkit that answers nothing, or nonsense; `asked` counts."""

    def __init__(self, connection: Connection, answer: Reply | CallFailed | None) -> None:
        self._answer = answer
        self.asked: asyncio.Queue[IncomingCall] = asyncio.Queue()
        connection.answer(self.answer)

    async def answer(self, call: IncomingCall) -> Reply:
        self.asked.put_nowait(call)
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, CallFailed):
            raise self._answer
        assert self._answer is not None
        return self._answer


@pytest.fixture
async def doubted(tmp_path: Path, undo: AsyncExitStack) -> AsyncIterator[Callable[..., Any]]:
    """Starts a bus with this instead of polkit: the address and the double."""
    with private_polkit(tmp_path / "doubt") as polkitd:

        async def start(answer: Reply | CallFailed | None) -> tuple[str, Doubt]:
            connection = await opened(undo, polkitd.machine.bus_address)
            await connection.request_name(POLKIT)
            return polkitd.machine.bus_address, Doubt(connection, answer)

        yield start
        await undo.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        CallFailed(f"{POLKIT}.Error.Failed", "out of order"),
        Reply("(bba{ss})", [[False, False, {}]]),
        Reply("s", ["yes"]),
        Reply("bb", [True, True]),
        Reply(),
    ],
    ids=["error", "no", "another type", "more values", "nothing"],
)
async def test_every_doubt_is_a_no(
    doubted: Callable[..., Any], undo: AsyncExitStack, answer: Reply | CallFailed
) -> None:
    address, _ = await doubted(answer)
    connection = await opened(undo, address)
    caller = await undo.enter_async_context(Caller.connected(address, NOBODY))
    refused = await refusal(Polkit(lambda: connection), caller.name, Action.SYNC)
    assert refused is not None
    assert refused.error is ErrorName.NOT_AUTHORIZED


async def test_a_polkit_that_hangs_is_a_no(
    doubted: Callable[..., Any], undo: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubseedd.adapters.polkit.ANSWER_SECONDS", 0.1)
    address, _ = await doubted(None)
    connection = await opened(undo, address)
    caller = await undo.enter_async_context(Caller.connected(address, NOBODY))
    assert await refusal(Polkit(lambda: connection), caller.name, Action.SYNC) is not None


async def test_the_ninth_question_of_a_caller_is_refused_at_once(
    doubted: Callable[..., Any], undo: AsyncExitStack
) -> None:
    address, polkit = await doubted(None)
    connection = await opened(undo, address)
    authority = Polkit(lambda: connection)
    first = await undo.enter_async_context(Caller.connected(address, NOBODY))
    other = await undo.enter_async_context(Caller.connected(address, NOBODY))
    asking = [asyncio.ensure_future(refusal(authority, first.name, Action.SYNC)) for _ in range(MOST_OF_A_CALLER)]
    for _ in asking:
        await polkit.asked.get()
    refused = await refusal(authority, first.name, Action.SYNC)
    assert refused is not None
    assert refused.error is ErrorName.BUSY
    asking.append(asyncio.ensure_future(refusal(authority, other.name, Action.SYNC)))
    assert (await polkit.asked.get()).body[0][1] == {"name": other.name}
    for question in asking:
        question.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    later = asyncio.ensure_future(refusal(authority, first.name, Action.SYNC))
    await polkit.asked.get()
    later.cancel()


async def test_many_connections_of_one_user_do_not_add_up_for_ever(
    doubted: Callable[..., Any], undo: AsyncExitStack
) -> None:
    address, polkit = await doubted(None)
    connection = await opened(undo, address)
    authority = Polkit(lambda: connection)
    asking = []
    for _ in range(MOST_OF_A_USER // MOST_OF_A_CALLER):
        caller = await undo.enter_async_context(Caller.connected(address, NOBODY))
        asking += [asyncio.ensure_future(refusal(authority, caller.name, Action.SYNC)) for _ in range(MOST_OF_A_CALLER)]
    for _ in asking:
        await polkit.asked.get()
    one_more = await undo.enter_async_context(Caller.connected(address, NOBODY))
    refused = await refusal(authority, one_more.name, Action.SYNC)
    assert refused is not None
    assert refused.error is ErrorName.BUSY
    for question in asking:
        question.cancel()


async def test_polkit_is_told_the_unique_name_and_nothing_of_a_process(
    doubted: Callable[..., Any], undo: AsyncExitStack
) -> None:
    address, polkit = await doubted(Reply("(bba{ss})", [[True, False, {}]]))
    connection = await opened(undo, address)
    caller = await undo.enter_async_context(Caller.connected(address, NOBODY))
    authority = Polkit(lambda: connection)
    await authority.authorise(caller.name, Action.EJECT, details={"method": "Eject"})
    await authority.authorise(caller.name, Action.EJECT, interactive=True)
    told = [polkit.asked.get_nowait() for _ in range(2)]
    subject = ["system-bus-name", {"name": caller.name}]
    assert [call.path for call in told] == [AUTHORITY_PATH] * 2
    assert told[0].body == [subject, "org.dubnium.seed1.eject", {"method": "Eject"}, 0, ""]
    assert told[1].body[:4] == [subject, "org.dubnium.seed1.eject", {}, 1]
    assert told[1].body[4].startswith("dubseedd-")


async def test_a_question_that_nobody_waits_for_is_cancelled(doubted: Callable[..., Any], undo: AsyncExitStack) -> None:
    """polkitd of today closes the dialog of a process that has ended by itself; the caller may also just disconnect."""
    address, polkit = await doubted(None)
    connection = await opened(undo, address)
    caller = await undo.enter_async_context(Caller.connected(address, NOBODY))
    question = asyncio.ensure_future(refusal(Polkit(lambda: connection), caller.name, Action.SYNC, interactive=True))
    asked = await polkit.asked.get()
    await caller.leave()
    cancelled = await polkit.asked.get()
    assert (cancelled.member, cancelled.body) == ("CancelCheckAuthorization", [asked.body[4]])
    question.cancel()
    await asyncio.wait({question})


async def test_a_caller_that_leaves_the_bus_is_gone(polkitd: Polkitd, undo: AsyncExitStack) -> None:
    address = polkitd.machine.bus_address
    connection = await opened(undo, address)
    authority = Polkit(lambda: connection)
    caller = await Connection.open(address)
    gone = asyncio.ensure_future(authority.until_gone(caller.unique_name))
    for _ in range(5):
        await authority.uid_of(caller.unique_name)
    assert not gone.done()
    await caller.close()
    await gone


async def test_a_caller_that_has_left_already_is_gone_and_so_is_everybody_when_we_leave(
    polkitd: Polkitd, undo: AsyncExitStack
) -> None:
    address = polkitd.machine.bus_address
    connection, caller = await opened(undo, address), await opened(undo, address)
    authority = Polkit(lambda: connection)
    await authority.until_gone(":1.999999")
    gone = asyncio.ensure_future(authority.until_gone(caller.unique_name))
    await authority.uid_of(caller.unique_name)
    await connection.close()
    await gone
