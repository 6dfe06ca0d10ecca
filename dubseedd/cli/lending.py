"""Borrowing a stick: the daemon lets go of it, UDisks2 mounts it for us."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from dubseedd.adapters.bus import BusGone, Connection, RemoteError
from dubseedd.adapters.udisks import UDisks
from dubseedd.cli.agent import somebody_is_there
from dubseedd.cli.aside import Aside
from dubseedd.cli.asking import NO_DAEMON, NO_START, complaint_of
from dubseedd.cli.client import Client
from dubseedd.cli.exits import FAILED, Complaint
from dubseedd.core.device import BlockDevice
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import ErrorName

OPTIONS = ("nosuid", "nodev", "noexec")
RETRIES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""A file manager that looks at the stick holds it for a moment; there is no event that says when it is free."""


class Lender:
    """Speaks to daemon and UDisks2 on a loop aside."""

    def __init__(self, aside: Aside, connection: Connection) -> None:
        self._aside = aside
        self._disks = UDisks(lambda: connection, interactive=somebody_is_there())
        self._connection = connection

    @classmethod
    def on(cls, aside: Aside) -> Self | None:
        """None where the bus cannot be reached."""
        try:
            connection = aside.enter(_connected())
        except BusGone:
            return None
        return cls(aside, connection)

    def borrow(self, node: str) -> bool:
        """Let the daemon let go of a device until we leave; False where there is no daemon, or it does not have it."""
        try:
            client = self._aside.enter(Client.open())
            return self._aside.run(_borrow(client, node))
        except RemoteError as error:
            if error.name.startswith(NO_DAEMON + NO_START):
                return False
            raise complaint_of(error.name, error.text) from error
        except (BusGone, TimeoutError) as error:
            raise Complaint(
                f"dubseedd does not let go of {node}: {error}; see systemctl status dubseedd", FAILED
            ) from error

    def mounted(self, node: str, label: str) -> tuple[str, bool]:
        """(mount point, did we mount it) of a device with this label, mounted until we leave."""
        device = self._aside.run(self._device(node))
        if device.label != label:
            raise CallRefused(
                ErrorName.INVALID_ARGS,
                f"{node} is labelled {device.label or 'nothing'}, and a seed {label}; make a seed of it: "
                f"dubseedctl format {node}",
            )
        return self._aside.enter(_mounted(self._disks, device))

    async def _device(self, node: str) -> BlockDevice:
        await self._disks.attach(self._connection)
        return await self._disks.device(node)


@asynccontextmanager
async def _connected() -> AsyncIterator[Connection]:
    connection = await Connection.open()
    try:
        yield connection
    finally:
        await connection.close()


async def _borrow(client: Client, node: str) -> bool:
    """Ask again while the daemon still looks at it."""
    async for state in client.states():
        seed = next((seed for seed in state.seeds if seed.device == node), None)
        if seed is None:
            return False
        try:
            await client.eject(seed, lend=True)
        except RemoteError as error:
            if error.name != ErrorName.BUSY.full:
                raise
            continue
        return True
    raise AssertionError("the states end only when the caller has seen enough")


@asynccontextmanager
async def _mounted(disks: UDisks, device: BlockDevice) -> AsyncIterator[tuple[str, bool]]:
    point, ours = await disks.mount(device, OPTIONS)
    try:
        yield point, ours
    finally:
        if ours:
            await _unmount(disks, device)
        disks.detach()


async def _unmount(disks: UDisks, device: BlockDevice) -> None:
    for delay in RETRIES_SECONDS:
        try:
            await disks.unmount(device)
        except StoreTrouble:
            await asyncio.sleep(delay)
        else:
            return
    await disks.unmount(device)
