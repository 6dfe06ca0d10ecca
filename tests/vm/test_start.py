"""How the daemon comes to a stick: at boot, by udev, by D-Bus, by hand, after the stick."""

import pytest

from tests.vm.conftest import BOOTED, MakeStick
from tests.vm.content import MANAGER, NAME, NEW
from tests.vm.guest import Guest
from tests.vm.looks import assert_published
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm


@pytest.fixture
def state() -> str:
    """Nothing has started dubseedd yet."""
    return BOOTED


def test_a_stick_starts_the_daemon_by_udev(stick: MakeStick, guest: Guest) -> None:
    assert guest.run("systemctl", "is-active", "dubseedd", check=False) == "inactive\n"
    guest.plug(stick("vfat", seed({NAME: NEW})))
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


def test_a_call_starts_the_daemon_by_the_bus(guest: Guest) -> None:
    answer = guest.run("busctl", "--timeout=60", "get-property", *MANAGER, "Version")
    assert answer.startswith('s "')
    guest.journal.until(message="Started dubseedd.service")


def test_a_stick_that_was_plugged_before_the_service_started_is_taken(stick: MakeStick, guest: Guest) -> None:
    drive = stick("exfat", seed({NAME: NEW}), partition=True)
    guest.run("systemctl", "mask", "--runtime", "--quiet", "dubseedd")
    guest.plug(drive)
    guest.run("udevadm", "wait", "--timeout=60", "--settle", "/dev/disk/by-label/DUB-SEED", seconds=90)
    guest.run("systemctl", "unmask", "--runtime", "--quiet", "dubseedd")
    guest.run("systemctl", "start", "dubseedd")
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


def test_a_stick_that_is_there_at_boot_is_taken(stick: MakeStick, guest: Guest) -> None:
    drive = stick("ext4", seed({NAME: NEW}))
    guest.cut_power()
    guest.boot(drive)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)
