"""What is fuzzed: the parsers of what comes on a stick. Bytes in; a value or the one family of errors out, and what was
accepted keeps its promises. Whatever else comes out is a bug."""

import struct
from collections.abc import Callable, Mapping

import safetensors as reference

from dubseedd.core import content, gguf, oms, safetensors
from dubseedd.core.entries import Reader
from dubseedd.core.manifest import parse, render
from dubseedd.errors import SeedRefused

MANIFEST = parse(b"0" * 64 + b"  ./config.json\n" + b"1" * 64 + b"  ./m.safetensors\n")


def readable(sentence: str) -> None:
    assert sentence.isprintable(), sentence


def manifest(data: bytes) -> None:
    """What is accepted is rendered in the runbook's form, and read again as the same."""
    try:
        accepted = parse(data)
    except SeedRefused as refusal:
        readable(refusal.sentence)
        return
    again = parse(render(accepted.entries))
    assert {(entry.path, entry.sha256) for entry in again.entries} == {
        (entry.path, entry.sha256) for entry in accepted.entries
    }


def safetensors_header(data: bytes) -> None:
    """What is accepted, the format's own library accepts, with the same names."""
    length = safetensors.LENGTH_BYTES
    try:
        header = safetensors.header_length("m.safetensors", data[:length], len(data))
        names = safetensors.tensors("m.safetensors", data[length : length + header], len(data))
    except SeedRefused as refusal:
        readable(refusal.sentence)
        return
    assert {name for name, _ in reference.deserialize(data)} == names


def gguf_header(data: bytes) -> None:
    try:
        gguf.check("m.gguf", data, len(data))
    except SeedRefused as refusal:
        readable(refusal.sentence)
        return
    assert data[:4] == b"GGUF"
    assert struct.unpack_from("<I", data, 4)[0] in (2, 3)


def index(data: bytes) -> None:
    try:
        named = content.check_index("model.safetensors.index.json", data, MANIFEST)
    except SeedRefused as refusal:
        readable(refusal.sentence)
        return
    assert named.keys() <= MANIFEST.paths


def entries(data: bytes) -> None:
    """Any JSON object, walked to its end."""
    try:
        reader = Reader(data)
        for _ in reader.each_key():
            reader.short()
        reader.end()
    except ValueError:
        return


def model_signature(data: bytes) -> None:
    """Both layers of a model.sig; the inner one also alone."""
    for payload in (data, _payload(data)):
        try:
            oms.check_statement(payload, MANIFEST)
        except oms.Malformed as reason:
            readable(str(reason))


def _payload(data: bytes) -> bytes:
    try:
        return oms.open_bundle(data).payload
    except oms.Malformed as reason:
        readable(str(reason))
        return b""


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (manifest, safetensors_header, gguf_header, index, entries, model_signature)
}


def seeds(target: str) -> list[bytes]:
    """Where a fuzzer begins: one that is right, and what is near to it."""
    header = b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"__metadata__":{"format":"pt"}}'
    whole: Mapping[str, bytes] = {
        "manifest": MANIFEST.raw + b"# dubnium-bundle: tiny\n" + b"SHA256 (a) = " + b"2" * 64 + b"\n",
        "safetensors_header": struct.pack("<Q", len(header)) + header + b"1234",
        "gguf_header": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<II", 4, 7),
        "index": b'{"metadata": {"total_size": 4}, "weight_map": {"w": "m.safetensors"}}',
        "entries": b'{"a": [1, 2.5e3, true, null, "\\u00e9"], "b": {"c": {}}}',
        "model_signature": b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": '
        b'{"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA=="}]}, '
        b'"verificationMaterial": {"publicKey": {"hint": "key"}}}',
    }
    return [whole[target], whole[target][:-1], b"", b"{}"]
