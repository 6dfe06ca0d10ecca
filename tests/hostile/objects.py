"""Objects that somebody may put into a bundle on a stick: makers of each, given the bundle's folder.

`LISTED` stand in the place of a file that is listed, `EXTRA` beside the files, `MANIFESTS` in the place of SHA256SUMS,
`CONTENTS` are files that are what their digests say and make no model.
"""

import json
import os
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

Maker = Callable[[Path], None]


def link(target: str) -> Maker:
    return lambda path: path.symlink_to(target)


def node(kind: int, major: int = 0, minor: int = 0) -> Maker:
    return lambda path: os.mknod(path, 0o666 | kind, os.makedev(major, minor))


def listening(path: Path) -> None:
    """A socket that somebody listens on, or did."""
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_PATH)
        server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def chain(path: Path) -> None:
    for number in range(50):
        path.with_name(f"{path.name}.{number}").symlink_to(f"{path.name}.{number + 1}")
    path.symlink_to(f"{path.name}.0")


def deep(path: Path) -> None:
    path.mkdir()
    for _ in range(100):
        path /= "d"
        path.mkdir()


def crowded(path: Path) -> None:
    path.mkdir()
    for number in range(2_000):
        (path / f"{number}").touch()


def holding(maker: Maker) -> Maker:
    """A folder with something in it."""

    def make(path: Path) -> None:
        path.mkdir()
        maker(path / "inner")

    return make


SPECIAL: Mapping[str, Maker] = {
    "link to a file of the system": link("/etc/passwd"),
    "link to a folder of the system": link("/etc"),
    "link to the root": link("/"),
    "link out of the bundle": link("../../.."),
    "link to its neighbour": link("config.json"),
    "link to nothing": link("absent"),
    "link to itself": loop,
    "chain of links": chain,
    "link into /proc": link("/proc/self/mem"),
    "link to standard input": link("/dev/stdin"),
    "link to a terminal": link("/dev/tty"),
    "link of 4,000 characters": link("x/" * 2000),
    "link to a name of control characters": link("\x1b[2J"),
    "FIFO": os.mkfifo,
    "socket": node(stat.S_IFSOCK),
    "socket that was listened on": listening,
    "/dev/null": node(stat.S_IFCHR, 1, 3),
    "/dev/zero": node(stat.S_IFCHR, 1, 5),
    "/dev/mem": node(stat.S_IFCHR, 1, 1),
    "a tty": node(stat.S_IFCHR, 5, 0),
    "a watchdog": node(stat.S_IFCHR, 10, 130),
    "a disk": node(stat.S_IFBLK, 8, 0),
    "a loop device": node(stat.S_IFBLK, 7, 0),
    "folder": Path.mkdir,
    "folder with a FIFO": holding(os.mkfifo),
    "folder with a link": holding(link("/etc/shadow")),
    "folder with a device": holding(node(stat.S_IFCHR, 1, 3)),
}
EXTRA: Mapping[str, Maker] = {
    **{name: maker for name, maker in SPECIAL.items() if name != "folder"},
    "unlisted file": lambda path: path.write_bytes(b"x"),
    "unlisted file of root's": lambda path: (path.write_bytes(b"x"), path.chmod(0o4755))[0],
    "sparse terabyte": lambda path: (path.touch(), os.truncate(path, 1 << 40))[0],
    "folders without end": deep,
    "crowd of files": crowded,
    "python of the bundle's own": lambda path: path.with_suffix(".pth").write_bytes(b"import os"),
}


def header(value: object, *, length: int | None = None, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(shape: list[int], begin: int, end: int, dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


CONTENTS: Mapping[str, tuple[str, bytes]] = {
    "config.json that is none": ("config.json", b"\x00\x01"),
    "config.json that is a list": ("config.json", b"[]"),
    "config.json 100,000 deep": ("config.json", b"[" * 100_000),
    "config.json of 3 MiB": ("config.json", b'{"a": "' + b"x" * (3 << 20) + b'"}'),
    "header longer than the file": ("m.safetensors", header({}, length=1 << 40)),
    "header of 2^64 - 1 bytes": ("m.safetensors", header({}, length=(1 << 64) - 1)),
    "header that is no JSON": ("m.safetensors", header(b"\xff" * 64)),
    "header 10,000 deep": ("m.safetensors", header(b'{"a":' * 10_000)),
    "tensor beyond the file": ("m.safetensors", header({"w": tensor([8], 0, 8)}, data=b"1234")),
    "tensor that ends before it begins": ("m.safetensors", header({"w": tensor([4], 4, 0)}, data=b"1234")),
    "tensors that overlap": ("m.safetensors", header({"v": tensor([4], 0, 4), "w": tensor([2], 2, 4)}, data=b"1234")),
    "hole between tensors": ("m.safetensors", header({"w": tensor([2], 2, 4)}, data=b"1234")),
    "bytes after the last tensor": ("m.safetensors", header({"w": tensor([2], 0, 2)}, data=b"1234")),
    "shape that overflows": ("m.safetensors", header({"w": tensor([1 << 62, 1 << 62], 0, 4)}, data=b"1234")),
    "negative shape": ("m.safetensors", header({"w": tensor([-1, -4], 0, 4)}, data=b"1234")),
    "dtype that there is not": ("m.safetensors", header({"w": tensor([4], 0, 4, "X9")}, data=b"1234")),
    "pointer of Git LFS": ("m.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "empty weights": ("m.safetensors", b""),
    "GGUF without its magic": ("m.gguf", b"FFUG" + bytes(60)),
    "GGUF of 2^63 tensors": ("m.gguf", b"GGUF" + struct.pack("<IQQ", 3, 1 << 63, 0)),
    "GGUF of 2^63 keys": ("m.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 63)),
    "GGUF that is cut off": ("m.gguf", b"GGUF\x03"),
    "index of shards that are not there": (
        "model.safetensors.index.json",
        b'{"weight_map": {"w": "absent.safetensors"}}',
    ),
    "index that leaves the bundle": ("model.safetensors.index.json", b'{"weight_map": {"w": "../../etc/passwd"}}'),
    "index without a map": ("model.safetensors.index.json", b"{}"),
}
