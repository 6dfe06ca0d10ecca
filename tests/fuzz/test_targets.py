"""The targets of the fuzzer, with what they begin with and some thousand inputs near to it. `make fuzz` goes on."""

import random
from collections.abc import Iterator

import pytest

from tests.fuzz.targets import TARGETS, seeds

AMOUNT = 3_000


def near(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Inputs with some bytes changed, lost, doubled or moved."""
    for _ in range(AMOUNT):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(changed) + 1)
            piece = rng.choice((b"", bytes([rng.randrange(256)]), changed[at : at + 8], b"\xff" * 8, b"[" * 50))
            changed[at : at + rng.randrange(4)] = piece
        yield bytes(changed)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_holds_for_what_it_begins_with_and_what_is_near(target: str) -> None:
    for number, seed in enumerate(seeds(target)):
        TARGETS[target](seed)
        for data in near(seed, random.Random(f"{target} {number}")):
            TARGETS[target](data)
