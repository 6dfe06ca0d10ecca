"""SHA256SUMS, read strictly: what sha256sum would check with other names, or not at all, is refused."""

import hashlib
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from dubseedd.core.manifest import MAX_BYTES, MAX_ENTRIES, RECIPE, Entry, parse, render
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

A = "a" * 64
B = "B" * 64


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (f"{A}  config.json", "config.json"),
        (f"{A}  ./config.json", "config.json"),
        (f"{A} *config.json", "config.json"),
        (f"{B}  sub/folder/x", "sub/folder/x"),
        (f"{A}\tconfig.json", "config.json"),
        (f"{A} config.json", "config.json"),
        (f"SHA256 (config.json) = {A}", "config.json"),
        (f"SHA256(config.json) = {B}", "config.json"),
        (f"SHA256 (a) = b) = {A}", "a) = b"),
        (f"{A}   two spaces", " two spaces"),
        (f"{A}  größe.txt", "größe.txt"),
        (f"{A}  sub/SHA256SUMS", "sub/SHA256SUMS"),
        (f"{A}  ...", "..."),
        (f"{A}  -rf", "-rf"),
        (f"{A}  ./-", "-"),
        (f"{A}  sha256sums", "sha256sums"),
        (f"{A} *", "*"),
        (f"{A}  ", " "),
    ],
)
def test_every_form_of_sha256sum_is_understood(line: str, path: str) -> None:
    (entry,) = parse(f"{line}\n".encode()).entries
    assert entry == Entry(
        path, line.rsplit("= ", maxsplit=1)[-1][:64].lower() if line.startswith("SHA") else line[:64].lower()
    )


def test_comments_empty_lines_and_a_missing_last_line_end_are_passed_over() -> None:
    manifest = parse(f"# by hand\n\n{A}  a\n{B}  b".encode())
    assert [entry.path for entry in manifest.entries] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("# dubnium-bundle: qwen-8b", "qwen-8b"),
        ("#dubnium-bundle:qwen-8b", "qwen-8b"),
        ("#\t dubnium-bundle \t:  two words \r", "two words"),
        ("# dubnium-bundles: qwen-8b", ""),
        ("## dubnium-bundle: qwen-8b", ""),
        ("# of dubnium-bundle: qwen-8b", ""),
        ("", ""),
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_comment_binds_a_manifest_to_the_name_of_its_bundle(line: str, name: str, *, last: bool) -> None:
    text = f"{A}  a\n{line}" if last else f"{line}\n{A}  a\n"
    assert parse(text.encode()).bundle == name


@pytest.mark.parametrize("text", [f"{A}  a\r\n{B}  b", f"{A}  a\n{B}  b\r"])
def test_the_line_ends_of_windows_are_accepted_with_a_note(text: str) -> None:
    manifest = parse(text.encode())
    assert [entry.path for entry in manifest.entries] == ["a", "b"]
    assert manifest.notes == ("SHA256SUMS has the line ends of Windows",)
    assert parse(text.replace("\r", "").encode()).notes == ()


def test_the_digest_is_that_of_the_bytes_as_they_were_read() -> None:
    raw = f"{A}  a\n".encode()
    manifest = parse(raw)
    assert (manifest.raw, manifest.sha256) == (raw, hashlib.sha256(raw).hexdigest())


