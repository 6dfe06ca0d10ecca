"""File systems through UDisks2, the real one, on a bus of its own, with loop devices as sticks."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dubseedd.adapters import udisks
from dubseedd.adapters.bus import Connection
from dubseedd.adapters.filesystems import MOUNT_ATTEMPTS, Filesystems
from dubseedd.adapters.messages import BusGone, CallFailed, IncomingCall, RemoteError, Reply, Variant
from dubseedd.adapters.udev import UdevDevices
from dubseedd.adapters.udisks import BLOCK, BLOCK_DEVICES, FILESYSTEM, SERVICE, UDisks
from dubseedd.core.device import BlockDevice, Number
from dubseedd.errors import SeedGone, StoreTrouble
from dubseedd.names import ErrorName
from tests.adapters.conftest import Plug, Stick
from tests.conftest import Connect
from tests.machine import Machine
from tests.support.news import News
from tools.machine import run

SAFE = ("ro", "nosuid", "nodev", "noexec", "nosymfollow", "noload")
STICK = BlockDevice(
    node="/dev/sdb1",
    number=(8, 17),
    diskseq=12,
    usage="filesystem",
    label="DUB-SEED",
    uuid="u-1",
    filesystem="ext4",
    size=1 << 30,
    ready=True,
)


@pytest.fixture
async def connection(machine: Machine) -> AsyncIterator[Connection]:
    connection = await Connection.open(machine.bus_address)
    yield connection
    await connection.close()


@pytest.fixture
async def disks(connection: Connection) -> AsyncIterator[Filesystems]:
    client = UDisks(lambda: connection)
    disks = Filesystems(client)
    await client.attach(connection)
    yield disks
    client.detach()


class DiesOfMounting:
    """A connection to a udisksd that ends, and is started again, between the first mount and the answer."""

    def __init__(self, connection: Connection, machine: Machine) -> None:
        self._connection = connection
        self._machine = machine
        self._lives = True

    async def call(self, service: str, path: str, interface: str, member: str, *rest: Any, **more: Any) -> list[Any]:
        answer = await self._connection.call(service, path, interface, member, *rest, **more)
        if member == "Mount" and self._lives:
            self._lives = False
            self._machine.restart_udisksd()
            raise RemoteError("org.freedesktop.DBus.Error.NoReply", "left the bus without replying")
        return answer


class Falters:
    """A udisksd that finds the mount point taken each time, and is not there at the last attempt."""

    def __init__(self, connection: Connection) -> None:
        block = {
            "DeviceNumber": Variant("t", os.makedev(*STICK.number)),
            "IdLabel": Variant("s", STICK.label),
            "IdUUID": Variant("s", STICK.uuid),
        }
        self._objects = {f"{BLOCK_DEVICES}/sdb1": {BLOCK: block, FILESYSTEM: {"MountPoints": Variant("aay", [])}}}
        self._attempts = 0
        connection.answer(self._answer)

    async def _answer(self, call: IncomingCall) -> Reply:
        if call.member == "GetManagedObjects":
            return Reply("a{oa{sa{sv}}}", [self._objects])
        self._attempts += 1
        if self._attempts < MOUNT_ATTEMPTS:
            raise CallFailed(f"{SERVICE}.Error.Failed", "Error creating mount point: File exists")
        raise CallFailed("org.freedesktop.DBus.Error.NoReply", "left the bus without replying")


class Mounts:
    """The mount points that were reported, the last of each device."""

    def __init__(self, disks: Filesystems) -> None:
        self.last: dict[Number, tuple[str, ...]] = {}
        self._news = News()
        self.until = self._news.until
        disks.watch(self._on_change)

    def _on_change(self, number: Number, points: tuple[str, ...]) -> None:
        self.last[number] = points
        self._news.set()


def device_of(stick: Stick) -> BlockDevice:
    devices = UdevDevices()
    return next(device for device in devices.listed() if device.node == stick.node)


def wanted() -> bool:
    return True


def options_of(point: str) -> set[str]:
    return set(run("findmnt", "--noheadings", "--output", "OPTIONS", point).strip().split(","))


async def test_a_stick_is_found_as_soon_as_udisks_knows_it(disks: Filesystems, plug: Plug) -> None:
    device = device_of(plug())
    disk = await disks.find(device)
    assert (disk.mount_points, disk.drive, disk.serial) == ((), "", "")


async def test_a_stick_is_mounted_with_the_safe_options_and_unmounted(disks: Filesystems, plug: Plug) -> None:
    device = device_of(plug())
    point, ours = await disks.mount(device, SAFE, wanted)
    assert ours
    assert options_of(point) >= {"ro", "nosuid", "nodev", "noexec", "nosymfollow", "norecovery"}
    await disks.unmount(device)
    assert not Path(point).is_mount()


async def test_what_is_not_wanted_any_more_is_not_mounted(disks: Filesystems, plug: Plug) -> None:
    device = device_of(plug())
    with pytest.raises(SeedGone):
        await disks.mount(device, SAFE, lambda: False)
    assert (await disks.find(device)).mount_points == ()


async def test_what_somebody_else_has_mounted_is_used_where_it_is(
    disks: Filesystems, plug: Plug, tmp_path: Path
) -> None:
    stick = plug()
    device = device_of(stick)
    await disks.find(device)
    point = tmp_path / "elsewhere"
    os.mkdir(point)
    run("mount", stick.node, str(point))
    assert await disks.mount(device, SAFE, wanted) == (str(point), False)
    run("umount", str(point))


async def test_to_unmount_what_is_not_mounted_is_success(disks: Filesystems, plug: Plug) -> None:
    device = device_of(plug())
    await disks.find(device)
    await disks.unmount(device)


async def test_to_unmount_a_pulled_stick_is_success(disks: Filesystems, plug: Plug) -> None:
    stick = plug()
    device = device_of(stick)
    await disks.mount(device, SAFE, wanted)
    stick.pull()
    await disks.unmount(device)


async def test_a_busy_stick_is_not_unmounted_and_the_sentence_says_so(disks: Filesystems, plug: Plug) -> None:
    device = device_of(plug())
    point, _ = await disks.mount(device, SAFE, wanted)
    reader = os.open(point, os.O_RDONLY)
    try:
        with pytest.raises(StoreTrouble, match=f"{device.node} is busy") as caught:
            await disks.unmount(device)
    finally:
        os.close(reader)
    assert caught.value.error is ErrorName.MOUNT_FAILED
    assert Path(point).is_mount()
    await disks.unmount(device)


async def test_an_option_that_nobody_knows_is_refused_with_the_reason(disks: Filesystems, plug: Plug) -> None:
    device = device_of(plug())
    with pytest.raises(StoreTrouble, match="bogusoption") as caught:
        await disks.mount(device, ("ro", "bogusoption"), wanted)
    assert caught.value.error is ErrorName.MOUNT_FAILED


async def test_two_sticks_of_one_label_are_mounted_at_once(disks: Filesystems, plug: Plug) -> None:
    one, other = device_of(plug("one")), device_of(plug("other"))
    mounted = await asyncio.gather(disks.mount(one, SAFE, wanted), disks.mount(other, SAFE, wanted))
    assert [ours for _, ours in mounted] == [True, True]
    assert len({point for point, _ in mounted}) == 2
    assert all("nosymfollow" in options_of(point) for point, _ in mounted)
    await asyncio.gather(disks.unmount(one), disks.unmount(other))


async def test_another_stick_on_the_same_node_is_not_taken_for_the_one_meant(disks: Filesystems, plug: Plug) -> None:
    """The label is the same; the file system is not."""
    stick = plug()
    meant = device_of(stick)
    await disks.find(meant)
    run("tune2fs", "-U", "random", stick.node)
    run("udevadm", "trigger", "--settle", stick.node)
    await disks.find(device_of(stick))
    await disks.mount(device_of(stick), SAFE, wanted)
    await disks.unmount(meant)
    assert (await disks.find(device_of(stick))).mount_points
    await disks.unmount(device_of(stick))


async def test_a_loop_device_of_root_is_owned_by_root(disks: Filesystems, plug: Plug) -> None:
    assert await disks.loop_owner(plug().node) == 0


async def test_power_off_leaves_alone_what_has_no_drive(disks: Filesystems, plug: Plug) -> None:
    stick = plug()
    device = device_of(stick)
    await disks.find(device)
    await disks.power_off(device)
    assert (await disks.find(device)).mount_points == ()


async def test_a_mount_that_udisksd_did_not_live_to_tell_of_is_ours(
    machine: Machine, connection: Connection, plug: Plug
) -> None:
    client = UDisks(lambda: DiesOfMounting(connection, machine))
    disks = Filesystems(client)
    await client.attach(connection)
    device = device_of(plug())
    point, ours = await disks.mount(device, SAFE, wanted)
    assert ours
    assert {"ro", "noexec"} <= options_of(point)
    await disks.unmount(device)
    assert not Path(point).is_mount()
    client.detach()


async def test_a_udisksd_that_is_silent_at_the_last_attempt_is_a_mount_failure(connect: Connect) -> None:
    connection, service = await connect(), await connect()
    Falters(service)
    await service.request_name(SERVICE)
    with pytest.raises(StoreTrouble, match="UDisks2 does not answer"):
        await Filesystems(UDisks(lambda: connection)).mount(STICK, SAFE, wanted)


async def test_mounts_of_others_are_reported(disks: Filesystems, plug: Plug, tmp_path: Path) -> None:
    stick = plug()
    device = device_of(stick)
    mounts = Mounts(disks)
    await disks.find(device)
    run("mount", stick.node, str(tmp_path))
    await mounts.until(lambda: mounts.last.get(device.number) == (str(tmp_path),))
    assert disks.mount_points(device.number) == (str(tmp_path),)
    run("umount", str(tmp_path))
    await mounts.until(lambda: mounts.last.get(device.number) == ())
    assert disks.mount_points(device.number) == ()


async def test_a_mount_made_while_udisksd_was_away_is_reported(
    machine: Machine, disks: Filesystems, plug: Plug, tmp_path: Path
) -> None:
    stick = plug()
    device = device_of(stick)
    mounts = Mounts(disks)
    await disks.find(device)
    machine.stop_udisksd()
    with ExitStack() as undo:
        run("mount", stick.node, str(tmp_path))
        undo.callback(run, "umount", str(tmp_path))
        machine.start_udisksd()
        await mounts.until(lambda: mounts.last.get(device.number) == (str(tmp_path),))


async def test_a_signal_that_udisks_did_not_send_changes_nothing(
    machine: Machine, connection: Connection, disks: Filesystems, plug: Plug, tmp_path: Path
) -> None:
    """Any user may send us a signal directly; the real mount after it is the only one reported."""
    stick = plug()
    device = device_of(stick)
    mounts = Mounts(disks)
    await disks.find(device)
    path = f"/org/freedesktop/UDisks2/block_devices/{os.path.basename(stick.node)}"
    forged = ("aay", "1", "4", "47", "101", "118", "0")
    machine.busctl(
        "emit", f"--destination={connection.unique_name}", path,
        "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
        "org.freedesktop.UDisks2.Filesystem", "1", "MountPoints", *forged, "0",
    )  # fmt: skip
    run("mount", stick.node, str(tmp_path))
    seen: list[tuple[str, ...]] = []
    disks.watch(lambda number, points: seen.append(points) if number == device.number else None)
    await mounts.until(lambda: mounts.last.get(device.number) == (str(tmp_path),))
    run("umount", str(tmp_path))
    await mounts.until(lambda: mounts.last.get(device.number) == ())
    assert ("/ev",) not in seen


async def test_a_stick_that_comes_while_udisks_is_restarted_is_found(
    machine: Machine, disks: Filesystems, plug: Plug
) -> None:
    device = device_of(plug())
    machine.stop_udisksd()
    finding = asyncio.ensure_future(disks.find(device))
    await asyncio.sleep(0)
    await asyncio.to_thread(machine.start_udisksd)
    assert (await finding).mount_points == ()


async def test_a_stick_that_comes_while_there_is_no_bus_is_found(connection: Connection, plug: Plug) -> None:
    link: list[Connection] = []

    def current() -> Connection:
        if not link:
            raise BusGone("the system bus cannot be reached")
        return link[0]

    client = UDisks(current)
    disks = Filesystems(client)
    device = device_of(plug())
    finding = asyncio.ensure_future(disks.find(device))
    await asyncio.sleep(0)
    link.append(connection)
    await client.attach(connection)
    assert (await finding).mount_points == ()
    client.detach()


async def test_without_udisks_the_sentence_says_what_to_look_at(
    machine: Machine, disks: Filesystems, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udisks, "APPEAR_SECONDS", 0.1)
    device = device_of(plug())
    machine.stop_udisksd()
    try:
        with pytest.raises(StoreTrouble, match="systemctl restart udisks2") as caught:
            await disks.mount(device, SAFE, wanted)
    finally:
        machine.start_udisksd()
    assert caught.value.error is ErrorName.MOUNT_FAILED


async def test_without_a_bus_every_call_is_a_mount_failure(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udisks, "APPEAR_SECONDS", 0.1)

    def gone() -> Connection:
        raise BusGone("the system bus cannot be reached")

    disks = Filesystems(UDisks(gone))
    device = device_of(plug())
    for call in (disks.find(device), disks.mount(device, SAFE, wanted), disks.unmount(device), disks.power_off(device)):
        with pytest.raises(StoreTrouble, match="UDisks2 does not answer"):
            await call
    with pytest.raises(StoreTrouble, match="UDisks2 does not answer"):
        await disks.loop_owner(device.node)


async def test_the_owner_of_a_loop_device_is_told_only_once_udisks_has_looked_at_it(
    disks: Filesystems, plug: Plug
) -> None:
    """Before that it says 0 for every loop device, also for one that a user has just set up."""
    device = device_of(plug("known"))
    await disks.find(device)
    node = run("losetup", "--find").strip()
    owner = asyncio.ensure_future(disks.loop_owner(node))
    await asyncio.gather(*(disks.find(device) for _ in range(3)))
    assert not owner.done()
    assert plug("later").node == node
    assert await owner == 0
