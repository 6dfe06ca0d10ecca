"""The guest's disk: a stock Debian of this machine's release, with the project's Debian package installed.

    ~/.cache/dubseedd-vm/
    ├── root-KEY/         what mmdebstrap made, before the project; KEY is the hash of its recipe
    ├── package/          where the package was built; wheels that it carries stay there
    ├── disk-KEY.img      the Debian with the package, as ext4; vmlinuz and initrd are beside it
    └── sticks-KEY/       tests/vm/sticks.py

Each is made once, and anew when what it depends on has changed; of each kind the newest is kept, and what a guest runs
on at the moment.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dubseedd import __version__
from tools.image import empty_image
from tools.machine import CannotRun, run

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dubseedd-vm"
DISK_BYTES = 3 << 30
PACKAGES = (
    "systemd", "systemd-sysv", "libpam-systemd", "udev", "kmod", "dbus", "polkitd", "udisks2", "linux-image-amd64",
    "python3", "openssh-client", "fdisk", "e2fsprogs", "dosfstools", "exfatprogs", "ntfs-3g", "xfsprogs", "btrfs-progs",
    "cryptsetup-bin", "procps", "login",
    # what the package depends on
    "init-system-helpers", "libc6", "libgcc-s1", "python3-cffi-backend", "python3-dbus-next", "python3-pyudev",
    "python3-systemd",
)  # fmt: skip
SUITES = {(3, 11): "bookworm", (3, 13): "trixie"}
"""The Debian whose Python is the one that the project's dependencies are built with here."""
PROJECT = ("Makefile", "NOTICE", "pyproject.toml", "tools/install", "dubseedd", "packaging", "systemd", "udev")
"""What the package is made of."""
PACKAGE = "srv/dubseedd.deb"
"""The guest has it, to install it again."""

AGENT_UNIT = r"""[Unit]
Description=Does what the host asks
Requires=dev-virtio\x2dports-agent.device
After=sysinit.target dev-virtio\x2dports-agent.device
[Service]
ExecStart=/usr/bin/python3 -I /usr/local/lib/vm/agent.py
StandardError=journal
[Install]
WantedBy=multi-user.target
"""
FIELDS = (
    "MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID", "UNIT", "JOB_RESULT",
    "DUBSEED_EVENT", "DUBSEED_BUNDLE", "DUBSEED_SEED", "DUBSEED_DEVICE", "DUBSEED_JOB", "DUBSEED_FILE",
    "DUBSEED_ERROR", "DUBSEED_BYTES_DONE", "DUBSEED_PERCENT", "DUBSEED_MANIFEST",
)  # fmt: skip
JOURNAL_UNIT = rf"""[Unit]
Description=Shows the host the journal
Requires=dev-virtio\x2dports-journal.device
After=dev-virtio\x2dports-journal.device
[Service]
ExecStart=/usr/bin/journalctl --follow --lines=all --boot --output=json --output-fields={",".join(FIELDS)}
StandardOutput=file:/dev/virtio-ports/journal
Restart=always
[Install]
WantedBy=multi-user.target
"""
AUTOLOGIN = """[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin {user} --noclear %I linux
"""
FILES = {
    "etc/hostname": "guest\n",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/initramfs-tools/conf.d/vm": "MODULES=list\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/systemd/system/vm-agent.service": AGENT_UNIT,
    "etc/systemd/system/vm-journal.service": JOURNAL_UNIT,
    "etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf": AUTOLOGIN.format(user="root"),
    "etc/systemd/system/getty@tty1.service.d/autologin.conf": AUTOLOGIN.format(user="op"),
    "etc/systemd/journald.conf.d/vm.conf": "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n",
}
"""What makes it a guest. `op` sits at the screen and is active there; `guest` is logged in nowhere."""


