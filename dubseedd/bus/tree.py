"""Our objects on the bus: properties, introspection and the ObjectManager, for any interfaces of the XML file.

It holds what has been published, and so survives a lost connection: `attach` shows everything on a new one. It knows
neither seeds nor jobs.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from dubseedd.adapters.bus import DBUS, CallFailed, Connection, IncomingCall, Reply, Variant
from dubseedd.bus.interface import load
from dubseedd.names import ROOT_PATH

PROPERTIES = f"{DBUS}.Properties"
INTROSPECTABLE = f"{DBUS}.Introspectable"
PEER = f"{DBUS}.Peer"
OBJECT_MANAGER = f"{DBUS}.ObjectManager"

DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
STANDARD = f"""<interface name="{INTROSPECTABLE}">
<method name="Introspect"><arg name="xml" type="s" direction="out"/></method>
</interface>
<interface name="{PEER}">
<method name="Ping"/>
<method name="GetMachineId"><arg name="id" type="s" direction="out"/></method>
</interface>
"""
PROPERTIES_XML = f"""<interface name="{PROPERTIES}">
<method name="Get"><arg name="interface" type="s" direction="in"/><arg name="name" type="s" direction="in"/>
<arg name="value" type="v" direction="out"/></method>
<method name="GetAll"><arg name="interface" type="s" direction="in"/>
<arg name="values" type="a{{sv}}" direction="out"/></method>
<method name="Set"><arg name="interface" type="s" direction="in"/><arg name="name" type="s" direction="in"/>
<arg name="value" type="v" direction="in"/></method>
<signal name="PropertiesChanged"><arg name="interface" type="s"/><arg name="changed" type="a{{sv}}"/>
<arg name="invalidated" type="as"/></signal>
</interface>
"""
OBJECT_MANAGER_XML = f"""<interface name="{OBJECT_MANAGER}">
<method name="GetManagedObjects"><arg name="objects" type="a{{oa{{sa{{sv}}}}}}" direction="out"/></method>
<signal name="InterfacesAdded"><arg name="path" type="o"/><arg name="interfaces" type="a{{sa{{sv}}}}"/></signal>
<signal name="InterfacesRemoved"><arg name="path" type="o"/><arg name="interfaces" type="as"/></signal>
</interface>
"""

Properties = dict[str, Any]
MethodHandler = Callable[[str, str, str, str, list[Any]], Awaitable[list[Any]]]
"""(path, interface, member, sender, arguments) to return values."""


class ObjectTree:
    """Objects by path, each with its interfaces and their properties as plain values."""

    def __init__(self, handler: MethodHandler) -> None:
        self._handler = handler
        self._interfaces = load()
        self._objects: dict[str, dict[str, Properties]] = {}
        self._connection: Connection | None = None

    def attach(self, connection: Connection) -> None:
        """Serve on this connection from now on."""
        self._connection = connection
        connection.answer(self._answer)

    def detach(self) -> None:
        self._connection = None

    # What is shown

    def export(self, path: str, interfaces: dict[str, Properties]) -> None:
        """Show a new object."""
        self._objects[path] = {name: dict(properties) for name, properties in interfaces.items()}
        if path != ROOT_PATH:
            self._emit(ROOT_PATH, OBJECT_MANAGER, "InterfacesAdded", "oa{sa{sv}}", [path, self._shown(path)])

    def update(self, path: str, interface: str, properties: Properties) -> None:
        """Show new values; what is different goes out in one PropertiesChanged."""
        known = self._objects[path][interface]
        changed = {name: value for name, value in properties.items() if known.get(name) != value}
        if changed:
            known.update(changed)
            self._emit(
                path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [interface, self._wrap(interface, changed), []]
            )

    def remove(self, path: str) -> None:
        """Show an object no more."""
        interfaces = self._objects.pop(path)
        self._emit(ROOT_PATH, OBJECT_MANAGER, "InterfacesRemoved", "oas", [path, list(interfaces)])

    def signal(self, path: str, interface: str, member: str, values: list[Any]) -> None:
        """Emit a signal of ours."""
        self._emit(path, interface, member, self._interfaces[interface].signals[member], values)

    def _emit(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        if self._connection is not None:
            self._connection.emit(path, interface, member, signature, body)

    def _wrap(self, interface: str, properties: Properties) -> dict[str, Variant]:
        types = self._interfaces[interface].properties
        return {name: Variant(types[name], value) for name, value in properties.items()}

    def _shown(self, path: str) -> dict[str, dict[str, Variant]]:
        return {name: self._wrap(name, properties) for name, properties in self._objects[path].items()}

    # What is asked

    async def _answer(self, call: IncomingCall) -> Reply:
        if call.interface == PEER:
            return self._peer(call)
        children = self._children(call.path)
        if call.path not in self._objects and not children:
            raise CallFailed(f"{DBUS}.Error.UnknownObject", f"no object {call.path}")
        match call.interface, call.member:
            case ("", "Ping" | "GetMachineId"):
                return self._peer(call)
            case (name, "Introspect") if name in ("", INTROSPECTABLE):
                return Reply("s", [self._introspection(call.path, children)])
            case (name, "Get" | "GetAll" | "Set") if name in ("", PROPERTIES):
                return self._properties(call)
            case (name, "GetManagedObjects") if name in ("", OBJECT_MANAGER) and call.path == ROOT_PATH:
                return Reply(
                    "a{oa{sa{sv}}}", [{path: self._shown(path) for path in self._objects if path != ROOT_PATH}]
                )
            case _:
                return await self._method(call)

    async def _method(self, call: IncomingCall) -> Reply:
        names = self._objects.get(call.path, {})
        for name in names:
            method = self._interfaces[name].methods.get(call.member)
            if method is None or call.interface not in ("", name):
                continue
            if call.signature != method.takes:
                raise CallFailed(
                    f"{DBUS}.Error.InvalidArgs", f"{call.member} takes '{method.takes}', called with '{call.signature}'"
                )
            return Reply(method.returns, await self._handler(call.path, name, call.member, call.sender, call.body))
        if call.interface and call.interface not in names:
            raise CallFailed(f"{DBUS}.Error.UnknownInterface", f"{call.path} has no interface {call.interface}")
        raise CallFailed(f"{DBUS}.Error.UnknownMethod", f"{call.path} has no method {call.member}")

    @staticmethod
    def _peer(call: IncomingCall) -> Reply:
        if call.member == "Ping":
            return Reply()
        if call.member == "GetMachineId":
            with open("/etc/machine-id", encoding="ascii") as stream:
                return Reply("s", [stream.read().strip()])
        raise CallFailed(f"{DBUS}.Error.UnknownMethod", f"{PEER} has no method {call.member}")

    def _properties(self, call: IncomingCall) -> Reply:
        wanted = {"Get": "ss", "GetAll": "s", "Set": "ssv"}[call.member]
        if call.signature != wanted:
            raise CallFailed(f"{DBUS}.Error.InvalidArgs", f"{call.member} takes '{wanted}'")
        interface = call.body[0]
        properties = self._objects.get(call.path, {}).get(interface)
        if properties is None:
            if call.member == "GetAll" and interface.startswith(f"{DBUS}."):
                return Reply("a{sv}", [{}])
            raise CallFailed(f"{DBUS}.Error.UnknownInterface", f"{call.path} has no interface {interface}")
        if call.member == "GetAll":
            return Reply("a{sv}", [self._wrap(interface, properties)])
        name = call.body[1]
        if name not in properties:
            raise CallFailed(f"{DBUS}.Error.UnknownProperty", f"{interface} has no property {name}")
        if call.member == "Set":
            raise CallFailed(f"{DBUS}.Error.PropertyReadOnly", f"{interface}.{name} is read-only")
        return Reply("v", [Variant(self._interfaces[interface].properties[name], properties[name])])

    def _children(self, path: str) -> list[str]:
        """The next components of the paths below a path."""
        base = path.rstrip("/") + "/"
        return sorted({other[len(base) :].split("/")[0] for other in self._objects if other.startswith(base)})

    def _introspection(self, path: str, children: list[str]) -> str:
        return "".join(
            (DOCTYPE, "<node>\n", *self._described(path), *(f'<node name="{c}"/>\n' for c in children), "</node>\n")
        )

    def _described(self, path: str) -> Iterator[str]:
        yield STANDARD
        interfaces = self._objects.get(path, {})
        if interfaces:
            yield PROPERTIES_XML
        if path == ROOT_PATH:
            yield OBJECT_MANAGER_XML
        for name in interfaces:
            yield self._interfaces[name].xml + "\n"
