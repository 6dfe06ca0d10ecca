"""Safetensors headers, with the library that writes and loads them as the oracle."""

import ctypes
import json
import tracemalloc
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, TensorSpec, deserialize, serialize

from dubseedd.core.safetensors import BITS, LENGTH_BYTES, MAX_HEADER_BYTES, header_length, tensors
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

PATH = "model.safetensors"
Header = dict[str, Any]


def names_in(raw: bytes) -> AbstractSet[str]:
    """The names of the tensors in a file; SeedRefused where it keeps not the rules."""
    length = header_length(PATH, raw[:LENGTH_BYTES], len(raw))
    return tensors(PATH, raw[LENGTH_BYTES : LENGTH_BYTES + length], len(raw))


def file_of(header: Header | bytes, data_bytes: int) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + bytes(data_bytes)


def tensor(dtype: str = "U8", shape: list[Any] | None = None, offsets: list[Any] | None = None) -> Header:
    return {"dtype": dtype, "shape": [4] if shape is None else shape, "data_offsets": offsets or [0, 4]}


def refusal_of(raw: bytes) -> str:
    with pytest.raises(SeedRefused) as refused:
        names_in(raw)
    assert (refused.value.error, refused.value.file) == (ErrorName.MODEL_INCOMPLETE, PATH)
    assert refused.value.sentence.isprintable()
    assert len(refused.value.sentence) < 1000
    return refused.value.sentence


def loads(raw: bytes) -> bool:
    """Does the library take it?"""
    try:
        deserialize(raw)
    except SafetensorError:
        return False
    return True


NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 8, 12]), max_size=3)


@st.composite
def files(draw: st.DrawFn) -> tuple[Header, int]:
    """A header that is right, and the bytes of data that belong to it; its tensors lie in any order."""
    header: Header = {}
    at = 0
    for name in draw(st.lists(NAMES, unique=True, max_size=6)):
        dtype, shape = draw(st.sampled_from(sorted(BITS))), draw(SHAPES)
        bits = BITS[dtype]
        for length in shape:
            bits *= length
        if bits % 8:
            continue
        header[name] = tensor(dtype, shape, [at, at + bits // 8])
        at += bits // 8
    order = draw(st.permutations(sorted(header)))
    metadata = draw(st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
    return {**({} if metadata is None else {"__metadata__": metadata}), **{name: header[name] for name in order}}, at


@given(files())
@settings(derandomize=True, database=None, deadline=None)
def test_what_is_right_is_accepted_as_the_library_does(file: tuple[Header, int]) -> None:
    raw = file_of(*file)
    assert names_in(raw) == {name for name, _ in deserialize(raw)}


@given(files(), st.data())
@settings(derandomize=True, database=None, deadline=None, max_examples=300)
def test_any_offset_that_is_moved_is_refused(file: tuple[Header, int], data: st.DataObject) -> None:
    header, size = file
    names = [name for name in header if name != "__metadata__"]
    assume(names)
    offsets = header[data.draw(st.sampled_from(names))]["data_offsets"]
    offsets[data.draw(st.integers(0, 1))] += data.draw(st.integers(-20, 20).filter(bool))
    refusal_of(file_of(header, size))


@given(files(), st.data())
@settings(derandomize=True, database=None, deadline=None, max_examples=300)
def test_a_file_that_is_longer_or_shorter_is_refused(file: tuple[Header, int], data: st.DataObject) -> None:
    raw = file_of(*file)
    refusal_of(raw + bytes(data.draw(st.integers(1, 9))))
    refusal_of(raw[: data.draw(st.integers(0, len(raw) - 1))])


def test_whatever_is_accepted_the_library_accepts_too() -> None:
    accepted = set()

    @given(files(), st.data())
    @settings(derandomize=True, database=None, deadline=None, max_examples=1500)
    def compare(file: tuple[Header, int], data: st.DataObject) -> None:
        raw = bytearray(file_of(*file))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"0", b"1", b"-", b".", b'"', b"}", b",", b" ", b"[]", b"null"])
        )
        try:
            names_in(bytes(raw))
        except SeedRefused:
            return
        accepted.add(bytes(raw))
        assert loads(bytes(raw))

    compare()
    assert len(accepted) > 50


