"""Sticks with real file systems, made in the guest, which knows vfat, exfat and ntfs; kept in the cache.

image = Workshop(guest, "booted").make(Recipe("vfat", seed({"tiny": FILES})), back_to="ready")
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.bundles import manifest_of, write_files
from tests.vm.guest import Guest
from tests.vm.nbd import Drive
from tests.vm.rootfs import CACHE, key_of, locked
from tools.image import empty_image

STICK_BYTES = 320 << 20
"""The least that mkfs.xfs takes."""
UNUSED_SECONDS = 30 * 86_400
"""How long a stick that no case asks for is kept."""
PASSPHRASE = "open sesame"
RUNBOOK = "find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum > SHA256SUMS"

SCRIPT = r"""
set -eu
disk=$1 content=$2 filesystem=$3 partition=$4 encrypted=$5 label=$6 runbook=$7
target=$disk
if [ "$partition" = yes ]; then
    echo ',,' | sfdisk --quiet --label dos "$disk"
    udevadm wait --timeout=60 --settle "$disk-part1"
    target=$disk-part1
fi
if [ "$encrypted" = yes ]; then
    printf %s "$PASSPHRASE" | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$target" -
    printf %s "$PASSPHRASE" | cryptsetup open --key-file - "$target" made
    target=/dev/mapper/made
fi
case $filesystem in
    vfat) mkfs.vfat -F 32 -n "$label" "$target" ;;
    exfat) mkfs.exfat -L "$label" "$target" ;;
    ntfs) mkfs.ntfs -q -Q -F -L "$label" "$target" ;;
    ext4) mkfs.ext4 -q -F -L "$label" "$target" ;;
    xfs) mkfs.xfs -q -f -L "$label" "$target" ;;
    btrfs) mkfs.btrfs -q -f -L "$label" "$target" ;;
esac
mkdir -p /mnt/content /mnt/stick
mount -o ro "$content" /mnt/content
mount -t "$filesystem" "$target" /mnt/stick
cp -rT --no-preserve=all /mnt/content /mnt/stick
rmdir /mnt/stick/lost+found 2>/dev/null || true
if [ "$runbook" = yes ]; then
    for bundle in /mnt/stick/models/*; do cd "$bundle"; RUNBOOK; cd /; done
fi
umount /mnt/stick /mnt/content
if [ "$encrypted" = yes ]; then cryptsetup close made; fi
udevadm settle
""".replace("RUNBOOK", RUNBOOK)


@dataclass(frozen=True)
class Recipe:
    """A stick: its file system, and every file on it by path. With `runbook` the guest writes each SHA256SUMS."""

    filesystem: str
    files: Mapping[str, bytes]
    partition: bool = False
    encrypted: bool = False
    runbook: bool = False
    label: str = "DUB-SEED"

    @property
    def key(self) -> str:
        return key_of(SCRIPT, sorted(self.files.items()), *self.options)

    @property
    def options(self) -> tuple[str, ...]:
        """In the order of the script."""
        yes = {True: "yes", False: "no"}
        return (self.filesystem, yes[self.partition], yes[self.encrypted], self.label, yes[self.runbook])


def seed(bundles: Mapping[str, Mapping[str, bytes]], beside: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The files of a stick with these bundles, each with its manifest, and whatever else is beside them."""
    files = {
        f"models/{name}/{path}": data
        for name, bundle in bundles.items()
        for path, data in {**bundle, "SHA256SUMS": manifest_of(bundle)}.items()
    }
    return {**files, **(beside or {})}


class Workshop:
    """Makes sticks in a guest; `state` is the one to do it in."""

    def __init__(self, guest: Guest, state: str) -> None:
        self._guest = guest
        self._state = state

    def make(self, recipe: Recipe, *, back_to: str) -> Path:
        """The image of a stick, from the cache where it has been made before; else the guest is put back to a state."""
        with locked():
            folder = CACHE / "sticks"
            folder.mkdir(exist_ok=True)
            image = folder / f"{recipe.filesystem}-{recipe.key}.img"
            if not image.exists():
                draft = image.with_suffix(".draft")
                self._make(recipe, draft)
                draft.rename(image)
                self._guest.load(back_to)
            image.touch()
            for other in folder.iterdir():
                if other.stat().st_mtime < image.stat().st_mtime - UNUSED_SECONDS:
                    other.unlink()
            return image

    def _make(self, recipe: Recipe, image: Path) -> None:
        guest = self._guest
        guest.load(self._state)
        guest.run("systemctl", "mask", "--runtime", "--now", "--quiet", "dubseedd")
        with image.open("wb") as file:
            file.truncate(STICK_BYTES)
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            write_files(tree, recipe.files)
            content = empty_image(Path(folder) / "content.img", STICK_BYTES, "ext4", "-d", str(tree))
            guest.plug(Drive(content), port=1, serial="content")
            guest.plug(Drive(image, keeps=True), port=2, serial="blank")
            nodes = tuple(by_serial(serial) for serial in ("blank", "content"))
            guest.run("udevadm", "wait", "--timeout=60", "--settle", *nodes, seconds=90)
            script = f"PASSPHRASE={PASSPHRASE!r}\n{SCRIPT}"
            guest.run("sh", "-c", script, "make", *nodes, *recipe.options, seconds=180)


def by_serial(serial: str) -> str:
    """Where a stick of QEMU's with this serial number is found."""
    return f"/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_{serial}-0:0"
