"""Pulling a stick out: a moment in which reading fails, and nothing is wrong with what is on it."""

import asyncio

from dubseedd.errors import Failure
from dubseedd.names import ErrorName
from dubseedd.service.ports import Devices
from dubseedd.service.seed import Seed

PULL_GRACE_SECONDS = 2.0
"""A pulled stick gives read errors a moment before its removal is announced."""

ABSENCE = frozenset(
    {
        ErrorName.READ_FAILED,
        ErrorName.FILE_MISSING,
        ErrorName.MANIFEST_MISSING,
        ErrorName.UNTRUSTED_SEED,
        ErrorName.NOT_FOUND,
        ErrorName.MOUNT_FAILED,
        ErrorName.UNSAFE_MOUNT,
    }
)
"""What a seed seems guilty of while it is being pulled: absence on a seed is never evidence."""


async def was_pulled(seed: Seed, failure: Failure, devices: Devices) -> bool:
    """Does a failure only mean that the seed is being pulled out?"""
    if seed.gone.is_set():
        return True
    if failure.error not in ABSENCE:
        return False
    if failure.error is ErrorName.READ_FAILED:
        try:
            await asyncio.wait_for(seed.gone.wait(), PULL_GRACE_SECONDS)
        except TimeoutError:
            pass
        else:
            return True
    return not devices.present(seed.device)
