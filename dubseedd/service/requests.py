"""Requests: what the daemon may be asked for, by whoever may ask. Each raises a Failure where it cannot be.

What is asked for becomes jobs wherever it takes time; the D-Bus face forwards to here.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from dubseedd.core.lifecycle import SeedState
from dubseedd.engine.history import History
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.syncing import Wish
from dubseedd.errors import CallRefused, Cancelled, Failure
from dubseedd.names import HISTORY_MOST, ErrorName
from dubseedd.service.conductor import Conductor
from dubseedd.service.inhibitors import Inhibitor
from dubseedd.service.job import Job
from dubseedd.service.jobs import ends_of
from dubseedd.service.mounting import being_made
from dubseedd.service.seed import Seed
from dubseedd.service.worker import in_thread

LOOK_LIMIT_SECONDS = 60.0


def still_looked_at(seed: Seed) -> CallRefused:
    return CallRefused(ErrorName.BUSY, f"{seed.called} is still being looked at; ask again in a moment")


class Requests:
    """Puts requests to the conductor's parts."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._history = History(conductor.store.own)
        self._reading_history = asyncio.Lock()

    async def scan(self) -> None:
        """Look again for seeds and at the store, as at start."""
        await self._conductor.look_again()

    async def sync(
        self,
        seed: str,
        bundle: str,
        *,
        dry_run: bool = False,
        manifest_sha256: str = "",
        replace_foreign: bool = False,
    ) -> list[Job]:
        """Queue the sync of one bundle, or of every acceptable one, from one seed or from all."""
        jobs: list[Job] = []
        refusals: list[Failure] = []
        unusable: list[Failure] = []
        for one in await self._chosen(seed):
            if one.state is SeedState.FAILED and not one.offers:
                unusable.append(CallRefused(ErrorName.of(one.error[0]), one.error[1]))
            for offer in one.offers.values():
                if bundle not in ("", offer.name):
                    continue
                if offer.refusal:
                    refusals.append(offer.refusal)
                    continue
                wish = Wish(
                    offer.name,
                    manifest_sha256=manifest_sha256 or offer.manifest_sha256,
                    dry_run=dry_run,
                    replace_foreign=replace_foreign,
                )
                jobs.append(self._conductor.jobs.sync(one, wish, asked=True))
                self._conductor.seeds.settle(one)
        if not jobs and (reasons := refusals + unusable):
            raise reasons[0]
        if not jobs:
            raise CallRefused(
                ErrorName.NOT_FOUND,
                f"no seed has {f'a bundle {bundle}' if bundle else 'any bundle'}; see dubseedctl status",
            )
        return jobs

    async def _chosen(self, seed: str) -> list[Seed]:
        chosen = [one for one in self._conductor.seeds.all.values() if seed in ("", *one.names)]
        if not chosen:
            which = f"no seed {seed} is plugged in" if seed else "no seed is plugged in"
            raise CallRefused(
                ErrorName.NOT_FOUND, f"{which}; plug in a stick labelled {self._conductor.config.seed.label}"
            )
        end = asyncio.get_running_loop().time() + LOOK_LIMIT_SECONDS
        for one in chosen:
            try:
                async with asyncio.timeout_at(end):
                    await one.looked_at.wait()
            except TimeoutError:
                raise still_looked_at(one) from None
        return [one for one in chosen if not one.gone.is_set()]

    def verify(self, bundle: str) -> list[Job]:
        """Queue the verification of one installed bundle, or of all."""
        names = [self._installed(bundle)] if bundle else self._all_installed()
        return [self._conductor.jobs.verify(name) for name in names]

    def roll_back(self, bundle: str) -> Job:
        """Queue the rollback of an installed bundle to the version before."""
        self._conductor.inhibitors.refuse(f"the rollback of {self._installed(bundle)}")
        if not self._conductor.shelf.bundles[bundle].can_roll_back:
            raise CallRefused(
                ErrorName.NO_PREVIOUS,
                f"there is no previous version of {bundle} to go back to; plug in a stick that has the one you want",
            )
        return self._conductor.jobs.roll_back(bundle)

    async def remove(self, bundle: str) -> None:
        """Delete an installed bundle and its previous version."""
        self._conductor.inhibitors.refuse(f"the removal of {self._installed(bundle)}")
        await self._conductor.jobs.remove(bundle)
        await self._conductor.seeds.judge_again(bundle)

    async def inhibit(self, who: str, why: str, uid: int) -> int:
        """Hold publications, rollbacks and removals back until the descriptor that is returned has been closed.

        What was being done in that moment is waited for.
        """
        descriptor = self._conductor.inhibitors.take(Inhibitor(who, why, uid))
        try:
            await self._conductor.jobs.changes_end()
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _all_installed(self) -> list[str]:
        bundles = self._conductor.shelf.bundles
        return [name for name, bundle in bundles.items() if bundle.state is not BundleState.FOREIGN]

    def _installed(self, bundle: str) -> str:
        if bundle not in self._all_installed():
            raise CallRefused(
                ErrorName.NOT_FOUND, f"{bundle} is not installed by dubseedd; dubseedctl list shows what is"
            )
        return bundle

    def cancel(self, job: Job) -> None:
        self._conductor.jobs.cancel(job)

    async def eject(self, seed: Seed, *, power_off: bool = False) -> None:
        """End the jobs of a seed, unmount it and, on request, power its drive down."""
        await self._let_go(seed)
        if seed.others_mounts:
            raise CallRefused(
                ErrorName.BUSY,
                f"{seed.called} is mounted at {seed.others_mounts[0]} by somebody else; unmount it there: "
                f"umount {seed.others_mounts[0]}",
            )
        if power_off:
            await self._conductor.disks.power_off(seed.device)

    async def lend(self, seed: Seed, until: Callable[[], Awaitable[None]]) -> None:
        """End the jobs of a seed, unmount it, and leave it alone while somebody writes to it; then look at it as at one
        just plugged in."""
        await self._let_go(seed)
        if seed.gone.is_set():
            raise CallRefused(ErrorName.NOT_FOUND, f"{seed.called} was pulled out meanwhile; plug it in and ask again")
        if seed.lent:
            raise being_made(seed)
        self._conductor.seeds.lend(seed, until)

    async def _let_go(self, seed: Seed) -> None:
        jobs = self._conductor.jobs.unfinished(seed)
        for job in jobs:
            job.halt.ask(Cancelled())
        await ends_of(jobs)
        if seed.readers or not seed.looked_at.is_set():
            raise still_looked_at(seed)
        await self._conductor.mounting.unmount(seed)

    async def history(self, most: int) -> list[dict[str, Any]]:
        """The newest events first, at most `most` and never more than 1,000."""

        def newest() -> list[dict[str, Any]]:
            self._conductor.recorder.flush()
            return self._history.newest(min(most, HISTORY_MOST))

        async with self._reading_history:  # anybody may ask, as often as they like, and each answer takes its memory
            return await in_thread(newest)
