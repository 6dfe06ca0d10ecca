"""Receipts: what was installed, from where, when, signed by whom, and every file as it was left on the disk.

A receipt is a JSON object, schema version 1. Times in microseconds since the epoch, sizes in bytes, digests in hex. It
is written and read a line for each file, for there may be 200,000 of them:

    {"schemaVersion": 1, "name": "NAME", …, "manifest": {…}, "files": [
    {"path": "config.json", "size": 2, …},
    {"path": "model.safetensors", "size": 9000, …}
    ], "previous": null}
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as it lies on the disk. Same `size`, `mtime_ns` and `inode` later: nobody has touched it."""

    path: str
    size: int
    sha256: str
    blake3: str
    mtime_ns: int
    inode: int

    def to_json(self) -> bytes:
        """One JSON object."""
        return _encode({name: getattr(self, name) for name in _FILE_FIELDS}).encode()


_FILE_FIELDS = tuple(field.name for field in fields(FileRecord))
_encode = json.JSONEncoder(ensure_ascii=False).encode


_PREVIOUS = b'], "previous": '


class Displaced(StrEnum):
    """What was in the place of a version is kept as the previous one, or dropped."""

    NOTHING = "nothing"
    KEPT = "kept"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one installed version of a bundle.

    `manifest` is the record of its SHA256SUMS. `folder` is (inode, time of birth in nanoseconds) of its folder and
    tells it from any other of that name. `displaced` is what became of the folder that it took the place of.
    `held_back` is the digest of the version that was rolled back from, installed again only on request.
    `damage` is the error pair of the last verification, empty while the bundle is whole.
    """

    name: str
    manifest: FileRecord
    files: tuple[FileRecord, ...]
    folder: tuple[int, int]
    format: str
    installed_at: int
    verified_at: int
    seed_uuid: str = ""
    adopted: bool = False
    signer: str = ""
    source: str = ""
    held_back: str = ""
    damage: tuple[str, str] = ("", "")
    displaced: Displaced = Displaced.NOTHING
    previous: "Receipt | None" = None

    @property
    def manifest_sha256(self) -> str:
        return self.manifest.sha256

    @property
    def size(self) -> int:
        """Bytes of all files of the manifest."""
        return sum(file.size for file in self.files)

    def succeeding(self, former: "Receipt | None") -> Self:
        """This receipt with `former` as the version before it."""
        return replace(self, previous=former and replace(former, previous=None))

    def in_place_of(self, former: "Receipt | None", *, occupied: bool, keep: bool) -> "Receipt":
        """This receipt, once its folder takes the place of another: what becomes of that, and which is the one before.

        `former` is the receipt of the folder there, `occupied` that there is one at all, `keep` that it is to be kept.
        One of the same version is damaged: it is dropped, and the one before it stays.
        """
        same = former is not None and former.manifest_sha256 == self.manifest_sha256
        displaced = Displaced.KEPT if keep and not same else Displaced.DROPPED
        before = former.previous if former is not None and same else former
        receipt = replace(self, displaced=displaced if occupied else Displaced.NOTHING)
        return receipt.succeeding(before if keep else None)

    def rolled_back(self, now: int) -> "Receipt":
        """The receipt of the version before, put back in the place of this one, which is kept and held back."""
        if self.previous is None:
            raise AssertionError("rolled back to nothing")
        return replace(self.previous, installed_at=now, held_back=self.manifest_sha256).succeeding(self)

    def to_json(self) -> Iterator[bytes]:
        """One JSON object, in pieces."""
        yield from self._pieces({"schemaVersion": SCHEMA_VERSION})
        yield b"\n"

    def _pieces(self, members: dict[str, Any]) -> Iterator[bytes]:
        plain = (field.name for field in fields(self) if field.name not in ("manifest", "files", "previous"))
        members |= {name: getattr(self, name) for name in plain}
        yield _encode(members).removesuffix("}").encode()
        yield b', "manifest": ' + self.manifest.to_json() + b', "files": ['
        for number, file in enumerate(self.files):
            yield (b",\n" if number else b"\n") + file.to_json()
        yield b"\n" + _PREVIOUS
        if self.previous is None:
            yield b"null"
        else:
            yield from self.previous._pieces({})
        yield b"}"

    @classmethod
    def from_lines(cls, lines: Iterable[bytes]) -> "Receipt":
        """Read a receipt; StoreTrouble (StoreFailed) where it is none of ours."""
        try:
            rest = iter(lines)
            return cls._read(next(rest), rest, {"schemaVersion": SCHEMA_VERSION})
        except (ValueError, TypeError, KeyError, StopIteration, RecursionError) as error:
            raise StoreTrouble(
                ErrorName.STORE_FAILED,
                f"a receipt of the store cannot be read ({error}); run a sync or verify of its bundle",
            ) from error

    @staticmethod
    def folder_in(line: bytes) -> tuple[int, int] | None:
        """The folder that a receipt was written of, by its first line; None where that is none of ours."""
        try:
            inode, born = json.loads(line + b"]}")["folder"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return inode, born

    @classmethod
    def _read(cls, head: bytes, rest: Iterator[bytes], expected: Mapping[str, Any]) -> "Receipt":
        """Read the receipt that begins with the line `head`; the one before it begins where its files end."""
        members = json.loads(head + b"]}")
        for name, value in expected.items():
            if (found := members.pop(name)) != value:
                raise ValueError(f"{name} {found}, this dubseedd knows {value}")
        if members.pop("files"):
            raise ValueError("its files begin in the first line")
        files, line = [], next(rest)
        while not line.startswith(_PREVIOUS):
            files.append(FileRecord(**json.loads(line.rstrip(b",\n"))))
            line = next(rest)
        former = line.removeprefix(_PREVIOUS)
        return cls(
            **{
                **members,
                "manifest": FileRecord(**members["manifest"]),
                "files": tuple(files),
                "damage": tuple(members["damage"]),
                "folder": tuple(members["folder"]),
                "displaced": Displaced(members["displaced"]),
                "previous": None if former.startswith(b"null") else cls._read(former, rest, {}),
            }
        )
