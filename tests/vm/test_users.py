"""Who may do what on a machine with a real logind and polkit: `op` sits at its screen, `guest` is logged in nowhere."""

import pytest

from tests.vm.conftest import MakeStick
from tests.vm.content import MANAGER, NAME, NEW
from tests.vm.guest import Failed, Guest
from tests.vm.looks import assert_published
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm

SYNC = ("busctl", "call", *MANAGER, "Sync", "ssa{sv}", "", "", "0")
STATUS = ("busctl", "get-property", *MANAGER, "Status")
IN_SESSION = 'echo $$ > "/sys/fs/cgroup$(sed s/0::// /proc/$(pgrep -u op -t tty1 | head -n 1)/cgroup)/cgroup.procs"'


def test_everybody_may_read_and_who_has_no_session_may_change_nothing(guest: Guest) -> None:
    assert guest.run("runuser", "-u", "guest", "--", *STATUS).startswith('s "')
    with pytest.raises(Failed, match="you are not allowed to sync bundles"):
        guest.run("runuser", "-u", "guest", "--", *SYNC)


def test_who_sits_at_the_machine_may_sync_without_a_password(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    guest.run("mkdir", "-p", "/etc/dubnium/dubseedd.d")
    guest.run("tee", "/etc/dubnium/dubseedd.d/vm.toml", stdin='[sync]\nautomatic = "off"\n')
    guest.run("systemctl", "reload", "dubseedd")
    guest.plug(drive)
    guest.journal.until(60, event="safe-to-remove")
    assert guest.journal.told("bundle-installed") == []
    guest.run("sh", "-c", f'{IN_SESSION}; exec runuser -u op -- "$@"', "sh", *SYNC)
    guest.journal.until(60, event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)
