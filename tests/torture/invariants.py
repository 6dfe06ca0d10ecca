"""INV: what has to hold after every fault.

(a)  every visible bundle is byte for byte one verified manifest, and known as installed after the next start
(b)  nothing acknowledged is lost or older
(c)  nothing outside the store and dubseedd's own folders has changed
(d)  the next start and sync complete the work, and leave nothing over
(e)  no descriptor, mount or loop device is leaked
"""

import os
import subprocess
from contextlib import closing
from pathlib import Path

from dubseedd.engine.settling import settle
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from tests.support.bundles import contents
from tests.torture.faults import Nth
from tests.torture.figures import Lost, Torn
from tests.torture.nursery import Ended, P
from tests.torture.scene import Scene
from tests.torture.tracer import Plan
from tests.torture.versions import NAME, Version

START_SECONDS = 5.0


def assert_invariants(
    scene: Scene,
    ended: Ended[Plan],
    *,
    before: Version | None,
    after: Version,
    acknowledged: bool | None = None,
    watching: P = None,  # type: ignore[assignment]
) -> Ended[P]:
    """All of INV after a fault in the sync from `before` to `after`; returns how the sync ended that completed it.

    `ended` is how the process ended, which tells what was acknowledged, unless the caller knows it better.
    """
    if acknowledged is None:
        acknowledged = ended.acknowledged(NAME)
    assert_outside_is_untouched(scene)
    seen = assert_nothing_is_torn_or_lost(scene, before=before, after=after, acknowledged=acknowledged)
    assert_next_start_knows(scene, seen)
    assert not ended.leaked, f"(e) left open: {ended.leaked}"
    return assert_next_sync_completes(scene, before=before, after=after, watching=watching)


def assert_struck(ended: Ended[Nth]) -> None:
    """The fault came; or all went well, for a sync that has to wait makes more calls than the next one that has not."""
    assert ended.plan.hit or ended.status == 0, f"the process ended before the fault came: {ended.errors}"


def assert_outside_is_untouched(scene: Scene) -> None:
    """(c)"""
    changed = [path for path, status in scene.snapshot().items() if scene.before.get(path) != status]
    assert not changed, f"(c) changed: {changed}"


def assert_nothing_is_torn_or_lost(
    scene: Scene, *, before: Version | None, after: Version, acknowledged: bool
) -> Version | None:
    """(a) and (b), by looking at the files alone; returns what is seen."""
    seen = scene.visible()
    told = scene.installed_by_history() == after.digest
    if (acknowledged or told) and seen is not after:
        where = "acknowledged" if acknowledged else "in the history"
        raise Lost(f"(b) {after.name} was {where}, seen is {seen and seen.name}")
    if seen is None and before is not None:
        raise Lost(f"(b) {before.name} was installed and is gone")
    if seen is not None:
        assert_checks_out(scene.store / NAME)
    return seen


def assert_checks_out(bundle: Path) -> None:
    """(a), as an operator would check it."""
    argv = ("sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS")
    done = subprocess.run(argv, cwd=bundle, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Torn(f"(a) sha256sum says: {done.stdout}{done.stderr}")


def assert_next_start_knows(scene: Scene, seen: Version | None) -> None:
    """(a) The next start knows what is visible as installed, and changes nothing that is seen."""
    if not scene.own.exists():
        assert seen is None, "(a) a bundle is visible and dubseedd has no folder of its own"
        return
    before = _descriptors()
    with closing(Store(str(scene.store))) as store:
        settled = settle(store)
        assert not settled.troubles, f"(d) the start cannot settle: {settled.troubles}"
        listing = {bundle.name: bundle for bundle in store.listing()}
        assert not scene.shared or listing["foreign"].state is BundleState.FOREIGN
        if seen is not None:
            bundle = listing[NAME]
            assert bundle.state is BundleState.INSTALLED, f"(a) {seen.name} is {bundle.state} after the next start"
            assert bundle.manifest_sha256 == seen.digest, "(a) the receipt is that of another version"
            receipt = store.receipt(NAME)
            assert receipt is not None
            assert store.untouched(receipt), "(a) the files are not those of the receipt"
        else:
            assert NAME not in listing
    assert scene.visible() is seen, "(a) the next start has changed what is visible"
    assert _descriptors() == before, "(e) the store leaves descriptors open"


def assert_next_sync_completes(
    scene: Scene,
    *,
    before: Version | None,
    after: Version,
    watching: P = None,  # type: ignore[assignment]
) -> Ended[P]:
    """(d) In time, and with nothing left over but the version before."""
    ended = scene.sync(after, watching)
    assert ended.status == 0, f"(d) the next sync fails: {ended.errors}"
    assert ended.seconds < START_SECONDS, f"(d) the next sync took {ended.seconds:.1f} s"
    assert "adopted" not in ended.output, f"(a) our own work was foreign: {ended.output}"
    assert not ended.leaked, f"(e) left open: {ended.leaked}"
    assert scene.visible() is after, "(d) the next sync has not published"
    assert_checks_out(scene.store / NAME)
    assert_nothing_is_left_over(scene, before=before)
    assert_outside_is_untouched(scene)
    return ended


def assert_nothing_is_left_over(scene: Scene, *, before: Version | None) -> None:
    """(d) Neither staging nor trash nor drafts; of previous versions that one which was replaced."""
    drafts = [name for name in os.listdir(scene.own) if name.startswith("\\")]
    left = {folder: os.listdir(scene.own / folder) for folder in ("staging", "trash", "previous", "receipts")}
    right = {"staging": [], "trash": [], "previous": [NAME] if before else [], "receipts": [f"{NAME}.json"]}
    assert (left, drafts) == (right, []), "(d) something is left over, or missing"
    if before:
        assert contents(scene.own / "previous" / NAME) == before.published, "(b) the version before is not whole"


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
