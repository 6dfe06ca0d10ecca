"""Safetensors: the header of a file of weights against the file's size. The weights themselves are not read.

    8 bytes   the length of the header, little-endian
    header    JSON: "__metadata__" from string to string, and for each tensor dtype, shape and data_offsets [begin, end]
    data      the tensors, end to end

length     at most MAX_HEADER_BYTES, and within the file
header     one JSON object in UTF-8, no key twice
tensor     a dtype that is known, a shape of whole numbers from 0, and offsets as far apart as these two give
tiling     the tensors fill the data exactly: no hole, no overlap, nothing after the last

Source: README and `Metadata::validate` of safetensors 0.8, which is the oracle of the tests.
"""

from collections.abc import Iterator
from typing import Any

from dubseedd.core.content import incomplete
from dubseedd.core.entries import Reader
from dubseedd.core.sentence import shown

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 16 << 20
"""The format allows 100,000,000, which no process of 150 MiB can look into. This has room for 130,000 tensors in one
file, where a shard of a large model has some thousand, and takes 60 MiB at the worst."""

BITS = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("C64", "F64", "I64", "U64"), 64),
}
"""Bits of one element, by dtype."""

_METADATA = "__metadata__"
_SHIFT = 64
_MOST = 1 << _SHIFT


def header_length(path: str, start: bytes, size: int) -> int:
    """The bytes of the header, by the first 8 of a file of `size` bytes. SeedRefused where it cannot be so long."""
    if len(start) < LENGTH_BYTES:
        raise incomplete(path, f"has {size:,} bytes, too few for a safetensors file")
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > size - LENGTH_BYTES:
        raise incomplete(path, f"is cut short or no safetensors file: it tells of a header of {length:,} bytes")
    if length > MAX_HEADER_BYTES:
        raise incomplete(
            path,
            f"has a header of {length:,} bytes, and at most {MAX_HEADER_BYTES:,} are taken",
            advice="spread its tensors over more files",
        )
    return length


def tensors(path: str, header: bytes, size: int) -> set[str]:
    """The names of the tensors in a file of `size` bytes with this header. SeedRefused where a rule is broken."""
    names: set[str] = set()
    try:
        spans = list(_spans(header, names))
    except ValueError as error:
        raise incomplete(path, f"has a header that cannot be right: {error}") from error
    _check_tiling(path, spans, size - LENGTH_BYTES - len(header))
    names.discard(_METADATA)
    return names


def _spans(header: bytes, names: set[str]) -> Iterator[int]:
    """Where each tensor lies in the data, as one number: (begin, end) would take three times the memory."""
    reader = Reader(header)
    for name in reader.each_key(names):
        if name != _METADATA:
            yield _span(name, reader.short())
            continue
        for _ in reader.each_key():
            reader.pass_string()
    reader.end()


def _span(name: str, entry: Any) -> int:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]}:
            if dtype not in BITS:
                raise ValueError(f"{shown(name)} is of dtype {shown(dtype)}, which nobody knows")
            if not all(type(number) is int and 0 <= number < _MOST for number in (*shape, begin, end)):
                raise ValueError(f"{shown(name)} has a shape or offsets that are no sizes")
            if _bits(shape, BITS[dtype]) != (end - begin) * 8:
                raise ValueError(f"{shown(name)} does not have the size of its dtype and shape")
            return int(begin << _SHIFT | end)
        case _:
            raise ValueError(f"{shown(name)} lacks dtype, shape or data_offsets")


def _bits(shape: list[int], bits: int) -> int:
    """The bits of all elements; -1 where a loader that counts in 64 bits would lose count."""
    elements = 1
    for length in shape:
        elements *= length
        if elements >= _MOST:
            return -1
    return elements * bits


def _check_tiling(path: str, spans: list[int], data_bytes: int) -> None:
    spans.sort()
    at = 0
    for span in spans:
        begin, end = divmod(span, _MOST)
        if begin != at:
            fault = "a hole" if begin > at else "tensors that overlap"
            raise incomplete(path, f"has {fault} at byte {min(begin, at):,} of its data")
        at = end
    if at != data_bytes:
        raise incomplete(path, f"has {data_bytes:,} bytes of tensors, and its header tells of {at:,}")
