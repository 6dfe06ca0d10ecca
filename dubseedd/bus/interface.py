"""Our interfaces as org.dubnium.Seed1.xml declares them: the one source of every signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from xml.etree import ElementTree as ET

FILE = "org.dubnium.Seed1.xml"


@dataclass(frozen=True, slots=True)
class Method:
    """The signatures of its arguments and of what it returns."""

    takes: str
    returns: str


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: signatures by name, and its XML for introspection."""

    name: str
    methods: Mapping[str, Method]
    signals: Mapping[str, str]
    properties: Mapping[str, str]
    xml: str


@cache
def load() -> Mapping[str, Interface]:
    """Every interface of the file by name."""
    return parse(source())


def source() -> str:
    """The XML file as it is installed."""
    return files("dubseedd.bus").joinpath(FILE).read_text(encoding="utf-8")


def parse(xml: str) -> Mapping[str, Interface]:
    """The interfaces of a node by name."""
    root = ET.fromstring(xml)  # noqa: S314 - every text is our own
    return {interface.name: interface for interface in map(_interface, root.findall("interface"))}


def _interface(element: ET.Element) -> Interface:
    return Interface(
        name=element.attrib["name"],
        methods={
            method.attrib["name"]: Method(_signature(method, "in"), _signature(method, "out"))
            for method in element.findall("method")
        },
        signals={signal.attrib["name"]: _signature(signal, "") for signal in element.findall("signal")},
        properties={found.attrib["name"]: found.attrib["type"] for found in element.findall("property")},
        xml=ET.tostring(element, encoding="unicode").strip(),
    )


def _signature(element: ET.Element, direction: str) -> str:
    return "".join(arg.attrib["type"] for arg in element.findall("arg") if arg.get("direction", "") == direction)
