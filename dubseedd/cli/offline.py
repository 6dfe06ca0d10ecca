"""The commands that need no daemon: the same engine on a mounted seed and a store, as an installer uses it.

Nothing here needs a bus, udev or any third-party library but blake3.
"""

import argparse
import os
import time
from contextlib import closing
from typing import Any

from dubseedd.cli import text
from dubseedd.cli.document import document
from dubseedd.cli.exits import DONE, FAILED, complain
from dubseedd.cli.places import opened_place
from dubseedd.cli.progress import Display, display
from dubseedd.cli.views import NO_ERROR, Error, JobView
from dubseedd.cli.working import watched
from dubseedd.core import tidings
from dubseedd.core.config import Config
from dubseedd.core.events import Event
from dubseedd.core.receipt import Receipt
from dubseedd.core.sentence import shown
from dubseedd.core.tidings import Tiding
from dubseedd.engine.configfile import load
from dubseedd.engine.history import History
from dubseedd.engine.memory import return_large_blocks
from dubseedd.engine.meter import Meter
from dubseedd.engine.scanning import Offer, SeedFolder
from dubseedd.engine.settling import settle
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from dubseedd.engine.transfer import SyncTools
from dubseedd.engine.trouble import writing_store
from dubseedd.engine.verifying import verify as verify_bundle
from dubseedd.errors import CallRefused, Failure
from dubseedd.names import ErrorName, EventName, Field

Result = dict[str, Any]
"""What came of one bundle, as the JSON shows it."""

OUTCOMES: dict[Readiness, str] = {
    Readiness.STAGED: "installed",
    Readiness.ADOPTABLE: "adopted",
    Readiness.CURRENT: "current",
    Readiness.PLANNED: "planned",
}


def sync(options: argparse.Namespace) -> int:
    """Sync a mounted seed into a store; one refused bundle stops no other."""
    return_large_blocks()
    config = load(options.config)
    results = []
    os.umask(0o022)  # as the daemon's unit has it: an installer's own would hide a new store from the model server
    with (
        opened_place(options.from_folder, config, any_mount=True) as place,
        SeedFolder(place.root, config, place.device) as seed,
        closing(Store(options.store or config.store.path)) as store,
    ):
        _settle(store)
        offers = [offer for offer in seed.offers(config.seed.bundles) if options.bundle in (None, offer.name)]
        if not offers:
            what = f"a bundle {options.bundle}" if options.bundle else "any bundle"
            raise CallRefused(ErrorName.NOT_FOUND, f"{options.from_folder} does not have {what}; look into its models/")
        for offer in offers:
            with display(quiet=options.json) as screen:
                result = OfflineSync(store, offer, config, options, screen).run(seed)
            results.append(result)
            if result["error"] != NO_ERROR:
                how = "is refused" if result["outcome"] == "refused" else "has failed"
                complain(f"{shown(offer.name)} {how}: {result['error'].message}")
            elif not options.json:
                print(_line(result), flush=True)
    if options.json:
        print(document("sync", store=store.path, bundles=results))
    return FAILED if any(result["error"] != NO_ERROR for result in results) else DONE


def _settle(store: Store) -> None:
    """Finish what an earlier run was cut off from."""
    with writing_store(store.path):
        settled = settle(store)
    for tiding in settled.told:
        _record(store, tiding)
    for trouble in settled.troubles:
        complain(f"what was cut short cannot be finished yet: {trouble}; check the store's disk")


