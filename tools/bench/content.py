"""What is put on the seeds: weights, many small files, and sparse files that nobody could read in an afternoon."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.bundle import BYTES_PER_ROW, make_bundle, shard_header, write_json, write_manifest, write_noise

SHARDS = 5
SMALL_BYTES = 4096
FILES_PER_FOLDER = 1000
SPARE_BYTES = 96 << 20
"""What an ext4 needs for itself beside the files."""


@dataclass(frozen=True, slots=True)
class Content:
    """A bundle to be: `write` fills its folder, `room_bytes` is how large a file system it needs."""

    write: Callable[[Path], None]
    room_bytes: int


def weights(size_bytes: int) -> Content:
    """Shards of random weights, and the small files of a model."""
    return Content(
        lambda folder: make_bundle(folder, size_bytes=size_bytes, shards=SHARDS),
        size_bytes + size_bytes // 16 + SPARE_BYTES,
    )


def small_files(count: int) -> Content:
    """So many random files of 4 KiB in sub-folders, and a config.json."""

    def write(folder: Path) -> None:
        folder.mkdir()
        write_json(folder / "config.json", {"model_type": "small"})
        for number in range(count):
            part = folder / f"part-{number // FILES_PER_FOLDER:04}"
            if number % FILES_PER_FOLDER == 0:
                part.mkdir()
            (part / f"piece-{number:06}.json").write_bytes(os.urandom(SMALL_BYTES))
        write_manifest(folder)

    return Content(write, count * SMALL_BYTES * 2 + SPARE_BYTES)


def sparse(size_bytes: int, shards: int) -> Content:
    """Shards of zeros. Their manifest is made up: nobody has hashed them, and nobody will where they are current."""
    rows = size_bytes // shards // BYTES_PER_ROW

    def write(folder: Path) -> None:
        folder.mkdir()
        write_json(folder / "config.json", {"model_type": "sparse"})
        write_manifest(folder)
        with (folder / "SHA256SUMS").open("a") as manifest:
            for number in range(1, shards + 1):
                name = f"model-{number:05}-of-{shards:05}.safetensors"
                header = shard_header([f"layer.{number}.weight"], rows)
                (folder / name).write_bytes(header)
                os.truncate(folder / name, len(header) + rows * BYTES_PER_ROW)
                manifest.write(f"{number:064x}  ./{name}\n")

    return Content(write, SPARE_BYTES)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, sparse or not."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_noise_file(path: Path, size_bytes: int) -> None:
    """A file of random bytes."""
    with path.open("wb") as file:
        write_noise(file.fileno(), 0, size_bytes)
