"""What dubseedd needs of a machine: bus, udevd, polkitd, udisksd. What runs is used, what is missing is started.

    with ExitStack() as undo:
        machine = provide(undo, folder)

A machine that boots systemd has all of it; anywhere else the bus is a private one, under the machine's own policies
and ours. Everything is undone by `undo`, in reverse order.
"""

import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from dubseedd.names import BUS_NAME

ROOT = Path(__file__).resolve().parent.parent
POLICY = ROOT / "packaging" / "dbus" / f"{BUS_NAME}.conf"
UDEVD = ("/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd")
POLKITD = ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd")
UDISKSD = ("/usr/libexec/udisks2/udisksd", "/usr/lib/udisks2/udisksd")
START_SECONDS = 20.0
STOP_SECONDS = 10.0
POLICY_FOLDERS = ("/etc/dbus-1/system.d", "/usr/share/dbus-1/system.d")

LEFT_BEHIND = ("/run/udev", "/run/udisks2", "/dev/disk", "/dev/block")
MOUNT_FOLDERS = ("/media/root", "/run/media/root")
"""What the started daemons make and do not remove; the latter may hold mounts of others, and go only when empty."""

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/> <deny own="*"/> <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/> <allow receive_type="method_return"/>
    <allow receive_type="error"/> <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <includedir>/usr/share/dbus-1/system.d</includedir>
  <includedir>/etc/dbus-1/system.d</includedir>
  <include>{policy}</include>
</busconfig>
"""


class CannotRun(Exception):
    """What this machine lacks, in one sentence."""


@dataclass(frozen=True)
class Machine:
    """`environment` lets every program find the bus; `journal` tells whether there is one."""

    environment: Mapping[str, str]
    journal: bool


def provide(undo: ExitStack, folder: Path, *, private: bool = False) -> Machine:
    """A machine that has everything; `folder` takes logs and sockets. `private` keeps off the machine's own bus."""
    if os.geteuid() != 0:
        raise CannotRun("only root may attach a stick and mount it: run it with sudo")
    for folder_of_mounts in MOUNT_FOLDERS:
        if not os.path.exists(folder_of_mounts):
            undo.callback(remove_if_empty, folder_of_mounts)
    if not private and Path("/run/systemd/system").is_dir():
        return booted_machine(undo)
    for left in LEFT_BEHIND:
        if not os.path.exists(left):
            undo.callback(shutil.rmtree, left, ignore_errors=True)
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": private_bus(undo, folder)}
    if not succeeds("udevadm", "control", "--ping", "--timeout=2"):
        start(undo, folder, program_of("udev", *UDEVD), environment=environment)
        until("udevd", lambda: succeeds("udevadm", "control", "--ping", "--timeout=2"))
        run("udevadm", "trigger", "--subsystem-match=block", "--action=add", "--settle")
    start(undo, folder, program_of("polkitd", *POLKITD), "--no-debug", environment=environment)
    until("polkitd", lambda: is_on_bus("org.freedesktop.PolicyKit1", environment))
    start(undo, folder, program_of("udisks2", *UDISKSD), environment=environment)
    until("udisksd", lambda: is_on_bus("org.freedesktop.UDisks2", environment))
    return Machine(environment=environment, journal=False)


def remove_if_empty(folder: str) -> None:
    with suppress(OSError):
        os.rmdir(folder)


def booted_machine(undo: ExitStack) -> Machine:
    """The machine's own bus and services; our policy comes to it for the time being, unless it is installed."""
    environment = dict(os.environ)
    if is_on_bus(BUS_NAME, environment):
        raise CannotRun("a dubseedd runs on this machine already and would take the stick: systemctl stop dubseedd")
    if not any((Path(folder) / POLICY.name).exists() for folder in POLICY_FOLDERS):
        policy = Path(POLICY_FOLDERS[0]) / f"try-{POLICY.name}"
        undo.callback(reload_bus)
        undo.callback(policy.unlink, missing_ok=True)
        shutil.copyfile(POLICY, policy)
        reload_bus()
    if not succeeds("systemctl", "is-active", "udisks2.service"):
        undo.callback(run, "systemctl", "stop", "udisks2.service", check=False)
        run("systemctl", "start", "udisks2.service")
    return Machine(environment=environment, journal=True)


