"""udev, with real loop devices and a real udevd."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from dubseedd.adapters.udev import UdevDevices
from dubseedd.core.device import BlockDevice, BlockEvent
from tests.adapters.conftest import LABEL, Plug
from tests.machine import Machine
from tests.support.news import News
from tools.machine import run

TINY_BUFFER_BYTES = 4096


class Watching:
    """What a watcher has been told, until it is undone."""

    def __init__(self, devices: UdevDevices) -> None:
        self.events: list[BlockEvent] = []
        self.losses = 0
        self._news = News()
        self.until = self._news.until
        self.undo = devices.watch(self._on_event, self._on_lost)

    def _on_event(self, event: BlockEvent) -> None:
        self.events.append(event)
        self._news.set()

    def _on_lost(self) -> None:
        self.losses += 1
        self._news.set()

    async def device(self, wanted: Callable[[BlockDevice], bool]) -> BlockDevice:
        """The first device reported from now on, or before, that fits."""
        await self.until(lambda: any(wanted(event.device) for event in self.events))
        return next(event.device for event in self.events if wanted(event.device))


@pytest.fixture
def devices() -> Iterator[UdevDevices]:
    devices = UdevDevices()
    yield devices
    devices.close()


def found(devices: UdevDevices, node: str) -> BlockDevice:
    return next(device for device in devices.listed() if device.node == node)


async def test_a_stick_that_is_plugged_in_is_reported_with_all_that_udev_knows(
    devices: UdevDevices, plug: Plug
) -> None:
    watching = Watching(devices)
    stick = plug()
    device = await watching.device(lambda device: device.node == stick.node and device.is_seed(LABEL))
    uuid = run("blkid", "-p", "-o", "value", "-s", "UUID", stick.node).strip()
    assert (device.filesystem, device.usage, device.uuid) == ("ext4", "filesystem", uuid)
    assert device.size == 16 << 20
    assert device.number[0] == 7
    assert device.diskseq == stick.diskseq
    assert device.loops == (stick.node,)


async def test_a_stick_that_was_there_before_is_listed(devices: UdevDevices, plug: Plug) -> None:
    stick = plug()
    device = found(devices, stick.node)
    assert device.is_seed(LABEL)
    assert devices.present(device)


async def test_a_new_label_is_reported(devices: UdevDevices, plug: Plug) -> None:
    stick = plug()
    watching = Watching(devices)
    run("e2label", stick.node, "OTHER")
    run("udevadm", "trigger", "--settle", stick.node)
    device = await watching.device(lambda device: device.node == stick.node and device.label == "OTHER")
    assert not device.is_seed(LABEL)


async def test_a_detached_stick_is_reported_as_no_seed_and_is_present_no_more(devices: UdevDevices, plug: Plug) -> None:
    stick = plug()
    before = found(devices, stick.node)
    watching = Watching(devices)
    stick.pull()
    await watching.device(lambda device: device.node == stick.node and not device.is_seed(LABEL))
    assert not devices.present(before)


async def test_the_same_image_plugged_in_again_is_another_plug(devices: UdevDevices, plug: Plug) -> None:
    stick = plug()
    before = found(devices, stick.node)
    stick.pull()
    after = found(devices, plug().node)
    assert after.is_seed(LABEL)
    assert after.diskseq != before.diskseq
    assert devices.present(after)
    assert not devices.present(before)


async def test_a_watcher_that_was_undone_hears_nothing(devices: UdevDevices, plug: Plug) -> None:
    undone, watching = Watching(devices), Watching(devices)
    undone.undo()
    undone.undo()
    stick = plug()
    await watching.device(lambda device: device.node == stick.node)
    assert undone.events == []


async def test_lost_events_are_told_and_the_next_ones_arrive(plug: Plug) -> None:
    """The loop is held up while more events come than the tiny buffer takes."""
    devices = UdevDevices(receive_buffer_bytes=TINY_BUFFER_BYTES)
    watching = Watching(devices)
    try:
        for _ in range(20):
            run("udevadm", "trigger", "--settle", "--subsystem-match=block", "--sysname-match=loop*")
        await watching.until(lambda: watching.losses > 0)
        losses = watching.losses
        stick = plug()
        await watching.device(lambda device: device.node == stick.node and device.is_seed(LABEL))
    finally:
        devices.close()
    assert losses < 5


async def test_after_lost_events_the_loop_sleeps(devices: UdevDevices, machine: Machine) -> None:
    """A spinning reader would use the whole time; what is waited for is a process that takes half a second."""
    lossy = UdevDevices(receive_buffer_bytes=TINY_BUFFER_BYTES)
    watching = Watching(lossy)
    try:
        for _ in range(20):
            run("udevadm", "trigger", "--settle", "--subsystem-match=block", "--sysname-match=loop*")
        await watching.until(lambda: watching.losses > 0)
        used = await cpu_seconds_while("sleep", "0.5")
    finally:
        lossy.close()
    assert used < 0.2


async def cpu_seconds_while(*argv: str) -> float:
    before = time.process_time()
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
    await process.wait()
    return time.process_time() - before
