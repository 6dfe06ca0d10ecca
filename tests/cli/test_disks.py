"""A device mounted for the length of a block, by a UDisks2 that hangs when a test tells it to."""

import asyncio
import os

import pytest

from dubseedd.adapters.messages import DBUS, CallFailed, IncomingCall, Reply, Variant
from dubseedd.adapters.udisks import BLOCK, BLOCK_DEVICES, FILESYSTEM, SERVICE
from dubseedd.cli.disks import mounted
from dubseedd.core.device import BlockDevice
from dubseedd.service import patience
from tests.conftest import Connect

DEVICE = BlockDevice("/dev/sdb1", (8, 17), 1, "filesystem", "DUB-SEED", "1234-ABCD", "exfat", 1 << 30, ready=True)
POINT = "/run/media/DUB-SEED"
OBJECTS = {
    f"{BLOCK_DEVICES}/sdb1": {
        BLOCK: {
            "DeviceNumber": Variant("t", os.makedev(*DEVICE.number)),
            "IdLabel": Variant("s", DEVICE.label),
            "IdUUID": Variant("s", DEVICE.uuid),
        },
        FILESYSTEM: {"MountPoints": Variant("aay", [])},
    }
}


class Hangs:
    """It mounts, and lets so many calls to unmount go unanswered."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked: list[str] = []

    async def __call__(self, call: IncomingCall) -> Reply:
        if call.member == "GetManagedObjects":
            return Reply("a{oa{sa{sv}}}", [OBJECTS])
        self.asked.append(call.member)
        if call.member == "Mount":
            return Reply("s", [POINT])
        if self.asked.count("Unmount") <= self.times:
            raise CallFailed(f"{DBUS}.Error.NoReply", "it hangs")
        return Reply()


def use() -> str:
    with mounted(DEVICE, ("ro",)) as (point, _):
        return point


async def test_an_unmount_that_takes_long_is_told_of_while_it_is_tried_further(
    connect: Connect, bus_address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    monkeypatch.setattr(patience, "RETRIES_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(patience, "LONG_SECONDS", 0.0)
    udisks, connection = Hangs(times=2), await connect()
    connection.answer(udisks)
    await connection.request_name(SERVICE)
    assert await asyncio.to_thread(use) == POINT
    assert udisks.asked == ["Mount", "Unmount", "Unmount", "Unmount"]
    assert capsys.readouterr().err == (
        "dubseedctl: UDisks2 does not answer (it hangs); restart it: systemctl restart udisks2\n"
    )
