"""The commands that need no daemon: the same engine on a mounted seed and a store, as an installer uses it.

Nothing here needs a bus, udev or any third-party library but blake3.
"""

import argparse
import os
import sys
import time
from contextlib import closing
from typing import Any

from dubseedd.cli import show
from dubseedd.cli.exits import DONE, FAILED
from dubseedd.core.bundle import shown
from dubseedd.core.config import Config
from dubseedd.core.events import Event
from dubseedd.core.progress import Meter
from dubseedd.engine.configfile import load
from dubseedd.engine.durable import FOLDER
from dubseedd.engine.filling import SyncTools
from dubseedd.engine.history import History
from dubseedd.engine.publishing import settle
from dubseedd.engine.scanning import Offer, SeedFolder, policy_of
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import BundleState, Store
from dubseedd.engine.syncing import BundleSync, Readiness, Wish
from dubseedd.engine.verifying import verify as verify_bundle
from dubseedd.errors import CallRefused, Failure
from dubseedd.names import ErrorName, EventName, Field


def sync(options: argparse.Namespace) -> int:
    """Sync a mounted seed into a store; one refused bundle stops no other."""
    config = load(options.config)
    results = []
    with _seed(options.from_folder, config) as seed, closing(Store(options.store or config.store.path)) as store:
        settle(store)
        offers = [offer for offer in seed.offers(config.seed.bundles) if options.bundle in ("", offer.name)]
        if not offers:
            what = f"a bundle {options.bundle}" if options.bundle else "any bundle"
            raise CallRefused(ErrorName.NOT_FOUND, f"{options.from_folder} does not have {what}; look into its models/")
        for offer in offers:
            results.append(_sync_one(store, seed, offer, config, options))
            if not options.json:
                print(_line(results[-1]), file=sys.stdout if results[-1]["error"] == "" else sys.stderr)
    if options.json:
        print(show.document("sync", store=store.path, bundles=results))
    return FAILED if any(result["error"] for result in results) else DONE


def _seed(folder: str, config: Config) -> SeedFolder:
    try:
        root = os.open(folder, FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise CallRefused(
            ErrorName.NOT_FOUND,
            f"{folder} cannot be opened ({error.strerror}); name a mounted seed or any folder",
        ) from error
    try:
        return SeedFolder(root, config.seed.models, policy_of(config))
    finally:
        os.close(root)


def _sync_one(
    store: Store, seed: SeedFolder, offer: Offer, config: Config, options: argparse.Namespace
) -> dict[str, Any]:
    """One bundle: what came of it, as the JSON shows it."""
    history = History(store.own)

    def tell(name: EventName, message: str, **more: str) -> None:
        fields = {Field.EVENT: name.value, Field.BUNDLE: offer.name, Field.MANIFEST: offer.manifest_sha256}
        extra = {Field[key.upper()]: value for key, value in more.items()}
        history.append(Event(name, message, _now(), {**fields, **extra}))

    def note(sentence: str) -> None:
        if not options.json:
            print(sentence, file=sys.stderr)

    result = {"name": offer.name, "outcome": "refused", "error": "", "message": "", "bytes_done": 0, "bytes_skipped": 0}
    meter = Meter()
    try:
        if offer.refusal:
            raise offer.refusal
        wish = Wish(offer.name, offer.manifest_sha256, options.dry_run, options.replace_foreign)
        with closing(BundleSync(store, wish, SyncTools(config=config, meter=meter, note=note, gave_up=note))) as work:
            readiness = work.prepare(seed)
            if readiness in (Readiness.STAGED, Readiness.ADOPTABLE):
                work.publish()
        outcome, event = _OUTCOMES[readiness]
        if event:
            tell(event, f"{offer.name} is {outcome}")
        result |= {"outcome": outcome}
    except Failure as failure:
        refused = EventName.BUNDLE_REFUSED if offer.refusal else EventName.JOB_FAILED
        tell(refused, f"{shown(offer.name)}: {failure.sentence}", error=failure.error.full, file=failure.file)
        result |= {"outcome": "refused" if offer.refusal else "failed", "error": failure.error.full}
        result |= {"message": failure.sentence}
    planned = meter.bytes_total if result["outcome"] == "planned" else meter.bytes_done
    return result | {"bytes_done": planned, "bytes_skipped": meter.bytes_skipped}


_OUTCOMES: dict[Readiness, tuple[str, EventName | None]] = {
    Readiness.STAGED: ("installed", EventName.BUNDLE_INSTALLED),
    Readiness.ADOPTABLE: ("adopted", EventName.BUNDLE_ADOPTED),
    Readiness.CURRENT: ("current", EventName.BUNDLE_CURRENT),
    Readiness.PLANNED: ("planned", None),
}


def _line(result: dict[str, Any]) -> str:
    if result["error"]:
        return f"{shown(result['name'])} is {result['outcome']}: {result['message']}"
    skipped = f", {show.size(result['bytes_skipped'])} were there already" if result["bytes_skipped"] else ""
    verb = "to copy" if result["outcome"] == "planned" else "copied"
    return f"{result['name']} is {result['outcome']}: {show.size(result['bytes_done'])} {verb}{skipped}"


def verify(options: argparse.Namespace) -> int:
    """Read installed bundles back, without the daemon."""
    config = load(options.config)
    results = []
    with closing(Store(options.store or config.store.path)) as store:
        names = options.bundles or [one.name for one in store.listing() if one.state is not BundleState.FOREIGN]
        for name in names:
            receipt = store.receipt(name)
            if receipt is None:
                raise CallRefused(ErrorName.NOT_FOUND, f"{name} is not installed by dubseedd in {store.path}")
            fresh = verify_bundle(store, receipt, Meter(), StopFlag(), now=_now())
            results.append({"name": name, "error": fresh.damage[0], "message": fresh.damage[1]})
            if not options.json:
                whole = f"{name} is whole: {len(fresh.files)} files, {show.size(fresh.size)}"
                print(fresh.damage[1] or whole, file=sys.stderr if fresh.damage[0] else sys.stdout)
    if options.json:
        print(show.document("verify", bundles=results))
    return FAILED if any(result["error"] for result in results) else DONE


def _now() -> int:
    return time.time_ns() // 1000
