"""R6: a stick pulled at a random offset, and plugged into another port."""

import pytest

from tests.torture.amounts import randomness
from tests.torture.figures import Row
from tests.vm.amounts import amount
from tests.vm.conftest import READY, MakeStick, put_back
from tests.vm.content import NAME, NEW, SIZE_BYTES
from tests.vm.guest import Guest
from tests.vm.looks import assert_absent, assert_published, assert_tidy, assert_whole, open_descriptors
from tests.vm.nbd import Drive
from tests.vm.sticks import seed

pytestmark = [pytest.mark.vm, pytest.mark.row]

FILESYSTEMS = ("vfat", "exfat", "ntfs", "ext4")
BYTES_PER_SECOND = 1_500_000
READY_SECONDS = 5.0


@pytest.mark.timeout(0)
@pytest.mark.parametrize("filesystem", FILESYSTEMS)
def test_a_stick_pulled_at_a_random_offset_is_gone_on_with(stick: MakeStick, guest: Guest, filesystem: str) -> None:
    random = randomness("R6", filesystem)
    drive = stick(filesystem, seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    with Row("R6", f"stick pulled at a random offset, {filesystem}") as row:
        for _ in range(max(1, amount("R6") // len(FILESYSTEMS))):
            offset = random.randrange(SIZE_BYTES)
            with row.point(f"pulled after {offset:,} bytes"):
                put_back(guest, READY)
                pull_and_plug_again(guest, drive, offset)


def pull_and_plug_again(guest: Guest, drive: Drive, offset: int) -> None:
    descriptors = open_descriptors(guest)
    drive.bytes_read = 0
    guest.plug(drive, port=1)
    drive.until_read(offset, 60)
    guest.pull(drive)
    gone = guest.journal.until(60, message="USB disconnect")
    if guest.journal.told("seed-added"):
        gone = guest.journal.until(READY_SECONDS, event="seed-removed")
    acknowledged = bool(guest.journal.told("bundle-installed"))
    assert_whole(guest, before=None, acknowledged=acknowledged)
    guest.plug(drive, port=2)
    told = guest.journal.until(60, after=gone, event="bundle-current" if acknowledged else "bundle-installed")
    guest.journal.until(60, after=gone, event="safe-to-remove")
    assert told["DUBSEED_BUNDLE"] == NAME
    assert bool(guest.journal.told("job-interrupted")) == bool(guest.journal.told("job-resumed"))
    assert_published(guest, NEW)
    assert_tidy(guest, descriptors=descriptors)
    guest.pull(drive)


def test_a_stick_pulled_at_98_percent_shows_nothing(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    guest.plug(drive)
    drive.until_read(SIZE_BYTES * 98 // 100, 60)
    guest.pull(drive)
    guest.journal.until(30, event="job-interrupted", bundle=NAME)
    assert_absent(guest)
    guest.plug(drive, port=2)
    guest.journal.until(60, event="job-resumed", bundle=NAME)
    guest.journal.until(60, event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)
