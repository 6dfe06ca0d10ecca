"""Mounting: a seed is mounted while somebody reads it, and not a moment longer.

Whoever reads takes a lease. The first lease mounts, the last one unmounts what we have mounted ourselves; what somebody
else has mounted is used where it is and left as it is. The undo is registered before the mount: the record in
/run/dubseedd is written first, so that not even a kill leaves a mount without an owner.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from dubseedd.core.config import AfterSync, Config
from dubseedd.core.lifecycle import SeedState
from dubseedd.core.mountinfo import mount_options
from dubseedd.engine.mounts import MountRecord, open_seed
from dubseedd.engine.workshop import is_at_work
from dubseedd.errors import NO_ERROR, SeedGone, StoreTrouble
from dubseedd.names import ErrorName, EventName
from dubseedd.service.board import Board
from dubseedd.service.errands import Errands
from dubseedd.service.patience import unmounted
from dubseedd.service.ports import Disks
from dubseedd.service.seed import Seed
from dubseedd.service.worker import in_thread

T = TypeVar("T")
Wait = Callable[["asyncio.Future[int]"], Awaitable[int]]

log = logging.getLogger(__name__)

STOP_SECONDS = 1.5


def being_made(seed: Seed) -> StoreTrouble:
    """Somebody makes a bundle on it: what is there is not for reading."""
    return StoreTrouble(
        ErrorName.BUSY,
        f"a bundle is being made on {seed.called}; when that has ended it is looked at again, or plug it in anew",
    )


class Mounting:
    """The mounts of all seeds."""

    def __init__(self, disks: Disks, record: MountRecord, board: Board) -> None:
        self._disks = disks
        self._record = record
        self._board = board
        self._errands = Errands(awaited=True)
        """Mounting and unmounting take their time: who takes a lease may leave, who gives it back does not wait."""

    @asynccontextmanager
    async def lease(self, seed: Seed, config: Config, until: Wait) -> AsyncIterator[int]:
        """The descriptor of the seed's root, for the length of a block; `until` waits for it, and may give up.

        The lease counts from the moment in which it is asked for, so that nobody unmounts the seed in between.
        """
        seed.readers += 1
        seed.was_busy = True
        try:
            yield await until(asyncio.shield(self._errands.run(self._mounted(seed))))
        finally:
            seed.readers -= 1
            self.let_go(seed, config)

    def let_go(self, seed: Seed, config: Config) -> None:
        """Unmount a seed that nobody reads, if that is to be."""
        self._errands.run(self._let_go(seed, config))

    async def _mounted(self, seed: Seed) -> int:
        async with seed.mounting:
            return await self._root(seed)

    async def stop(self, seeds: Iterable[Seed]) -> None:
        """Unmount what is kept mounted, too, and give unmounting a moment; what is still mounted then is recorded, and
        the next start takes it over."""
        for seed in seeds:
            self._errands.run(self.unmount(seed))
        await self._errands.stop(STOP_SECONDS)
        for seed in seeds:
            if seed.our_mount:
                log.warning(
                    "%s is still mounted at %s; the next start of dubseedd unmounts it", seed.called, seed.our_mount
                )

    async def _let_go(self, seed: Seed, config: Config) -> None:
        async with seed.mounting:
            if seed.readers:
                return
            if seed.root is not None:
                os.close(seed.root)
                seed.root = None
            try:
                if seed.our_mount and (seed.gone.is_set() or config.sync.after is not AfterSync.KEEP):
                    await self._unmount(seed)
                if config.sync.after is AfterSync.POWER_OFF and not seed.gone.is_set() and seed.safe_to_remove:
                    await self._disks.power_off(seed.device)
            except StoreTrouble as trouble:
                self._complain(seed, trouble)
            except Exception:
                log.exception("letting go of %s", seed.device.node)
        self.announce(seed)

    async def _root(self, seed: Seed) -> int:
        """The descriptor of its root; mounts the seed where nobody has it open yet."""
        if seed.root is not None:
            return seed.root
        if seed.gone.is_set():
            raise SeedGone
        if seed.lent:
            raise being_made(seed)
        point, ours = await self._mount_point(seed)
        seed.our_mount = point if ours else ""
        root, notes = await in_thread(lambda: open_seed(point, seed.device, ours=ours))
        lent = await in_thread(lambda: is_at_work(root))
        if lent or seed.gone.is_set():
            os.close(root)
            raise being_made(seed) if lent else SeedGone
        seed.root = root
        whose = "" if ours else " by somebody else, used where it is"
        remarks = f" ({'; '.join(notes)})" if notes else ""
        self._board.tell(EventName.SEED_MOUNTED, f"{seed.called} is mounted at {point}{whose}{remarks}", seed.fields)
        self._board.changed(seed)
        return root

    async def _mount_point(self, seed: Seed) -> tuple[str, bool]:
        """Where it is mounted, by now at least, and whether that is our mount."""
        disk = await self._disks.find(seed.device)
        if seed.gone.is_set():
            raise SeedGone  # what was found may be the next plug of the same stick, which is another seed's to mount
        seed.disk = disk
        seed.mount_points = disk.mount_points
        if disk.mount_points:
            return disk.mount_points[0], self._record.made(seed.device)
        self._record.note(seed.device)
        options = mount_options(seed.device.filesystem)
        try:
            point, ours = await self._disks.mount(seed.device, options, lambda: not seed.gone.is_set())
        except SeedGone:
            self._record.forget(seed.device)
            raise
        except StoreTrouble:
            await self._forget_unless_mounted(seed)
            raise
        if not ours:
            self._record.forget(seed.device)
        if point not in seed.mount_points:
            seed.mount_points = (*seed.mount_points, point)
        return point, ours

    async def _forget_unless_mounted(self, seed: Seed) -> None:
        """After a mount that failed: where UDisks2 does not answer, it may still come, and then it is ours."""
        if not (await self._disks.find(seed.device)).mount_points:
            self._record.forget(seed.device)

    async def _unmount(self, seed: Seed) -> None:
        """Unmount our own mount, with patience, unless somebody wants to read it meanwhile; where it stays busy, say
        whom to ask."""

        async def unmount() -> None:
            if self._record.made(seed.device):  # else it was pulled, and another plug is on its number
                await self._disks.unmount(seed.device)

        def wanted() -> bool:
            return not seed.gone.is_set() and not seed.readers

        if await unmounted(unmount, wanted, lambda trouble: self._complain(seed, trouble)):
            self._unmounted(seed)
        elif seed.gone.is_set():
            seed.mount_points = ()
            self._not_ours(seed)

    def _complain(self, seed: Seed, trouble: StoreTrouble) -> None:
        seed.error = trouble.pair
        log.warning("%s", trouble.sentence)
        self._board.changed(seed)

    async def unmount(self, seed: Seed) -> None:
        """Unmount a seed that nobody reads any more and that was kept mounted. StoreTrouble where it is busy."""
        async with seed.mounting:
            if not seed.our_mount:
                return
            await self._disks.unmount(seed.device)
            self._unmounted(seed)
        self.announce(seed)

    def _unmounted(self, seed: Seed) -> None:
        seed.mount_points = seed.others_mounts
        self._not_ours(seed)
        self._board.tell(EventName.SEED_UNMOUNTED, f"{seed.called} is unmounted", seed.fields)

    def mounts_changed(self, seed: Seed, points: tuple[str, ...]) -> None:
        """Somebody has mounted or unmounted a seed. If that is us, whoever holds the lock says so when it is done."""
        seed.mount_points = points
        if seed.mounting.locked():
            self._board.changed(seed)
            return
        if seed.our_mount and seed.our_mount not in points:
            self._not_ours(seed)
        self.announce(seed)

    def _not_ours(self, seed: Seed) -> None:
        """Our mount is there no more; that it was busy is no error any more."""
        self._record.forget(seed.device)
        seed.our_mount = ""
        if seed.state is not SeedState.FAILED:
            seed.error = NO_ERROR

    def announce(self, seed: Seed) -> None:
        """Say what changed, and once after each use that the seed may be pulled."""
        if seed.safe_to_remove and seed.was_busy and not seed.gone.is_set():
            seed.was_busy = False
            self._board.tell(EventName.SAFE_TO_REMOVE, f"{seed.called} may be pulled out", seed.fields)
        self._board.changed(seed)
