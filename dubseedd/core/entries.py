"""The entries of a JSON object, one after the other: what is large in it is never held as a whole.

`json.loads` takes up to 25 bytes of memory for each byte of a hostile text and recurses as deep as the text nests. Here
objects are walked key by key, and what is read as a whole is short.
"""

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dubseedd.core.sentence import shown

MAX_VALUE_BYTES = 16 << 10
"""A value that is read as a whole is not longer than this."""

_USUAL_BYTES = 256
"""Most are shorter than this; to look further for each of 130,000 would take seconds."""

MAX_KEYS = 400_000
"""One object has no more keys than this. The largest models that there are have 140,000 tensors."""

_PIECE_BYTES = 64 << 10
_SPACE = re.compile(rb"[ \t\n\r]*+")
_ESCAPE = rb"""\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])HH|u[dD][89abAB]H\\u[dD][c-fC-F]H)""".replace(
    b"H", b"[0-9a-fA-F]{2}"
)
"""Half of a surrogate pair is no character."""
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*+(?:' + _ESCAPE + rb'[^"\\\x00-\x1f]*+)*+"')


class Reader:
    """Reads a JSON text from its beginning to its end. ValueError, with where and why, where that is not possible."""

    def __init__(self, text: bytes) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(text), _PIECE_BYTES):
            decoder.decode(text[start : start + _PIECE_BYTES])
        decoder.decode(b"", final=True)
        self._text = text
        self._pass(0)

    def each_key(self, seen: set[str] | None = None) -> Iterator[str]:
        """Each key of the object that begins here, all different; its value has to be read before the next key is asked
        for. An empty `seen` is filled with them."""
        self._take(b"{")
        if self._found(b"}"):
            return
        seen = set() if seen is None else seen
        while True:
            key = self.string()
            self._take(b":")
            if key in seen:
                raise ValueError(f"{shown(key)} is there twice")
            if len(seen) == MAX_KEYS:
                raise ValueError(f"more than {MAX_KEYS:,} keys")
            seen.add(key)
            yield key
            if self._found(b"}"):
                return
            self._take(b",")

    def string(self) -> str:
        """The string that begins here, of at most MAX_VALUE_BYTES."""
        begin, end = self._at, self._string()
        if end - begin > MAX_VALUE_BYTES:
            raise ValueError(f"a string of more than {MAX_VALUE_BYTES:,} bytes at byte {begin:,}")
        value: str = json.loads(self._text[begin:end])
        return value

    def pass_string(self) -> None:
        """Pass over the string that begins here, however long it is."""
        self._string()

    def short(self) -> Any:
        """The value that begins here, of any kind, of at most MAX_VALUE_BYTES and with no key twice in an object."""
        for length in (_USUAL_BYTES, MAX_VALUE_BYTES):
            # A character that the end of the piece has cut in two is left out.
            piece = self._text[self._at : self._at + length].decode(errors="ignore")
            with suppress(ValueError, RecursionError):
                value, end = _DECODER.raw_decode(piece)
                if end < len(piece) or self._at + length >= len(self._text):  # else it may go on, as a number does
                    self._pass(self._at + len(piece[:end].encode()))
                    return value
        raise ValueError(f"no JSON value of at most {MAX_VALUE_BYTES:,} bytes at byte {self._at:,}")

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._text):
            raise ValueError(f"more than one JSON value, the second at byte {self._at:,}")

    def _string(self) -> int:
        """Pass over a string; returns where it ends."""
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise ValueError(f"no string at byte {self._at:,}")
        self._pass(match.end())
        return match.end()

    def _take(self, mark: bytes) -> None:
        if not self._found(mark):
            raise ValueError(f"no {mark.decode()} at byte {self._at:,}")

    def _found(self, mark: bytes) -> bool:
        if self._text[self._at : self._at + 1] != mark:
            return False
        self._pass(self._at + 1)
        return True

    def _pass(self, at: int) -> None:
        """Go on at `at`, or after the white space there."""
        match = _SPACE.match(self._text, at)
        self._at = match.end() if match else at


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is there twice")
    return values


def _whole(digits: str) -> int:
    if digits == "-0":
        raise ValueError("-0 is no whole number")
    return int(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is Python's, not JSON's")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_whole, parse_constant=_no_constant)
