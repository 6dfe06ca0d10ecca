"""R5: the power goes while a bundle is copied, is published, and right after that was acknowledged."""

import pytest

from tests.support.bundles import published
from tests.torture.amounts import randomness
from tests.torture.figures import Row
from tests.vm.amounts import amount
from tests.vm.conftest import MakeStick, put_back, wants_more
from tests.vm.content import NAME, NEW, OLD, SIZE_BYTES, STORE
from tests.vm.guest import Guest
from tests.vm.looks import assert_published, assert_tidy, assert_whole, digests, digests_of, open_descriptors
from tests.vm.nbd import Drive
from tests.vm.sticks import seed

pytestmark = [pytest.mark.vm, pytest.mark.row]

INSTALLED = "installed"
MOMENTS = ("while copying", "while publishing", "once acknowledged")
BYTES_PER_SECOND = 3_000_000
PUBLISHING_SECONDS = 1.5
"""How long after the last byte was read a slow guest needs to verify and publish."""


@pytest.mark.timeout(0)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_power_cut_leaves_the_old_version_or_the_new_one(stick: MakeStick, guest: Guest, moment: str) -> None:
    random = randomness("R5", moment)
    old = stick("vfat", seed({NAME: OLD}))
    new = stick("ext4", seed({NAME: NEW}), bytes_per_second=BYTES_PER_SECOND)
    guest.plug(old)
    guest.journal.until(event="bundle-installed")
    guest.journal.until(event="safe-to-remove")
    guest.pull(old)
    guest.journal.until(event="seed-removed")
    guest.save(INSTALLED)
    with Row("R5", f"power cut of a booted machine, {moment}") as row:
        while wants_more(row, amount("R5") // len(MOMENTS)):
            fraction = random.random()
            with row.point(f"{moment}, at {fraction:.3f}"):
                put_back(guest, INSTALLED)
                guest.plug(new, port=1)
                acknowledged = cut(guest, new, moment, fraction)
                recovers(guest, new, acknowledged=acknowledged)


def cut(guest: Guest, drive: Drive, moment: str, fraction: float) -> bool:
    """Cut the power at this moment; was the new version acknowledged by then?"""
    drive.bytes_read = 0
    if moment == "while copying":
        drive.until_read(int(fraction * SIZE_BYTES))
    elif moment == "while publishing":
        drive.until_read(SIZE_BYTES)
        guest.journal.heard(PUBLISHING_SECONDS * fraction, event="bundle-installed")
    else:
        guest.journal.until(event="bundle-installed")
    guest.cut_power()
    return bool(guest.journal.told("bundle-installed"))


def recovers(guest: Guest, drive: Drive, *, acknowledged: bool) -> None:
    """The next boot finds one version whole, and the stick brings the new one."""
    guest.boot()
    assert_whole(guest, before=OLD, acknowledged=acknowledged)
    guest.run("systemctl", "start", "dubseedd")
    descriptors = open_descriptors(guest)
    was_new = digests(guest, f"{STORE}/{NAME}") == digests_of(published(NEW))
    guest.plug(drive, port=2)
    guest.journal.until(event="bundle-current" if was_new else "bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert_published(guest, NEW)
    assert digests(guest, f"{STORE}/.dubseed/previous/{NAME}") == digests_of(published(OLD))
    assert_tidy(guest, descriptors=descriptors)
    guest.pull(drive)
