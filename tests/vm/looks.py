"""What the guest looks like, seen with nothing of dubseedd's own."""

import hashlib
from collections.abc import Mapping

from tests.support.bundles import published
from tests.torture.figures import Lost, Torn
from tests.vm.content import NAME, NEW, OLD, STORE
from tests.vm.guest import Guest

Files = Mapping[str, bytes]

LEFT_OVER = f"""
cd {STORE}/.dubseed
for folder in staging trash receipts; do [ ! -d "$folder" ] || find "$folder" -mindepth 1 -maxdepth 1; done
"""


def assert_published(guest: Guest, files: Files, name: str = NAME) -> None:
    """The bundle is there: just these files, byte for byte, root's, with the right modes."""
    assert digests(guest, f"{STORE}/{name}") == digests_of(published(files))
    wrong = guest.sh(f"find {STORE}/{name} ! -uid 0 -o ! -gid 0 -o -type f ! -perm 0644 -o -type d ! -perm 0755")
    assert wrong == "", f"of another owner, or with other modes: {wrong}"


def assert_absent(guest: Guest) -> None:
    """No bundle is visible."""
    assert visible(guest) == []


def assert_whole(guest: Guest, *, before: Files | None, acknowledged: bool) -> None:
    """INV (a) and (b): no bundle, or byte for byte one version; what was there or acknowledged is no older."""
    if not visible(guest):
        if acknowledged or before is not None:
            raise Lost(f"(b) {NAME} is gone")
        return
    seen = digests(guest, f"{STORE}/{NAME}")
    if seen == digests_of(published(NEW)):
        return
    if seen != digests_of(published(OLD)):
        raise Torn(f"(a) {NAME} is neither the old version nor the new one: {seen}")
    if acknowledged or before is None:
        raise Lost(f"(b) {NAME} is the old version")


def assert_tidy(guest: Guest, *, descriptors: int) -> None:
    """INV (d) and (e): nothing is left over, no stick is mounted, and no descriptor is open that was not before."""
    assert guest.sh(LEFT_OVER).split() == [f"receipts/{NAME}.json"]
    assert mounts(guest) == ""
    assert open_descriptors(guest) == descriptors


def visible(guest: Guest) -> list[str]:
    return guest.sh(f"ls -A {STORE} | grep -vx .dubseed || true").split()


def mounts(guest: Guest) -> str:
    """Every mount of a stick, as the machine and as the daemon sees them."""
    tables = "/proc/self/mountinfo /proc/$(systemctl show -P MainPID dubseedd)/mountinfo"
    return guest.sh(f"cat {tables} | grep -E '/dev/sd|/media/' || true")


def main_pid(guest: Guest) -> str:
    """Of the daemon; 0 where none runs."""
    return guest.run("systemctl", "show", "--property=MainPID", "--value", "dubseedd").strip()


def open_descriptors(guest: Guest) -> int:
    """Of the daemon."""
    return int(guest.sh("ls /proc/$(systemctl show -P MainPID dubseedd)/fd | wc -l"))


def digests(guest: Guest, folder: str) -> dict[str, str]:
    """SHA-256 of every file below a folder of the guest's, by path, past its page cache."""
    guest.sh("sync; echo 1 > /proc/sys/vm/drop_caches")
    lines = guest.sh(f"cd {folder} && find . -type f -exec sha256sum {{}} +").splitlines()
    return {line[66:].removeprefix("./"): line[:64] for line in lines}


def digests_of(files: Files) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