def reload_bus() -> None:
    """Let the system bus read its policies again."""
    target = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
    run("busctl", "call", *target, "ReloadConfig")


def private_bus(undo: ExitStack, folder: Path) -> str:
    """A bus of our own; the address is abstract, so that polkitd reaches it whoever may enter `folder`."""
    config = folder / "bus.conf"
    config.write_text(BUS_CONFIG.format(address=f"unix:abstract={folder}/bus", policy=POLICY))
    argv = ("dbus-daemon", "--nofork", "--nopidfile", "--print-address", f"--config-file={config}")
    return first_line(undo, folder, *argv)


# Programs


def program_of(package: str, *places: str) -> str:
    """Where a Debian package keeps its daemon."""
    for place in places:
        if os.path.exists(place):
            return place
    raise CannotRun(f"{places[0]} is missing: apt-get install {package}")


def start(
    undo: ExitStack,
    folder: Path,
    *argv: str,
    environment: Mapping[str, str],
    stdout: int | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a daemon in a session of its own (Ctrl-C is not for it); what it says goes to `folder`/NAME.log."""
    with (folder / f"{Path(argv[0]).name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
            start_new_session=True,
        )
    undo.callback(stop, process)
    return process


def first_line(undo: ExitStack, folder: Path, *argv: str) -> str:
    """Start a daemon that says on its first line where it can be found. CannotRun where it says nothing."""
    process = start(undo, folder, *argv, environment=os.environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    undo.callback(process.stdout.close)
    if not (told := process.stdout.readline().decode().strip()):
        name = Path(argv[0]).name
        raise CannotRun(f"{name} does not start: {(folder / f'{name}.log').read_text().strip()}")
    return told


def start_display(undo: ExitStack, folder: Path, size: str) -> str:
    """Start an X server that nobody looks at, of WIDTHxHEIGHT; the name of its display."""
    return ":" + first_line(undo, folder, "Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End it politely, then not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_notifying(
    undo: ExitStack, folder: Path, *argv: str, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a daemon that tells systemd when it is ready, and wait for that."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"\0{folder}/notify")
        address = f"@{folder}/notify"
        process = start(undo, folder, *argv, environment={**environment, "NOTIFY_SOCKET": address})
        exited = os.pidfd_open(process.pid)
        try:
            while True:
                readable, _, _ = select.select([notify.fileno(), exited], [], [], START_SECONDS)
                if notify.fileno() not in readable:
                    break
                if b"READY=1" in notify.recv(4096).split(b"\n"):
                    return process
        finally:
            os.close(exited)
    said = (folder / f"{Path(argv[0]).name}.log").read_text().strip()
    raise CannotRun(f"{' '.join(argv)} does not start: {said}")


def run(*argv: str, environment: Mapping[str, str] | None = None, check: bool = True) -> str:
    """The output of a short command."""
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise CannotRun(f"{' '.join(argv)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def succeeds(*argv: str, environment: Mapping[str, str] | None = None) -> bool:
    """Does this command end well?"""
    done = subprocess.run(argv, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return done.returncode == 0


def is_on_bus(name: str, environment: Mapping[str, str]) -> bool:
    """Has somebody this name, without starting him?"""
    query = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", "s")
    return succeeds("busctl", "call", *query, name, environment=environment)


def until(who: str, is_there: Callable[[], bool]) -> None:
    """Wait for a daemon that has no way to tell when it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while not is_there():
        if time.monotonic() > deadline:
            raise CannotRun(f"{who} does not answer within {START_SECONDS:.0f} s")
        time.sleep(0.05)
