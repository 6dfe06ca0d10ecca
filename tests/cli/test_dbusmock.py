"""The python-dbusmock template, which authors of clients test against: dubseedctl takes it for the daemon."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.bus.interface import source
from dubseedd.names import BUS_NAME, MANAGER_INTERFACE, ROOT_PATH, ErrorName
from tests.machine import Machine, owned_or_exited
from tests.support.schema import document
from tools.machine import start

TEMPLATE = Path(__file__).resolve().parents[2] / "packaging/dbusmock/dubseedd.py"
PYTHON = "/usr/bin/python3"
RUN = "import sys; from dubseedd.cli.main import main; sys.exit(main())"

if subprocess.run((PYTHON, "-c", "import dbusmock"), capture_output=True, check=False).returncode:
    pytest.skip(f"{PYTHON} has no dbusmock: apt-get install python3-dbusmock", allow_module_level=True)


@pytest.fixture
async def mock(bus: Machine, tmp_path: Path) -> AsyncIterator[Machine]:
    """The bus that the mock is on."""
    with ExitStack() as undo:
        argv = (PYTHON, "-m", "dbusmock", "--system", "--template", str(TEMPLATE))
        process = start(undo, tmp_path, *argv, environment=bus.environment)
        assert await owned_or_exited(bus.bus_address, BUS_NAME, process.pid), (tmp_path / "python3.log").read_text()
        yield bus


def told(mock: Machine, member: str, *words: str) -> str:
    """Tell the mock what there is."""
    return mock.busctl("call", BUS_NAME, ROOT_PATH, "org.freedesktop.DBus.Mock", member, *words)


def ctl(mock: Machine, *words: str) -> "subprocess.Popen[str]":
    environment: Mapping[str, str] = {**os.environ, **mock.environment}
    argv = (sys.executable, "-c", RUN, *words)
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


async def test_dubseedctl_shows_what_the_mock_was_told(mock: Machine) -> None:
    told(mock, "AddSeed", "sa{sv}", "1234-ABCD", "2", "Device", "s", "/dev/sdb1", "Size", "u", "4096")
    told(mock, "AddBundle", "sa{sv}", "tiny-llama", "1", "Size", "u", "2000")
    told(mock, "AddJob", "ua{sv}", "7", "2", "Bundle", "s", "tiny-llama", "Progress", "(isi)", "40", "copying", "1")
    with ctl(mock, "status", "--json") as status:
        shown = document(status.communicate()[0])
    assert [(seed["uuid"], seed["size"]) for seed in shown["seeds"]] == [("1234-ABCD", 4096)]
    assert [bundle["path"] for bundle in shown["bundles"]] == [""]
    assert [(job["id"], job["progress"]["percentage"]) for job in shown["jobs"]] == [(7, 40)]


async def test_dubseedctl_follows_a_job_of_the_mock_to_its_end(mock: Machine) -> None:
    told(mock, "AddJob", "ua{sv}", "1", "1", "Bundle", "s", "tiny")
    with ctl(mock, "sync", "--bundle", "tiny") as sync:
        assert sync.stdout is not None
        assert sync.stdout.readline().startswith("tiny: copying")
        told(mock, "EndJob", "usss", "1", "failed", ErrorName.NO_SPACE.full, "the store is full; make room")
        _, said = sync.communicate()
    assert (sync.returncode, said) == (1, "dubseedctl: tiny: failed: the store is full; make room\n")


async def test_what_the_interface_does_not_have_is_refused(mock: Machine) -> None:
    with pytest.raises(Exception, match="a Seed has no property Colour; it has Uuid, "):
        told(mock, "AddSeed", "sa{sv}", "1", "1", "Colour", "s", "red")


async def test_it_has_every_method_and_property_of_the_interface(mock: Machine) -> None:
    paths = [
        ROOT_PATH,
        *(told(mock, *words).split('"')[1] for words in (
            ("AddSeed", "sa{sv}", "a", "0"), ("AddBundle", "sa{sv}", "a", "0"), ("AddJob", "ua{sv}", "1", "0"),
        )),
    ]  # fmt: skip
    for path, node in zip(paths, ET.fromstring(source()).iter("interface"), strict=True):
        name = node.attrib["name"]
        lines = mock.busctl("introspect", "--no-legend", BUS_NAME, path, name).splitlines()
        shown = {line.split()[0].removeprefix(".") for line in lines if line.split()[1] in ("method", "property")}
        assert shown == {one.attrib["name"] for kind in ("method", "property") for one in node.iter(kind)}
    assert MANAGER_INTERFACE in mock.busctl("introspect", BUS_NAME, ROOT_PATH)
