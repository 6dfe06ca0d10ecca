"""The sync of one bundle: from a seed's folder to a published bundle. The same work for the daemon and an installer.

    prepare   finish what a crash cut short > examine the bundle > plan > copy and judge its content > read back
    publish   one rename (see publishing), or the receipt of an adopted folder

Between the two the caller may wait: for an inhibitor, for another publication, or for a person.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from dubseedd.core import tidings
from dubseedd.core.lifecycle import JobState
from dubseedd.core.plan import Origin, Plan, Verdict, make_plan
from dubseedd.core.receipt import Receipt
from dubseedd.engine import adopting, publishing, tree
from dubseedd.engine.contents import Contents
from dubseedd.engine.filling import Filling
from dubseedd.engine.housekeeping import make_room
from dubseedd.engine.kernel import Identity, identity
from dubseedd.engine.provenance import source_of
from dubseedd.engine.pump import Pump
from dubseedd.engine.scanning import Examined, SeedFolder
from dubseedd.engine.staging import Staging
from dubseedd.engine.store import Store
from dubseedd.engine.transfer import SyncTools, Transfer
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import SeedRefused, StoreTrouble
from dubseedd.names import MANIFEST, ErrorName


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: a bundle by name, and how. `manifest_sha256` is that of its SHA256SUMS, "" for any."""

    name: str
    manifest_sha256: str = ""
    dry_run: bool = False
    replace_foreign: bool = False


class Readiness(StrEnum):
    """Where a sync stands after its preparation."""

    CURRENT = "current"
    PLANNED = "planned"
    STAGED = "staged"
    ADOPTABLE = "adoptable"


