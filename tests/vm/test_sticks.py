"""Real USB sticks in a booted machine: every file system, every way to be there."""

import pytest

from tests.support.bundles import model_files
from tests.vm.conftest import MakeStick
from tests.vm.content import LITTER, NAME, NEW, OLD
from tests.vm.guest import Guest
from tests.vm.looks import assert_published, mounts
from tests.vm.sticks import PASSPHRASE, seed

pytestmark = pytest.mark.vm


WHOLE, PARTITION = False, True
BIG = model_files(shards=3, shard_bytes=6_000_000)
"""So large that what is read to find a stick and look at it is nothing beside it."""


@pytest.mark.parametrize(
    ("filesystem", "partition"),
    [
        ("vfat", WHOLE),
        ("vfat", PARTITION),
        ("exfat", PARTITION),
        ("ntfs", WHOLE),
        ("ext4", WHOLE),
        ("ext4", PARTITION),
        ("xfs", PARTITION),
        ("btrfs", WHOLE),
    ],
)
def test_each_file_system_is_taken(stick: MakeStick, guest: Guest, filesystem: str, partition: bool) -> None:
    drive = stick(filesystem, seed({NAME: NEW}), partition=partition)
    guest.plug(drive)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert_published(guest, NEW)


def test_a_stick_that_was_in_other_systems_is_taken_without_their_litter(stick: MakeStick, guest: Guest) -> None:
    guest.plug(stick("exfat", seed({NAME: NEW}, beside=LITTER)))
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


def test_a_stick_made_by_the_runbooks_own_commands_is_taken(stick: MakeStick, guest: Guest) -> None:
    files = {path: data for path, data in seed({NAME: NEW}).items() if not path.endswith("SHA256SUMS")}
    guest.plug(stick("vfat", files, partition=True, runbook=True))
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


@pytest.mark.parametrize("filesystem", ["vfat", "ext4", "xfs"])
def test_a_write_protected_stick_is_taken(stick: MakeStick, guest: Guest, filesystem: str) -> None:
    guest.plug(stick(filesystem, seed({NAME: NEW}), read_only=True))
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert_published(guest, NEW)


def test_a_stick_is_mounted_with_every_protection_and_unmounted_when_it_is_read(stick: MakeStick, guest: Guest) -> None:
    guest.plug(stick("exfat", seed({NAME: NEW}), bytes_per_second=1_000_000))
    guest.journal.until(event="seed-mounted")
    options = guest.run("findmnt", "--noheadings", "--output", "OPTIONS", "--source", "/dev/sda").split(",")
    assert {"ro", "nosuid", "nodev", "noexec", "nosymfollow"} <= set(options)
    guest.journal.until(event="safe-to-remove")
    assert mounts(guest) == ""


def test_an_encrypted_stick_is_taken_once_it_is_unlocked(stick: MakeStick, guest: Guest) -> None:
    guest.plug(stick("ext4", seed({NAME: NEW}), encrypted=True))
    guest.run("udevadm", "wait", "--timeout=60", "--settle", "/dev/sda", seconds=90)
    assert guest.journal.told("seed-added") == []
    guest.run("cryptsetup", "open", "--key-file=-", "/dev/sda", "unlocked", stdin=PASSPHRASE)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    assert_published(guest, NEW)


def test_the_same_stick_again_is_current_and_its_weights_are_not_read(stick: MakeStick, guest: Guest) -> None:
    drive = stick("vfat", seed({NAME: BIG}))
    guest.plug(drive)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    guest.journal.until(event="safe-to-remove")
    guest.pull(drive)
    guest.journal.until(event="seed-removed")
    guest.run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
    drive.bytes_read = 0
    guest.plug(drive, port=2)
    guest.journal.until(event="bundle-current", bundle=NAME)
    assert drive.bytes_read < sum(map(len, BIG.values())) // 2


def test_a_stick_of_another_label_is_nobodys_business(stick: MakeStick, guest: Guest) -> None:
    other = stick("vfat", seed({NAME: OLD}), label="PHOTOS")
    guest.plug(other)
    guest.run("udevadm", "wait", "--timeout=60", "--settle", "/dev/disk/by-label/PHOTOS", seconds=90)
    guest.plug(stick("vfat", seed({NAME: NEW})), port=2)
    guest.journal.until(event="bundle-installed", bundle=NAME)
    assert len(guest.journal.told("seed-added")) == 1
    assert_published(guest, NEW)
