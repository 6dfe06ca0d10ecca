"""Inspection: a seed that was plugged in is looked at.

    taken as a device > mounted (a lease) > scanned > judged against the store

Whatever is wrong with a seed is told, and concerns no other.
"""

import asyncio
import logging
from contextlib import AsyncExitStack

from dubseedd.core import tidings
from dubseedd.core.config import Config
from dubseedd.core.device import check_filesystem, check_loop
from dubseedd.core.lifecycle import SeedState
from dubseedd.core.plan import Verdict
from dubseedd.core.sentence import shown, signed_by
from dubseedd.engine.scanning import Offer, SeedFolder
from dubseedd.engine.store import Store
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import Failure, Interrupted, SeedGone
from dubseedd.names import ErrorName, EventName, Field
from dubseedd.service.board import Board
from dubseedd.service.mounting import Mounting
from dubseedd.service.ports import Devices, Disks
from dubseedd.service.pulling import was_pulled
from dubseedd.service.seed import Seed
from dubseedd.service.worker import in_thread

log = logging.getLogger(__name__)

FOUND = {
    Verdict.NEW: "is new",
    Verdict.UPDATE: "is an update of what is installed",
    Verdict.STAGED: "is copied already, not published",
    Verdict.CURRENT: "is current",
    Verdict.FOREIGN: "is in the store already, put there by somebody else",
}


class Inspection:
    """Looks at seeds, and tells what it finds."""

    def __init__(self, *, store: Store, devices: Devices, disks: Disks, mounting: Mounting, board: Board) -> None:
        self._store = store
        self._devices = devices
        self._disks = disks
        self._mounting = mounting
        self._board = board
        self._judging = asyncio.Lock()

    async def look(self, seed: Seed, config: Config, leases: AsyncExitStack) -> None:
        """Look at one seed; the lease that this takes is held by `leases`."""
        try:
            await seed.unless_gone(self._take(seed, config))
            root = await leases.enter_async_context(self._mounting.lease(seed, config, seed.unless_gone))
            await self._scan(seed, config, root)
        except Failure as failure:
            await self._give_up(seed, failure)
        except Exception:
            log.exception("looking at %s", seed.device.node)
            await self._give_up(seed, Failure(ErrorName.INTERNAL, "internal error, see the journal"))
        finally:
            seed.looked_at.set()
            self._mounting.announce(seed)

    async def _take(self, seed: Seed, config: Config) -> None:
        """Is this a device to take a seed from at all?"""
        check_filesystem(seed.device, config.seed.filesystems)
        for node in seed.device.loops:
            check_loop(seed.device, node, await self._disks.loop_owner(node))

    async def _scan(self, seed: Seed, config: Config, root: int) -> None:
        if seed.gone.is_set():
            raise SeedGone
        seed.enter(SeedState.SCANNING)
        self._board.changed(seed)

        def scan() -> list[Offer]:
            with SeedFolder(root, config, seed.device) as folder:
                return folder.offers(config.seed.bundles)

        offers = await seed.unless_gone(in_thread(scan))
        for offer in offers:
            if offer.refusal and await was_pulled(seed, offer.refusal, self._devices):
                raise SeedGone
        seed.offers = {offer.name: offer for offer in offers}
        await self.judge(seed)
        for offer in offers:
            self._tell(seed, offer)

    async def judge(self, seed: Seed) -> None:
        """Compare what a seed offers with the store, as it is now; one at a time, or the last word would be any."""

        def verdicts() -> dict[str, tuple[str, bool]]:
            found: dict[str, tuple[str, bool]] = {}
            for offer in seed.offers.values():
                if offer.refusal:
                    found[offer.name] = (offer.refusal.error.full, False)
                else:
                    verdict, unasked = self._store.verdict(offer.name, offer.manifest_sha256, offer.entries)
                    found[offer.name] = (verdict.value, unasked)
            return found

        async with self._judging:
            with writing_store(self._store.path):
                judged = await in_thread(verdicts)
            seed.verdicts = {name: verdict for name, (verdict, _) in judged.items()}
            seed.unasked = {name for name, (_, unasked) in judged.items() if unasked}
        self._board.changed(seed)

    def _tell(self, seed: Seed, offer: Offer) -> None:
        fields: dict[Field, str | int] = {
            **seed.fields,
            Field.BUNDLE: offer.name,
            Field.MANIFEST: offer.manifest_sha256,
        }
        if offer.refusal:
            extra = {Field.ERROR: offer.refusal.error.full, Field.FILE: offer.refusal.file}
            sentence = f"{shown(offer.name)} is refused: {offer.refusal.sentence}"
            self._board.tell(EventName.BUNDLE_REFUSED, sentence, {**fields, **extra})
            return
        verdict = Verdict(seed.verdicts[offer.name])
        what = FOUND[verdict]
        if offer.name not in seed.unasked:
            what = (
                f"is the version that was rolled back from, installed again by: dubseedctl sync --bundle {offer.name}"
            )
        sentence = f"{offer.name}, {offer.size:,} bytes{signed_by(offer.signer)}, {what}"
        remarks = "; ".join((sentence, *offer.notes))
        self._board.tell(EventName.BUNDLE_FOUND, remarks, {**fields, Field.BYTES_TOTAL: offer.size})
        if verdict is Verdict.CURRENT:
            self._board.report(tidings.current(offer.name, offer.manifest_sha256), fields)

    async def _give_up(self, seed: Seed, failure: Failure) -> None:
        if isinstance(failure, Interrupted) or await was_pulled(seed, failure, self._devices):
            return
        seed.offers, seed.verdicts = {}, {}
        seed.enter(SeedState.FAILED, failure)
        fields = {**seed.fields, Field.ERROR: failure.error.full}
        self._board.tell(EventName.SEED_REFUSED, f"{seed.called} is refused: {failure.sentence}", fields)
        self._board.changed(seed)
