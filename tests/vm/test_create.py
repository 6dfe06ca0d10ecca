"""Seeds made on real sticks of FAT, where a rename exchanges nothing: made, refreshed, cut short, formatted."""

import json

import pytest

from tests.vm.conftest import MakeStick
from tests.vm.content import NAME, NEW, OLD, STORE
from tests.vm.guest import Failed, Guest
from tests.vm.looks import assert_published, digests, digests_of
from tests.vm.sticks import by_serial, seed

pytestmark = pytest.mark.vm

NEWER = "newer"
CREATE = ("dubseedctl", "create", f"{STORE}/{NEWER}", "--name", NAME, "--json", "--to")
SECONDS = 180.0


@pytest.mark.parametrize("filesystem", ["vfat", "exfat"])
def test_a_bundle_on_a_stick_is_brought_up_to_date_and_the_daemon_takes_it(
    stick: MakeStick, guest: Guest, filesystem: str
) -> None:
    both, old = stick("vfat", seed({NEWER: NEW})), stick(filesystem, seed({NAME: OLD}))
    guest.plug(both)
    guest.journal.until(event="bundle-installed", bundle=NEWER)
    guest.plug(old, port=2, serial="old")
    guest.journal.until(event="bundle-installed", bundle=NAME)
    told = json.loads(guest.run(*CREATE, by_serial("old"), seconds=SECONDS))
    assert told["bundle"]["outcome"] == "refreshed"
    guest.journal.until(event="bundle-installed", bundle=NAME, manifest=told["bundle"]["manifestSha256"])
    assert_published(guest, NEW, NEWER)
    assert digests(guest, f"{STORE}/{NAME}").items() >= digests_of(NEW).items()
    again = json.loads(guest.run(*CREATE, by_serial("old"), seconds=SECONDS))
    assert (again["bundle"]["outcome"], again["bundle"]["copied"]) == ("current", 0)


def test_a_stick_that_is_pulled_while_a_bundle_is_made_has_the_former_one_whole(stick: MakeStick, guest: Guest) -> None:
    both, old = stick("vfat", seed({NEWER: NEW})), stick("vfat", seed({NAME: OLD}), partition=True)
    guest.plug(both)
    guest.journal.until(event="bundle-installed", bundle=NEWER)
    guest.plug(old, port=2, serial="old")
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    guest.run("systemd-run", "--unit=making", *CREATE, f"{by_serial('old')}-part1")
    old.until_written(len(next(iter(NEW.values()))))
    guest.pull(old)
    guest.journal.until(message="making.service: Main process exited, code=exited, status=1")
    removed = guest.journal.until(event="seed-removed")
    guest.plug(old, port=3)
    guest.journal.until(after=removed, event="bundle-current", bundle=NAME)
    assert_published(guest, OLD)


def test_a_blank_drive_becomes_a_seed_by_its_model(stick: MakeStick, guest: Guest) -> None:
    blank = stick("ext4", {"holiday.jpg": b"sand"}, label="PHOTOS")
    guest.plug(stick("vfat", seed({NEWER: NEW})))
    guest.journal.until(event="bundle-installed", bundle=NEWER)
    guest.plug(blank, port=2, serial="blank")
    guest.run("udevadm", "wait", "--timeout=60", "--settle", by_serial("blank"), seconds=90)
    drive = guest.run("readlink", "-f", by_serial("blank")).strip()
    with pytest.raises(Failed, match="Ultra Fit"):
        guest.run("dubseedctl", "format", drive, "--expected", "Ultra Fit")
    assert guest.run("blkid", "--output", "value", "--match-tag", "LABEL", drive) == "PHOTOS\n"
    told = json.loads(
        guest.run("dubseedctl", "format", drive, "--expected", "QEMU HARDDISK", "--json", seconds=SECONDS)
    )
    assert (told["drive"]["vendor"], told["drive"]["removable"], told["seed"]["filesystem"]) == ("QEMU", True, "exfat")
    guest.run(*CREATE, told["seed"]["device"], seconds=SECONDS)
    guest.journal.until(event="bundle-installed", bundle=NAME)
