"""R13: more plugs and udev events than any hand can make."""

import pytest

from tests.torture.figures import Row
from tests.vm.amounts import amount
from tests.vm.conftest import MakeStick
from tests.vm.content import MANAGER, NAME, NEW
from tests.vm.guest import Guest
from tests.vm.looks import assert_published
from tests.vm.sticks import seed

pytestmark = [pytest.mark.vm, pytest.mark.row]

EVENTS_PER_PLUG = 50
EVENTS_AT_ONCE = 1000
"""udevd looks through all that waits at each event: ten thousand at once are not done in twenty minutes."""
MORE_KIB = 20 << 10
SEEDS = ("get-property", *MANAGER, "Seeds")


@pytest.mark.timeout(0)
def test_a_storm_of_plugs_and_events_leaves_the_last_state(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    plugs, events = amount("R13"), amount("R13") * EVENTS_PER_PLUG
    with Row("R13", f"{plugs:,} plugs and {events:,} udev events") as row, row.point("storm"):
        guest.plug(drive)
        first = guest.journal.until(event="safe-to-remove")
        before = resident(guest)
        for number in range(plugs):
            guest.pull(drive)
            guest.plug(drive, port=1 + number % 4)
        guest.journal.until(after=first, event="safe-to-remove")
        for sent in range(0, events, EVENTS_AT_ONCE):
            count = min(EVENTS_AT_ONCE, events - sent)
            guest.sh(f"for n in $(seq {count}); do echo change > /sys/block/sda/uevent; done", seconds=1200)
            guest.run("udevadm", "settle", "--timeout=1200", seconds=1200)
        assert guest.run("busctl", *SEEDS).startswith("ao 1 ")
        guest.pull(drive)
        guest.run("udevadm", "settle", "--timeout=60", seconds=90)
        guest.sh(f"until [ \"$(busctl {' '.join(SEEDS)})\" = 'ao 0' ]; do udevadm settle; done")
        assert_published(guest, NEW)
        assert len(guest.journal.told("bundle-installed")) == 1
        assert resident(guest) - before < MORE_KIB


def resident(guest: Guest) -> int:
    """KiB of the daemon."""
    return int(guest.sh("awk '/^VmRSS/ {print $2}' /proc/$(systemctl show -P MainPID dubseedd)/status"))