class BundleSync:
    """One sync. `prepare` and `publish` block and are called one after the other; `close` ends it, and may be repeated.

    A preparation that fails has closed it already.
    """

    def __init__(self, store: Store, wish: Wish, tools: SyncTools) -> None:
        self._store = store
        self._wish = wish
        self._tools = tools
        self._meter = tools.meter
        self._undo = ExitStack()
        self._replacing: Identity | None = None
        self._switch: Callable[[], Receipt] | None = None

    def close(self) -> None:
        self._undo.close()
        self._switch = None

    def prepare(self, seed: SeedFolder) -> Readiness:
        """Bring the bundle to where only the switch is missing; the seed is not needed after. Raises a Failure."""
        try:
            return self._prepare(seed)
        except BaseException:
            self.close()
            raise

    def _prepare(self, seed: SeedFolder) -> Readiness:
        self._meter.enter(JobState.PLANNING)
        with writing_store(self._wish.name):
            for receipt in publishing.settle_bundle(self._store, self._wish.name):
                self._tools.tell(tidings.completed(receipt))
        bundle = self._examine(seed)
        with writing_store(bundle.name):
            verdict, _ = self._store.verdict(bundle.name, bundle.manifest.sha256, len(bundle.files))
        if verdict is Verdict.CURRENT:
            self._meter.expect(files=len(bundle.files), skipped=bundle.size, work=0)
            self._meter.finished(len(bundle.files))
            return Readiness.CURRENT
        if verdict is Verdict.FOREIGN and not self._wish.dry_run:
            readiness = self._take_over(bundle, seed.uuid)
            if readiness is not None:
                return readiness
        return self._stage(bundle, seed)

    def publish(self) -> Receipt:
        """Make the prepared bundle visible; returns its receipt. What is acknowledged is on the disk."""
        if self._switch is None:
            raise AssertionError("published before it was prepared")
        self._meter.enter(JobState.PUBLISHING)
        with writing_store(self._wish.name):
            return self._switch()

    # Planning

    def _examine(self, seed: SeedFolder) -> Examined:
        bundle = seed.examine(self._wish.name)
        for note in bundle.notes:
            self._tools.tell(tidings.noted(bundle.name, note))
        wanted = self._wish.manifest_sha256
        if wanted and bundle.manifest.sha256 != wanted:
            raise SeedRefused(
                ErrorName.CHECKSUM_MISMATCH,
                f"SHA256SUMS of {bundle.name} has the digest {bundle.manifest.sha256}, expected was {wanted}; "
                "use the seed that was meant, or ask again without that digest",
                file=MANIFEST,
            )
        return bundle

    def _take_over(self, bundle: Examined, seed_uuid: str) -> Readiness | None:
        """Deal with a folder that is not ours. ADOPTABLE: it is the seed's version. None: it was adopted as an older
        one, or is to be replaced on request, and the copy follows. Else ForeignBundle."""
        self._meter.enter(JobState.VERIFYING)
        with Pump(self._tools.stop) as pump, writing_store(bundle.name):
            found = adopting.examine(self._store, bundle.name, bundle.manifest, pump, self._meter)
        if isinstance(found, adopting.Adoption):
            if found.manifest.sha256 == bundle.manifest.sha256:
                self._judge_in_place(bundle)
                self._switch = partial(self._seal, found, seed_uuid, bundle.signer)
                return Readiness.ADOPTABLE
            with writing_store(bundle.name):
                self._tools.tell(tidings.published(self._seal(found)))
        elif self._wish.replace_foreign and found.replaceable:
            self._replacing = found.replaceable
        else:
            raise StoreTrouble(ErrorName.FOREIGN_BUNDLE, found.sentence)
        self._meter.enter(JobState.PLANNING)
        return None

    def _seal(self, adoption: adopting.Adoption, seed_uuid: str = "", signer: str = "") -> Receipt:
        return adopting.seal(self._store, adoption, installed_at=_now(), seed_uuid=seed_uuid, signer=signer)

    def _judge_in_place(self, bundle: Examined) -> None:
        with writing_store(bundle.name), tree.opened_folder(self._store.root, bundle.name) as folder:
            for note in Contents(folder, bundle.manifest).judge_all(self._tools.stop):
                self._tools.tell(tidings.noted(bundle.name, note))

    def _stage(self, bundle: Examined, seed: SeedFolder) -> Readiness:
        self._tools.stop.check()
        digest = bundle.manifest.sha256
        with writing_store(bundle.name):
            twins = self._store.twins()
        if self._wish.dry_run:
            staged = self._store.staged_paths(digest)
            self._count(make_plan(bundle.files, staged, twins))
            return Readiness.PLANNED
        self._undo.enter_context(self._store.working_on(digest))
        with writing_store(bundle.name):
            staging = self._undo.enter_context(Staging(self._store.staging, digest))
            staging.prune(bundle.manifest.paths)
        plan = make_plan(bundle.files, staging.records.keys(), twins, staging.parts())
        self._count(plan)
        self._make_room(plan, digest)
        self._switch = partial(
            publishing.publish,
            self._store,
            staging,
            self._fill(Transfer(self._store, seed, bundle, staging, self._tools), plan),
            keep_previous=self._tools.config.store.keep_previous,
            replacing=self._replacing,
        )
        return Readiness.STAGED

    def _fill(self, transfer: Transfer, plan: Plan) -> Receipt:
        filling = Filling(transfer)
        filling.copy_all(plan)
        if transfer.reads_back:
            filling.read_all_back(plan)
        with writing_store(MANIFEST):
            receipt = self._draw_up_receipt(transfer.bundle, transfer.staging, transfer.seed.uuid)
        if transfer.reads_back:
            filling.read_manifest_back()
        return receipt

    def _count(self, plan: Plan) -> None:
        copied = sum(step.file.size for step in plan.steps if step.origin is not Origin.STAGED)
        read_back = sum(step.file.size for step in plan.steps) if self._tools.reads_back else 0
        self._meter.expect(
            files=len(plan.steps), moved=plan.bytes_total, skipped=plan.bytes_skipped, work=copied + read_back
        )

    def _make_room(self, plan: Plan, digest: str) -> None:
        self._tools.stop.check()
        with writing_store(self._wish.name):
            reserve = self._tools.config.store.reserve_bytes + self._tools.spoken_for()
            for tiding in make_room(self._store, plan.bytes_needed, reserve, but=digest):
                self._tools.tell(tiding)

    def _draw_up_receipt(self, bundle: Examined, staging: Staging, seed_uuid: str) -> Receipt:
        now = _now()
        return Receipt(
            name=bundle.name,
            manifest=publishing.write_manifest(staging, bundle.manifest),
            files=tuple(staging.records[file.path] for file in bundle.files),
            folder=identity(staging.tree),
            format=bundle.format,
            installed_at=now,
            verified_at=now if self._tools.reads_back else 0,
            seed_uuid=seed_uuid,
            signer=bundle.signer,
            source=source_of(staging.tree),
        )


def _now() -> int:
    return time.time_ns() // 1000
