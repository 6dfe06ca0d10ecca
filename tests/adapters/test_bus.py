"""The seam over dbus-next, on a real bus: what the library breaks at, and what callers are told."""

import asyncio
import gc
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from dbus_next import Message, MessageFlag, MessageType

from dubseedd.adapters.bus import PENDING_MOST, TEXT_MOST, Connection
from dubseedd.adapters.messages import (
    DBUS,
    DBUS_PATH,
    BusGone,
    CallFailed,
    IncomingCall,
    Match,
    RemoteError,
    Reply,
    Signal,
    Variant,
)
from dubseedd.names import ErrorName
from tests.conftest import Connect
from tests.machine import Machine
from tests.support.news import News

LIMIT_SECONDS = 20.0
BURST = 5_000
PATH = "/org/example/Thing"
INTERFACE = "org.example.Thing"
INTERNAL = (ErrorName.INTERNAL.full, "internal error, see the journal")


class Inbox:
    """Collects signals, and waits until there are enough of them."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self._news = News()

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        self._news.set()

    async def until(self, count: int) -> None:
        await self._news.until(lambda: len(self.signals) >= count)

    @property
    def bodies(self) -> list[list[Any]]:
        return [signal.body for signal in self.signals]


async def settle(*connections: Connection) -> None:
    """Wait until everything that was sent to and from these connections is through."""
    for connection in connections:
        await connection.call(DBUS, DBUS_PATH, DBUS, "GetId")


async def echo(call: IncomingCall) -> Reply:
    return Reply(call.signature, call.body)


async def never(_: IncomingCall) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


def sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            count += stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode)
    return count


@asynccontextmanager
async def false_bus(tmp_path: Path, answer: bytes, *, hangs_up: bool = True) -> AsyncIterator[str]:
    """The address of something that is no bus: it says this and hangs up, or says nothing more."""
    meetings: list[asyncio.Task[None] | None] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meetings.append(asyncio.current_task())
        await reader.readline()
        writer.write(answer)
        if not hangs_up:
            await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(meet, tmp_path / "false-bus")
    async with server:
        yield f"unix:path={tmp_path}/false-bus"
    await asyncio.gather(*filter(None, meetings))


# Opening and losing


async def test_the_system_bus_is_where_the_environment_says(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    connection = await Connection.open()
    assert connection.unique_name.startswith(":")
    await connection.close()


@pytest.mark.parametrize("address", ["unix:path=/nonexistent/bus", "nonsense", "unix:nothing=1", "carrier-pigeon:a=b"])
async def test_an_address_without_a_bus_is_a_bus_that_is_gone(address: str) -> None:
    with pytest.raises(BusGone):
        await Connection.open(address)


@pytest.mark.parametrize("answer", [b"", b"OK 12", b"REJECTED EXTERNAL\r\n", b"OK 1234deadbeef\r\n"])
async def test_a_bus_that_hangs_up_while_we_connect_is_gone(tmp_path: Path, answer: bytes) -> None:
    """dbus-next reads the end of the stream for ever, and no time limit of the loop ends that."""
    async with false_bus(tmp_path, answer) as address:
        with pytest.raises(BusGone, match=r"\w"):  # in words
            async with asyncio.timeout(LIMIT_SECONDS):
                await Connection.open(address)


@pytest.mark.parametrize("hangs_up", [True, False])
@pytest.mark.parametrize("answer", [b"", b"OK 1234deadbeef\r\n"])
async def test_a_connection_that_fails_leaves_no_descriptor(
    tmp_path: Path, connect: Connect, answer: bytes, hangs_up: bool
) -> None:
    before = sockets()
    async with false_bus(tmp_path, answer, hangs_up=hangs_up) as address:
        for _ in range(3):
            with suppress(BusGone, TimeoutError):
                async with asyncio.timeout(0.05):
                    await Connection.open(address)
            await settle(await connect())  # it gets the number of the descriptor that was given up
    assert sockets() == before + 3


async def test_twenty_connections_leave_no_descriptor(bus_address: str, connect: Connect) -> None:
    await connect()
    before = sockets()
    gc.disable()  # what is closed only by the collector is leaked
    try:
        for _ in range(20):
            connection = await Connection.open(bus_address)
            await connection.close()
        assert sockets() == before
    finally:
        gc.enable()


async def test_a_lost_connection_leaves_no_descriptor(bus: Machine) -> None:
    before = sockets()
    connection = await Connection.open(bus.bus_address)
    bus.stop()
    await connection.lost()
    assert sockets() == before


async def test_a_call_after_the_bus_was_killed_fails_at_once(bus: Machine) -> None:
    connection = await Connection.open(bus.bus_address)
    bus.stop()
    async with asyncio.timeout(1.0):
        with pytest.raises(BusGone):
            await connection.call(DBUS, DBUS_PATH, DBUS, "GetId")
        await connection.lost()
        assert not connection.is_open
        with pytest.raises(BusGone):
            await connection.call(DBUS, DBUS_PATH, DBUS, "GetId")
        connection.emit(PATH, INTERFACE, "Dropped", "", [])
        await connection.close()


async def test_a_call_that_waits_fails_as_soon_as_the_bus_is_killed(bus: Machine) -> None:
    server, client = await Connection.open(bus.bus_address), await Connection.open(bus.bus_address)
    arrived = asyncio.Event()

    async def wait(call: IncomingCall) -> Reply:
        arrived.set()
        return await never(call)

    server.answer(wait)
    call = asyncio.ensure_future(client.call(server.unique_name, PATH, INTERFACE, "Wait"))
    async with asyncio.timeout(LIMIT_SECONDS):
        await arrived.wait()
    bus.stop()
    async with asyncio.timeout(1.0):
        with pytest.raises(BusGone):
            await call
    await server.close()
    await client.close()


async def test_closing_ends_what_is_still_being_answered(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    server, client = await connect(), await connect()
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(call: IncomingCall) -> Reply:
        started.set()
        try:
            return await never(call)
        finally:
            ended.set()

    server.answer(wait)
    call = asyncio.ensure_future(client.call(server.unique_name, PATH, INTERFACE, "Wait"))
    async with asyncio.timeout(LIMIT_SECONDS):
        await started.wait()
        await server.close()
        await ended.wait()
        with pytest.raises(RemoteError, match="NoReply"):
            await call
    assert not caplog.records


async def test_what_was_emitted_before_closing_arrives(connect: Connect) -> None:
    sender, receiver = await connect(), await connect()
    inbox = Inbox()
    await receiver.subscribe(Match(interface=INTERFACE), inbox)
    for number in range(100):
        sender.emit(PATH, INTERFACE, "Last", "u", [number])
    await sender.close()
    await sender.close()
    await inbox.until(100)


# Sending


async def test_a_burst_of_signals_is_delivered_whole(connect: Connect) -> None:
    """dbus-next takes a full socket for a lost connection, from some 280 signals in one turn of the loop on."""
    sender, receiver = await connect(), await connect()
    inbox = Inbox()
    await receiver.subscribe(Match(sender=sender.unique_name, member="Counted"), inbox)
    for number in range(BURST):
        sender.emit(PATH, INTERFACE, "Counted", "u", [number])
    await inbox.until(BURST)
    assert inbox.bodies == [[number] for number in range(BURST)]
    await settle(sender, receiver)
    assert sender.is_open


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb", f"a{chr(0xD800)}b"], ids=["nul", "no-utf-8", "half-a-pair"])
async def test_text_that_the_bus_does_not_know_costs_no_connection(connect: Connect, text: str) -> None:
    server, client = await connect(), await connect()
    inbox = Inbox()
    await client.subscribe(Match(interface=INTERFACE), inbox)

    async def say(call: IncomingCall) -> Reply:
        if call.member == "Fail":
            raise CallFailed("org.example.Error", text)
        return Reply("a{sv}as", [{text: Variant("(s)", [text])}, call.body])

    server.answer(say)
    assert await client.call(server.unique_name, PATH, INTERFACE, "Say", "s", [text]) == [{"a?b": ["a?b"]}, ["a?b"]]
    with pytest.raises(RemoteError) as failure:
        await client.call(server.unique_name, PATH, INTERFACE, "Fail")
    server.emit(PATH, INTERFACE, "Said", "s", [text])
    await inbox.until(1)
    assert failure.value.text == "a?b"
    assert inbox.bodies == [["a?b"]]
    assert server.is_open
    assert client.is_open


# Calling


async def test_values_arrive_as_plain_python(connect: Connect) -> None:
    server, client = await connect(), await connect()
    arrived: list[IncomingCall] = []
    signature = "a{sv}(is)av"
    body = [{"a": Variant("a{sv}", {"b": Variant("(sv)", ["c", Variant("u", 7)])})}, [1, "x"], [Variant("ay", b"raw")]]

    async def remember(call: IncomingCall) -> Reply:
        arrived.append(call)
        return Reply(signature, body)

    server.answer(remember)
    plain = [{"a": {"b": ["c", 7]}}, [1, "x"], [b"raw"]]
    assert await client.call(server.unique_name, PATH, INTERFACE, "Echo", signature, body) == plain
    assert arrived == [IncomingCall(client.unique_name, PATH, INTERFACE, "Echo", signature, plain, interactive=False)]


async def test_calls_that_are_given_up_leave_no_handler(connect: Connect) -> None:
    server, client = await connect(), await connect()
    server.answer(never)
    waiting = client._bus._method_return_handlers
    for _ in range(20):
        with pytest.raises(TimeoutError, match="did not answer Wait within"):
            await client.call(server.unique_name, PATH, INTERFACE, "Wait", timeout_seconds=0.001)
    for _ in range(20):
        call = asyncio.ensure_future(client.call(server.unique_name, PATH, INTERFACE, "Wait"))
        await settle(client)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await settle(client)
    assert not waiting


async def test_an_error_reply_is_told_with_name_and_text(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(RemoteError) as failure:
        await client.call("org.example.Nobody", PATH, INTERFACE, "Anything")
    assert failure.value.name == f"{DBUS}.Error.ServiceUnknown"
    assert "org.example.Nobody" in failure.value.text


async def test_a_name_has_one_owner(connect: Connect) -> None:
    first, second = await connect(), await connect()
    await first.request_name("org.example.Taken")
    with pytest.raises(RemoteError, match="has an owner already") as failure:
        await second.request_name("org.example.Taken")
    await first.close()
    await second.request_name("org.example.Taken")
    assert failure.value.name == f"{DBUS}.Error.NameHasOwner"


# Serving


async def raises_call_failed(_: IncomingCall) -> Reply:
    raise CallFailed("org.example.Error.Refused", "not today")


async def raises_anything(_: IncomingCall) -> Reply:
    raise KeyError("a secret of the daemon")


async def raises_bad_error_name(_: IncomingCall) -> Reply:
    raise CallFailed("no error name", "a secret of the daemon")


async def waits_for_something_cancelled(_: IncomingCall) -> Reply:
    forsaken = asyncio.get_running_loop().create_future()
    forsaken.cancel()
    await forsaken
    raise AssertionError("it is cancelled")


async def returns_the_wrong_type(_: IncomingCall) -> Reply:
    return Reply("s", [7])


async def returns_too_little(_: IncomingCall) -> Reply:
    return Reply("s")


async def returns_too_much(_: IncomingCall) -> Reply:
    return Reply("", ["unasked"])


async def returns_no_signature(_: IncomingCall) -> Reply:
    return Reply("a{", [{}])


Handler = Callable[[IncomingCall], Any]


async def test_a_deliberate_failure_reaches_the_caller(connect: Connect) -> None:
    server, client = await connect(), await connect()
    server.answer(raises_call_failed)
    with pytest.raises(RemoteError) as failure:
        await client.call(server.unique_name, PATH, INTERFACE, "Refuse")
    assert (failure.value.name, failure.value.text) == ("org.example.Error.Refused", "not today")


@pytest.mark.parametrize(
    "handler",
    [
        raises_anything,
        raises_bad_error_name,
        waits_for_something_cancelled,
        returns_the_wrong_type,
        returns_too_little,
        returns_too_much,
        returns_no_signature,
    ],
)
async def test_a_fault_of_ours_is_internal_and_in_the_journal(
    connect: Connect, caplog: pytest.LogCaptureFixture, handler: Handler
) -> None:
    server, client = await connect(), await connect()
    server.answer(handler)
    with pytest.raises(RemoteError) as failure:
        await client.call(server.unique_name, PATH, INTERFACE, "Break", timeout_seconds=5.0)
    assert (failure.value.name, failure.value.text) == INTERNAL
    (record,) = caplog.records
    assert record.message == f"answering {INTERFACE}.Break of {client.unique_name}"
    assert record.exc_info is not None
    assert server.is_open


async def test_who_serves_nothing_says_so(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """The handlers of the library would answer with a traceback, or write one."""
    server, client = await connect(), await connect()
    for interface, member in [
        (f"{DBUS}.Properties", "Get"),
        (f"{DBUS}.Introspectable", "Introspect"),
        (INTERFACE, "X"),
    ]:
        with pytest.raises(RemoteError) as failure:
            await client.call(server.unique_name, PATH, interface, member)
        assert failure.value.name == f"{DBUS}.Error.UnknownObject"
    assert not caplog.records


async def test_a_call_without_interface_arrives(connect: Connect) -> None:
    server, client = await connect(), await connect()
    arrived: list[str] = []

    async def remember(call: IncomingCall) -> Reply:
        arrived.append(call.interface)
        return Reply()

    server.answer(remember)
    await client._bus.call(Message(destination=server.unique_name, path=PATH, member="Bare"))
    assert arrived == [""]


async def test_who_wants_no_reply_gets_none(connect: Connect) -> None:
    """The serial of a reply counts what the server has sent: none may be missing between two."""
    server, client = await connect(), await connect()
    handled: list[str] = []

    async def answer(call: IncomingCall) -> Reply:
        handled.append(call.member)
        if call.member == "Fail":
            return await raises_call_failed(call)
        return Reply()

    def message(member: str, flags: MessageFlag = MessageFlag.NONE) -> Message:
        return Message(destination=server.unique_name, path=PATH, interface=INTERFACE, member=member, flags=flags)

    server.answer(answer)
    before = await client._bus.call(message("Before"))
    for member in ("Work", "Fail"):
        await client._bus.send(message(member, MessageFlag.NO_REPLY_EXPECTED))
    after = await client._bus.call(message("After"))
    assert handled == ["Before", "Work", "Fail", "After"]
    assert after.serial == before.serial + 1


async def test_calls_are_answered_side_by_side(connect: Connect) -> None:
    server, clients = await connect(), [await connect() for _ in range(5)]
    waiting: list[str] = []
    everyone = asyncio.Event()

    async def wait_for_all(call: IncomingCall) -> Reply:
        waiting.append(call.sender)
        if len(waiting) == len(clients):
            everyone.set()
        await everyone.wait()
        return Reply("s", [call.sender])

    server.answer(wait_for_all)
    answers = await asyncio.gather(
        *(client.call(server.unique_name, PATH, INTERFACE, "Wait", timeout_seconds=5.0) for client in clients)
    )
    assert answers == [[client.unique_name] for client in clients]


# Subscribing

SIGNAL = Signal(":1.7", "/a/b", "org.example.A", "Changed", ["first", 2])


@pytest.mark.parametrize(
    "match",
    [
        Match(),
        Match(sender=":1.7"),
        Match(sender="org.example.WellKnown"),
        Match(path="/a/b"),
        Match(below="/a"),
        Match(below="/a/b"),
        Match(interface="org.example.A", member="Changed", arg0="first"),
    ],
    ids=lambda match: match.rule,
)
def test_a_signal_fits_its_rule(match: Match) -> None:
    assert match.fits(SIGNAL)


@pytest.mark.parametrize(
    "match",
    [
        Match(sender=":1.8"),
        Match(sender=DBUS),
        Match(path="/a"),
        Match(below="/a/b/c"),
        Match(below="/a/"),
        Match(below="/b"),
        Match(interface="org.example.B"),
        Match(member="Change"),
        Match(arg0="second"),
    ],
    ids=lambda match: match.rule,
)
def test_a_signal_does_not_fit_the_rule_of_another(match: Match) -> None:
    assert not match.fits(SIGNAL)


async def test_each_subscription_gets_the_signals_of_its_rule(connect: Connect) -> None:
    sender, receiver = await connect(), await connect()
    one, below, everything = Inbox(), Inbox(), Inbox()
    await receiver.subscribe(Match(path="/a", member="One"), one)
    await receiver.subscribe(Match(below="/a"), below)
    await receiver.subscribe(Match(sender=sender.unique_name), everything)
    for number, (path, member) in enumerate([("/a", "One"), ("/a/b", "One"), ("/ab", "One"), ("/a", "Two")]):
        sender.emit(path, INTERFACE, member, "u", [number])
    await everything.until(4)
    assert (one.bodies, below.bodies, everything.bodies) == ([[0]], [[0], [1], [3]], [[0], [1], [2], [3]])


async def test_nobody_can_pass_for_the_bus_itself(connect: Connect) -> None:
    """Everybody may address a signal to us directly, whatever our match rules are."""
    stranger, receiver = await connect(), await connect()
    trusting, wary = Inbox(), Inbox()
    await receiver.subscribe(Match(member="NameOwnerChanged"), trusting)
    await receiver.subscribe(Match(sender=DBUS, member="NameOwnerChanged"), wary)
    forged = Message(
        destination=receiver.unique_name,
        message_type=MessageType.SIGNAL,
        path=DBUS_PATH,
        interface=DBUS,
        member="NameOwnerChanged",
        signature="sss",
        body=["org.example.Name", "", stranger.unique_name],
    )
    await stranger._bus.send(forged)
    await trusting.until(1)
    assert trusting.signals[0].sender == stranger.unique_name
    assert not wary.signals


async def test_a_handler_that_raises_is_logged_and_keeps_nobody_else_waiting(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sender, receiver = await connect(), await connect()
    inbox = Inbox()

    def stumble(_: Signal) -> None:
        raise RuntimeError("stumbled")

    with caplog.at_level(logging.ERROR):
        await receiver.subscribe(Match(interface=INTERFACE), stumble)
        await receiver.subscribe(Match(interface=INTERFACE), inbox)
        for number in range(2):
            sender.emit(PATH, INTERFACE, "Twice", "u", [number])
        await inbox.until(2)
    assert [record.message for record in caplog.records] == [f"handling {INTERFACE}.Twice"] * 2
    assert receiver.is_open


async def test_the_undo_ends_this_subscription_and_no_other(connect: Connect) -> None:
    sender, receiver = await connect(), await connect()
    inbox, arrived = Inbox(), Inbox()
    undo = await receiver.subscribe(Match(interface=INTERFACE), inbox)
    twin = await receiver.subscribe(Match(interface=INTERFACE), inbox)
    await undo()
    await undo()
    sender.emit(PATH, INTERFACE, "Once", "", [])
    await inbox.until(1)
    await twin()
    receiver._bus.add_message_handler(lambda message: arrived(message) if message.interface == INTERFACE else None)
    sender.emit(PATH, INTERFACE, "Unheard", "", [])
    await settle(sender, receiver)
    assert len(inbox.signals) == 1
    assert not arrived.signals  # the bus does not even send it


async def test_a_subscription_that_the_bus_refuses_leaves_nothing(connect: Connect) -> None:
    sender, receiver = await connect(), await connect()
    everything = Inbox()
    with pytest.raises(RemoteError, match="MatchRuleInvalid"):
        await receiver.subscribe(Match(below="no path", interface=INTERFACE), everything)
    with pytest.raises(RemoteError, match="MatchRuleInvalid"):
        await receiver.subscribe(Match(interface=INTERFACE, member="no member"), everything)
    await receiver.subscribe(Match(interface=INTERFACE), everything)
    sender.emit(PATH, INTERFACE, "Heard", "", [])
    await settle(sender, receiver)
    assert everything.bodies == [[]]
    assert len(receiver._subscriptions) == 1


class TestDescriptors:
    """They come with a message, and somebody has to close them."""

    async def test_a_method_returns_one_which_works_and_is_not_inherited(self, connect: Connect) -> None:
        client, server = await connect(), await connect()
        reading, writing = os.pipe()

        async def answer(_: IncomingCall) -> Reply:
            return Reply("h", [0], [writing])

        server.answer(answer)
        before = open_descriptors()
        received = await client.call_for_descriptor(server.unique_name, PATH, INTERFACE, "Pipe", "", [])
        assert open_descriptors() == before  # ours was closed when it had been sent
        assert not os.get_inheritable(received)
        os.write(received, b"through")
        os.close(received)
        assert os.read(reading, 100) == b"through"
        assert os.read(reading, 100) == b""
        os.close(reading)

    async def test_a_method_that_returns_none_is_at_fault(self, connect: Connect) -> None:
        client, server = await connect(), await connect()

        async def answer(_: IncomingCall) -> Reply:
            return Reply("u", [0])

        server.answer(answer)
        with pytest.raises(RemoteError, match="Pipe returned no descriptor"):
            await client.call_for_descriptor(server.unique_name, PATH, INTERFACE, "Pipe", "", [])

    async def test_those_that_nobody_asked_for_are_closed(self, connect: Connect) -> None:
        """Anybody may send some: 16 a message would use up a daemon's in a moment."""
        stranger, server = await connect(), await connect()
        inbox = Inbox()
        await server.subscribe(Match(interface=INTERFACE), inbox)
        server.answer(lambda call: sleepless(Reply()))
        before = open_descriptors()
        for number in range(100):
            for kind in (MessageType.METHOD_CALL, MessageType.SIGNAL):
                await stranger._bus.send(
                    Message(
                        destination=server.unique_name,
                        path=PATH,
                        interface=INTERFACE,
                        member="Gift",
                        message_type=kind,
                        signature="ah",
                        body=[list(range(16))],
                        unix_fds=[2] * 16,
                    )
                )
            await inbox.until(number + 1)  # a bus drops what its receiver does not keep up with
        await settle(stranger, server)
        assert open_descriptors() == before


