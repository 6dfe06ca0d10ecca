"""Real bundles for tests: valid safetensors shards with an index, config.json, tokenizer files and SHA256SUMS."""

import hashlib
import json
import random
import struct
from collections.abc import Mapping
from pathlib import Path

LENGTH_BYTES = 8
HEADER_BYTES = 128
"""What a test's safetensors file has before its data, its length included."""


def model_files(*, shards: int = 2, shard_bytes: int = 100_000, seed: bytes = b"1") -> dict[str, bytes]:
    """The files of a small model by path. Other seeds give other weights."""
    files: dict[str, bytes] = {}
    weight_map = {}
    for number in range(1, shards + 1):
        name = f"model-{number:05}-of-{shards:05}.safetensors"
        tensor = f"layer.{number}.weight"
        files[name] = safetensors(tensor, hashlib.shake_256(seed + bytes([number])).digest(shard_bytes))
        weight_map[tensor] = name
    index = {"metadata": {"total_size": shards * shard_bytes}, "weight_map": weight_map}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    files["config.json"] = json.dumps({"model_type": "tiny", "revision": seed.hex()}).encode()
    files["tokenizer.json"] = b'{"version": "1.0"}'
    files["tokenizer/vocab.txt"] = b"a\nb\n"
    return files


def safetensors(name: str, data: bytes) -> bytes:
    """A safetensors file of one tensor of bytes."""
    header = json.dumps({name: {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    header = header.ljust(HEADER_BYTES - LENGTH_BYTES)
    return struct.pack("<Q", len(header)) + header + data


def safetensors_of(size: int) -> bytes:
    """A safetensors file of so many bytes in all, random but the same every time."""
    return safetensors("weight", random.Random(1).randbytes(size - HEADER_BYTES))


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """SHA256SUMS as the runbook's find and sha256sum write it."""
    rows = sorted((f"./{path}".encode(), hashlib.sha256(data).hexdigest().encode()) for path, data in files.items())
    return b"".join(digest + b"  " + path + b"\n" for path, digest in rows)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def write_bundle(folder: Path, files: Mapping[str, bytes], *, manifest: bytes | None = None) -> Path:
    """A bundle on a seed, or the runbook's work in a store."""
    write_files(folder, files)
    (folder / "SHA256SUMS").write_bytes(manifest_of(files) if manifest is None else manifest)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def published(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What a store has to hold of a bundle."""
    return {**files, "SHA256SUMS": manifest_of(files)}


def gguf(*, tensors: int = 1, tokens: int = 3, data: int = 64) -> bytes:
    """A GGUF file with a string, an array of numbers and one of strings, and tensors of 32 bytes each."""
    keys = [
        gguf_string("general.architecture") + struct.pack("<I", 8) + gguf_string("llama"),
        gguf_string("a.counts") + struct.pack("<IIQ", 9, 4, tokens) + bytes(4 * tokens),
        gguf_string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, tokens) + gguf_string("word") * tokens,
    ]
    infos = [gguf_string(f"blk.{n}.weight") + struct.pack("<IQQIQ", 2, 4, 2, 0, 32 * n) for n in range(tensors)]
    return b"".join(
        [struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(keys)), *keys, *infos, bytes(32 * tensors + data)]
    )


def gguf_string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()
