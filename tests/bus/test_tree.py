"""Our objects on a real bus, seen by busctl and by a client of our own."""

import asyncio
import json
import logging
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from dbus_next import Message, MessageType

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, IncomingCall, Match, RemoteError, Signal, Variant
from dubseedd.bus.interface import load, source
from dubseedd.bus.tree import INTROSPECTABLE, OBJECT_MANAGER, PEER, PROPERTIES, ObjectTree, Properties
from dubseedd.names import (
    BUNDLE_INTERFACE,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    NO_OBJECT,
    ROOT_PATH,
    SEED_INTERFACE,
    ErrorName,
)
from tests.conftest import Connect
from tests.machine import Machine
from tools.machine import run

LIMIT_SECONDS = 20.0
SEED = f"{ROOT_PATH}/seeds/_31"
BUNDLE = f"{ROOT_PATH}/bundles/qwen"
JOB = f"{ROOT_PATH}/jobs/1"
PLACES = {ROOT_PATH: MANAGER_INTERFACE, SEED: SEED_INTERFACE, BUNDLE: BUNDLE_INTERFACE, JOB: JOB_INTERFACE}
SAMPLES: dict[str, Any] = {
    "s": "text",
    "b": True,
    "u": 7,
    "t": 2**40,
    "o": NO_OBJECT,
    "ao": [SEED],
    "(ss)": ["name", "sentence"],
    "(isi)": [50, "half", 0],
    "a(ss)": [["who", "why"]],
    "a(stss)": [["qwen", 2**33, "0" * 64, "new"]],
}


def sample(interface: str) -> Properties:
    """A value for each property that the file declares."""
    return {name: SAMPLES[signature] for name, signature in load()[interface].properties.items()}


class Handler:
    """Answers every method of ours: with what was prepared for it, or nothing."""

    def __init__(self) -> None:
        self.calls: list[IncomingCall] = []
        self.answers: dict[str, list[Any] | Exception] = {}

    async def __call__(self, call: IncomingCall) -> list[Any]:
        self.calls.append(call)
        answer = self.answers.get(call.member, [])
        if isinstance(answer, Exception):
            raise answer
        return answer


class Client:
    """Somebody who looks at the tree from another connection."""

    def __init__(self, address: str, connection: Connection, server: str) -> None:
        self.address = address
        self.connection = connection
        self.server = server
        self.signals: list[Signal] = []

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        return await self.connection.call(self.server, path, interface, member, signature, body, timeout_seconds=5.0)

    async def bare_call(self, path: str, member: str, signature: str = "", *body: Any) -> Message:
        """A call without interface; the reply as it is."""
        message = Message(destination=self.server, path=path, member=member, signature=signature, body=list(body))
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.connection._bus.call(message)

    async def heard(self) -> list[tuple[str, str, list[Any]]]:
        """(path, member, body) of every signal until now: a signal that was sent before a reply arrives before it."""
        await self.call("/", PEER, "Ping")
        return [(signal.path, signal.member, signal.body) for signal in self.signals]

    async def busctl(self, *arguments: str) -> str:
        return await asyncio.to_thread(run, "busctl", f"--address={self.address}", *arguments)


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def tree(handler: Handler) -> ObjectTree:
    """One object of each kind."""
    tree = ObjectTree(handler)
    for path, interface in PLACES.items():
        tree.export(path, {interface: sample(interface)})
    return tree


@pytest.fixture
async def client(bus_address: str, connect: Connect, tree: ObjectTree) -> Client:
    server, connection = await connect(), await connect()
    tree.attach(server)
    client = Client(bus_address, connection, server.unique_name)
    await connection.subscribe(Match(sender=server.unique_name), client.signals.append)
    return client


async def refusal(client: Client, path: str, interface: str, member: str, signature: str = "", *body: Any) -> str:
    """The name of the error of a call that has to fail."""
    with pytest.raises(RemoteError) as failure:
        await client.call(path, interface, member, signature, *body)
    return failure.value.name.removeprefix(f"{DBUS}.Error.")


# What busctl sees


async def test_busctl_finds_every_object_and_every_node_between(client: Client) -> None:
    listed = (await client.busctl("tree", "--list", client.server)).split()
    between = ["/org", "/org/dubnium", *(f"{ROOT_PATH}/{kind}" for kind in ("seeds", "bundles", "jobs"))]
    assert sorted(listed) == sorted(["/", *between, *PLACES])


