"""SHA256SUMS, read strictly. What is accepted here, `sha256sum --strict -c` accepts with the same names.

Rule 1  at most MAX_BYTES; UTF-8 without BOM and NUL; at least one entry, at most MAX_ENTRIES
Rule 2  every line is an entry in one of the forms of sha256sum, a `#` comment, or empty; CRLF is noted. Entries with a
        marker (`HEX  NAME`, `HEX *NAME`) and without one (`HEX NAME`) are not mixed: the first decides
Rule 3  a path is relative, of plain components, within the limits, without control characters or backslashes. A bare
        `-` is refused: sha256sum reads standard input for it
Rule 4  paths are unique, also after NFC and case folding, and none is a folder of another
Rule 5  SHA256SUMS does not list itself, nor anything below it
Rule 6  one comment at most is `# dubnium-bundle: NAME`, the name that the bundle has to have

Source of the grammar: coreutils, cksum. `parse` does no I/O; it raises SeedRefused (ManifestInvalid).
"""

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from dubseedd.core.sentence import quoted
from dubseedd.errors import SeedRefused
from dubseedd.names import MANIFEST, ErrorName

MAX_BYTES = 16 << 20
MAX_ENTRIES = 200_000
MAX_COMPONENT_BYTES = 255
MAX_DEPTH = 32
MAX_PATH_BYTES = 4096

RECIPE = "find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum > SHA256SUMS"
"""How the runbook writes a manifest, in the folder of the bundle."""

_BINDING = re.compile(r"^#[ \t]*dubnium-bundle[ \t]*:([^\n]*)", re.MULTILINE)
_LINE = re.compile(r"^(?!#)[^\n]+", re.MULTILINE)
_PLAIN = re.compile(r"(\\?)([0-9a-fA-F]{64})[ \t](.+)")
_TAGGED = re.compile(r"(\\?)SHA256 ?\((.+)\) = ([0-9a-fA-F]{64})")
_NO_NAMES = frozenset({"", ".", ".."})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the bundle: its path without a leading `./`, and its digest in lower-case hex."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A manifest that keeps the rules. `sha256` is the digest of `raw`, the bytes as they were read.

    `bundle` is the name that it was written for, "" where it names none.
    """

    entries: tuple[Entry, ...]
    sha256: str
    raw: bytes
    notes: tuple[str, ...] = ()
    bundle: str = ""

    @cached_property
    def paths(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self.entries)


def parse(raw: bytes) -> Manifest:
    """Read a manifest; the first rule that it breaks is named with its line."""
    text = _text(raw)
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    read = _Reader()
    for number, line in _lines(text):
        entry = read.entry(line, number)
        key = unicodedata.normalize("NFC", entry.path).casefold()
        if key == entry.path:
            key = entry.path  # the same string is not kept twice: there may be 200,000
        if key in seen:
            raise _invalid(f"line {number}: {quoted(entry.path)} is listed in line {seen[key]} already")
        seen[key] = number
        entries.append(entry)
        if len(entries) > MAX_ENTRIES:
            raise _invalid(f"it has more than {MAX_ENTRIES:,} entries")
    if not entries:
        raise _invalid("it lists no file")
    _check_folders(seen)
    windows = "\r\n" in text or text.endswith("\r")
    notes = ("SHA256SUMS has the line ends of Windows",) if windows else ()
    return Manifest(tuple(entries), hashlib.sha256(raw).hexdigest(), raw, notes, _binding(text))


def render(entries: Iterable[Entry], *, bundle: str = "") -> bytes:
    """A manifest in the runbook's own form: `HEX  ./path`, sorted by bytes; bound to a bundle where one is named."""
    binding = f"# dubnium-bundle: {bundle}\n".encode() if bundle else b""
    return binding + sums((entry.path, entry.sha256) for entry in entries)


def sums(digests: Iterable[tuple[str, str]]) -> bytes:
    """(path, digest) as lines of sha256sum or b3sum, `HEX  ./path`, sorted by bytes."""
    rows = sorted((f"./{path}".encode(), digest.encode()) for path, digest in digests)
    return b"".join(digest + b"  " + path + b"\n" for path, digest in rows)


