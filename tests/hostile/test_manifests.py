"""S1: manifests by the hundred thousand. Whatever is accepted, `sha256sum --strict -c` accepts with the same names.

S1=1000000 pytest tests/hostile/test_manifests.py         as many as one likes; the seed is the number of the batch
"""

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dubseedd.core.manifest import Manifest, parse, render
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

AMOUNT = int(os.environ.get("S1") or 100_000)
BATCH = 10_000
DATA = b"a"
RIGHT = hashlib.sha256(DATA).hexdigest()
PIECES = [
    *(
        "a",
        "b",
        "config.json",
        "sub/",
        "x",
        "é",
        "e\u0301",
        "K",
        "\u212a",
        " ",
        "  ",
        "*",
        "#",
        "(",
        ") = ",
        "SHA256 (",
        "./",
    ),
    *(
        "-",
        "--",
        "..",
        ".",
        "/",
        "\\",
        "\\n",
        "\t",
        "\r",
        "\x01",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "SHA256SUMS",
        "\0",
    ),
]
FORMS = [
    *("{digest}  {name}", "{digest} *{name}", "{digest} {name}", "SHA256 ({name}) = {digest}") * 6,
    *(
        "SHA256({name}) = {digest}",
        "{digest}\t{name}",
        "\\{digest}  {name}",
        "\\SHA256 ({name}) = {digest}",
        "{digest}{name}",
    ),
    *(
        "# {name}",
        "# dubnium-bundle: {name}",
        " {digest}  {name}",
        "{name}",
        "SHA256 ({name})={digest}",
        "MD5 ({name}) = {digest}",
    ),
]
DIGESTS = [*[RIGHT] * 12, RIGHT.upper(), "0" * 64, RIGHT[:-1], RIGHT + "0", "", "g" * 64]
ENDS = [*["\n"] * 16, "\r\n", "\n\n", "\r", ""]


def manifests(rng: random.Random, amount: int) -> Iterator[bytes]:
    """Made of what matters to the grammar; one in four is damaged by a byte that is changed, lost or doubled."""
    for _ in range(amount):
        lines = []
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            name = "".join(rng.choices(PIECES, k=rng.choice((1, 1, 2, 2, 3, 4))))
            lines.append(rng.choice(FORMS).format(digest=rng.choice(DIGESTS), name=name) + rng.choice(ENDS))
        raw = bytearray("".join(lines).encode())
        if raw and rng.random() < 0.25:
            at = rng.randrange(len(raw))
            raw[at : at + rng.randrange(2)] = rng.choice((b"", bytes([rng.randrange(256)]), raw[at : at + 1] * 2))
        yield bytes(raw)


@pytest.mark.timeout(0)
def test_what_is_accepted_sha256sum_accepts_with_the_same_names(tmp_path: Path) -> None:
    accepted = 0
    for number in range(-(-AMOUNT // BATCH)):
        for raw in manifests(random.Random(number), min(BATCH, AMOUNT - number * BATCH)):
            try:
                manifest = parse(raw)
            except SeedRefused as refusal:
                assert_readable(refusal)
                continue
            accepted += 1
            with TemporaryDirectory(dir=tmp_path) as folder:
                assert_same_as_sha256sum(raw, manifest, Path(folder))
            assert [*parse(render(manifest.entries)).entries] == sorted(
                manifest.entries, key=lambda entry: entry.path.encode()
            )
    assert accepted > AMOUNT // 50


def assert_readable(refusal: SeedRefused) -> None:
    assert refusal.error is ErrorName.MANIFEST_INVALID
    assert refusal.sentence.isprintable()


def assert_same_as_sha256sum(raw: bytes, manifest: Manifest, folder: Path) -> None:
    """Every file holds the same byte; a verdict comes for each of our names, and for no other."""
    for path in manifest.paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(DATA)
    (folder / "SHA256SUMS").write_bytes(raw)
    command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert b"improperly formatted" not in checked.stderr, raw
    told = (line.rpartition(": ") for line in checked.stdout.decode().removesuffix("\n").split("\n"))
    expected = {entry.path: "OK" if entry.sha256 == RIGHT else "FAILED" for entry in manifest.entries}
    assert {name.removeprefix("./"): verdict for name, _, verdict in told} == expected, raw
