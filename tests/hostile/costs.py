"""What costs most of all that keeps within the limits: texts for each parser, as large and as bad as they may be.

python -m tests.hostile.costs NAME       what this one took, in JSON: seconds of the processor, MiB of memory
"""

import json
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import repeat

from dubseedd.core import content, gguf, manifest, oms, safetensors
from dubseedd.engine.signatures import LIMITS_BYTES
from dubseedd.errors import SeedRefused
from dubseedd.names import MODEL_SIGNATURE
from tests.fuzz.targets import MANIFEST

DIGEST = b"0" * 64
SMILE = "\U0001f600".encode()
"""One such character makes a text take four bytes for each of its characters."""
GROWS = "\u0390".encode()
"""Three characters when its case is folded."""
TENSOR = b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'


def full(limit_bytes: int, start: bytes, parts: Iterable[bytes], end: bytes = b"") -> bytes:
    """As many parts as there is room for; of the last one the comma, or the end of the line, is left out."""
    text, room = bytearray(start), limit_bytes - len(end)
    for part in parts:
        if len(text) + len(part) >= room:
            break
        text += part
    return bytes(text[:-1] + end)


def lines(name: bytes) -> bytes:
    """A manifest of files with this after their numbers."""
    numbered = (DIGEST + b"  %d%b\n" % (number, name) for number in range(manifest.MAX_ENTRIES))
    return full(manifest.MAX_BYTES, b"", numbered)


def keys(key: bytes, value: bytes) -> Iterator[bytes]:
    return (b'"%d%b":%b,' % (number, key, value) for number in range(399_000))


def header(text: bytes) -> None:
    safetensors.tensors("m.safetensors", text, safetensors.LENGTH_BYTES + len(text))


def index(text: bytes) -> None:
    content.check_index("model.safetensors.index.json", text, MANIFEST)


def nested(tensor: bytes) -> bytes:
    return tensor[:-1] + b',"x":' + b"[" * 900 + b"]" * 900 + b"}"


def one_each() -> Iterator[bytes]:
    """Each tensor in a file of its own."""
    return (b'"%d":"%020d",' % (number, number) for number in range(399_000))


def gguf_check(text: bytes) -> None:
    gguf.check("m.gguf", text, 1 << 40)


def gguf_of_keys() -> bytes:
    """Each key without a name, its value a byte."""
    number = gguf.HEAD_BYTES // 13 - 2
    return b"GGUF" + struct.pack("<IQQ", 3, 0, number) + bytes(13 * number)


def statement(text: bytes) -> None:
    with suppress(oms.Malformed):
        oms.open_bundle(text)


HEADER, INDEX = safetensors.MAX_HEADER_BYTES, content.MAX_INDEX_BYTES

WORST: Mapping[str, tuple[Callable[[bytes], object], Callable[[], bytes]]] = {
    "manifest of as many entries as there may be": (manifest.parse, lambda: lines(SMILE + b"/a")),
    "manifest of names that grow": (manifest.parse, lambda: lines(GROWS * 4)),
    "manifest of millions of folders": (manifest.parse, lambda: lines(b"/d" * 30)),
    "header of empty tensors": (header, lambda: full(HEADER, b"{", keys(SMILE, TENSOR), b"}")),
    "header of notes": (header, lambda: full(HEADER, b'{"__metadata__":{', keys(SMILE * 6, b'""'), b"}}")),
    "header of deep values": (header, lambda: full(HEADER, b"{", keys(b"", nested(TENSOR)), b"}")),
    "index of as many files as tensors": (index, lambda: full(INDEX, b'{"weight_map":{', one_each(), b"}}")),
    "config.json of lists": (
        content.check_config,
        lambda: full(content.MAX_CONFIG_BYTES, b'{"a":[', repeat(b"[],"), b"]}"),
    ),
    "GGUF of keys": (gguf_check, gguf_of_keys),
    "model.sig of lists": (statement, lambda: full(LIMITS_BYTES[MODEL_SIGNATURE], b'{"a":[', repeat(b"[],"), b"]}")),
}


def main(name: str) -> None:
    judge, make = WORST[name]
    text = make()
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with suppress(SeedRefused):
        judge(text)
    taken, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"bytes": len(text), "seconds": round(taken, 1), "MiB": grown >> 10}))


if __name__ == "__main__":
    main(sys.argv[1])
