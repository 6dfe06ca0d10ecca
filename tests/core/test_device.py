"""What counts as plugging a seed in, and what does not."""

from dataclasses import replace

import pytest

from dubseedd.core.device import (
    BlockDevice,
    BlockEvent,
    Change,
    Plugs,
    check_filesystem,
    check_label,
    check_loop,
)
from dubseedd.errors import SeedRefused

STICK = BlockDevice(
    node="/dev/sdb1",
    number=(8, 17),
    diskseq=12,
    usage="filesystem",
    label="DUB-SEED",
    uuid="u-1",
    filesystem="ext4",
    size=1 << 30,
    ready=True,
)


@pytest.fixture
def plugs() -> Plugs:
    return Plugs("DUB-SEED")


def seen(plugs: Plugs, device: BlockDevice, action: str = "change") -> tuple[Change, ...]:
    return plugs.observe(BlockEvent(action, device))


@pytest.mark.parametrize("action", ["add", "change", "present", "bind"])
def test_a_seed_seen_for_the_first_time_is_a_plug(plugs: Plugs, action: str) -> None:
    assert seen(plugs, STICK, action) == (Change.PLUGGED,)


def test_another_change_of_the_same_plug_is_nothing(plugs: Plugs) -> None:
    seen(plugs, STICK)
    assert seen(plugs, STICK) == ()


def test_a_new_diskseq_on_the_same_node_is_a_pull_and_a_plug(plugs: Plugs) -> None:
    seen(plugs, STICK)
    assert seen(plugs, replace(STICK, diskseq=13)) == (Change.UNPLUGGED, Change.PLUGGED)


def test_a_return_after_remove_is_a_plug_even_with_the_old_diskseq(plugs: Plugs) -> None:
    seen(plugs, STICK)
    assert seen(plugs, STICK, "remove") == (Change.UNPLUGGED,)
    assert seen(plugs, STICK, "add") == (Change.PLUGGED,)


def test_a_return_after_systemd_ready_0_is_a_plug(plugs: Plugs) -> None:
    seen(plugs, STICK)
    assert seen(plugs, replace(STICK, ready=False)) == (Change.UNPLUGGED,)
    assert seen(plugs, STICK) == (Change.PLUGGED,)


@pytest.mark.parametrize(
    "device", [replace(STICK, label="OTHER"), replace(STICK, usage="crypto"), replace(STICK, label="dub-seed")]
)
def test_other_devices_are_nobodys_business(plugs: Plugs, device: BlockDevice) -> None:
    assert seen(plugs, device) == ()


def test_a_seed_that_is_given_another_label_is_gone(plugs: Plugs) -> None:
    seen(plugs, STICK)
    assert seen(plugs, replace(STICK, label="OTHER")) == (Change.UNPLUGGED,)


def test_a_remove_of_a_stranger_is_nothing(plugs: Plugs) -> None:
    assert seen(plugs, STICK, "remove") == ()


def test_after_lost_events_what_a_listing_does_not_show_is_gone(plugs: Plugs) -> None:
    other = replace(STICK, number=(8, 33), node="/dev/sdc1")
    seen(plugs, STICK)
    seen(plugs, other)
    assert plugs.missing_from(frozenset({STICK.number})) == (other,)
    assert plugs.missing_from(frozenset({STICK.number})) == ()
    assert seen(plugs, other) == (Change.PLUGGED,)


def test_a_device_that_is_labelled_as_it_has_to_be_is_a_seed_to_check() -> None:
    check_label(STICK, "DUB-SEED")
    check_filesystem(STICK, ("vfat", "ext4"))
    check_loop(STICK, "/dev/loop0", 0)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (
            replace(STICK, label="OTHER"),
            "/dev/sdb1 is labelled OTHER, and the daemon looks for DUB-SEED; label it anew: ",
        ),
        (replace(STICK, label="OTHER"), "e2label /dev/sdb1 DUB-SEED"),
        (replace(STICK, label="", filesystem="f2fs"), "has no label, and the daemon looks for DUB-SEED; give it the"),
        (replace(STICK, usage="", label=""), "/dev/sdb1 carries no file system; name the partition that does"),
    ],
)
def test_a_device_that_the_daemon_would_not_notice_is_told_apart(device: BlockDevice, words: str) -> None:
    with pytest.raises(SeedRefused) as caught:
        check_label(device, "DUB-SEED")
    assert words in caught.value.sentence
