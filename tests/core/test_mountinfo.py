"""The proof of a mount: the right device, and for a mount of ours the right options."""

import pytest

from dubseedd.core.mountinfo import MountLine, parse, prove
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

TEXT = (
    "36 35 8:17 / /media/a\\040b ro,nosuid,nodev,noexec,relatime shared:1 master:2 - ext4 /dev/sdb1 ro,norecovery\n"
    "37 35 0:40 /sub /mnt rw,relatime - btrfs /dev/loop0 rw\n"
)
SDB1 = (8, 17)


def line(options: str = "ro,nosuid,nodev,noexec") -> MountLine:
    return MountLine(36, SDB1, "/media/x", frozenset(options.split(",")), "ext4", "/dev/sdb1")


def test_every_field_that_is_used_is_read() -> None:
    first, second = parse(TEXT)
    assert (first.id, first.number, first.mount_point) == (36, SDB1, "/media/a b")
    assert first.options == {"ro", "nosuid", "nodev", "noexec", "relatime"}
    assert (first.filesystem, first.source) == ("ext4", "/dev/sdb1")
    assert (second.number, second.filesystem) == ((0, 40), "btrfs")


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\r", "\x1c", "\x85", "\u2028"])
def test_a_mount_point_with_another_line_end_in_it_hides_no_mount(end: str) -> None:
    anybodys = f"38 35 0:50 / /mnt/user/a{end}b rw,nosuid,nodev - fuse.x x rw\n"
    assert [found.id for found in parse(anybodys + TEXT)] == [38, 36, 37]


def test_a_mount_point_is_shown_fit_for_a_journal() -> None:
    (strange,) = parse("36 35 8:17 / /media/a\\012b\x1b[2J rw - ext4 /dev/sdb1 rw\n")
    for number in (SDB1, (8, 18)):
        with pytest.raises(StoreTrouble) as trouble:
            prove(strange, ours=True, number=number, st_dev=number, btrfs_devices=None)
        assert trouble.value.sentence.isprintable()


def test_the_running_kernels_own_lines_are_read() -> None:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        assert any(found.mount_point == "/" for found in parse(stream.read()))


def test_our_mount_with_all_options_is_proven() -> None:
    assert prove(line(), ours=True, number=SDB1, st_dev=SDB1, btrfs_devices=None) == ()


@pytest.mark.parametrize("missing", ["ro", "nosuid", "nodev", "noexec"])
def test_our_mount_without_an_option_is_unsafe(missing: str) -> None:
    options = ",".join(option for option in ("ro", "nosuid", "nodev", "noexec") if option != missing)
    with pytest.raises(StoreTrouble) as trouble:
        prove(line(options), ours=True, number=SDB1, st_dev=SDB1, btrfs_devices=None)
    assert trouble.value.error is ErrorName.UNSAFE_MOUNT
    assert trouble.value.sentence.startswith(f"/media/x is mounted without {missing}; remove the seed from /etc/fstab")


def test_somebody_elses_mount_without_options_is_noted() -> None:
    assert prove(line("rw"), ours=False, number=SDB1, st_dev=SDB1, btrfs_devices=None) == (
        "mounted without ro, nosuid, nodev, noexec",
    )


@pytest.mark.parametrize(("number", "st_dev"), [((8, 18), SDB1), (SDB1, (8, 18)), ((8, 18), (8, 18))])
@pytest.mark.parametrize("ours", [True, False])
def test_another_device_is_unsafe_whoever_mounted_it(
    number: tuple[int, int], st_dev: tuple[int, int], ours: bool
) -> None:
    with pytest.raises(StoreTrouble, match=r"/media/x is not the device .* plug the seed in again"):
        prove(line(), ours=ours, number=number, st_dev=st_dev, btrfs_devices=None)


def test_on_btrfs_just_this_device_has_to_hold_the_file_system() -> None:
    found = {"ours": True, "number": (7, 0), "st_dev": (0, 40)}
    assert prove(line(), **found, btrfs_devices=frozenset({(7, 0)})) == ()  # type: ignore[arg-type]
    for devices in (frozenset[tuple[int, int]](), frozenset({(7, 1)}), frozenset({(7, 0), (7, 1)})):
        with pytest.raises(StoreTrouble):
            prove(line(), **found, btrfs_devices=devices)  # type: ignore[arg-type]
