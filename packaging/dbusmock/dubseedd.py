"""dubseedd as a python-dbusmock template: for those who test a client and have no stick to plug in.

    python3 -m dbusmock --template /usr/share/python-dbusmock/templates/dubseedd.py &
    busctl call org.dubnium.Seed1 /org/dubnium/Seed1 org.freedesktop.DBus.Mock AddJob 'ua{sv}' 1 1 Bundle s tiny
    busctl call org.dubnium.Seed1 /org/dubnium/Seed1 org.freedesktop.DBus.Mock EndJob usss 1 done '' ''

Methods, properties and signals are those of org.dubnium.Seed1.xml, which is read when this is loaded; parameters, and
what is given to AddSeed, AddBundle, AddJob and Change, are properties by their names there. The methods of the
interface are answered and do nothing: Sync, Verify and Rollback return the jobs that there are.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import dbus
from dbusmock import MOCK_IFACE, mockobject

BUS_NAME = "org.dubnium.Seed1"
MAIN_OBJ = "/org/dubnium/Seed1"
MAIN_IFACE = f"{BUS_NAME}.Manager"
SYSTEM_BUS = True
IS_OBJECT_MANAGER = True

FILE = f"dbus-1/interfaces/{BUS_NAME}.xml"
HERE = Path(__file__).resolve()
PLACES = (HERE.parents[2] / FILE, HERE.parents[2] / f"dubseedd/bus/{BUS_NAME}.xml", Path("/usr/share") / FILE)
"""Beside this file as it is installed, in the repository, and anywhere else."""
EMPTY = {
    "b": False,
    "s": "",
    "o": dbus.ObjectPath("/"),
    "u": dbus.UInt32(0),
    "t": dbus.UInt64(0),
    "(ss)": dbus.Struct(("", ""), signature="ss"),
    "(isi)": dbus.Struct((100, "", 0), signature="isi"),
}
JOBS = "ret = dbus.Array(sorted(path for path in objects if '/jobs/' in path), signature='o')"
ANSWERS = {
    "ao": JOBS,
    "o": f"{JOBS}; ret = ret[-1] if ret else dbus.ObjectPath('/')",
    "h": "import os; reader, writer = os.pipe(); os.close(reader); ret = dbus.types.UnixFd(writer); os.close(writer)",
    "aa{sv}": "ret = dbus.Array([], signature='a{sv}')",
}
"""What a method answers, by the signature of its answer."""
BY_DEFAULT = {
    "Manager": {"Version": "0.1.0", "State": "idle", "Status": "a mock", "SafeToRemove": True, "Trust": "integrity"},
    "Seed": {"Label": "DUB-SEED", "State": "done", "SafeToRemove": True},
    "Bundle": {"Format": "safetensors", "State": "installed"},
    "Job": {"Kind": "sync", "State": "copying"},
}


def interface(kind):
    """An interface of the file: 'Manager', 'Seed', 'Bundle' or 'Job'."""
    source = next(place for place in PLACES if place.exists())
    return ET.parse(source).find(f"interface[@name='{BUS_NAME}.{kind}']")


def properties(kind, given):
    """Every property of an interface, with what is given in its type."""
    types = {node.attrib["name"]: node.attrib["type"] for node in interface(kind).iter("property")}
    unknown = sorted(set(given) - set(types))
    if unknown:
        raise dbus.exceptions.DBusException(
            f"a {kind} has no property {unknown[0]}; it has {', '.join(types)}", name=f"{BUS_NAME}.Error.InvalidArgs"
        )
    known = {**BY_DEFAULT[kind], **given}
    return {name: typed(known[name], kind) if name in known else empty(kind) for name, kind in types.items()}


def empty(signature):
    return EMPTY[signature] if signature in EMPTY else dbus.Array([], signature=signature[1:])


def typed(value, signature):
    """A value as D-Bus has to have it: whoever gives it may not know of all kinds of numbers."""
    makers = {"u": dbus.UInt32, "t": dbus.UInt64, "o": dbus.ObjectPath, "b": dbus.Boolean, "s": dbus.String}
    if signature in makers:
        return makers[signature](value)
    if signature.startswith("a"):
        return dbus.Array(value, signature=signature[1:])
    return dbus.Struct(value, signature=signature.strip("()"))


def methods(kind):
    def signature(node, way):
        return "".join(arg.attrib["type"] for arg in node.iter("arg") if arg.attrib["direction"] == way)

    found = interface(kind).iter("method")
    return [(one.attrib["name"], signature(one, "in"), signature(one, "out")) for one in found]


def escaped(name):
    """As sd_bus_path_encode() does it."""
    return "".join(
        char if re.fullmatch("[A-Za-z]" if place == 0 else "[A-Za-z0-9]", char) else "".join(
            f"_{byte:02x}" for byte in char.encode()
        )
        for place, char in enumerate(name)
    )  # fmt: skip


def load(mock, parameters):
    mock.AddMethods(MAIN_IFACE, [(*one, ANSWERS.get(one[2], "")) for one in methods("Manager")])
    mock.AddProperties(MAIN_IFACE, properties("Manager", parameters))


def update(mock, kind, values):
    """Change properties of any kind: UpdateProperties of dbusmock takes plain ones alone."""
    name = f"{BUS_NAME}.{kind}"
    mock.props[name].update(values)
    mock.EmitSignal(dbus.PROPERTIES_IFACE, "PropertiesChanged", "sa{sv}as", [name, values, []])


def add(mock, kind, path, given):
    answering = [(*one, ANSWERS.get(one[2], "")) for one in methods(kind)]
    mock.AddObject(path, f"{BUS_NAME}.{kind}", properties(kind, given), answering)
    held = dbus.Array(sorted(one for one in mockobject.objects if one.startswith(f"{MAIN_OBJ}/{kind.lower()}s/")), "o")
    update(mock, "Manager", {f"{kind}s": held})
    return path


@dbus.service.method(MOCK_IFACE, in_signature="sa{sv}", out_signature="o")
def AddSeed(self, uuid, given):  # noqa: N802 - D-Bus
    return add(self, "Seed", f"{MAIN_OBJ}/seeds/{escaped(uuid)}", {"Uuid": uuid, **given})


@dbus.service.method(MOCK_IFACE, in_signature="sa{sv}", out_signature="o")
def AddBundle(self, name, given):  # noqa: N802 - D-Bus
    return add(self, "Bundle", f"{MAIN_OBJ}/bundles/{escaped(name)}", {"Name": name, **given})


@dbus.service.method(MOCK_IFACE, in_signature="ua{sv}", out_signature="o")
def AddJob(self, number, given):  # noqa: N802 - D-Bus
    return add(self, "Job", f"{MAIN_OBJ}/jobs/{number}", {"Id": number, "Seed": "/", **given})


@dbus.service.method(MOCK_IFACE, in_signature="oa{sv}", out_signature="")
def Change(self, path, given):  # noqa: N802 - D-Bus
    """Change properties of a seed, a bundle or a job."""
    kind = path.split("/")[4].rstrip("s").capitalize()
    whole = properties(kind, given)
    update(mockobject.objects[path], kind, {name: whole[name] for name in given})


@dbus.service.method(MOCK_IFACE, in_signature="usss", out_signature="")
def EndJob(self, number, state, error, message):  # noqa: N802 - D-Bus
    """End a job as the daemon does: its new state, then both signals. done has neither error nor message."""
    path = f"{MAIN_OBJ}/jobs/{number}"
    job = mockobject.objects[path]
    Change(self, path, {"State": state, "Error": (error, message), "Progress": (100, message, 1)})
    job.EmitSignal(f"{BUS_NAME}.Job", "Completed", "bss", [not error, error, message])
    bundle = job.props[f"{BUS_NAME}.Job"]["Bundle"]
    self.EmitSignal(MAIN_IFACE, "JobRemoved", "uoss", [dbus.UInt32(number), dbus.ObjectPath(path), bundle, state])
