"""Awaited manifests: a bundle whose manifest is missing, or is half of one, may still be on its way to the seed.

That can only be where somebody else has the seed mounted: our own mounts are read-only.
"""

import itertools
import os
from collections.abc import Callable, Iterable

from dubseedd.core.config import Config
from dubseedd.core.device import Number
from dubseedd.names import MANIFEST, ErrorName
from dubseedd.service.errands import Errands
from dubseedd.service.ports import Arrivals
from dubseedd.service.seed import Seed
from dubseedd.service.worker import in_thread

MOST = 32
"""Manifests that are waited for at a time, each by a watch: root has 128 of them for all that it runs. When one comes,
the others have their turn."""

ON_ITS_WAY = (ErrorName.MANIFEST_MISSING, ErrorName.MANIFEST_INVALID)
"""What a bundle seems guilty of while somebody writes it."""


class Awaited:
    """The manifests that are awaited on each seed; `arrived` is told of the first to come, then no more."""

    def __init__(self, arrivals: Arrivals, arrived: Callable[[Seed], None]) -> None:
        self._arrivals = arrivals
        self._tell = arrived
        self._watches: dict[Number, list[Callable[[], None]]] = {}
        """The undo of each."""
        self._errands = Errands()

    def follow(self, seed: Seed, config: Config) -> None:
        """Wait for the manifests that the last look at a seed has missed, instead of those before."""
        self.forget(seed)
        folders = {
            f"{point}/{config.seed.models}/{offer.name}": offer.refusal.error
            for point in seed.others_mounts[:1]
            for offer in seed.offers.values()
            if offer.refusal and offer.refusal.error in ON_ITS_WAY
        }
        if not folders:
            return
        room = MOST - sum(len(undos) for undos in self._watches.values())
        self._watches[seed.device.number] = [
            self._arrivals.watch(folder, MANIFEST, lambda: self._arrived(seed))
            for folder in itertools.islice(folders, room)
        ]
        missing = [folder for folder, error in folders.items() if error is ErrorName.MANIFEST_MISSING]
        if missing:
            self._errands.run(self._look_once(seed, missing))

    async def _look_once(self, seed: Seed, folders: list[str]) -> None:
        """One may have come between the look and the watch."""
        if await in_thread(lambda: any(os.path.exists(f"{folder}/{MANIFEST}") for folder in folders)):
            self._arrived(seed)

    async def stop(self, seeds: Iterable[Seed]) -> None:
        for seed in seeds:
            self.forget(seed)
        await self._errands.stop()

    def forget(self, seed: Seed) -> None:
        for undo in self._watches.pop(seed.device.number, ()):
            undo()

    def _arrived(self, seed: Seed) -> None:
        if not seed.gone.is_set():
            self.forget(seed)
            self._tell(seed)