def _text(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _invalid(f"it is larger than {MAX_BYTES >> 20} MiB")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _invalid("it begins with a byte order mark")
    if b"\0" in raw:
        raise _invalid("it holds a NUL byte")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        raise _invalid(f"line {number}: it is not UTF-8") from error


def _binding(text: str) -> str:
    """The name in the comment that binds a manifest to it."""
    names = [match[1].strip() for match in itertools.islice(_BINDING.finditer(text), 2)]
    if len(names) > 1:
        raise _invalid("it names its bundle more than once")
    if names == [""]:
        raise _invalid("its line dubnium-bundle holds no name")
    return names[0] if names else ""


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that may hold an entry, with their numbers; one at a time, for 16 MiB may be millions of lines."""
    number, start = 1, 0
    for match in _LINE.finditer(text):
        number += text.count("\n", start, match.start())
        start = match.start()
        if line := match[0].removesuffix("\r"):
            yield number, line


class _Reader:
    """Reads entries as sha256sum does: whether names come with a marker is settled by the first that is not tagged."""

    def __init__(self) -> None:
        self._marked: bool | None = None

    def entry(self, line: str, number: int) -> Entry:
        if match := _TAGGED.fullmatch(line):
            escaped, name, digest = match.groups()
        elif match := _PLAIN.fullmatch(line):
            escaped, digest, rest = match.groups()
            name = self._without_marker(rest, number)
        else:
            raise _invalid(f"line {number} is no line of sha256sum")
        if escaped:
            raise _invalid(f"line {number}: the escaped name {quoted(name)} holds a line break or a backslash")
        return Entry(_path(name, number), digest.lower())

    def _without_marker(self, rest: str, number: int) -> str:
        marked = len(rest) > 1 and rest[0] in " *"
        if self._marked is None:
            self._marked = marked
        if self._marked and not marked:
            raise _invalid(f"line {number} is no line of sha256sum: it lacks the marker of the lines before")
        return rest[1:] if self._marked else rest


def _path(name: str, number: int) -> str:
    path = name.removeprefix("./")
    reason = "is what sha256sum calls standard input: list the file as ./-" if name == "-" else _fault(path)
    if reason:
        raise _invalid(f"line {number}: {quoted(name)} {reason}")
    return path


def _fault(path: str) -> str:
    """What is wrong with a path, or nothing."""
    components = path.split("/")
    checks = (
        (components[0] == MANIFEST, "takes the place of the manifest itself"),
        (path.startswith("/"), "is absolute"),
        (not _NO_NAMES.isdisjoint(components), "has an empty, '.' or '..' component"),
        ("\\" in path, "holds a backslash"),
        (_CONTROL.search(path) is not None, "holds a control character"),
        (len(path.encode()) > MAX_PATH_BYTES, f"is longer than {MAX_PATH_BYTES:,} bytes"),
        (len(components) > MAX_DEPTH, f"is deeper than {MAX_DEPTH} folders"),
        (max(len(part.encode()) for part in components) > MAX_COMPONENT_BYTES, "has a component over 255 bytes"),
    )
    return next((reason for broken, reason in checks if broken), "")


def _check_folders(seen: Mapping[str, int]) -> None:
    """No entry may be the folder of another one. No folder is kept: 16 MiB of paths may tell of millions."""
    before = ""
    for key, number in seen.items():
        folder = key.rpartition("/")[0]
        if folder == before:
            continue
        before = folder
        while folder:
            if folder in seen:
                raise _invalid(
                    f"line {number} lists a file below {quoted(folder)}, which line {seen[folder]} lists as a file"
                )
            folder = folder.rpartition("/")[0]


def _invalid(reason: str) -> SeedRefused:
    return SeedRefused(
        ErrorName.MANIFEST_INVALID,
        f"SHA256SUMS is not well formed: {reason}; write it anew in the bundle's folder: {RECIPE}",
        file=MANIFEST,
    )
