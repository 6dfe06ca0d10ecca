"""Which drive may be erased, in which words it is refused, and what it is made into."""

from dataclasses import replace

import pytest

from dubseedd.core.drive import EXFAT, EXT4, Drive, Part, check_drive, choose_filesystem
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName

STORE = "/var/lib/dubnium/models"
ITSELF = Part("/dev/sdb", 8 << 30, "", "")
FIRST = Part("/dev/sdb1", 8 << 30, "vfat", "OLD")
STICK = Drive(
    node="/dev/sdb",
    disk="/dev/sdb",
    vendor="ACME",
    model="Ultra Fit",
    serial="42",
    size=8 << 30,
    removable=True,
    read_only=False,
    parts=(ITSELF, FIRST),
)
TAKEN = ("vfat", "exfat", "ext4")


def with_part(**facts: object) -> Drive:
    return replace(STICK, parts=(ITSELF, replace(FIRST, **facts)))  # type: ignore[arg-type]


def refusal(drive: Drive, *, any_drive: bool = False) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        check_drive(drive, any_drive=any_drive, store=STORE)
    return caught.value


def test_a_stick_that_nobody_uses_is_taken_whatever_is_on_it() -> None:
    check_drive(STICK, any_drive=False, store=STORE)


@pytest.mark.parametrize(
    ("drive", "error", "words"),
    [
        (
            replace(STICK, node="/dev/sdb1"),
            ErrorName.INVALID_ARGS,
            "a partition, and a seed takes the whole drive; name that: dubseedctl format /dev/sdb",
        ),
        (with_part(mount_points=("/media/x",)), ErrorName.BUSY, "/dev/sdb1 is mounted at /media/x; unmount it first"),
        (with_part(mount_points=("/",)), ErrorName.BUSY, "/dev/sdb1 holds / of the running system; name another"),
        (with_part(mount_points=("/media/x", "/nix/store")), ErrorName.BUSY, "holds /nix/store of the running system"),
        (with_part(mount_points=("/boot/efi",)), ErrorName.BUSY, "holds /boot/efi of the running system"),
        (with_part(mount_points=("/var/lib",)), ErrorName.BUSY, "holds /var/lib of the running system"),
        (with_part(mount_points=(STORE,)), ErrorName.BUSY, f"holds {STORE} of the running system"),
        (with_part(swap=True), ErrorName.BUSY, "/dev/sdb1 is used as swap; end that first: swapoff /dev/sdb1"),
        (
            with_part(holders=("the RAID /dev/md0 (raid1)",)),
            ErrorName.BUSY,
            "/dev/sdb1 is part of the RAID /dev/md0 (raid1); take that apart first",
        ),
        (
            with_part(holders=("the LVM volume vg-root",), mount_points=("/",)),
            ErrorName.BUSY,
            "/dev/sdb1 holds / of the running system",
        ),
        (replace(STICK, stands_on=("/dev/sdc", "/dev/sdd")), ErrorName.BUSY, "is put together from /dev/sdc, /dev/sdd"),
        (replace(STICK, claimed=True), ErrorName.BUSY, "/dev/sdb is in use by another program"),
        (replace(STICK, read_only=True), ErrorName.WRITE_FAILED, "/dev/sdb is read-only; move the switch"),
        (replace(STICK, size=63 << 20), ErrorName.NO_SPACE, "66,060,288 bytes, and 67,108,864 are the least"),
    ],
)
def test_a_drive_that_is_in_use_or_of_no_use_is_refused_even_with_any(
    drive: Drive, error: ErrorName, words: str
) -> None:
    failure = refusal(drive, any_drive=True)
    assert failure.error is error
    assert words in failure.sentence
    assert ";" in failure.sentence


def test_a_drive_that_is_not_removable_takes_any() -> None:
    fixed = replace(STICK, removable=False)
    assert "/dev/sdb (Ultra Fit) is not a removable drive" in refusal(fixed).sentence
    check_drive(fixed, any_drive=True, store=STORE)


def test_a_mount_point_that_only_begins_like_the_store_is_not_of_the_system() -> None:
    drive = with_part(mount_points=("/var/lib/dub",))
    assert "is mounted at" in refusal(drive).sentence


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, "Ultra Fit"),
        ({"model": "", "image": "/srv/images/stick.img"}, "stick.img"),
        ({"model": ""}, "/dev/sdb"),
    ],
)
def test_what_is_typed_is_the_model_else_the_image_else_the_device(facts: dict[str, str], name: str) -> None:
    assert replace(STICK, **facts).name == name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "made", "filesystem"),
    [(None, (EXFAT, EXT4), EXFAT), (None, (EXT4,), EXT4), (EXT4, (EXFAT, EXT4), EXT4)],
)
def test_exfat_is_made_where_it_can_be_and_nothing_else_is_asked_for(
    wanted: str | None, made: tuple[str, ...], filesystem: str
) -> None:
    assert choose_filesystem(wanted, "DUB-SEED", made=made, taken=TAKEN).filesystem == filesystem


@pytest.mark.parametrize(
    ("wanted", "label", "made", "taken", "words"),
    [
        (EXFAT, "DUB-SEED", (EXT4,), TAKEN, "no mkfs.exfat here; install exfatprogs"),
        (EXFAT, "A-LONG-LABEL", (EXFAT,), TAKEN, "labels of 11 characters, and A-LONG-LABEL has 12"),
        (EXFAT, "DUB-SEED", (EXFAT,), ("ext4",), "exfat is not among [seed] filesystems"),
        (None, "DUB-SEED", (), TAKEN, "no mkfs.ext4 here; install e2fsprogs"),
    ],
)
def test_a_file_system_that_cannot_be_had_is_refused_with_the_way_out(
    wanted: str | None, label: str, made: tuple[str, ...], taken: tuple[str, ...], words: str
) -> None:
    with pytest.raises(CallRefused) as caught:
        choose_filesystem(wanted, label, made=made, taken=taken)
    assert words in caught.value.sentence


def test_what_is_not_preferred_is_taken_with_the_reason() -> None:
    for label, made, words in (("A-LONG-LABEL", (EXFAT, EXT4), "takes labels of 11"), ("S", (EXT4,), "no mkfs.exfat")):
        filesystem, (why,) = choose_filesystem(None, label, made=made, taken=TAKEN)
        assert filesystem == EXT4
        assert words in why
