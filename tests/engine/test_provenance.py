"""Where a bundle came from is shown as long as it is installed."""

from pathlib import Path

import pytest

from dubseedd.core.about import About, Origin
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Readiness
from tests.engine.conftest import Syncing
from tests.support.bundles import model_files, write_bundle
from tests.support.users import needs_roots_work

FILES = model_files()
ABOUT = About("tiny", Origin("owner/tiny", "ab12", "mit"), 3, 99, "2026-01-31T12:00:00Z", "a test").render()


def source_shown(store: Store) -> str:
    shown = store.look("tiny")
    assert shown is not None
    return shown.source


@pytest.mark.parametrize(
    ("about", "source"),
    [
        (ABOUT, "owner/tiny@ab12"),
        (ABOUT.replace(b"ab12", b""), "owner/tiny"),
        (ABOUT.replace(b"owner/tiny", b""), ""),
        (ABOUT.replace(b"owner/tiny", rb"\ud800"), ""),
        (ABOUT.replace(b"owner/tiny", rb"a\u0000b"), ""),
        (ABOUT.replace(b"owner/tiny", b"x" * 300), ""),
        (b"none of ours", ""),
    ],
)
def test_it_is_what_the_bundle_records(models: Path, sync: Syncing, store: Store, about: bytes, source: str) -> None:
    write_bundle(models / "tiny", {**FILES, "dubnium-bundle.json": about})
    sync("tiny")
    assert source_shown(store) == source


@needs_roots_work
def test_a_bundle_that_is_adopted_has_it_as_well(models: Path, sync: Syncing, store: Store) -> None:
    files = {**FILES, "dubnium-bundle.json": ABOUT}
    write_bundle(models / "tiny", files)
    write_bundle(Path(store.path) / "tiny", files)
    assert sync("tiny") is Readiness.ADOPTABLE
    assert source_shown(store) == "owner/tiny@ab12"
