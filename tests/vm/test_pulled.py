"""R6: a stick pulled at a random offset, and plugged into another port."""

import pytest

from tests.torture.amounts import randomness
from tests.torture.figures import Row
from tests.vm.amounts import amount
from tests.vm.conftest import READY, MakeStick, put_back, wants_more
from tests.vm.content import NAME, NEW, SIZE_BYTES, STATE
from tests.vm.guest import Guest
from tests.vm.journal import Entry
from tests.vm.looks import assert_absent, assert_published, assert_tidy, assert_whole, open_descriptors
from tests.vm.nbd import Drive
from tests.vm.sticks import seed

pytestmark = [pytest.mark.vm, pytest.mark.row]

FILESYSTEMS = ("vfat", "exfat", "ntfs", "ext4")
BYTES_PER_SECOND = 1_500_000
READY_SECONDS = 5.0
PULLS_IN_A_ROUND = 3


@pytest.mark.timeout(0)
@pytest.mark.parametrize("filesystem", FILESYSTEMS)
def test_a_stick_pulled_at_random_offsets_is_gone_on_with(stick: MakeStick, guest: Guest, filesystem: str) -> None:
    """Up to three pulls a round; whatever was kept, so many bytes are still to be read that the next one comes."""
    random = randomness("R6", filesystem)
    drive = stick(filesystem, seed({NAME: NEW}))
    pulls = max(1, amount("R6") // len(FILESYSTEMS))
    with Row("R6", f"stick pulled at a random offset, {filesystem}") as row:
        while wants_more(row, pulls):
            put_back(guest, READY)
            descriptors, left = open_descriptors(guest), SIZE_BYTES
            count = min(PULLS_IN_A_ROUND, pulls - row.amount)
            for number in range(count):
                offset = random.randrange(left)
                left -= offset
                with row.point(f"pull {number + 1} of its round, after {offset:,} bytes"):
                    last = pull(guest, drive, port=1 + number, offset=offset)
                    is_last = number == count - 1 or "bundle-installed" in events(guest)
                    if is_last:
                        completes(guest, drive, port=5, after=last, descriptors=descriptors)
                if row.failures or is_last:
                    break


def pull(guest: Guest, drive: Drive, *, port: int, offset: int) -> Entry:
    """Plug it in and pull it after so many bytes; returns what said that it is gone."""
    plugs = events(guest).count("seed-added")
    drive.bytes_read, drive.bytes_per_second = 0, BYTES_PER_SECOND
    guest.plug(drive, port=port)
    guest.journal.until(message=f"usb 2-{port}: new ")  # QEMU reads the first bytes before the guest does
    drive.until_read(offset)
    guest.pull(drive)
    gone = guest.journal.until(message=f"usb 2-{port}: USB disconnect")
    if events(guest).count("seed-added") > plugs:
        gone = guest.journal.until(READY_SECONDS, after=gone, event="seed-removed")
    assert guest.run(*STATE).startswith("s "), "the daemon does not answer"
    assert_whole(guest, before=None, acknowledged="bundle-installed" in events(guest))
    return gone


def completes(guest: Guest, drive: Drive, *, port: int, after: Entry, descriptors: int) -> None:
    """The next plug brings what is missing, and nothing is left over."""
    acknowledged = "bundle-installed" in events(guest)
    drive.bytes_per_second = 0
    guest.plug(drive, port=port)
    guest.journal.until(after=after, event="bundle-current" if acknowledged else "bundle-installed", bundle=NAME)
    guest.journal.until(after=after, event="safe-to-remove")
    assert events(guest).count("job-interrupted") == events(guest).count("job-resumed")
    assert_published(guest, NEW)
    assert_tidy(guest, descriptors=descriptors)


def events(guest: Guest) -> list[str]:
    """The names of all that dubseedd has told so far."""
    return [str(entry.get("DUBSEED_EVENT")) for entry in guest.journal.of_dubseedd()]


def test_a_stick_pulled_at_98_percent_shows_nothing(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    guest.plug(drive)
    drive.until_read(SIZE_BYTES * 98 // 100)
    guest.pull(drive)
    guest.journal.until(event="job-interrupted", bundle=NAME)
    assert_absent(guest)
    guest.plug(drive, port=2)
    guest.journal.until(event="job-resumed", bundle=NAME)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)
