"""JSON, entry by entry: the same values as json.loads has, or a ValueError, in little memory."""

import json
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubseedd.core.entries import MAX_KEYS, MAX_VALUE_BYTES, Reader

TEXTS = st.text(max_size=5) | st.sampled_from(['"', "\\", "\n", "é", "\U0001f600", "\x7f"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def read(raw: bytes) -> dict[str, Any]:
    reader = Reader(raw)
    values = {key: reader.short() for key in reader.each_key()}
    reader.end()
    return values


@given(st.dictionaries(TEXTS, VALUES), st.booleans(), st.sampled_from([None, 2, "\t"]))
@settings(derandomize=True, database=None, deadline=None)
def test_what_python_writes_is_read_with_the_same_values(
    value: dict[str, Any], ascii_only: bool, indent: int | str | None
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert read(b"\r\n" + raw + b" \t") == value


@given(st.binary() | st.text(alphabet='{}[]",:\\u0dAn1. \n').map(str.encode))
@settings(derandomize=True, database=None, deadline=None, max_examples=500)
def test_whatever_is_read_json_reads_too_and_all_else_is_a_value_error(raw: bytes) -> None:
    try:
        value = read(raw)
    except ValueError:
        return
    assert json.loads(raw) == value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no { at byte 0"),
        (b"[]", "no { at byte 0"),
        (b'{"a":1', "no , at byte 6"),
        (b'{"a":1,}', "no string at byte 7"),
        (b'{"a" 1}', "no : at byte 5"),
        (b'{"a":1}{}', "more than one JSON value, the second at byte 7"),
        (b'{"a":1,"a":2}', "a is there twice"),
        (b'{"a":1,"\\u0061":2}', "a is there twice"),
        (b'{"a":{"b":1,"b":2}}', "no JSON value"),
        (b'{"a\nb":1}', "no string"),
        (b'{"\\x":1}', "no string"),
        (b'{"\\ud800":1}', "no string at byte 1"),
        (b'{"\\udc00\\ud800":1}', "no string at byte 1"),
        (b'{"\\ud83d\\u0041":1}', "no string at byte 1"),
        (b'{"a":"\xff"}', "invalid start byte"),
        (b'{"a":"\xe2\x82', "unexpected end of data"),
        (b'{"a":' + b"[" * 100_000, "no JSON value of at most 16,384 bytes at byte 5"),
        (b'{"' + b"a" * MAX_VALUE_BYTES + b'":1}', "a string of more than 16,384 bytes at byte 1"),
        (b'{"a":-0}', "no JSON value"),
        (b'{"a":[NaN]}', "no JSON value"),
        (b'{"a":[' + b"1," * MAX_VALUE_BYTES + b"1]}", "no JSON value of at most 16,384 bytes at byte 5"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_read_says_where_and_why(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        read(raw)


def test_a_character_that_lies_across_the_end_of_what_is_read_ahead_harms_nothing() -> None:
    for pad in range(4):
        value = {"a": "x" * pad, "é": ["\U0001f600" * (MAX_VALUE_BYTES // 4 - 8)], "b": 1}
        assert read(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("length", [*range(250, 262), MAX_VALUE_BYTES - 1])
def test_a_number_that_lies_across_the_end_of_a_piece_is_read_whole(length: int) -> None:
    value = float("0." + "3" * (length - 2))
    assert read(b'{"a":0.' + b"3" * (length - 2) + b',"b":1}') == {"a": value, "b": 1}
    with pytest.raises(ValueError, match="no JSON value"):
        read(b'{"a":0.' + b"3" * MAX_VALUE_BYTES + b',"b":1}')


def test_more_keys_than_anybody_has_are_not_held() -> None:
    raw = b"{" + b",".join(b'"%x":0' % number for number in range(MAX_KEYS + 1)) + b"}"
    with pytest.raises(ValueError, match="more than 400,000 keys"):
        read(raw)


@pytest.mark.parametrize("unit", [b"\\n", b"a", "\U0001f600".encode()])
def test_a_string_of_megabytes_is_passed_over_in_no_memory_of_its_own(unit: bytes) -> None:
    raw = b'{"a":"' + unit * ((8 << 20) // len(unit)) + b'"}'
    tracemalloc.start()
    try:
        reader = Reader(raw)
        for _ in reader.each_key():
            reader.pass_string()
        reader.end()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
