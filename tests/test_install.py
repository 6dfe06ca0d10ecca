"""`make install` into a folder: what stands there is what systemd, udev and dbus-daemon take."""

import asyncio
import os
import re
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import IncomingCall, Match, Reply
from dubseedd.bus.interface import load
from dubseedd.bus.tree import INTROSPECTABLE, OBJECT_MANAGER, PEER, PROPERTIES
from dubseedd.names import BUS_NAME, ROOT_PATH
from tests.support.standins import calls, search_path, stand_in
from tools.image import attached, empty_image

ROOT = Path(__file__).parent.parent
MAX_EXPOSURE = 1.8
NOBODY = 65534
BUS_DRIVER = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


def only_root_may(act: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"only root may {act}")


def run(*argv: str | Path, **options: object) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return str(done.stdout + done.stderr)


def made(target: str, stage: Path, *variables: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run make for a stage, with this interpreter and the dependencies that it has; nothing is downloaded."""
    words = ("make", "-o", "install-provision", target, f"DESTDIR={stage}", f"PYTHON={sys.executable}", "VENDOR=no")
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # these tests may run under a make of other variables
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(stage)}
    argv = (*words, *variables)
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, **options)


def make(target: str, stage: Path, *variables: str) -> None:
    """The same, which has to succeed."""
    done = made(target, stage, *variables)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def files(stage: Path) -> set[str]:
    return {f"/{path.relative_to(stage)}" for path in stage.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage")
    make("install", folder)
    return folder


def test_every_file_goes_where_its_reader_looks(stage: Path) -> None:
    outside_the_library = {file for file in files(stage) if not file.startswith("/usr/local/lib/dubseedd/")}
    assert outside_the_library >= {
        "/etc/dbus-1/system.d/org.dubnium.Seed1.conf",
        "/etc/dubnium/dubseedd.toml",
        "/usr/local/bin/dubseedctl",
        "/usr/local/bin/dubctl-seed",
        "/usr/local/bin/dubseed-notify",
        "/usr/local/share/bash-completion/completions/dubseedctl",
        "/usr/local/share/fish/vendor_completions.d/dubseedctl.fish",
        "/usr/local/share/zsh/site-functions/_dubseedctl",
        "/usr/local/share/man/man1/dubctl-seed.1",
        "/usr/local/share/man/man1/dubseed-notify.1",
        "/usr/local/share/man/man1/dubseedctl.1",
        "/usr/local/share/man/man5/dubseedd.toml.5",
        "/usr/local/share/man/man5/org.dubnium.Seed1.5",
        "/usr/local/share/man/man7/dubnium-seed.7",
        "/usr/local/share/man/man8/dubseedd.8",
        "/usr/local/bin/dubseedd",
        "/usr/local/lib/systemd/system/dubseedd.service",
        "/usr/local/lib/systemd/user/dubseed-notify.service",
        "/usr/local/lib/tmpfiles.d/dubseedd.conf",
        "/usr/local/lib/udev/rules.d/80-dubseedd.rules",
        "/usr/local/share/dubseedd/dubseedctl.schema.json",
        "/usr/local/share/python-dbusmock/templates/dubseedd.py",
        "/usr/local/share/dbus-1/interfaces/org.dubnium.Seed1.xml",
        "/usr/local/share/dbus-1/system-services/org.dubnium.Seed1.service",
        "/usr/share/polkit-1/actions/org.dubnium.seed1.policy",
    }


def test_the_policy_of_a_distribution_package_stays_out_of_etc(tmp_path: Path) -> None:
    make("install", tmp_path, "PREFIX=/usr")
    assert "/usr/share/dbus-1/system.d/org.dubnium.Seed1.conf" in files(tmp_path)
    assert {file for file in files(tmp_path) if file.startswith("/etc/")} == {"/etc/dubnium/dubseedd.toml"}
    unit = (tmp_path / "usr/lib/systemd/system/dubseedd.service").read_text()
    assert "ExecStart=/usr/bin/dubseedd\n" in unit
    unit = (tmp_path / "usr/lib/systemd/user/dubseed-notify.service").read_text()
    assert "ExecStart=/usr/bin/dubseed-notify\n" in unit


@pytest.mark.parametrize("prefix", ["/usr", "/usr/local", "/opt/dubseedd"])
def test_a_manual_page_names_the_schema_where_it_is(tmp_path: Path, prefix: str) -> None:
    make("install", tmp_path, f"PREFIX={prefix}")
    page = (tmp_path / prefix[1:] / "share/man/man1/dubseedctl.1").read_text()
    named = re.findall(r"/\S+/dubseedctl\.schema\.json", page)
    assert named == [f"{prefix}/share/dubseedd/dubseedctl.schema.json"]
    assert named[0] in files(tmp_path)


def test_no_file_knows_the_stage(stage: Path) -> None:
    knowing = [file for file in files(stage) if str(stage).encode() in (stage / file[1:]).read_bytes()]
    assert knowing == []


@pytest.mark.parametrize("program", ["dubseedd", "dubseedctl", "dubseed-notify"])
def test_the_installed_programs_run_from_the_stage(stage: Path, program: str) -> None:
    assert program in run(stage / "usr/local/bin" / program, "--help")


def test_the_installed_plug_in_of_dubctl_runs_from_the_stage(stage: Path) -> None:
    assert run(str(stage / "usr/local/bin/dubctl-seed"), "--help").startswith("usage: dubctl-seed {status,")


def test_uninstall_leaves_nothing(tmp_path: Path) -> None:
    make("install", tmp_path)
    make("uninstall", tmp_path)
    assert files(tmp_path) == set()
    left = {str(folder.relative_to(tmp_path / "usr/local")) for folder in (tmp_path / "usr/local").rglob("*")}
    assert left == {"bin", "lib", "share", "share/man"}


def test_an_install_that_gets_no_libraries_leaves_the_one_before_whole(tmp_path: Path) -> None:
    make("install", tmp_path)
    before = files(tmp_path)
    done = made("install", tmp_path, "VENDOR=yes")
    assert (done.returncode, files(tmp_path)) == (2, before)
    assert "pip could not fetch the libraries, see above; nothing was installed or changed\n" in done.stderr


@pytest.mark.parametrize("booted", [True, False])
def test_an_install_over_a_daemon_that_runs_starts_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, booted: bool
) -> None:
    programs = tmp_path / "programs"
    for name in ("systemctl", "systemd-tmpfiles", "journalctl", "udevadm"):
        stand_in(programs, name)
    stand_in(programs, "systemd-notify", f"exit {0 if booted else 1}")
    monkeypatch.setenv("PATH", search_path(programs))
    make("install", Path(), "DESTDIR=", f"PREFIX={tmp_path}/usr", f"SYSCONFDIR={tmp_path}/etc")
    assert (tmp_path / "usr/bin/dubseedctl").exists()
    told = ["daemon-reload", "reload dbus.service", "try-restart dubseedd.service"]
    assert calls(programs, "systemctl") == (told if booted else [])


def test_the_log_of_what_is_fetched_is_nobody_elses(tmp_path: Path) -> None:
    programs, temporary = tmp_path / "programs", tmp_path / "tmp"
    temporary.mkdir()
    for name in ("dpkg-query", "id"):
        stand_in(programs, name, "echo 0")  # nothing is there, and we are root
    stand_in(programs, "apt-get", f'stat --format="%a %n" {temporary}/* >>{tmp_path}/seen')
    told = {"PATH": search_path(programs), "TMPDIR": str(temporary)}
    run(ROOT / "tools/provision", "install", env=told, umask=0o022)
    modes = [line.split()[0] for line in (tmp_path / "seen").read_text().splitlines()]
    assert modes == ["600", "600"]  # of update and of install
    assert list(temporary.iterdir()) == []


@only_root_may("be somebody else")
def test_who_may_not_write_there_is_told_in_one_sentence(stage: Path) -> None:
    before = files(stage)
    done = made("install", stage, user=NOBODY)
    told, _of_make = done.stderr.splitlines()
    assert told.startswith(f"you may not write to {stage}/usr/local/lib/dubseedd: install as root")
    assert (done.returncode, files(stage)) == (2, before)


def test_models_and_a_changed_configuration_outlive_uninstall_and_install(tmp_path: Path) -> None:
    make("install", tmp_path)
    config = tmp_path / "etc/dubnium/dubseedd.toml"
    config.write_text('[sync]\nautomatic = "off"\n')
    model = tmp_path / "var/lib/dubnium/models/a-model/config.json"
    model.parent.mkdir(parents=True)
    model.write_text("{}")
    make("install", tmp_path)
    make("uninstall", tmp_path)
    assert files(tmp_path) == {"/etc/dubnium/dubseedd.toml", "/var/lib/dubnium/models/a-model/config.json"}
    assert config.read_text() == '[sync]\nautomatic = "off"\n'


def test_systemd_takes_the_unit(stage: Path, tmp_path: Path) -> None:
    unit = tmp_path / "dubseedd.service"
    installed = (stage / "usr/local/lib/systemd/system/dubseedd.service").read_text()
    unit.write_text(installed.replace("ExecStart=", f"ExecStart={stage}"))
    assert run("systemd-analyze", "verify", "--man=no", unit) == ""


def test_systemd_never_gives_the_daemon_up(stage: Path) -> None:
    """An offline sync refuses it the store for hours; and one that was killed goes on within five seconds."""
    unit = (stage / "usr/local/lib/systemd/system/dubseedd.service").read_text()
    before, _, service = unit.partition("[Service]")
    assert "\nStartLimitIntervalSec=0\n" in before
    assert "\nRestart=on-failure\n" in service
    wait = re.search(r"^RestartSec=(\d+)$", service, re.MULTILINE)
    assert wait is not None
    assert int(wait[1]) < 5


def test_the_sandbox_is_as_tight_as_promised(stage: Path) -> None:
    unit = stage / "usr/local/lib/systemd/system/dubseedd.service"
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level for dubseedd.service: ([\d.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= MAX_EXPOSURE


@only_root_may("make folders that belong to root")
def test_tmpfiles_makes_a_store_that_only_root_may_change(stage: Path) -> None:
    run("systemd-tmpfiles", "--create", f"--root={stage}", "dubseedd.conf")
    modes = {
        folder: oct((stage / folder).stat().st_mode & 0o7777)
        for folder in ("var/lib/dubnium", "var/lib/dubnium/models", "var/lib/dubnium/models/.dubseed")
    }
    assert list(modes.values()) == ["0o755", "0o755", "0o700"]


@only_root_may("attach an image and have a /dev of its own")
@pytest.mark.integration
@pytest.mark.parametrize(
    ("label", "action", "wanted"),
    [("DUB-SEED", "change", True), ("DUB-SEED", "remove", False), ("OTHER", "change", False)],
)
def test_udev_starts_the_service_for_a_seed_and_for_nothing_else(
    stage: Path, tmp_path: Path, label: str, action: str, wanted: bool
) -> None:
    """udev's own rehearsal with ours as the only local rule; /run and /dev are private, nothing stays."""
    script = """
        mount -t tmpfs tmpfs /run
        mkdir -p /run/udev/rules.d /run/nodes
        cp "$1" /run/udev/rules.d
        cp -a /dev/null "/dev/$3" /run/nodes
        mount -t tmpfs tmpfs /dev
        cp -a /run/nodes/* /dev
        exec udevadm test --action="$2" "/sys/class/block/$3"
    """
    rule = stage / "usr/local/lib/udev/rules.d/80-dubseedd.rules"
    image = empty_image(tmp_path / "stick.img", 8 << 20, "ext4", "-L", label)
    with attached(image, "--read-only") as node:
        device = Path(node).name
        said = run("unshare", "--mount", "sh", "-ec", script, "sh", rule, action, device)
    assert "80-dubseedd.rules" in said
    assert ("SYSTEMD_WANTS=dubseedd.service" in said) is wanted
    assert not re.search(r"80-dubseedd.rules:\d+ (?!.*PROGRAM).*(?:invalid|unknown|ignoring)", said, re.IGNORECASE)


@pytest.fixture
def bus(stage: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a system bus that knows our policy and no other."""
    address = f"unix:abstract={tmp_path}/bus"
    config = tmp_path / "bus.conf"
    config.write_text(f"""<busconfig>
      <type>system</type> <listen>{address}</listen> <auth>EXTERNAL</auth>
      <policy context="default"> <allow user="*"/> <deny own="*"/> <deny send_type="method_call"/>
        <allow send_destination="org.freedesktop.DBus"/> <allow send_type="signal"/>
        <allow send_requested_reply="true" send_type="method_return"/>
        <allow send_requested_reply="true" send_type="error"/>
        <allow receive_type="method_call"/> <allow receive_type="method_return"/>
        <allow receive_type="error"/> <allow receive_type="signal"/> </policy>
      <includedir>{stage}/etc/dbus-1/system.d</includedir>
    </busconfig>""")
    log = tmp_path / "bus.log"
    argv = ["dbus-daemon", "--nofork", "--print-address", f"--config-file={config}"]
    with (
        log.open("w") as errors,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True) as daemon,
    ):
        assert daemon.stdout is not None
        assert daemon.stdout.readline().startswith(address), log.read_text()
        yield address
        daemon.terminate()


async def busctl_call(bus: str, user: int, *words: str) -> str:
    """What busctl says when this user makes the call."""
    argv = ("busctl", f"--address={bus}", "call", *words)
    process = await asyncio.create_subprocess_exec(*argv, user=user, stdout=PIPE, stderr=STDOUT)
    said, _ = await process.communicate()
    return said.decode()


@only_root_may("call as another user")
async def test_only_root_may_own_the_name(bus: str) -> None:
    request = (*BUS_DRIVER, "RequestName", "su", BUS_NAME, "0")
    assert await busctl_call(bus, 0, *request) == "u 1\n"
    assert await busctl_call(bus, NOBODY, *request) == "Call failed: Access denied\n"


@pytest.fixture
async def daemon(bus: str) -> AsyncIterator[list[str]]:
    """Owns the name and notes what reaches it."""
    connection = await Connection.open(bus)
    await connection.request_name(BUS_NAME)
    reached: list[str] = []

    async def note(call: IncomingCall) -> Reply:
        reached.append(f"{call.interface}.{call.member}")
        return Reply()

    connection.answer(note)
    yield reached
    await connection.close()


@only_root_may("call as another user")
async def test_everyone_reaches_every_interface_of_the_daemon(bus: str, daemon: list[str]) -> None:
    interfaces = [*load(), INTROSPECTABLE, OBJECT_MANAGER, PEER, PROPERTIES]
    for interface in interfaces:
        assert await busctl_call(bus, NOBODY, BUS_NAME, ROOT_PATH, interface, "Any") == ""
    assert daemon == [f"{interface}.Any" for interface in interfaces]


@only_root_may("call as another user")
@pytest.mark.parametrize("interface", ["org.dubnium.Seed1", "org.freedesktop.DBus.Debug.Stats", "com.example.Other"])
async def test_no_other_interface_reaches_it(bus: str, daemon: list[str], interface: str) -> None:
    assert "Access denied" in await busctl_call(bus, NOBODY, BUS_NAME, ROOT_PATH, interface, "Any")
    assert daemon == []


@only_root_may("call as another user")
async def test_replies_and_signals_reach_it_through_its_own_policy(bus: str) -> None:
    """A deny of what goes to the name would keep these from us as well."""
    daemon, peer = await Connection.open(bus), await Connection.open(bus)
    await daemon.request_name(BUS_NAME)
    heard = asyncio.Event()
    await daemon.subscribe(Match(sender=peer.unique_name), lambda signal: heard.set())
    peer.emit("/", "com.example.Peer", "Changed", "", [])
    async with asyncio.timeout(20.0):
        await heard.wait()
    assert await daemon.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId")
    for connection in (daemon, peer):
        await connection.close()


def test_activation_goes_to_the_unit(stage: Path) -> None:
    activation = (stage / "usr/local/share/dbus-1/system-services/org.dubnium.Seed1.service").read_text().splitlines()
    unit = (stage / "usr/local/lib/systemd/system/dubseedd.service").read_text().splitlines()
    assert {"Name=org.dubnium.Seed1", "SystemdService=dubseedd.service"} <= set(activation)
    assert "BusName=org.dubnium.Seed1" in unit