@pytest.mark.parametrize("path", PLACES)
async def test_introspection_says_what_the_file_says(client: Client, path: str) -> None:
    """Compared as XML, but for comments: methods, arguments, signals, properties, access, order."""
    live = ET.fromstring(await client.busctl("introspect", "--xml-interface", client.server, path))
    name = PLACES[path]
    (shown,) = [interface for interface in live.findall("interface") if interface.get("name") == name]
    (declared,) = [interface for interface in ET.fromstring(source()) if interface.get("name") == name]
    shown_xml, declared_xml = (ET.canonicalize(ET.tostring(one), strip_text=True) for one in (shown, declared))
    assert shown_xml == declared_xml


@pytest.mark.parametrize("path", PLACES)
async def test_busctl_reads_every_property(client: Client, path: str) -> None:
    interface = PLACES[path]
    values, declared = sample(interface), load()[interface].properties
    said = await client.busctl("--json=short", "get-property", client.server, path, interface, *declared)
    assert [json.loads(line) for line in said.splitlines()] == [
        {"type": signature, "data": values[name]} for name, signature in declared.items()
    ]


async def test_busctl_calls_a_method(client: Client, handler: Handler) -> None:
    handler.answers["Sync"] = [[JOB]]
    arguments = ("ssa{sv}", "", "qwen", "1", "dry-run", "b", "true")
    said = await client.busctl("--json=short", "call", client.server, ROOT_PATH, MANAGER_INTERFACE, "Sync", *arguments)
    assert json.loads(said) == {"type": "ao", "data": [[JOB]]}
    (call,) = handler.calls
    assert (call.path, call.interface, call.member) == (ROOT_PATH, MANAGER_INTERFACE, "Sync")
    assert call.body == ["", "qwen", {"dry-run": True}]
    assert call.sender.startswith(":")
    assert call.sender != client.server


@pytest.mark.parametrize(
    ("path", "interfaces", "children"),
    [
        ("/", [INTROSPECTABLE, PEER], ["org"]),
        ("/org", [INTROSPECTABLE, PEER], ["dubnium"]),
        (f"{ROOT_PATH}/jobs", [INTROSPECTABLE, PEER], ["1"]),
        (JOB, [INTROSPECTABLE, PEER, PROPERTIES, JOB_INTERFACE], []),
        (
            ROOT_PATH,
            [INTROSPECTABLE, PEER, PROPERTIES, OBJECT_MANAGER, MANAGER_INTERFACE],
            ["bundles", "jobs", "seeds"],
        ),
    ],
)
async def test_a_node_shows_just_what_is_there(
    client: Client, path: str, interfaces: list[str], children: list[str]
) -> None:
    (xml,) = await client.call(path, INTROSPECTABLE, "Introspect")
    node = ET.fromstring(xml)
    assert [found.get("name") for found in node.findall("interface")] == interfaces
    assert [found.get("name") for found in node.findall("node")] == children


# Signals


async def test_a_change_carries_only_what_is_different(client: Client, tree: ObjectTree) -> None:
    changed = {**sample(JOB_INTERFACE), "BytesDone": 5, "Progress": [51, "more", 0]}
    tree.update(JOB, JOB_INTERFACE, changed)
    tree.update(JOB, JOB_INTERFACE, changed)
    tree.update(JOB, JOB_INTERFACE, {"BytesDone": 6})
    tree.update(JOB, JOB_INTERFACE, {})
    assert await client.heard() == [
        (JOB, "PropertiesChanged", [JOB_INTERFACE, {"BytesDone": 5, "Progress": [51, "more", 0]}, []]),
        (JOB, "PropertiesChanged", [JOB_INTERFACE, {"BytesDone": 6}, []]),
    ]
    assert await client.call(JOB, PROPERTIES, "GetAll", "s", JOB_INTERFACE) == [{**changed, "BytesDone": 6}]


async def test_objects_come_and_go_by_signals_of_the_manager(client: Client, tree: ObjectTree) -> None:
    other = f"{ROOT_PATH}/jobs/2"
    tree.export(other, {JOB_INTERFACE: sample(JOB_INTERFACE)})
    tree.remove(other)
    assert await client.heard() == [
        (ROOT_PATH, "InterfacesAdded", [other, {JOB_INTERFACE: sample(JOB_INTERFACE)}]),
        (ROOT_PATH, "InterfacesRemoved", [other, [JOB_INTERFACE]]),
    ]
    assert {signal.interface for signal in client.signals} == {OBJECT_MANAGER}
    assert await refusal(client, other, INTROSPECTABLE, "Introspect") == "UnknownObject"


