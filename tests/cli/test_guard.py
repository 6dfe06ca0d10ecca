"""dubseedctl guard: what a script may count on, with a daemon and without."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dubseedd.adapters.messages import CallFailed
from dubseedd.cli.guard import judge
from dubseedd.cli.main import main
from dubseedd.engine.store import Store
from dubseedd.names import MANIFEST
from tests.cli.conftest import Ctl, ToyDaemon, ended
from tests.support.bundles import model_files, write_bundle
from tests.support.schema import document
from tests.support.users import NOBODY, needs_root

FILES = model_files()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one bundle, `tiny`."""
    write_bundle(tmp_path / "seed/models/tiny", FILES)
    config = tmp_path / "dubseedd.toml"
    config.write_text(f'store.reserve = 0\ntrust.allowed_signers = "{tmp_path}/nobody"\n')
    arguments = ["sync", "--from", str(tmp_path / "seed"), "--store", str(tmp_path / "store"), "--config", str(config)]
    assert main(arguments) == 0
    return tmp_path / "store"


def guarded(store: Path, name: str = "tiny") -> int:
    return main(["guard", name, "--store", str(store)])


def cut(path: Path) -> None:
    os.truncate(path / MANIFEST, 10)


def take_away(path: Path) -> None:
    (path / "config.json").unlink()


def test_a_bundle_as_it_was_installed_is_whole(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(store) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("tiny is installed, whole and verified on 20")


def test_what_is_not_there_is_absent(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(store, "nowhere") == 10
    assert guarded(tmp_path / "no-store") == 10
    assert f"tiny is not installed: there is no store {tmp_path}/no-store; " in capsys.readouterr().err
    assert not (tmp_path / "no-store").exists()


@pytest.mark.parametrize("damage", [cut, take_away])
def test_what_lacks_something_is_damaged(store: Path, damage: Callable[[Path], None]) -> None:
    damage(store / "tiny")
    assert guarded(store) == 11


def test_a_folder_of_somebody_else_is_foreign(store: Path) -> None:
    write_bundle(store / "mine", FILES)
    assert guarded(store, "mine") == 12


def test_so_is_one_where_dubseedd_has_never_been(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", FILES)
    assert guarded(tmp_path) == 12
    assert os.listdir(tmp_path) == ["tiny"]


@needs_root
def test_of_a_store_that_may_not_be_read_nobody_can_tell(store: Path) -> None:
    store.chmod(0o700)
    words = ["guard", "tiny", "--store", str(store)]
    loaded = "import os, dubseedd.cli.guard; from dubseedd.cli.main import main"
    code = f"{loaded}; os.setuid({NOBODY}); os._exit(main({words}))"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 20


def test_what_was_never_read_back_is_unverified(store: Path) -> None:
    opened = Store(str(store))
    receipt = opened.receipt("tiny")
    assert receipt is not None
    opened.amend_receipt(receipt, verified_at=0)
    opened.close()
    assert guarded(store) == 12


def test_of_a_store_that_somebody_works_on_it_tells_all_the_same_and_changes_nothing(store: Path) -> None:
    opened = Store(str(store))
    before = {path: path.lstat().st_mtime_ns for path in store.rglob("*")}
    assert guarded(store) == 0
    assert guarded(store, "nowhere") == 10
    assert {path: path.lstat().st_mtime_ns for path in store.rglob("*")} == before
    opened.close()


async def test_the_daemon_is_asked_first(toy: ToyDaemon, start_ctl: Ctl, store: Path) -> None:
    opened = Store(str(store))
    bundle = opened.look("tiny")
    opened.close()
    assert bundle is not None
    toy.show_bundle(
        Name="tiny", Path=str(store / "tiny"), ManifestSha256=bundle.manifest_sha256, VerifiedAt=bundle.verified_at
    )
    said = await ended(await start_ctl("guard", "tiny", "--json"))
    told = document(said.out)
    assert (said.status, told["command"], told["verdict"], told["next"]) == (0, "seed guard", "whole", "")
    said = await ended(await start_ctl("guard", "other", "--json"))
    assert (said.status, document(said.out)["verdict"]) == (10, "absent")


async def test_a_daemon_that_fails_cannot_tell_and_that_is_no_other_status(toy: ToyDaemon, start_ctl: Ctl) -> None:
    async def refuse(*_: Any) -> list[Any]:
        raise CallFailed("org.dubnium.Seed1.Error.Internal", "internal error, see the journal")

    toy.tree._perform = refuse  # type: ignore[method-assign]
    said = await ended(await start_ctl("guard", "tiny"))
    assert (said.status, said.out) == (20, "")


def test_the_verdict_of_what_the_daemon_calls_damaged_tells_its_error(store: Path) -> None:
    opened = Store(str(store))
    receipt = opened.receipt("tiny")
    assert receipt is not None
    opened.amend_receipt(
        receipt, damage=("org.dubnium.Seed1.Error.ChecksumMismatch", "x of tiny is damaged: a bit has flipped")
    )
    told = judge("tiny", opened.look("tiny"))
    opened.close()
    assert told == (11, "x of tiny is damaged: a bit has flipped", "")