class OfflineSync:
    """The sync of one bundle, told to the history of the store unless it is only planned."""

    def __init__(
        self, store: Store, offer: Offer, config: Config, options: argparse.Namespace, screen: Display
    ) -> None:
        self._store = store
        self._offer = offer
        self._screen = screen
        self._quiet: bool = options.json
        self._wish = Wish(offer.name, offer.manifest_sha256, options.dry_run, options.replace_foreign)
        self._tools = SyncTools(config, tell=self._tell_all)

    def run(self, seed: SeedFolder) -> Result:
        offer, meter = self._offer, self._tools.meter
        result: Result = {"name": offer.name, "outcome": "refused", "error": NO_ERROR}
        try:
            if offer.refusal:
                raise offer.refusal
            readiness, tiding = watched(lambda: self._work(seed), self._job, meter, self._tools.stop, self._screen)
            result["outcome"] = OUTCOMES[readiness]
            if tiding:
                self._tell(tiding)
        except Failure as failure:
            event = EventName.BUNDLE_REFUSED if offer.refusal else EventName.JOB_FAILED
            more: dict[Field, str | int] = {Field.ERROR: failure.error.full, Field.FILE: failure.file}
            self._tell(Tiding(event, f"{shown(offer.name)}: {failure.sentence}", more))
            result["error"] = Error(*failure.pair)
            result["outcome"] = "refused" if offer.refusal else "failed"
        planned = meter.bytes_total if result["outcome"] == "planned" else meter.bytes_done
        return result | {"bytes_done": planned, "bytes_skipped": meter.bytes_skipped}

    @property
    def _job(self) -> JobView:
        return JobView("", 1, "sync", self._offer.name, "queued")

    def _work(self, seed: SeedFolder) -> tuple[Readiness, Tiding | None]:
        with closing(BundleSync(self._store, self._wish, self._tools)) as work:
            readiness = work.prepare(seed)
            match readiness:
                case Readiness.STAGED | Readiness.ADOPTABLE:
                    return readiness, tidings.published(work.publish())
                case Readiness.CURRENT:
                    return readiness, tidings.current(self._offer.name, self._offer.manifest_sha256)
            return readiness, None

    def _tell_all(self, tiding: Tiding) -> None:
        """What happens on the way is printed, too."""
        self._tell(tiding)
        if not self._quiet:
            print(tiding.sentence, flush=True)

    def _tell(self, tiding: Tiding) -> None:
        if not self._wish.dry_run:
            _record(self._store, tiding._replace(fields={Field.BUNDLE: self._offer.name, **tiding.fields}))


def _line(result: Result) -> str:
    verb = "to copy" if result["outcome"] == "planned" else "copied"
    copied, skipped = text.size(result["bytes_done"]), f"{text.size(result['bytes_skipped'])} were there already"
    parts = [f"{copied} {verb}"] if result["bytes_done"] or not result["bytes_skipped"] else []
    parts += [skipped] if result["bytes_skipped"] else []
    return f"{result['name']} is {result['outcome']}: {', '.join(parts)}"


def verify(options: argparse.Namespace) -> int:
    """Read installed bundles back, without the daemon."""
    path = options.store or load(options.config).store.path
    if not os.path.isdir(path):
        raise CallRefused(ErrorName.NOT_FOUND, f"there is no store {path}; name the right one: --store DIR")
    with closing(Store(path)) as store:
        results = [_verify_one(store, receipt, quiet=options.json) for receipt in _chosen(store, options.bundles)]
    if options.json:
        print(document("verify", bundles=results))
    elif not results:
        print("nothing is installed, so there is nothing to verify")
    return FAILED if any(result["error"] != NO_ERROR for result in results) else DONE


def _chosen(store: Store, names: list[str]) -> list[Receipt]:
    """The receipts of the bundles that were named, or of all."""
    names = names or [one.name for one in store.listing() if one.state is not BundleState.FOREIGN]
    receipts = [receipt for name in names if (receipt := store.receipt(name))]
    missing = set(names) - {receipt.name for receipt in receipts}
    if missing:
        raise CallRefused(
            ErrorName.NOT_FOUND,
            f"{', '.join(sorted(missing))} is not installed by dubseedd in {store.path}; "
            "without a name all that is there is verified",
        )
    return receipts


def _verify_one(store: Store, receipt: Receipt, *, quiet: bool) -> Result:
    meter, stop, name = Meter(), StopFlag(), receipt.name
    job = JobView("", 1, "verify", name, "queued")
    with display(quiet=quiet) as screen:
        fresh = watched(lambda: verify_bundle(store, receipt, meter, stop, now=_now()), job, meter, stop, screen)
    error, message = fresh.damage
    if error:
        _record(store, tidings.damaged(fresh))
        complain(message)
    elif not quiet:
        files = f"{len(fresh.files)} file{'' if len(fresh.files) == 1 else 's'}"
        print(f"{name} is whole: {files}, {text.size(fresh.size)}", flush=True)
    return {"name": name, "error": Error(error, message)}


def _record(store: Store, tiding: Tiding) -> None:
    """Write an event into the history. What was done stands even where that cannot be."""
    event, sentence, fields = tiding
    try:
        History(store.own).append(Event(event, sentence, _now(), fields))
    except OSError as error:
        complain(f"the history of {store.path} cannot be written ({error.strerror}); make room there")


def _now() -> int:
    return time.time_ns() // 1000
