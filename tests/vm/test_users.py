"""Who may do what on a machine with a real logind and polkit: `op` sits at its screen, `guest` is logged in nowhere."""

import pytest

from tests.vm.conftest import MakeStick
from tests.vm.content import MANAGER, NAME, NEW
from tests.vm.guest import Failed, Guest
from tests.vm.looks import assert_published
from tests.vm.sticks import RUNBOOK, seed

pytestmark = pytest.mark.vm

SYNC = ("busctl", "call", *MANAGER, "Sync", "ssa{sv}", "", "", "0")
STATUS = ("busctl", "get-property", *MANAGER, "Status")
IN_SESSION = 'echo $$ > "/sys/fs/cgroup$(sed s/0::// /proc/$(pgrep -u op -t tty1 | head -n 1)/cgroup)/cgroup.procs"'
AS_OP = f'{IN_SESSION}; exec runuser -u op -- "$@"'

MADE_BY_HAND = f"""
mkdir -p /srv/tree/models/{NAME}
cd /srv/tree/models/{NAME}
echo {{}} > config.json
{RUNBOOK}
truncate -s 32M /srv/stick.img
mkfs.ext4 -q -L DUB-SEED -d /srv/tree /srv/stick.img
cp /srv/stick.img /srv/of-op.img
chown op /srv/of-op.img
"""
STACKED = 'echo 0 $(blockdev --getsz "$1") linear "$1" 0 | dmsetup create stacked'


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
    guest.journal.until(event="safe-to-remove")
    assert guest.journal.told("bundle-installed") == []
    guest.run("sh", "-c", AS_OP, "sh", *SYNC)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


def test_what_a_user_sets_up_as_a_loop_device_is_no_seed_nor_is_what_stands_on_it(guest: Guest) -> None:
    """Whoever sits at the machine may have UDisks2 set a loop device up, with any file system that they like."""
    guest.sh(MADE_BY_HAND)
    setup = ("udisksctl", "loop-setup", "--no-user-interaction", "--file", "/srv/of-op.img")
    said = guest.run("sh", "-c", AS_OP, "sh", *setup)
    node = said.rpartition(" as ")[2].strip().rstrip(".")
    refused = guest.journal.until(event="seed-refused", device=node)
    guest.run("sh", "-c", STACKED, "sh", node)
    stacked = guest.journal.until(event="seed-refused", device="/dev/dm-0")
    for entry in (refused, stacked):
        assert f"stands on the loop device {node}, which a user has set up" in str(entry["MESSAGE"])
    guest.run("losetup", "--find", "/srv/stick.img")
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert guest.journal.told("seed-mounted")[0].startswith("DUB-SEED (/dev/loop")
    assert len(guest.journal.told("seed-mounted")) == 1