@given(st.binary(max_size=200), st.integers(0, 300))
@settings(derandomize=True, database=None, deadline=None, max_examples=500)
def test_any_bytes_are_refused_in_one_way(raw: bytes, more: int) -> None:
    for whole in (raw, file_of(raw, more)):
        with suppress(SeedRefused):
            names_in(whole)


def test_what_the_library_writes_is_accepted() -> None:
    """The data of every type that it takes by name, out of order, with metadata and padding of its own."""
    arrays = {dtype: (ctypes.c_char * (15 * width))() for dtype, width in [("float32", 4), ("uint8", 1), ("int64", 8)]}
    specs = {
        f"layer.{dtype}": TensorSpec(
            dtype=dtype, shape=[3, 5], data_ptr=ctypes.addressof(array), data_len=ctypes.sizeof(array)
        )
        for dtype, array in arrays.items()
    }
    assert names_in(serialize(specs, metadata={"format": "pt"})) == set(specs)
    assert names_in(serialize({}, metadata=None)) == set()


@pytest.mark.parametrize("dtype", sorted(BITS))
def test_every_type_of_the_format_has_its_size_in_bits(dtype: str) -> None:
    raw = file_of({"a": tensor(dtype, [8], [0, BITS[dtype]])}, BITS[dtype])
    assert names_in(raw) == {"a"}
    deserialize(raw)


def test_elements_smaller_than_a_byte_have_to_fill_whole_bytes() -> None:
    assert names_in(file_of({"a": tensor("F4", [2, 3], [0, 3])}, 3)) == {"a"}
    assert "dtype and shape" in refusal_of(file_of({"a": tensor("F4", [3], [0, 1])}, 1))
    assert "dtype and shape" in refusal_of(file_of({"a": tensor("F4", [3], [0, 2])}, 2))
    assert "dtype and shape" in refusal_of(file_of({"a": tensor("F6_E2M3", [5], [0, 4])}, 4))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "has 0 bytes, too few for a safetensors file"),
        (b"\x01" * 7, "has 7 bytes, too few"),
        (b"\x05" + bytes(7) + b"{}", "is cut short or no safetensors file: it tells of a header of 5 bytes"),
        (b"\xff" * 8, "a header of 18,446,744,073,709,551,615 bytes"),
        (b"version https://git", "is cut short or no safetensors file"),
        (file_of(b"", 0), "has a header that cannot be right: no { at byte 0"),
        (file_of(b"[]", 0), "no { at byte 0"),
        (file_of(b"{}", 1), "has 1 bytes of tensors, and its header tells of 0"),
        (file_of({"a": tensor()}, 3), "has 3 bytes of tensors, and its header tells of 4"),
        (file_of({"a": tensor()}, 5), "has 5 bytes of tensors, and its header tells of 4"),
        (file_of({"a": tensor(offsets=[1, 5])}, 5), "has a hole at byte 0 of its data"),
        (file_of({"a": tensor(), "b": tensor(offsets=[5, 9])}, 9), "has a hole at byte 4 of its data"),
        (file_of({"a": tensor(), "b": tensor()}, 4), "has tensors that overlap at byte 0 of its data"),
        (file_of({"a": tensor(), "b": tensor(offsets=[3, 7])}, 7), "has tensors that overlap at byte 3"),
        (file_of({"a": tensor(), "b": tensor(shape=[0], offsets=[2, 2])}, 4), "overlap at byte 2"),
        (file_of(b'{"a":%s,"a":%s}' % ((json.dumps(tensor()).encode(),) * 2), 4), "a is there twice"),
        (file_of({"__metadata__": {"a": 1}}, 0), "no string"),
        (file_of({"__metadata__": []}, 0), "no {"),
        (file_of(b'{"__metadata__":null}', 0), "no {"),
        (file_of(b'{"__metadata__":{"a":"","a":""}}', 0), "a is there twice"),
        (file_of(b'{"__metadata__":{},"__metadata__":{}}', 0), "__metadata__ is there twice"),
        (file_of({"a": None}, 0), "a lacks dtype, shape or data_offsets"),
        (file_of({"a": ["U8", [4], [0, 4]]}, 4), "a lacks dtype"),
        (file_of({"a": {"dtype": "U8", "shape": [4]}}, 4), "a lacks dtype"),
        (file_of({"a": tensor(offsets=[0, 4, 4])}, 4), "a lacks dtype"),
        (file_of({"a": tensor("F3")}, 4), "a is of dtype F3, which nobody knows"),
        (file_of({"a": {**tensor(), "dtype": 1}}, 4), "a lacks dtype"),
        (file_of({"a": tensor(shape=[-4])}, 4), "a shape or offsets that are no sizes"),
        (file_of({"a": tensor(shape=[True, 4])}, 4), "no sizes"),
        (file_of({"a": tensor(shape=[4.0])}, 4), "no sizes"),
        (file_of({"a": tensor(shape=["4"])}, 4), "no sizes"),
        (file_of({"a": tensor(offsets=[-4, 0])}, 4), "no sizes"),
        (file_of({"a": tensor(offsets=[4, 0])}, 4), "a does not have the size of its dtype and shape"),
        (file_of({"a": tensor(shape=[5])}, 4), "a does not have the size of its dtype and shape"),
        (file_of({"a": tensor(shape=[1 << 63, 2, 0], offsets=[0, 0])}, 0), "the size of its dtype"),
        (file_of({"a": tensor(shape=[1 << 64, 0], offsets=[0, 0])}, 0), "no sizes"),
        (file_of({"a\x1b[2J": tensor("F3")}, 4), "is of dtype F3"),
        (file_of({"x" * 10_000: tensor("F3")}, 4), "is of dtype F3"),
        (file_of({"x" * 100_000: tensor("F3")}, 4), "a string of more than 16,384 bytes"),
        (file_of({"a": tensor("F" * 10_000)}, 4), "which nobody knows"),
        (file_of(b'{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}', 0), "no JSON value"),
        (file_of(b'{"\\ud800":%s}' % json.dumps(tensor()).encode(), 4), "no string"),
        (file_of(b"\xef\xbb\xbf{}", 0), "no {"),
        (file_of(b'{"\xff":{}}', 0), "invalid start byte"),
        (file_of(b"{}\0", 0), "more than one JSON value"),
    ],
    ids=lambda value: value[8:40] if isinstance(value, bytes) else value[:40],
)
def test_what_breaks_a_rule_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    assert reason in refusal_of(raw)


