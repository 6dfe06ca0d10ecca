"""The unit as it really runs: its sandbox, its files as systemd and udev read them, the commands of the README."""

import re

import pytest

from tests.vm.conftest import BOOTED, MakeStick
from tests.vm.content import MANAGER, NAME, NEW
from tests.vm.guest import Guest
from tests.vm.sticks import seed

pytestmark = pytest.mark.vm

MOST_EXPOSURE = 1.8
UNIT = "/usr/lib/systemd/system/dubseedd.service"
RULES = "/usr/lib/udev/rules.d/80-dubseedd.rules"
SYSTEM_CALLS_LOGGED = "journalctl --boot --no-pager _TRANSPORT=kernel + _TRANSPORT=audit | grep type=1326 || true"
LOGGED = """[Service]
SystemCallFilter=
SystemCallLog=~@system-service
SystemCallLog=@privileged @resources
SystemCallLog=~ioprio_set setpriority
"""
"""The filter of the unit, reporting instead of denying: what it denies is not reported by the kernel."""


def test_the_unit_is_as_little_exposed_as_it_says(guest: Guest) -> None:
    told = guest.run("systemd-analyze", "security", "--no-pager", "dubseedd")
    match = re.search(r"Overall exposure level for dubseedd.service: ([0-9.]+)", told)
    assert match is not None, told
    assert float(match[1]) <= MOST_EXPOSURE, told


def test_systemd_and_udev_find_nothing_to_complain_of(guest: Guest) -> None:
    assert guest.run("systemd-analyze", "verify", "--man=no", UNIT) == ""
    if "verify" in guest.run("udevadm", "--help"):
        guest.run("udevadm", "verify", RULES)


@pytest.mark.parametrize("state", [BOOTED])
def test_a_whole_sync_calls_nothing_that_the_filter_denies(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: NEW}))
    guest.run("mkdir", "-p", "/run/systemd/system/dubseedd.service.d")
    guest.run("tee", "/run/systemd/system/dubseedd.service.d/log.conf", stdin=LOGGED)
    guest.run("systemctl", "daemon-reload")
    guest.plug(drive)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    guest.run("busctl", "call", *MANAGER, "Verify", "sa{sv}", NAME, "0")
    guest.journal.until(message=f"{NAME} is verified")
    guest.run("systemctl", "stop", "dubseedd")
    assert guest.sh(SYSTEM_CALLS_LOGGED) == ""
    guest.run("systemd-run", "--wait", "--quiet", "--property=SystemCallLog=uname", "uname")
    assert guest.sh(SYSTEM_CALLS_LOGGED) != "", "nothing would have been logged"


@pytest.mark.parametrize("state", [BOOTED])
def test_a_store_that_an_offline_sync_holds_is_waited_for(guest: Guest) -> None:
    """Longer than systemd would try by default."""
    own = "/var/lib/dubnium/models/.dubseed"
    guest.sh(f"install -d -m 700 {own}")
    guest.run("systemd-run", "--quiet", "--unit=holder", "flock", f"{own}/lock", "sleep", "infinity")
    guest.sh(f"until ! flock --nonblock {own}/lock true; do sleep 0.1; done")
    guest.run("systemctl", "start", "--no-block", "dubseedd")
    guest.sh('until [ "$(systemctl show -P NRestarts dubseedd)" -gt 5 ]; do sleep 1; done', seconds=240)
    guest.run("systemctl", "stop", "holder")
    guest.sh("until systemctl --quiet is-active dubseedd; do sleep 1; done", seconds=120)
    assert guest.run("busctl", "get-property", *MANAGER, "State") == 's "idle"\n'


def test_the_journal_explains_every_event_of_a_sync(stick: MakeStick, guest: Guest) -> None:
    guest.plug(stick("vfat", seed({NAME: NEW})))
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    events = [entry for entry in guest.journal.of_dubseedd() if "DUBSEED_EVENT" in entry]
    assert len(events) > 5
    for identifier in sorted({str(entry["MESSAGE_ID"]) for entry in events}):
        explained = guest.run("journalctl", "--no-pager", "-x", "--lines=1", f"MESSAGE_ID={identifier}")
        assert "░░ Subject: " in explained, identifier


def test_the_readmes_queries_answer_as_they_stand_there(stick: MakeStick, guest: Guest) -> None:
    name = "tiny-llama"
    guest.plug(stick("vfat", seed({name: NEW})))
    guest.journal.until(event="bundle-installed", bundle=name)
    guest.journal.until(event="safe-to-remove")
    tree = guest.run("busctl", "tree", "org.dubnium.Seed1")
    for path in ("bundles/tiny_2dllama", "jobs/1", "seeds/"):
        assert f"/org/dubnium/Seed1/{path}" in tree
    told = guest.run("busctl", "get-property", *MANAGER, "State", "Status", "SafeToRemove")
    assert told == 's "idle"\ns "1 bundle installed, nothing to do; the stick may be pulled out"\nb true\n'
    told = guest.run("busctl", "call", *MANAGER, "Verify", "sa{sv}", name, "0")
    assert told == 'ao 1 "/org/dubnium/Seed1/jobs/2"\n'
    told = guest.sh(f"journalctl DUBSEED_BUNDLE={name} DUBSEED_EVENT=bundle-installed -o verbose")
    assert f"MESSAGE={name} is installed: {len(NEW)} files" in told
    assert "DUBSEED_DEVICE=/dev/sda" in told
    status = guest.run("systemctl", "status", "--no-pager", "dubseedd")
    assert 'Status: "' in status
