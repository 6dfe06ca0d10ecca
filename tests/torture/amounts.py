"""How often each row of the bars is put to the test: a little in every run of the tests, the full amount on request.

A row's amount is set by the environment (R1=2000), the randomness by TORTURE_SEED; every failure names what it was.
What the amounts count: of R2 the step (each 10th system call, or with 1 all of them), of R8 how often a disk becomes
full under an update, of R15 the small files. R7 and R9 are always whole.
"""

import os
import random
from types import MappingProxyType

SOME = MappingProxyType(
    {"R1": 50, "R2": 10, "R3": 30, "R4": 100, "R8": 5, "R10": 50, "R12": 3, "R15": 2_000, "R17": 60}
)
FULL = MappingProxyType(
    {"R1": 2_000, "R2": 1, "R3": 1_000, "R4": 5_000, "R8": 100, "R10": 1_000, "R12": 50, "R15": 100_000, "R17": 3_000}
)
SEED = int(os.environ.get("TORTURE_SEED") or 1)


def amount(row: str) -> int:
    return int(os.environ.get(row) or SOME[row])


def is_full() -> bool:
    """Are all rows asked for in their full amount?"""
    return all(amount(row) <= full if row == "R2" else amount(row) >= full for row, full in FULL.items())


def randomness(*what: object) -> random.Random:
    """The randomness of one test, the same for the same seed."""
    return random.Random(f"{SEED} {what}")