def test_white_space_around_the_header_is_allowed_for_writers_align_with_it() -> None:
    text = json.dumps({"a": tensor()}).encode()
    assert names_in(file_of(b" \n" + text + b"   \t", 4)) == {"a"}


def test_a_header_over_the_limit_is_refused_by_its_length_alone() -> None:
    start = (MAX_HEADER_BYTES + 1).to_bytes(LENGTH_BYTES, "little")
    with pytest.raises(SeedRefused) as refused:
        header_length(PATH, start, 1 << 40)
    assert "at most 16,777,216 are taken; spread its tensors over more files" in refused.value.sentence
    assert header_length(PATH, MAX_HEADER_BYTES.to_bytes(LENGTH_BYTES, "little"), 1 << 40) == MAX_HEADER_BYTES


LARGE = 1 << 20
MANY = b",".join(b'"%d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}' % (n, n, n + 1) for n in range(18_000))


@pytest.mark.parametrize(
    ("header", "times"),
    [
        (b"{" + MANY + b"}", 4),
        (b"[" * LARGE, 1),
        (b'{"a":' * (LARGE // 5), 1),
        (b'{"a":[' + b"[]," * (LARGE // 3), 1),
        (b"{" + b" " * (LARGE - 2) + b"}", 1),
    ],
    ids=["many tensors", "deep", "deep objects", "wide", "white space"],
)
def test_a_large_header_takes_little_memory_whatever_is_in_it(header: bytes, times: int) -> None:
    tracemalloc.start()
    try:
        with suppress(SeedRefused):
            tensors(PATH, header, LENGTH_BYTES + len(header) + header.count(b"[1]"))
        assert tracemalloc.get_traced_memory()[1] < times * len(header)
    finally:
        tracemalloc.stop()
