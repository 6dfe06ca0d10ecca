"""The beginning of a GGUF file: right by its own account, whatever that tells."""

import struct
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubseedd.core.gguf import HEAD_BYTES, check
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName
from tests.support.bundles import gguf, gguf_string

PATH = "model-q4.gguf"
KEY = gguf_string("k")


def file_of(*keys: bytes, version: int = 3, tensors: int = 0, count: int | None = None) -> bytes:
    """A file with these keys, each as its bytes."""
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, len(keys) if count is None else count) + b"".join(keys)


def array(kind: int, length: int, values: bytes = b"") -> bytes:
    return KEY + struct.pack("<IIQ", 9, kind, length) + values


def refusal_of(raw: bytes, size: int | None = None) -> str:
    with pytest.raises(SeedRefused) as refused:
        check(PATH, raw[:HEAD_BYTES], len(raw) if size is None else size)
    assert (refused.value.error, refused.value.file) == (ErrorName.MODEL_INCOMPLETE, PATH)
    return refused.value.sentence


@given(st.integers(0, 4), st.integers(0, 5), st.integers(0, 99))
@settings(derandomize=True, database=None, deadline=None)
def test_what_is_right_is_accepted(tensors: int, tokens: int, data: int) -> None:
    raw = gguf(tensors=tensors, tokens=tokens, data=data)
    check(PATH, raw, len(raw))


@pytest.mark.parametrize(
    "raw",
    [
        file_of(),
        file_of(version=2),
        *(file_of(KEY + struct.pack("<I", kind) + bytes(width)) for kind, width in
          [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)]),
        file_of(KEY + struct.pack("<I", 8) + gguf_string("x")),
        file_of(array(0, 3, bytes(3))),
        file_of(array(12, 3, bytes(24))),
        file_of(array(8, 2, gguf_string("a") * 2)),
        file_of(array(9, 2, struct.pack("<IQH", 2, 1, 7) * 2)),
    ],
)  # fmt: skip
def test_every_type_of_value_is_known_by_its_length(raw: bytes) -> None:
    check(PATH, raw, len(raw))
    if len(raw) > 24:
        refusal_of(raw[:-1])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is no GGUF file; copy the model from its source anew"),
        (b"GGUF\3\0\0\0", "is no GGUF file"),
        (b"GGML" + bytes(40), "is no GGUF file"),
        (file_of(version=1), "is of GGUF version 1, taken are 2 and 3 in little-endian; convert it anew"),
        (file_of(version=4), "is of GGUF version 4"),
        (file_of(version=3 << 24), "is in the byte order of other machines"),
        (file_of(tensors=1), "it tells of 1 tensors and 0 keys, and has 24 bytes"),
        (file_of(count=1 << 63), "it tells of 0 tensors and 9,223,372,036,854,775,808 keys"),
        (file_of(struct.pack("<Q", 1 << 60) + bytes(8)), "tells of 1,152,921,504,606,846,976 bytes after byte 32"),
        (file_of(KEY + struct.pack("<II", 13, 0)), "it has a value of type 13"),
        (file_of(array(8, 1 << 61)), "it tells of"),
        (file_of(array(8, 1 << 20)), "it tells of"),
        (file_of(array(0, 1 << 40)), "it tells of 1,099,511,627,776 bytes"),
        (file_of(array(12, 1 << 63)), "it tells of 73,786,976,294,838,206,464 bytes"),
        (file_of(array(9, 1, struct.pack("<IQ", 9, 1) * 4)), "it has a value of type 9 at byte"),
        (file_of(array(99, 0)), "it has a value of type 99"),
        (gguf(tensors=3, data=0)[: -32 * 3], "it tells of 64 bytes after byte"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    assert reason in refusal_of(raw)


def test_a_file_that_was_cut_short_is_known_by_any_tensor_that_begins_after_its_end() -> None:
    raw = gguf(tensors=100, data=0)
    for size in (len(raw) - 33, len(raw) - 100 * 32, len(raw) // 2, 30):
        assert "is cut short or broken" in refusal_of(raw[:size])


def test_what_lies_beyond_the_bytes_at_hand_is_not_asked_for() -> None:
    raw = gguf(tokens=1000)
    check(PATH, raw[:300], len(raw))


@pytest.mark.parametrize("kind", [8, 9])
def test_an_array_that_is_longer_than_the_file_is_not_gone_through(kind: int) -> None:
    raw = file_of(array(kind, 1 << 40, bytes(120)))
    assert "it tells of 8,796,093,022,208 bytes" in refusal_of(raw, size=1 << 30)


@given(st.binary(max_size=200), st.integers(0, 1 << 70))
@settings(derandomize=True, database=None, deadline=None, max_examples=500)
def test_any_bytes_are_refused_in_one_way(raw: bytes, size: int) -> None:
    for head in (raw, b"GGUF\3\0\0\0" + raw, file_of(count=2) + raw):
        with suppress(SeedRefused):
            check(PATH, head, max(size, len(head)))


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
@settings(derandomize=True, database=None, deadline=None, max_examples=500)
def test_a_file_with_other_bytes_in_it_is_accepted_or_refused_in_one_way(at: int, other: bytes) -> None:
    raw = bytearray(gguf(tensors=3))
    at %= len(raw)
    raw[at : at + len(other)] = other
    with suppress(SeedRefused):
        check(PATH, bytes(raw), len(raw))


def test_a_head_full_of_entries_takes_no_memory_of_its_own() -> None:
    count = HEAD_BYTES // 64 // 8
    for raw in (
        file_of(array(8, count, bytes(8 * count))),
        file_of(array(9, count, struct.pack("<IQ", 0, 0) * count)),
        file_of(*[struct.pack("<QIB", 0, 0, 0)] * count),
    ):
        tracemalloc.start()
        try:
            check(PATH, raw, len(raw))
            assert tracemalloc.get_traced_memory()[1] < 10_000
        finally:
            tracemalloc.stop()