LONG = "x" * 256
DEEP = "/".join("d" * 33)
WIDE = "/".join(["y" * 240] * 16 + ["y" * 241])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "it lists no file"),
        (b"# nothing\n", "it lists no file"),
        (b"\xef\xbb\xbf" + f"{A}  a\n".encode(), "it begins with a byte order mark"),
        (f"{A}  a\0b\n".encode(), "it holds a NUL byte"),
        (A.encode() + b"  \xff\n", "line 1: it is not UTF-8"),
        (b"\n\n" + A.encode() + b"  \xff\n\n", "line 3: it is not UTF-8"),
        (f"{A}  ok\nnonsense\n".encode(), "line 2 is no line of sha256sum"),
        (
            f"{A}  marked\n{B} bare\n".encode(),
            "line 2 is no line of sha256sum: it lacks the marker of the lines before",
        ),
        (f"{A[:-1]}  short\n".encode(), "line 1 is no line of sha256sum"),
        (f"{A}g  long\n".encode(), "line 1 is no line of sha256sum"),
        (f"\\{A}  a\\nb\n".encode(), r"line 1: the escaped name 'a\nb' holds a line break or a backslash"),
        (f"\\SHA256 (a\\\\b) = {A}\n".encode(), r"line 1: the escaped name 'a\\b' holds a line break or a backslash"),
        (f"{A}  /etc/passwd\n".encode(), "line 1: '/etc/passwd' is absolute"),
        *(
            (f"{A}  {path}\n".encode(), f"line 1: '{path}' has an empty, '.' or '..' component")
            for path in ("../x", "a/../b", "a//b", "a/./b", "././a", "a/")
        ),
        (f"{A}  a\\b\n".encode(), r"line 1: 'a\b' holds a backslash"),
        *(
            (f"{A}  a{char}b\n".encode(), f"line 1: {f'a{char}b'!a} holds a control character")
            for char in "\x01\x1b\x1f\x7f\x9f\u2028\u2029"
        ),
        (f"{A}  {LONG}\n".encode(), f"line 1: '{LONG}' has a component over 255 bytes"),
        (f"{A}  {DEEP}\n".encode(), f"line 1: '{DEEP}' is deeper than 32 folders"),
        (f"{A}  {WIDE}\n".encode(), f"line 1: '{WIDE[:256]}…' is longer than 4,096 bytes"),
        (f"{A}  a\n{B}  a\n".encode(), "line 2: 'a' is listed in line 1 already"),
        (f"{A}  a\n{B}  ./a\n".encode(), "line 2: 'a' is listed in line 1 already"),
        (f"{A}  README\n{B}  readme\n".encode(), "line 2: 'readme' is listed in line 1 already"),
        (f"{A}  caf\u00e9\n{B}  cafe\u0301\n".encode(), "line 2: 'cafe\u0301' is listed in line 1 already"),
        (f"{A}  a\n{B}  a/b\n".encode(), "line 2 lists a file below 'a', which line 1 lists as a file"),
        (f"{A}  x/y/z\n{B}  x\n".encode(), "line 1 lists a file below 'x', which line 2 lists as a file"),
        (f"{A}  -\n".encode(), "line 1: '-' is what sha256sum calls standard input: list the file as ./-"),
        (f"SHA256 (-) = {A}\n".encode(), "line 1: '-' is what sha256sum calls standard input: list the file as ./-"),
        *(
            (f"{A}  {path}\n".encode(), f"line 1: '{path}' takes the place of the manifest itself")
            for path in ("SHA256SUMS", "./SHA256SUMS", "SHA256SUMS/x")
        ),
        (
            f"# dubnium-bundle: a\n{A}  a\n# dubnium-bundle: a\n".encode(),
            "it names its bundle more than once",
        ),
        (f"# dubnium-bundle: \n{A}  a\n".encode(), "its line dubnium-bundle holds no name"),
        (f"#\n\n\r\n# by hand\n\n{A}  ok\n\n/\n".encode(), "line 8 is no line of sha256sum"),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_is_refused_with_the_line_the_reason_and_the_next_step(raw: bytes, reason: str) -> None:
    with pytest.raises(SeedRefused) as refused:
        parse(raw)
    assert (refused.value.error, refused.value.file) == (ErrorName.MANIFEST_INVALID, "SHA256SUMS")
    assert refused.value.sentence == (
        f"SHA256SUMS is not well formed: {reason}; write it anew in the bundle's folder: {RECIPE}"
    )
    assert refused.value.sentence.isprintable()


@pytest.mark.parametrize("path", [LONG[1:], DEEP[2:], WIDE[1:]], ids=["component", "depth", "path"])
def test_a_path_at_a_limit_is_accepted(path: str) -> None:
    assert parse(f"{A}  {path}\n".encode()).paths == {path}


def test_a_manifest_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(SeedRefused, match="larger than 16 MiB"):
        parse(b"#" * (MAX_BYTES + 1))


def test_a_sentence_stays_short_however_long_the_name_is() -> None:
    with pytest.raises(SeedRefused, match="4,096 bytes") as refused:
        parse(f"{A}  {'x' * (1 << 20)}\n".encode())
    assert len(refused.value.sentence) < 1000


@pytest.mark.parametrize(
    ("first", "comment", "reason"),
    [("", "##\n", "lists no file"), (f"{A}  a\n", "#dubnium-bundle:ab\n", "names its bundle more than once")],
    ids=["empty", "names"],
)
def test_the_largest_manifest_takes_no_memory_for_its_comments(first: str, comment: str, reason: str) -> None:
    raw = (first + comment * (MAX_BYTES // len(comment) - 4)).encode().ljust(MAX_BYTES, b"#")
    tracemalloc.start()
    try:
        with pytest.raises(SeedRefused, match=reason):
            parse(raw)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_a_manifest_over_the_limit_of_entries_is_refused() -> None:
    with pytest.raises(SeedRefused, match="200,000 entries"):
        parse("".join(f"{A}  {number}\n" for number in range(MAX_ENTRIES + 1)).encode())


def test_what_render_writes_is_what_the_runbook_writes(tmp_path: Path) -> None:
    for name in ("b", "a", "a.b", "sub/x", "-n"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    recipe = "find . -type f ! -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
    written = subprocess.run(["sh", "-c", recipe], cwd=tmp_path, capture_output=True, check=True).stdout
    assert render(parse(written).entries) == written
