"""The Debian package on a machine that runs: upgraded in the middle of a sync, and purged."""

import pytest

from tests.vm.conftest import MakeStick
from tests.vm.content import NAME, NEW, SIZE_BYTES
from tests.vm.guest import Guest
from tests.vm.looks import assert_published, main_pid
from tests.vm.rootfs import PACKAGE
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm

BYTES_PER_SECOND = 1_500_000
DPKG_SECONDS = 180.0
REMAINS = r"""
find / -xdev \( -path /var/lib/dubnium/models -o -path /var/log -o -path /srv \) -prune -o \
    -name '*dubseed*' -print -o -path '*/dubnium/*' -print
ls -d /run/dubseedd 2>&- || true
"""
"""Whatever bears our name, but for the models, the logs and what the tests have brought along."""


def test_an_upgrade_of_the_package_in_a_sync_goes_on_where_it_was(stick: MakeStick, guest: Guest) -> None:
    drive = stick("ext4", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    guest.plug(drive)
    drive.until_read(SIZE_BYTES // 2)
    main = main_pid(guest)
    guest.run("dpkg", "--install", f"/{PACKAGE}", seconds=DPKG_SECONDS)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert main_pid(guest) != main
    assert_published(guest, NEW)


def test_what_is_purged_leaves_the_models_and_nothing_else(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    guest.plug(drive)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert guest.sh(REMAINS) != ""
    guest.run("dpkg", "--purge", "dubseedd", seconds=DPKG_SECONDS)
    assert guest.sh(REMAINS) == ""
    assert main_pid(guest) == "0"
    assert_published(guest, NEW)
