"""R12: two to four sticks at once, with the same bundle, or with other content under its name."""

import pytest

from tests.torture.amounts import randomness
from tests.torture.figures import Row
from tests.vm.amounts import amount
from tests.vm.conftest import BOOTED, READY, MakeStick, put_back, wants_more
from tests.vm.content import NAME, NEW, OLD
from tests.vm.guest import Guest
from tests.vm.journal import Entry
from tests.vm.looks import assert_absent, assert_published, assert_tidy, assert_whole, open_descriptors
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm

FILESYSTEMS = ("vfat", "exfat", "ntfs", "ext4")


@pytest.mark.row
@pytest.mark.timeout(0)
def test_sticks_with_the_same_bundle_install_it_once(stick: MakeStick, guest: Guest) -> None:
    random = randomness("R12 same")
    drives = [stick(filesystem, seed({NAME: NEW})) for filesystem in FILESYSTEMS]
    with Row("R12", "two to four sticks with the same bundle") as row:
        while wants_more(row, amount("R12") // 2):
            count = 2 + row.amount % 3
            order = random.sample(drives, count)
            with row.point(f"{[drive.image.name for drive in order]}"):
                put_back(guest, READY)
                descriptors = open_descriptors(guest)
                for number, drive in enumerate(order, 1):
                    guest.plug(drive, port=number)
                until_all_are_safe(guest, count)
                assert len(guest.journal.told("bundle-installed")) == 1
                assert_published(guest, NEW)
                assert_tidy(guest, descriptors=descriptors)


@pytest.mark.row
@pytest.mark.timeout(0)
def test_sticks_with_other_content_under_one_name_leave_one_of_them(stick: MakeStick, guest: Guest) -> None:
    random = randomness("R12 other")
    drives = [stick(kind, seed({NAME: files})) for kind in ("vfat", "exfat") for files in (OLD, NEW)]
    with Row("R12", "two to four sticks with other content under one name") as row:
        while wants_more(row, amount("R12") // 2):
            count = 2 + row.amount % 3
            order = random.sample(drives, count)
            with row.point(f"{[drive.image.name for drive in order]}"):
                put_back(guest, READY)
                descriptors = open_descriptors(guest)
                for number, drive in enumerate(order, 1):
                    guest.plug(drive, port=number)
                until_all_are_safe(guest, count)
                assert_whole(guest, before=OLD, acknowledged=False)
                assert_tidy(guest, descriptors=descriptors)


@pytest.mark.parametrize("state", [BOOTED])
def test_other_content_under_one_name_at_start_is_a_conflict(stick: MakeStick, guest: Guest) -> None:
    drives = [stick("vfat", seed({NAME: files})) for files in (OLD, NEW)]
    guest.run("systemctl", "mask", "--runtime", "--quiet", "dubseedd")
    for number, drive in enumerate(drives, 1):
        guest.plug(drive, port=number, serial=f"clash{number}")
    nodes = [f"/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_clash{number}-0:0" for number in (1, 2)]
    guest.run("udevadm", "wait", "--timeout=60", "--settle", *nodes, seconds=90)
    guest.run("systemctl", "unmask", "--runtime", "--quiet", "dubseedd")
    guest.run("systemctl", "start", "dubseedd")
    told = guest.journal.until(event="bundle-refused", bundle=NAME)
    assert told["DUBSEED_ERROR"].endswith(".Conflict")
    until_all_are_safe(guest, 2)
    assert_absent(guest)


def until_all_are_safe(guest: Guest, count: int) -> None:
    """Each of the sticks may be pulled."""
    last: Entry | None = None
    for _ in range(count):
        last = guest.journal.until(after=last, event="safe-to-remove")
