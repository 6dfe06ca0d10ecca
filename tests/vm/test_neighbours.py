"""What is around the daemon is restarted, or the daemon itself stops answering."""

import pytest

from tests.torture.amounts import randomness
from tests.torture.figures import Row
from tests.vm.amounts import amount
from tests.vm.conftest import READY, MakeStick, put_back, wants_more
from tests.vm.content import NAME, NEW, SIZE_BYTES, STATE
from tests.vm.guest import Guest
from tests.vm.looks import assert_published, assert_tidy, main_pid, open_descriptors
from tests.vm.nbd import Drive
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm

NEIGHBOURS = ("udisks2", "dbus", "polkit", "systemd-journald")
BYTES_PER_SECOND = 1_500_000
SLOW_BYTES_PER_SECOND = 100_000
INHIBITED = "systemd-inhibit --list --no-pager | grep -q dubseedd"


@pytest.mark.row
@pytest.mark.timeout(0)
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_sync_outlives_its_neighbours(stick: MakeStick, guest: Guest, neighbour: str) -> None:
    random = randomness("R14", neighbour)
    drive = stick("vfat", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    with Row("R14", f"{neighbour} killed and restarted in a sync") as row:
        while wants_more(row, amount("R14") // len(NEIGHBOURS)):
            offset = random.randrange(SIZE_BYTES)
            with row.point(f"after {offset:,} bytes"):
                put_back(guest, READY)
                kill_and_go_on(guest, drive, neighbour, offset)


def kill_and_go_on(guest: Guest, drive: Drive, neighbour: str, offset: int) -> None:
    descriptors = open_descriptors(guest)
    main = main_pid(guest)
    drive.bytes_read = 0
    guest.plug(drive)
    drive.until_read(offset)
    guest.run("systemctl", "kill", "--signal=KILL", f"{neighbour}.service")
    guest.run("systemctl", "start", neighbour)
    assert guest.run(*STATE).startswith("s ")
    until_installed(guest)
    assert_published(guest, NEW)
    assert main_pid(guest) == main, "the daemon was restarted as well"
    assert_tidy(guest, descriptors=descriptors)


def until_installed(guest: Guest) -> None:
    """By the history: the journal may be what was restarted."""
    history = "/var/lib/dubnium/models/.dubseed/history.jsonl"
    wait = f"tail -n +1 -f {history} | grep -m 1 safe-to-remove"
    guest.sh(f"timeout 60 sh -c '{wait}'", seconds=70)


def test_a_loop_that_is_stuck_is_ended_by_the_watchdog_and_the_next_start_goes_on(
    stick: MakeStick, guest: Guest
) -> None:
    drive = stick("exfat", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    guest.plug(drive)
    drive.until_read(SIZE_BYTES // 2)
    main = main_pid(guest)
    guest.run("kill", "-STOP", main)
    guest.journal.until(message="Watchdog timeout")
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert main_pid(guest) != main
    assert_published(guest, NEW)


def test_a_daemon_that_is_killed_is_started_again_and_goes_on(stick: MakeStick, guest: Guest) -> None:
    drive = stick("ntfs", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    guest.plug(drive)
    drive.until_read(SIZE_BYTES // 2)
    guest.run("systemctl", "kill", "--signal=KILL", "dubseedd")
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert_published(guest, NEW)


def test_the_machine_does_not_sleep_in_the_middle_of_a_sync(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}), bytes_per_second=SLOW_BYTES_PER_SECOND)
    guest.plug(drive)
    guest.sh(f"until {INHIBITED}; do sleep 0.2; done")
    drive.bytes_per_second = 0
    guest.journal.until(event="job-finished")
    guest.sh(f"while {INHIBITED}; do sleep 0.2; done")