async def test_a_signal_of_ours_has_the_signature_of_the_file(client: Client, tree: ObjectTree) -> None:
    seen: list[Message] = []
    client.connection._bus.add_message_handler(seen.append)
    tree.signal(ROOT_PATH, MANAGER_INTERFACE, "JobRemoved", [1, JOB, "qwen", "done"])
    assert await client.heard() == [(ROOT_PATH, "JobRemoved", [1, JOB, "qwen", "done"])]
    (message,) = [message for message in seen if message.message_type is MessageType.SIGNAL]
    assert message.signature == "uoss"


async def test_a_value_that_does_not_fit_is_refused_before_it_is_shown(client: Client, tree: ObjectTree) -> None:
    for wrong in ({"BytesDone": "many"}, {"NoSuchProperty": 1}):
        with pytest.raises(Exception, match=r"UINT64|NoSuchProperty"):
            tree.update(JOB, JOB_INTERFACE, {"State": "done", **wrong})
    assert await client.call(JOB, PROPERTIES, "GetAll", "s", JOB_INTERFACE) == [sample(JOB_INTERFACE)]
    assert await client.heard() == []


# Questions


async def test_the_manager_knows_all_objects_below_it(client: Client) -> None:
    below = {path: {interface: sample(interface)} for path, interface in PLACES.items() if path != ROOT_PATH}
    assert await client.call(ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects") == [below]


@pytest.mark.parametrize(
    ("error", "path", "interface", "member", "arguments"),
    [
        ("UnknownObject", "/nothing", JOB_INTERFACE, "Cancel", ()),
        ("UnknownObject", f"{JOB}/deeper", INTROSPECTABLE, "Introspect", ()),
        ("UnknownObject", f"{ROOT_PATH}/job", PROPERTIES, "GetAll", ("s", JOB_INTERFACE)),
        ("UnknownInterface", JOB, SEED_INTERFACE, "Sync", ("a{sv}", {})),
        ("UnknownInterface", JOB, OBJECT_MANAGER, "GetManagedObjects", ()),
        ("UnknownInterface", "/", OBJECT_MANAGER, "GetManagedObjects", ()),
        ("UnknownInterface", f"{ROOT_PATH}/jobs", PROPERTIES, "GetAll", ("s", JOB_INTERFACE)),
        ("UnknownInterface", JOB, PROPERTIES, "Get", ("ss", SEED_INTERFACE, "Uuid")),
        ("UnknownInterface", JOB, PROPERTIES, "GetAll", ("s", SEED_INTERFACE)),
        ("UnknownInterface", JOB, PROPERTIES, "Set", ("ssv", SEED_INTERFACE, "Uuid", Variant("s", ""))),
        ("UnknownMethod", JOB, JOB_INTERFACE, "Restart", ()),
        ("UnknownMethod", JOB, PROPERTIES, "Reset", ()),
        ("UnknownMethod", JOB, INTROSPECTABLE, "Ping", ()),
        ("UnknownMethod", "/", PEER, "Pong", ()),
        ("UnknownMethod", ROOT_PATH, MANAGER_INTERFACE, "Repair", ("sa{sv}", "qwen", {})),
        ("UnknownProperty", JOB, PROPERTIES, "Get", ("ss", JOB_INTERFACE, "Colour")),
        ("UnknownProperty", JOB, PROPERTIES, "Set", ("ssv", JOB_INTERFACE, "Colour", Variant("s", "red"))),
        ("UnknownProperty", JOB, PROPERTIES, "Get", ("ss", PEER, "Colour")),
        ("PropertyReadOnly", JOB, PROPERTIES, "Set", ("ssv", JOB_INTERFACE, "State", Variant("s", "done"))),
        ("InvalidArgs", JOB, JOB_INTERFACE, "Cancel", ("s", "now")),
        ("InvalidArgs", ROOT_PATH, MANAGER_INTERFACE, "GetHistory", ("i", 5)),
        ("InvalidArgs", ROOT_PATH, MANAGER_INTERFACE, "Sync", ()),
        ("InvalidArgs", JOB, PROPERTIES, "Get", ("s", JOB_INTERFACE)),
        ("InvalidArgs", JOB, INTROSPECTABLE, "Introspect", ("s", "")),
        ("InvalidArgs", ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects", ("u", 1)),
    ],
)
async def test_what_is_unknown_or_wrong_is_called_by_its_name(
    client: Client,
    handler: Handler,
    caplog: pytest.LogCaptureFixture,
    error: str,
    path: str,
    interface: str,
    member: str,
    arguments: tuple[Any, ...],
) -> None:
    assert await refusal(client, path, interface, member, *arguments) == error
    assert not handler.calls
    assert not caplog.records


async def test_standard_interfaces_have_no_properties(client: Client) -> None:
    assert await client.call(ROOT_PATH, PROPERTIES, "GetAll", "s", OBJECT_MANAGER) == [{}]


@pytest.mark.parametrize("path", ["/", JOB, "/no/object"])
async def test_every_path_answers_a_ping(client: Client, path: str) -> None:
    assert await client.call(path, PEER, "Ping") == []


async def test_the_machine_has_the_same_id_each_time(client: Client) -> None:
    ids = [await client.call("/", PEER, "GetMachineId") for _ in range(2)]
    (expected,) = await client.connection.call(DBUS, "/", PEER, "GetMachineId")
    assert ids == [[expected], [expected]]


@pytest.mark.parametrize(
    ("path", "member", "arguments", "answered"),
    [
        ("/", "Ping", (), []),
        (JOB, "Get", ("ss", JOB_INTERFACE, "State"), ["text"]),
        (JOB, "Cancel", (), []),
        (SEED, "Sync", ("a{sv}", {}), [[JOB]]),
    ],
)
async def test_a_call_without_interface_finds_its_method(
    client: Client, handler: Handler, path: str, member: str, arguments: tuple[Any, ...], answered: list[Any]
) -> None:
    handler.answers["Sync"] = [[JOB]]
    reply = await client.bare_call(path, member, *arguments)
    assert reply.message_type is MessageType.METHOD_RETURN
    body = [value.value if isinstance(value, Variant) else value for value in reply.body]
    assert body == answered
    assert [call.interface for call in handler.calls] == ([PLACES[path]] if member in {"Cancel", "Sync"} else [])


async def test_a_call_without_interface_of_no_method_is_refused(client: Client) -> None:
    reply = await client.bare_call(JOB, "GetManagedObjects")
    assert reply.error_name == f"{DBUS}.Error.UnknownMethod"


@pytest.mark.parametrize("answer", [KeyError("a secret of the daemon"), ["unasked"]], ids=["raises", "misfits"])
async def test_nothing_of_a_traceback_reaches_a_caller(
    client: Client, handler: Handler, caplog: pytest.LogCaptureFixture, answer: list[Any] | Exception
) -> None:
    handler.answers["Cancel"] = answer
    with caplog.at_level(logging.ERROR), pytest.raises(RemoteError) as failure:
        await client.call(JOB, JOB_INTERFACE, "Cancel")
    assert (failure.value.name, failure.value.text) == (ErrorName.INTERNAL.full, "internal error, see the journal")
    assert caplog.records[0].exc_info is not None


# Without a bus


async def test_who_is_detached_says_nothing(client: Client, tree: ObjectTree) -> None:
    tree.detach()
    tree.update(JOB, JOB_INTERFACE, {"State": "done"})
    tree.signal(JOB, JOB_INTERFACE, "Completed", [True, "", ""])
    tree.remove(JOB)
    assert await client.heard() == []


async def test_the_objects_outlive_the_bus(bus: Machine, tree: ObjectTree) -> None:
    """What changes while there is no bus is shown on the next one."""
    first = await Connection.open(bus.bus_address)
    tree.attach(first)
    bus.stop()
    await first.lost()
    tree.update(JOB, JOB_INTERFACE, {"State": "copying"})
    tree.detach()
    tree.update(JOB, JOB_INTERFACE, {"State": "done"})
    tree.remove(SEED)
    tree.signal(JOB, JOB_INTERFACE, "Completed", [True, "", ""])
    bus.start_bus()
    second, client = await Connection.open(bus.bus_address), await Connection.open(bus.bus_address)
    tree.attach(second)
    (objects,) = await client.call(second.unique_name, ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
    assert objects.keys() == {BUNDLE, JOB}
    assert objects[JOB][JOB_INTERFACE]["State"] == "done"
    for connection in (first, second, client):
        await connection.close()
