"""GGUF: the beginning of a file against the file's size. Nothing is made as large as the file says.

    magic     GGUF
    version   2 or 3, little-endian; 1 counted in 32 bits, and no loader takes it any more
    counts    as many tensors and keys as the file has room for
    keys      each a name, a type that is known, and a value within the file
    tensors   each a name, dimensions and a type, and data that begins within the file

Keys and tensors are followed as far as the bytes at hand go, and no further. What a type of tensor takes is not known
here: new ones come every year.

Source: docs/gguf.md of ggml; its loader refuses version 1 and foreign byte order as well.
"""

import struct

from dubseedd.core.content import incomplete

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEAD_BYTES = 16 << 20
"""What is looked at. The vocabulary, which is what takes room before the tensors, has 4 to 11 MiB in large models."""

_HEADER = struct.Struct("<4sIQQ")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_KEY_BYTES = 8 + 4 + 1
_TENSOR_BYTES = 8 + 4 + 4 + 8
"""The least that a key or a tensor takes before the data."""

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type, where that says it."""
_STRING, _ARRAY = 8, 9
_MAX_NESTING = 4


class _Enough(Exception):
    """The bytes at hand are used up."""


def check(path: str, head: bytes, size: int) -> None:
    """Judge a file of `size` bytes by its first HEAD_BYTES, or all that it has. SeedRefused where a rule is broken."""
    if len(head) < _HEADER.size or head[:4] != MAGIC:
        raise incomplete(path, "is no GGUF file")
    _, version, tensors, keys = _HEADER.unpack_from(head)
    if version not in VERSIONS:
        told = "is in the byte order of other machines" if not version & 0xFFFF else f"is of GGUF version {version}"
        raise incomplete(path, f"{told}, taken are 2 and 3 in little-endian", advice="convert it anew from its source")
    walk = _Walk(head, size)
    try:
        if keys * _KEY_BYTES + tensors * _TENSOR_BYTES > size - walk.at:
            raise ValueError(f"it tells of {tensors:,} tensors and {keys:,} keys")
        for _ in range(keys):
            walk.string()
            walk.value(walk.u32())
        walk.tensors(tensors)
    except _Enough:
        return
    except ValueError as error:
        raise incomplete(path, f"is cut short or broken: {error}, and has {size:,} bytes") from error


class _Walk:
    """Goes over the bytes at hand. ValueError where the file tells of more than it has."""

    def __init__(self, head: bytes, size: int) -> None:
        self.at = _HEADER.size
        self._head = head
        self._size = size

    def u32(self) -> int:
        return self._number(_U32)

    def string(self) -> None:
        self._skip(self._number(_U64))

    def value(self, kind: int, nesting: int = 0) -> None:
        if kind in _WIDTHS:
            self._skip(_WIDTHS[kind])
        elif kind == _STRING:
            self.string()
        elif kind == _ARRAY and nesting < _MAX_NESTING:
            self._array(self.u32(), self._number(_U64), nesting + 1)
        else:
            raise self._unknown(kind)

    def _array(self, kind: int, length: int, nesting: int) -> None:
        if kind in _WIDTHS:
            self._skip(length * _WIDTHS[kind])
        elif kind in (_STRING, _ARRAY):
            self._room(length * _U64.size)
            for _ in range(length):
                self.value(kind, nesting)
        else:
            raise self._unknown(kind)

    def _unknown(self, kind: int) -> ValueError:
        return ValueError(f"it has a value of type {kind} at byte {self.at:,}")

    def tensors(self, count: int) -> None:
        furthest = 0
        for _ in range(count):
            self.string()
            self._skip(self.u32() * _U64.size)
            self.u32()
            furthest = max(furthest, self._number(_U64))
        if count:
            self._room(furthest)

    def _number(self, form: struct.Struct) -> int:
        if self.at + form.size > len(self._head):
            self._room(form.size)
            raise _Enough
        number: int = form.unpack_from(self._head, self.at)[0]
        self.at += form.size
        return number

    def _skip(self, length: int) -> None:
        self._room(length)
        self.at += length

    def _room(self, length: int) -> None:
        if length > self._size - self.at:
            raise ValueError(f"it tells of {length:,} bytes after byte {self.at:,}")
