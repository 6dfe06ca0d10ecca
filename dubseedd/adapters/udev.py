"""udev: the block devices of this machine, and what happens to them.

The monitor is read on the running loop; a thread of pyudev's would die of its first overflow. What pyudev gives is
copied at once: a device may be gone a moment later, and what was read of it by then decides nothing.
"""

import asyncio
import os
import socket
from collections.abc import Callable

import pyudev

from dubseedd.adapters import sysfs
from dubseedd.adapters.udevdb import device_of
from dubseedd.core.device import BlockDevice, BlockEvent

EVENTS_A_TURN = 64
"""So many are taken in before the loop's other work has its turn: a storm of events delays nothing."""


class UdevDevices:
    """The port Devices. `receive_buffer_bytes` is libudev's own choice (128 MiB for root) unless given."""

    def __init__(self, *, receive_buffer_bytes: int | None = None) -> None:
        self._context = pyudev.Context()
        self._receive_buffer_bytes = receive_buffer_bytes
        self._undo: list[Callable[[], None]] = []

    def listed(self) -> list[BlockDevice]:
        """All block devices there are now."""
        return [snapshot(device) for device in self._context.list_devices(subsystem="block")]

    def present(self, device: BlockDevice) -> bool:
        """Is this very plug still in the kernel's list of devices?"""
        major, minor = device.number
        try:
            path = os.path.realpath(f"/sys/dev/block/{major}:{minor}", strict=True)
        except OSError:
            return False
        return sysfs.size(path) > 0 and sysfs.diskseq(path) in (device.diskseq, 0)

    def watch(self, on_event: Callable[[BlockEvent], None], on_lost: Callable[[], None]) -> Callable[[], None]:
        """Report every uevent from now on, on the running loop; `on_lost` when some were dropped. Returns the undo."""
        loop = asyncio.get_running_loop()
        monitor = pyudev.Monitor.from_netlink(self._context, source="udev")
        monitor.filter_by("block")
        if self._receive_buffer_bytes is not None:
            monitor.set_receive_buffer_size(self._receive_buffer_bytes)
        monitor.start()
        probe = socket.socket(fileno=os.dup(monitor.fileno()))
        loop.add_reader(probe, _drain, monitor, probe, on_event, on_lost)

        def undo() -> None:
            if probe.fileno() >= 0:
                loop.remove_reader(probe)
                probe.close()

        self._undo.append(undo)
        return undo

    def close(self) -> None:
        """Watch no more."""
        while self._undo:
            self._undo.pop()()


def _drain(
    monitor: pyudev.Monitor, probe: socket.socket, on_event: Callable[[BlockEvent], None], on_lost: Callable[[], None]
) -> None:
    """Take in what has come.

    After an overflow the socket is in error until somebody asks for the error, which pyudev does not: its `poll` would
    raise for ever, and the loop would spin.
    """
    for _ in range(EVENTS_A_TURN):
        try:
            device = monitor.poll(timeout=0)
        except OSError:
            probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            on_lost()
            continue
        if device is None:
            return
        on_event(BlockEvent(device.action or "", snapshot(device)))


def snapshot(device: pyudev.Device) -> BlockDevice:
    """What udev says of a device now; one that vanishes meanwhile is not ready."""
    path = device.sys_path
    try:
        loops = sysfs.loops(path)
    except OSError:
        loops = None
    number = device.device_number
    return device_of(device.properties, path, (os.major(number), os.minor(number)), loops)
