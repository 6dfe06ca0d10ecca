"""SHA256SUMS, read strictly: what sha256sum would check with other names, or not at all, is refused."""

import hashlib
import subprocess
import tempfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubseedd.core.manifest import MAX_BYTES, MAX_ENTRIES, Entry, parse, render
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
        (f"SHA256(config.json) = {A}", "config.json"),
        (f"SHA256 (a) = b) = {A}", "a) = b"),
        (f"{A}   two spaces", " two spaces"),
        (f"{A}  größe.txt", "größe.txt"),
        (f"{A}  sub/SHA256SUMS", "sub/SHA256SUMS"),
        (f"{A}  ...", "..."),
        (f"{A}  -rf", "-rf"),
        (f"{A}  ./-", "-"),
        (f"{A}  sha256sums", "sha256sums"),
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
        ("#\t dubnium-bundle :  two words \r", "two words"),
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


def test_the_line_ends_of_windows_are_accepted_with_a_note() -> None:
    manifest = parse(f"{A}  a\r\n{B}  b\r\n".encode())
    assert [entry.path for entry in manifest.entries] == ["a", "b"]
    assert manifest.notes


def test_the_digest_is_that_of_the_bytes_as_they_were_read() -> None:
    raw = f"{A}  a\n".encode()
    assert parse(raw).sha256 == hashlib.sha256(raw).hexdigest()


