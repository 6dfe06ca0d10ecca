"""A model directory as a person would put it on a seed: small, but valid in every byte that a loader looks at."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

from blake3 import blake3

from tools.image import empty_image

HIDDEN = 1024
BYTES_PER_ROW = HIDDEN * 2
TENSORS_PER_SHARD = 4
CHUNK_BYTES = 4 << 20


def make_seed(folder: Path, name: str, *, label: str, size_bytes: int) -> Path:
    """An ext4 image with one bundle on it; no one is told of it before it is attached."""
    tree = folder / "tree"
    make_bundle(tree / "models" / name, size_bytes=size_bytes)
    room_bytes = size_bytes + size_bytes // 16 + (64 << 20)
    image = empty_image(folder / "stick.img", room_bytes, "ext4", "-L", label, "-d", str(tree))
    shutil.rmtree(tree)
    return image


def make_bundle(folder: Path, *, size_bytes: int, shards: int = 4) -> None:
    """Fill `folder` with safetensors shards of `size_bytes` in all, what belongs beside them, and SHA256SUMS."""
    folder.mkdir(parents=True)
    rows = max(1, size_bytes // (shards * TENSORS_PER_SHARD * BYTES_PER_ROW))
    weight_map = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        layers = range(shard * TENSORS_PER_SHARD, (shard + 1) * TENSORS_PER_SHARD)
        tensors = [f"model.layers.{layer}.mlp.down_proj.weight" for layer in layers]
        write_shard(folder / name, tensors, rows)
        weight_map.update(dict.fromkeys(tensors, name))
    total = shards * TENSORS_PER_SHARD * rows * BYTES_PER_ROW
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(folder / "model.safetensors.index.json", index)
    write_small_files(folder, layers=shards * TENSORS_PER_SHARD, intermediate=rows)
    write_manifest(folder)


def write_shard(path: Path, tensors: list[str], rows: int) -> None:
    """A safetensors file of F16 tensors of [rows, HIDDEN] end to end."""
    with path.open("wb") as file:
        file.write(shard_header(tensors, rows))
        write_noise(file.fileno(), file.tell(), len(tensors) * rows * BYTES_PER_ROW)


def shard_header(tensors: list[str], rows: int) -> bytes:
    """What a safetensors file begins with: the length of the header, and the header."""
    size = rows * BYTES_PER_ROW
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for number, tensor in enumerate(tensors):
        offsets = [number * size, (number + 1) * size]
        header[tensor] = {"dtype": "F16", "shape": [rows, HIDDEN], "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_noise(fd: int, offset: int, size: int) -> None:
    """Random bytes, of which no compression or deduplication makes less; BLAKE3 is faster at them than the kernel."""
    stream = blake3(os.urandom(32))
    for start in range(0, size, CHUNK_BYTES):
        os.pwrite(fd, stream.digest(min(CHUNK_BYTES, size - start), seek=start), offset + start)


def write_small_files(folder: Path, *, layers: int, intermediate: int) -> None:
    """The configuration and a tokenizer of bytes."""
    vocabulary = {chr(0x100 + byte): byte for byte in range(256)}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float16",
        "hidden_size": HIDDEN,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "vocab_size": len(vocabulary),
    }
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {"do_sample": True, "temperature": 0.7})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    tokenizer = {"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    write_json(folder / "tokenizer.json", tokenizer)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_manifest(folder: Path) -> None:
    """SHA256SUMS exactly as an operator makes it."""
    line = "find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum > SHA256SUMS"
    subprocess.run(["sh", "-c", line], cwd=folder, check=True, env={**os.environ, "LC_ALL": "C"})
