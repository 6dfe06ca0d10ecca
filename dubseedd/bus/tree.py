"""Our objects on the bus: properties, introspection and the ObjectManager, for any interfaces of the XML file.

It holds what has been published, and so survives a lost connection: `attach` serves everything on a new one. It knows
neither seeds nor jobs.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, CallFailed, Descriptor, IncomingCall, Reply, Variant
from dubseedd.bus.interface import Interface, load, parse
from dubseedd.names import ROOT_PATH

PROPERTIES = f"{DBUS}.Properties"
INTROSPECTABLE = f"{DBUS}.Introspectable"
PEER = f"{DBUS}.Peer"
OBJECT_MANAGER = f"{DBUS}.ObjectManager"

DOCTYPE = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
STANDARD = f"""<node>
<interface name="{INTROSPECTABLE}">
<method name="Introspect"><arg name="xml" type="s" direction="out"/></method>
</interface>
<interface name="{PEER}">
<method name="Ping"/>
<method name="GetMachineId"><arg name="id" type="s" direction="out"/></method>
</interface>
<interface name="{PROPERTIES}">
<method name="Get"><arg name="interface" type="s" direction="in"/><arg name="name" type="s" direction="in"/>
<arg name="value" type="v" direction="out"/></method>
<method name="GetAll"><arg name="interface" type="s" direction="in"/>
<arg name="values" type="a{{sv}}" direction="out"/></method>
<method name="Set"><arg name="interface" type="s" direction="in"/><arg name="name" type="s" direction="in"/>
<arg name="value" type="v" direction="in"/></method>
<signal name="PropertiesChanged"><arg name="interface" type="s"/><arg name="changed" type="a{{sv}}"/>
<arg name="invalidated" type="as"/></signal>
</interface>
<interface name="{OBJECT_MANAGER}">
<method name="GetManagedObjects"><arg name="objects" type="a{{oa{{sa{{sv}}}}}}" direction="out"/></method>
<signal name="InterfacesAdded"><arg name="path" type="o"/><arg name="interfaces" type="a{{sa{{sv}}}}"/></signal>
<signal name="InterfacesRemoved"><arg name="path" type="o"/><arg name="interfaces" type="as"/></signal>
</interface>
</node>
"""
MACHINE_ID = ("/etc/machine-id", "/var/lib/dbus/machine-id")

Properties = dict[str, Any]
MethodHandler = Callable[[IncomingCall], Awaitable[list[Any]]]
"""A call of a method that the XML file has, with arguments of the right types, to its return values."""


class ObjectTree:
    """Objects by path, each with its interfaces and their properties as plain values."""

    def __init__(self, handler: MethodHandler) -> None:
        self._handler = handler
        self._interfaces: Mapping[str, Interface] = {**parse(STANDARD), **load()}
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
            self.signal(ROOT_PATH, OBJECT_MANAGER, "InterfacesAdded", [path, self._shown(path)])

    def update(self, path: str, interface: str, properties: Properties) -> None:
        """Show new values; what is different goes out in one PropertiesChanged."""
        known = self._objects[path][interface]
        changed = {name: value for name, value in properties.items() if known.get(name) != value}
        if changed:
            wrapped = self._wrap(interface, changed)
            known.update(changed)
            self.signal(path, PROPERTIES, "PropertiesChanged", [interface, wrapped, []])

    def remove(self, path: str) -> None:
        """Show an object no more."""
        interfaces = self._objects.pop(path)
        self.signal(ROOT_PATH, OBJECT_MANAGER, "InterfacesRemoved", [path, list(interfaces)])

    def signal(self, path: str, interface: str, member: str, values: list[Any]) -> None:
        """Emit a signal with the signature that the XML gives it; without a connection it is dropped."""
        if self._connection is not None:
            signature = self._interfaces[interface].signals[member]
            self._connection.emit(path, interface, member, signature, values)

    def _wrap(self, interface: str, properties: Properties) -> dict[str, Variant]:
        types = self._interfaces[interface].properties
        return {name: Variant(types[name], value) for name, value in properties.items()}

    def _shown(self, path: str) -> dict[str, dict[str, Variant]]:
        return {name: self._wrap(name, properties) for name, properties in self._objects[path].items()}

    # What is asked

    async def _answer(self, call: IncomingCall) -> Reply:
        interfaces = self._interfaces_of(call.path)
        if not interfaces and call.interface != PEER:
            raise _refused("UnknownObject", f"no object {call.path}")
        name = call.interface or next((name for name, one in interfaces.items() if call.member in one.methods), "")
        if name and name != PEER and name not in interfaces:
            raise _refused("UnknownInterface", f"{call.path} has no interface {name}")
        if not name or call.member not in self._interfaces[name].methods:
            raise _refused("UnknownMethod", f"{call.path} has no method {call.member}")
        method = self._interfaces[name].methods[call.member]
        if call.signature != method.takes:
            raise _refused("InvalidArgs", f"{call.member} takes '{method.takes}', called with '{call.signature}'")
        return _reply(method.returns, await self._perform(name, call))

    def _interfaces_of(self, path: str) -> dict[str, Interface]:
        """The interfaces at a path, the standard ones first; none where there is neither an object nor one below."""
        shown = self._objects.get(path, {})
        if not shown and not self._children(path):
            return {}
        names = [INTROSPECTABLE, PEER]
        names += [PROPERTIES] if shown else []
        names += [OBJECT_MANAGER] if path == ROOT_PATH else []
        return {name: self._interfaces[name] for name in (*names, *shown)}

    async def _perform(self, name: str, call: IncomingCall) -> list[Any]:
        if not name.startswith(f"{DBUS}."):
            return await self._handler(replace(call, interface=name))
        match call.member:
            case "Introspect":
                return [self._introspection(call.path)]
            case "Ping":
                return []
            case "GetMachineId":
                return [_machine_id()]
            case "GetManagedObjects":
                return [{path: self._shown(path) for path in self._objects if path != ROOT_PATH}]
            case _:
                return self._properties(call)

    def _properties(self, call: IncomingCall) -> list[Any]:
        """Get, GetAll and Set; the standard interfaces have no properties."""
        interface, *rest = call.body
        if interface not in self._interfaces_of(call.path):
            raise _refused("UnknownInterface", f"{call.path} has no interface {interface}")
        properties = self._objects[call.path].get(interface, {})
        if not rest:
            return [self._wrap(interface, properties)]
        name = rest[0]
        if name not in properties:
            raise _refused("UnknownProperty", f"{interface} has no property {name}")
        if call.member == "Set":
            raise _refused("PropertyReadOnly", f"{interface}.{name} is read-only")
        return [self._wrap(interface, properties)[name]]

    def _children(self, path: str) -> list[str]:
        """The next components of the paths below a path."""
        base = path.rstrip("/") + "/"
        return sorted({other[len(base) :].split("/")[0] for other in self._objects if other.startswith(base)})

    def _introspection(self, path: str) -> str:
        interfaces = (interface.xml for interface in self._interfaces_of(path).values())
        children = (f'<node name="{child}"/>' for child in self._children(path))
        return DOCTYPE + "\n".join(("<node>", *interfaces, *children, "</node>\n"))


def _reply(signature: str, values: list[Any]) -> Reply:
    """Descriptors go beside the body, which has the place of each."""
    descriptors = [value for value in values if isinstance(value, Descriptor)]
    places = itertools.count()
    body = [next(places) if isinstance(value, Descriptor) else value for value in values]
    return Reply(signature, body, descriptors)


def _refused(error: str, text: str) -> CallFailed:
    return CallFailed(f"{DBUS}.Error.{error}", text)


def _machine_id() -> str:
    for place in MACHINE_ID:
        with suppress(OSError), open(place, encoding="ascii") as stream:
            return stream.read().strip()
    raise _refused("FileNotFound", f"this machine has no {MACHINE_ID[0]}")
