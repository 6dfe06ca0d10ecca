"""S2: hostile names of bundles and files: what is said of them is fit to be read, nothing goes where it should not."""

import hashlib
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from dubseedd.core.sentence import SHOWN_CHARACTERS
from dubseedd.engine.scanning import Offer
from dubseedd.engine.store import Store
from dubseedd.errors import Failure
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.hostile.names import HOSTILE
from tests.support.bundles import write_bundle

LIMIT_SECONDS = 5.0
LONGEST_SENTENCE = 3 * SHOWN_CHARACTERS * len(r"\U0001f600")
FILES = {"config.json": b"{}"}
DATA = b"hostile"
REFUSALS = (ErrorName.MANIFEST_INVALID, ErrorName.UNLISTED_FILE, ErrorName.FILE_MISSING)


def test_there_are_enough_of_them() -> None:
    assert len({name for names in HOSTILE.values() for name in names}) >= 150


def assert_readable(failure: Failure, name: bytes) -> None:
    """A sentence for a person: of one line, bounded, of printable characters, with the name or what stands for it."""
    sentence = failure.sentence
    assert sentence.isprintable(), name
    assert len(sentence) <= LONGEST_SENTENCE, name
    sentence.encode()
    assert sentence.count("; ") >= 1, f"{name!r}: no next step in {sentence!r}"


def everything_in(folder: Path) -> set[bytes]:
    return {os.fsencode(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_bundle_of_a_hostile_name_is_refused_by_it_and_none_beside_it(
    models: Path, sync: Syncing, store: Store, kind: str
) -> None:
    write_bundle(models / "tiny", FILES)
    for name in HOSTILE[kind]:
        os.mkdir(os.fsencode(models) + b"/" + name)
    began = time.monotonic()
    with sync.folder() as folder:
        offers = folder.offers(("*",))
    assert time.monotonic() - began < LIMIT_SECONDS
    by_name: Mapping[bytes, Offer] = {os.fsencode(offer.name): offer for offer in offers}
    assert by_name.pop(b"tiny").refusal is None
    for name, offer in by_name.items():
        assert offer.refusal is not None, name
        assert_readable(offer.refusal, name)
        fits = (
            name.isascii()
            and name.decode().replace(".", "").replace("+", "").replace("-", "").replace("_", "").isalnum()
        )
        expected = ErrorName.MANIFEST_MISSING if fits and name[:1] not in b".-" else ErrorName.INVALID_NAME
        assert offer.refusal.error is expected, name
    assert set(HOSTILE[kind]) - by_name.keys() <= {b".git", b".ssh", b".dubseed", b".cache"}
    assert everything_in(Path(store.path) / ".dubseed/staging") == set()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_of_a_hostile_name_is_installed_as_it_is_or_refused_by_name(
    models: Path, sync: Syncing, store: Store, kind: str
) -> None:
    """Each in a bundle of its own, once listed and once not. What is installed passes sha256sum."""
    for number, name in enumerate(HOSTILE[kind]):
        for listed in (True, False):
            bundle = f"b{number}-{listed}".lower()
            folder = models / bundle
            rows = [(b"config.json", FILES["config.json"]), *([(name, DATA)] if listed else [])]
            manifest = b"".join(
                hashlib.sha256(data).hexdigest().encode() + b"  ./" + path + b"\n" for path, data in rows
            )
            write_bundle(folder, FILES, manifest=manifest)
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(DATA)
            began = time.monotonic()
            failure = refusal_of(sync, bundle)
            if failure is not None:
                assert failure.error in REFUSALS, name
                assert_readable(failure, name)
                assert not store.occupied(bundle)
            else:
                assert listed, f"{name!r} is installed and was not listed"
                assert_installed(Path(store.path) / bundle, name)
            assert time.monotonic() - began < LIMIT_SECONDS
            assert {os.fsdecode(entry) for entry in os.listdir(store.path)} <= {".dubseed", *os.listdir(models)}


def refusal_of(sync: Syncing, bundle: str) -> Failure | None:
    try:
        sync(bundle)
    except Failure as failure:
        return failure
    return None


def assert_installed(place: Path, name: bytes) -> None:
    """With its bytes under its name, also as sha256sum sees it."""
    assert Path(os.fsdecode(os.fsencode(place) + b"/" + name)).read_bytes() == DATA
    check = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    subprocess.run(check, cwd=place, check=True, capture_output=True)
