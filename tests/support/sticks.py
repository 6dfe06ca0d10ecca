"""Sticks: file-system images, attached as loop devices, and pulled."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.bundles import write_bundle
from tools.image import attach, empty_image
from tools.machine import run, succeeds

SIZE_BYTES = 512 << 20
LABEL = f"DS-{os.getpid()}"
"""Of this run of the tests alone: no daemon takes the stick of another, and none takes a real one."""


def make_image(
    path: Path, bundles: Mapping[str, Mapping[str, bytes]], *, filesystem: str = "ext4", label: str = LABEL
) -> Path:
    """A stick with these bundles, each with its SHA256SUMS."""
    image = empty_image(path, SIZE_BYTES, filesystem, "-L", label)
    with mounted(image) as folder:
        (folder / "models").mkdir()
        for name, files in bundles.items():
            write_bundle(folder / "models" / name, files)
    return image


@contextmanager
def mounted(image: Path, options: str = "rw") -> Iterator[Path]:
    """The content of an image that is not plugged in, mounted where neither udev nor UDisks2 looks for seeds."""
    folder = image.with_suffix(".mount")
    folder.mkdir(exist_ok=True)
    run("udevadm", "control", "--stop-exec-queue")
    try:
        run("mount", "-o", f"loop,{options}", str(image), str(folder))
        try:
            yield folder
        finally:
            run("umount", str(folder))
    finally:
        run("udevadm", "control", "--start-exec-queue")
        settle()


def settle() -> None:
    """Wait until udevd has nothing to do, at most 30 s.

    A queue that stood still for so long has been seen a few times, on a loaded machine. udevd looks at its queue when
    anything reaches it, and an event that it puts off has one timer that is not set again: so it is given a reason.
    """
    if not succeeds("udevadm", "settle", "--timeout=15"):
        run("udevadm", "control", "--ping")
        run("udevadm", "settle", "--timeout=15")


@dataclass(frozen=True)
class Stick:
    """A stick that is plugged in."""

    image: Path
    node: str

    @property
    def rule(self) -> Path:
        """While this udev rule is there, the device counts as gone: a loop device stays until its last user lets go."""
        return Path(f"/run/udev/rules.d/99-pulled-{os.path.basename(self.node)}.rules")

    def attach(self) -> None:
        """Plug it in."""
        attach(self.image, node=self.node)

    def _forget_pull(self) -> None:
        if self.rule.exists():
            self.rule.unlink()
            run("udevadm", "control", "--reload")

    def pull(self) -> None:
        """Pull it out without a word, whoever reads it."""
        self.rule.parent.mkdir(parents=True, exist_ok=True)
        self.rule.write_text(f'KERNEL=="{os.path.basename(self.node)}", ENV{{SYSTEMD_READY}}="0"\n')
        run("udevadm", "control", "--reload")
        run("udevadm", "trigger", "--action=change", self.node)
        run("losetup", "--detach", self.node)

    def remove(self) -> None:
        """Leave nothing behind, whatever the test did."""
        while succeeds("findmnt", "--source", self.node):
            run("umount", "--lazy", self.node, check=False)
        backing = run("losetup", "--noheadings", "--list", "--output", "BACK-FILE", self.node, check=False)
        if str(self.image) in backing:
            run("losetup", "--detach", self.node, check=False)
        self._forget_pull()
        run("udevadm", "settle", "--timeout=30", check=False)


def free_node() -> str:
    """A loop device that is free, and not one that was pulled a moment ago: that one may still have a user."""
    for node in sorted(str(path) for path in Path("/dev").glob("loop[0-9]*")):
        if not Stick(Path(), node).rule.exists() and not succeeds("losetup", node):
            return node
    raise AssertionError("no loop device is free: detach some (losetup --list)")
