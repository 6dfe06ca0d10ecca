"""Sticks that are slow, fail, hang and lie; stores that are full, or on another file system."""

import pytest

from tests.torture.figures import Row
from tests.vm.conftest import BOOTED, MakeStick
from tests.vm.content import NAME, NEW, STORE
from tests.vm.guest import Guest
from tests.vm.looks import assert_absent, assert_published
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm

SHARD = "model-00002-of-00003.safetensors"
SLOW_BYTES_PER_SECOND = 100_000
ANSWER_SECONDS = 0.1
SLOWER_THAN_THE_BUS = 3.0
"""A guest that is starved of processor time answers nothing within 100 ms: the bus itself tells what it can do."""
CANCEL_SECONDS = 2.0
CANCEL = "busctl call org.dubnium.Seed1 /org/dubnium/Seed1/jobs/1 org.dubnium.Seed1.Job Cancel"
HANG_SECONDS = 120
CLIENT = r"""
import asyncio, sys, time
sys.path.insert(0, "/usr/lib/dubseedd")
from dubseedd.adapters.bus import Connection

NAME, PATH = "org.dubnium.Seed1", "/org/dubnium/Seed1"

async def main():
    connection = await Connection.open()
    daemon = (NAME, PATH, "org.freedesktop.DBus.Properties", "GetAll", "s", [NAME + ".Manager"])
    bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId")
    times = {daemon[0]: [], bus[0]: []}
    for _ in range(int(sys.argv[1])):
        for call in (daemon, bus):
            began = time.monotonic()
            await connection.call(*call)
            times[call[0]].append(time.monotonic() - began)
        await asyncio.sleep(float(sys.argv[2]))
    await connection.close()
    print(*(sorted(taken)[int(len(taken) * 0.99)] for taken in times.values()))

asyncio.run(main())
"""


def test_a_sector_that_cannot_be_read_is_told_with_its_file(stick: MakeStick, guest: Guest) -> None:
    drive = stick("exfat", seed({NAME: NEW}))
    drive.bad.add(drive.sector_of(NEW[SHARD][100_000:]))
    guest.plug(drive)
    told = guest.journal.until(event="job-failed", bundle=NAME)
    assert told["DUBSEED_ERROR"].endswith(".ReadFailed")
    assert SHARD in told["MESSAGE"]
    assert_absent(guest)


def test_a_stick_that_answers_differently_at_the_second_read_is_called_failing(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    drive.fickle.add(drive.sector_of(NEW[SHARD][100_000:]))
    guest.plug(drive)
    told = guest.journal.until(event="job-failed", bundle=NAME)
    assert told["DUBSEED_ERROR"].endswith(".ChecksumMismatch")
    assert SHARD in told["MESSAGE"]
    assert "failing" in told["MESSAGE"]
    assert_absent(guest)


@pytest.mark.row
@pytest.mark.timeout(0)
def test_a_slow_stick_leaves_the_daemon_quick_to_answer_and_to_cancel(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}), bytes_per_second=SLOW_BYTES_PER_SECOND)
    with Row("R11", "a stick of 100 KB/s: answers, cancel") as row, row.point("slow"):
        guest.plug(drive)
        guest.journal.until(event="job-started")
        assert quick(guest, 300, 0.02)
        cancels(guest)


@pytest.mark.row
@pytest.mark.timeout(0)
def test_a_read_that_hangs_leaves_the_daemon_quick_to_answer_and_to_cancel(stick: MakeStick, guest: Guest) -> None:
    """The kernel would reset a stick that hangs for 30 s; here it is told to be patient."""
    drive = stick("ext4", seed({NAME: NEW}), bytes_per_second=800_000)
    with Row("R11", f"a read that hangs {HANG_SECONDS} s: answers, cancel, no restart") as row, row.point("hang"):
        guest.plug(drive)
        drive.until_read(1)
        guest.sh("until echo 600 > /sys/block/sda/device/timeout; do udevadm settle; done")
        guest.journal.until(event="job-started")
        main = guest.run("systemctl", "show", "-P", "MainPID", "dubseedd")
        drive.hang()
        assert quick(guest, HANG_SECONDS, 1.0)
        cancels(guest)
        drive.recover()
        guest.journal.until(event="safe-to-remove")
        assert guest.run("systemctl", "show", "-P", "MainPID", "dubseedd") == main
        assert_absent(guest)


def quick(guest: Guest, calls: int, pause_seconds: float) -> bool:
    told = guest.run("python3", "-c", CLIENT, str(calls), str(pause_seconds), seconds=calls * pause_seconds + 120)
    daemon, bus = map(float, told.split())
    limit = max(ANSWER_SECONDS, SLOWER_THAN_THE_BUS * bus)
    assert daemon < limit, f"p99 of {calls} answers: {daemon:.3f} s, of the bus itself {bus:.3f} s"
    return True


def cancels(guest: Guest) -> None:
    """Both times are of the guest's clock: what it tells may take longer to get here."""
    began = guest.sh(f"date +%s%6N; {CANCEL}")
    told = guest.journal.until(event="job-cancelled")
    seconds = (int(told["__REALTIME_TIMESTAMP"]) - int(began)) / 1_000_000
    assert seconds < CANCEL_SECONDS, f"cancelled after {seconds:.3f} s"


@pytest.mark.parametrize("state", [BOOTED])
@pytest.mark.parametrize("filesystem", ["btrfs", "xfs"])
def test_a_store_on_another_file_system_is_filled(stick: MakeStick, guest: Guest, filesystem: str) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    store_on(guest, filesystem, "400M")
    guest.plug(drive)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


@pytest.mark.parametrize("state", [BOOTED])
def test_a_full_store_refuses_in_one_sentence(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    store_on(guest, "ext4", "5M")
    guest.plug(drive)
    told = guest.journal.until(event="job-failed", bundle=NAME)
    assert told["DUBSEED_ERROR"].endswith(".NoSpace")
    assert_absent(guest)


def store_on(guest: Guest, filesystem: str, size: str) -> None:
    """A file system of its own for the store, and no reserve."""
    guest.sh(f"truncate -s {size} /var/store.img && mkfs.{filesystem} -q /var/store.img")
    guest.sh(f"mkdir -p {STORE} && mount -o loop /var/store.img {STORE} && rm -rf {STORE}/lost+found")
    guest.run("mkdir", "-p", "/etc/dubnium/dubseedd.d")
    guest.run("tee", "/etc/dubnium/dubseedd.d/vm.toml", stdin='[store]\nreserve = "0"\n')