LONG = "x" * 256
DEEP = "/".join("d" * 33)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "lists no file"),
        (b"# nothing\n", "lists no file"),
        (b"\xef\xbb\xbf" + f"{A}  a\n".encode(), "byte order mark"),
        (f"{A}  a\0b\n".encode(), "NUL"),
        (A.encode() + b"  \xff\n", "line 1: it is not UTF-8"),
        (f"{A}  ok\nnonsense\n".encode(), "line 2 is no line"),
        (f"{A}  marked\n{B} bare\n".encode(), "line 2 is no line"),
        (f"{A[:-1]}  short\n".encode(), "line 1 is no line"),
        (f"{A}g  long\n".encode(), "line 1 is no line"),
        (f"\\{A}  a\\nb\n".encode(), "escaped name"),
        (f"\\SHA256 (a\\\\b) = {A}\n".encode(), "escaped name"),
        (f"{A}  /etc/passwd\n".encode(), "absolute"),
        (f"{A}  ../x\n".encode(), "component"),
        (f"{A}  a/../b\n".encode(), "component"),
        (f"{A}  a//b\n".encode(), "component"),
        (f"{A}  a/./b\n".encode(), "component"),
        (f"{A}  ././a\n".encode(), "component"),
        (f"{A}  a/\n".encode(), "component"),
        (f"{A}  a\\b\n".encode(), "backslash"),
        (f"{A}  a\x1bb\n".encode(), "control character"),
        (f"{A}  a\x7fb\n".encode(), "control character"),
        (f"{A}  {LONG}\n".encode(), "255 bytes"),
        (f"{A}  {DEEP}\n".encode(), "32 folders"),
        (f"{A}  {'/'.join(['y' * 250] * 17)}\n".encode(), "4,096 bytes"),
        (f"{A}  a\n{B}  a\n".encode(), "line 2: 'a' is listed in line 1"),
        (f"{A}  a\n{B}  ./a\n".encode(), "line 2"),
        (f"{A}  README\n{B}  readme\n".encode(), "line 2"),
        (f"{A}  caf\u00e9\n{B}  cafe\u0301\n".encode(), "line 2"),
        (f"{A}  a\n{B}  a/b\n".encode(), "below 'a'"),
        (f"{A}  x/y/z\n{B}  x\n".encode(), "line 1 lists a file below 'x', which line 2"),
        (f"{A}  -\n".encode(), "standard input: list the file as ./-"),
        (f"SHA256 (-) = {A}\n".encode(), "standard input: list the file as ./-"),
        (f"{A}  SHA256SUMS\n".encode(), "place of the manifest itself"),
        (f"{A}  ./SHA256SUMS\n".encode(), "place of the manifest itself"),
        (f"{A}  SHA256SUMS/x\n".encode(), "place of the manifest itself"),
        (f"# dubnium-bundle: a\n{A}  a\n# dubnium-bundle: a\n".encode(), "names its bundle more than once"),
        (f"# dubnium-bundle: \n{A}  a\n".encode(), "dubnium-bundle holds no name"),
        (f"#\n\n\r\n# by hand\n\n{A}  ok\n\n/\n".encode(), "line 8 is no line"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_line_the_reason_and_the_next_step(raw: bytes, reason: str) -> None:
    with pytest.raises(SeedRefused) as refused:
        parse(raw)
    assert refused.value.error is ErrorName.MANIFEST_INVALID
    assert reason in refused.value.sentence
    assert "sha256sum > SHA256SUMS" in refused.value.sentence
    assert refused.value.sentence.isprintable()


def test_a_manifest_over_the_limit_of_bytes_is_refused() -> None:
    with pytest.raises(SeedRefused, match="16 MiB"):
        parse(b"#" * (MAX_BYTES + 1))


def test_a_sentence_stays_short_however_long_the_name_is() -> None:
    with pytest.raises(SeedRefused, match="4,096 bytes") as refused:
        parse(f"{A}  {'x' * (1 << 20)}\n".encode())
    assert len(refused.value.sentence) < 1000


def test_the_largest_manifest_of_nothing_takes_no_memory_for_its_lines() -> None:
    raw = b"##\n" * (MAX_BYTES // 3)
    tracemalloc.start()
    try:
        with pytest.raises(SeedRefused, match="lists no file"):
            parse(raw)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_a_manifest_of_millions_of_folders_takes_no_memory_for_them() -> None:
    deep = "/d" * 30
    raw = "".join(f"{A}  {number}{deep}\n" for number in range(40_000)).encode()
    tracemalloc.start()
    try:
        assert len(parse(raw).entries) == 40_000
        assert tracemalloc.get_traced_memory()[1] < 10 * len(raw)
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


ODD = ["-", "a", "b", " ", "*", "#", "é", "(", ") = ", "SHA256 (", "c/", "./"]
BAD = ["../", "/", "\\", "\t", "\r", "\n", "\x01", "\x85", "\u2028", "SHA256SUMS"]
NAMES = st.one_of(
    st.sampled_from(["-", "config.json", "./config.json", "c/d", "SHA256SUMS"]),
    st.lists(st.sampled_from(ODD), min_size=1, max_size=3).map(lambda pieces: "".join(pieces) + "x"),
    st.lists(st.sampled_from(ODD + BAD), min_size=1, max_size=3).map("".join),
)
RIGHT = hashlib.sha256(b"a").hexdigest()
LINES = st.builds(
    lambda form, digest, name, end: form.format(digest=digest, name=name) + end,
    st.sampled_from(
        ["{digest}  {name}", "{digest} *{name}", "{digest} {name}", "SHA256 ({name}) = {digest}", "{digest}   {name}"]
        * 4
        + ["SHA256({name}) = {digest}", "{digest}\t{name}", "# {name}", "{digest}{name}", " {digest}  {name}"]
        + ["\\{digest}  {name}", "\\SHA256 ({name}) = {digest}", "SHA256 ({name})={digest}", "{name}"]
    ),
    st.sampled_from([A, B, RIGHT, RIGHT.upper()] * 6 + [A[:-1], ""]),
    NAMES,
    st.sampled_from(["\n"] * 12 + ["\r\n", "\n\n", "\n\r\n", "\r\r\n", ""]),
)


def verdicts_of_sha256sum(raw: bytes, names: Iterable[str]) -> dict[str, str]:
    """What `sha256sum --strict -c` says of each file, where all of them hold the byte `a`."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a")
        Path(folder, "SHA256SUMS").write_bytes(raw)
        command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
        checked = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert b"improperly formatted" not in checked.stderr
    told = (line.rpartition(": ") for line in checked.stdout.decode().removesuffix("\n").split("\n"))
    return {name.removeprefix("./"): verdict for name, _, verdict in told}


def test_what_is_accepted_sha256sum_accepts_with_the_same_names() -> None:
    accepted = set()

    @given(st.lists(LINES, min_size=1, max_size=3).map("".join))
    @settings(max_examples=1000, deadline=None, derandomize=True, database=None)
    def compare(text: str) -> None:
        try:
            manifest = parse(text.encode())
        except SeedRefused:
            return
        accepted.add(text)
        expected = {entry.path: "OK" if entry.sha256 == RIGHT else "FAILED" for entry in manifest.entries}
        assert verdicts_of_sha256sum(text.encode(), manifest.paths) == expected

    compare()
    assert len(accepted) > 80