async def sleepless(reply: Reply) -> Reply:
    return reply


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# Strangers


async def test_arguments_longer_than_any_of_ours_are_refused_unread(connect: Connect) -> None:
    server, client = await connect(), await connect()
    handled: list[IncomingCall] = []

    async def answer(call: IncomingCall) -> Reply:
        handled.append(call)
        return Reply()

    server.answer(answer)
    with pytest.raises(RemoteError) as refused:
        await client.call(server.unique_name, PATH, INTERFACE, "Work", "s", ["x" * 20_000_000])
    assert refused.value.name == "org.freedesktop.DBus.Error.LimitsExceeded"
    assert await client.call(server.unique_name, PATH, INTERFACE, "Work", "s", ["x" * 10_000]) == []
    assert len(handled) == 1


async def test_of_one_caller_so_many_calls_are_answered_at_a_time(connect: Connect) -> None:
    server, greedy, modest = await connect(), await connect(), await connect()
    gate = asyncio.Event()

    async def answer(call: IncomingCall) -> Reply:
        if call.member == "Wait":
            await gate.wait()
        return Reply()

    server.answer(answer)
    most = PENDING_MOST
    calls = [asyncio.ensure_future(greedy.call(server.unique_name, PATH, INTERFACE, "Wait")) for _ in range(most)]
    assert await modest.call(server.unique_name, PATH, INTERFACE, "Work") == []
    while server._pending[greedy.unique_name] < most:
        await modest.call(server.unique_name, PATH, INTERFACE, "Work")
    with pytest.raises(RemoteError) as refused:
        await greedy.call(server.unique_name, PATH, INTERFACE, "Wait")
    assert refused.value.name == "org.freedesktop.DBus.Error.LimitsExceeded"
    gate.set()
    assert await asyncio.gather(*calls) == [[]] * most
    assert await greedy.call(server.unique_name, PATH, INTERFACE, "Wait") == []
    assert not server._pending


async def test_an_error_is_of_a_bounded_length(connect: Connect) -> None:
    server, client = await connect(), await connect()

    async def answer(call: IncomingCall) -> Reply:
        raise CallFailed("com.example.Error", f"unknown: {call.body[0]}")

    server.answer(answer)
    with pytest.raises(RemoteError) as refused:
        await client.call(server.unique_name, PATH, INTERFACE, "Work", "s", ["x" * 10_000])
    assert len(refused.value.text) == TEXT_MOST