@dataclass(frozen=True)
class Disk:
    """A root file system that can be booted."""

    image: Path

    @property
    def kernel(self) -> Path:
        return self.image.with_suffix(".vmlinuz")

    @property
    def initrd(self) -> Path:
        return self.image.with_suffix(".initrd")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody removes it for the length of a block."""
        with self.image.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield


def provide() -> Disk:
    """The disk with the project as it stands now."""
    if os.geteuid() != 0:
        raise CannotRun("only root may make a guest: run it with sudo")
    with locked():
        return disk(base())


@contextmanager
def locked() -> Iterator[None]:
    """One at a time fills the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def suite() -> str:
    try:
        return SUITES[sys.version_info[:2]]
    except KeyError:
        known = ", ".join(f"{major}.{minor} of {name}" for (major, minor), name in SUITES.items())
        raise CannotRun(f"the guest needs the Python of a Debian ({known}); this one is {sys.version}") from None


def base() -> Path:
    """A Debian that is a guest."""
    key = key_of(suite(), PACKAGES, FILES, Path(__file__).read_bytes(), (ROOT / "tests/vm/agent.py").read_bytes())
    folder = CACHE / f"root-{key}"
    if folder.exists():
        return folder
    say("making a Debian guest; this takes a minute or two")
    draft = fresh(CACHE / "root.draft")
    overlay = fresh(CACHE / "overlay.draft")
    write_files(overlay, FILES)
    target = overlay / "usr/local/lib/vm/agent.py"
    target.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests/vm/agent.py", target)
    hooks = (
        f'--essential-hook=cp -r {overlay}/. "$1"',
        '--customize-hook=chroot "$1" systemctl enable vm-agent.service vm-journal.service',
        '--customize-hook=chroot "$1" useradd --create-home --shell /bin/sh op',
        '--customize-hook=chroot "$1" useradd --create-home --shell /bin/sh guest',
        '--customize-hook=chroot "$1" passwd --quiet --delete root',
    )
    excluded = (f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale"))
    command = ("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *excluded, *hooks)
    run(*command, "--aptopt=Apt::Install-Recommends false", suite(), str(draft))
    shutil.rmtree(overlay)
    return keep(draft, folder)


def disk(root: Path) -> Disk:
    """The guest with the project as it stands here, committed or not."""
    sources = [path for name in PROJECT for path in sorted([ROOT / name, *(ROOT / name).rglob("*")])]
    files = {str(path.relative_to(ROOT)): path for path in sources if path.is_file() and path.suffix != ".pyc"}
    made = Disk(CACHE / f"disk-{key_of(root.name, [(name, path.read_bytes()) for name, path in files.items()])}.img")
    if made.image.exists():
        return made
    say("building the Debian package and installing it in the guest")
    draft = CACHE / "disk.draft"
    if draft.exists():
        shutil.rmtree(draft)
    run("cp", "-a", str(root), str(draft))
    shutil.copyfile(package(files), draft / PACKAGE)
    run("chroot", str(draft), "dpkg", "--install", f"/{PACKAGE}")
    for file, pattern in ((made.kernel, "vmlinuz-*"), (made.initrd, "initrd.img-*")):
        (found,) = (draft / "boot").glob(pattern)
        shutil.copyfile(found, file)
    image = empty_image(CACHE / "disk.draft.img", DISK_BYTES, "ext4", "-d", str(draft))
    shutil.rmtree(draft)
    keep(image, made.image)
    return made


def package(files: dict[str, Path]) -> Path:
    """The Debian package of these files, as `make deb` makes that of a commit."""
    build = CACHE / "package"
    build.mkdir(exist_ok=True)
    folder = f"dubseedd-{__version__}"
    with tarfile.open(build / f"{folder}.tar.gz", "w:gz") as archive:
        for name, path in files.items():
            archive.add(path, f"{folder}/{name}")
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    run(str(ROOT / "tools/deb"), environment={**os.environ, "BUILD": str(build), "PATH": path})
    (made,) = (build / "deb").glob("*.deb")
    return made


# The cache


def key_of(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def keep(draft: Path, made: Path) -> Path:
    """Put what is complete in its place, and remove what it replaces."""
    kind = made.name.split("-")[0]
    for old in CACHE.glob(f"{kind}-*"):
        if old.stem != made.stem and not in_use(old.with_suffix(".img")):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    draft.rename(made)
    return made


def in_use(image: Path) -> bool:
    """Does a guest run on it? That holds it shared: see `Disk.held`."""
    if not image.exists():
        return False
    with image.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def fresh(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def say(sentence: str) -> None:
    print(f"vm: {sentence}", file=sys.__stderr__, flush=True)
