"""What an installed bundle lacks, as its manifest tells."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.engine.acceptance import missing
from tests.support.bundles import manifest_of, write_bundle

FILES = {"config.json": b"{}", "sub/a.gguf": b"GGUF"}
MANIFEST = manifest_of(FILES)


def leave_as_it_is(_: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (leave_as_it_is, ""),
        (lambda folder: (folder / "sub/a.gguf").unlink(), "FOLDER/sub/a.gguf is missing"),
        (
            lambda folder: (folder / "SHA256SUMS").write_bytes(b""),
            "FOLDER/SHA256SUMS is not the one that was installed",
        ),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "FOLDER cannot be read (No such file or directory)"),
        (lambda folder: folder.rename(folder.with_name("away")), "FOLDER cannot be read (No such file or directory)"),
    ],
    ids=["whole", "a file", "another manifest", "no manifest", "no folder"],
)
def test_what_is_missing_is_told_in_a_sentence(tmp_path: Path, spoil: Callable[[Path], object], sentence: str) -> None:
    folder = write_bundle(tmp_path / "tiny", FILES)
    spoil(folder)
    assert missing(str(folder), hashlib.sha256(MANIFEST).hexdigest()) == sentence.replace("FOLDER", str(folder))


def test_a_manifest_that_is_none_is_told_though_it_is_the_one_that_was_installed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny", FILES, manifest=b"nonsense")
    assert "line 1 is no line of sha256sum" in missing(str(folder), hashlib.sha256(b"nonsense").hexdigest())
