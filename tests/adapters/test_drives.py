"""Drives as the real kernel and the real UDisks2 know them, on loop devices."""

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.drives import Drives
from dubseedd.adapters.udev import UdevDevices
from dubseedd.adapters.udevdb import block_device
from dubseedd.adapters.udisks import UDisks
from dubseedd.core.device import Number
from tests.adapters.conftest import LABEL, Plug
from tests.machine import Machine
from tools.image import attached
from tools.machine import run, succeeds

BTRFS_BYTES = 128 << 20


@pytest.fixture
async def drives(machine: Machine) -> AsyncIterator[Drives]:
    connection = await Connection.open(machine.bus_address)
    client = UDisks(lambda: connection)
    await client.attach(connection)
    yield Drives(client)
    client.detach()
    await connection.close()


def number_of(node: str) -> Number:
    number = os.stat(node).st_rdev
    return os.major(number), os.minor(number)


async def test_a_loop_device_is_a_drive_with_no_model_and_not_removable(drives: Drives, plug: Plug) -> None:
    stick = plug()
    drive = await drives.look(number_of(stick.node))
    assert (drive.node, drive.disk, drive.size) == (stick.node, stick.node, 16 << 20)
    assert (drive.model, drive.serial, drive.removable, drive.read_only) == ("", "", False, False)
    assert (drive.image, drive.name) == (str(stick.image), "stick.img")
    (part,) = drive.parts
    assert (part.filesystem, part.label, part.mount_points, part.swap, part.holders) == ("ext4", LABEL, (), False, ())


async def test_every_device_of_a_mounted_btrfs_is_in_use(drives: Drives, tmp_path: Path) -> None:
    """Its mount shows one of them, and its number is that of none."""
    images = [tmp_path / "one", tmp_path / "other"]
    for image in images:
        with image.open("wb") as file:
            file.truncate(BTRFS_BYTES)
    with ExitStack() as undo:
        one, other = (undo.enter_context(attached(image)) for image in images)
        run("mkfs.btrfs", "-q", "-f", "-d", "single", one, other)
        run("btrfs", "device", "scan", one, other)
        run("mount", one, str(tmp_path))
        undo.callback(run, "umount", str(tmp_path))
        for node in (one, other):
            drive = await drives.look(number_of(node))
            assert drive.parts[0].mount_points == (str(tmp_path),)
            assert drive.claimed


async def test_what_can_be_made_here_is_what_there_is_a_mkfs_for(drives: Drives) -> None:
    makers = await drives.makers()
    assert "ext4" in makers
    assert ("exfat" in makers) is succeeds("which", "mkfs.exfat")


def test_udevs_database_says_what_libudev_says(plug: Plug) -> None:
    stick = plug()
    (device,) = (device for device in UdevDevices().listed() if device.node == stick.node)
    assert block_device(device.number) == device
    assert device.is_seed(LABEL)
