"""dubseedctl without a daemon, as an installer runs it: a process of its own on real files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import contents, model_files, published, write_bundle

FILES = model_files()
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    return tmp_path / "seed"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "mnt" / "models"


@pytest.fixture
def ctl(tmp_path: Path, store: Path) -> Run:
    """dubseedctl with a configuration that keeps no room in reserve, on the store of the test."""
    config = tmp_path / "dubseedd.toml"
    config.write_text(f'[store]\npath = "{store}"\nreserve = 0\n')

    def run(command: str, *options: str, code: str = "", stdin: None = None) -> "subprocess.CompletedProcess[str]":
        program = [sys.executable, "-c", f"{code}\nimport sys\nfrom dubseedd.cli.main import main\nsys.exit(main())"]
        argv = [*program, command, "--config", str(config), *options]
        return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def test_a_seed_is_synced_into_a_store_that_is_not_there_yet(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    done = ctl("sync", "--from", str(seed), "--store", str(store))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "tiny is installed: 196 KiB copied\n"
    assert contents(store / "tiny") == published(FILES)


def test_one_refused_bundle_stops_no_other_and_is_the_exit_status(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/bad", {**FILES, "x.pkl": b"1"})
    write_bundle(seed / "models/good", FILES)
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 1
    assert done.stderr.startswith("bad is refused: x.pkl holds pickled weights")
    assert contents(store / "good") == published(FILES)
    assert not (store / "bad").exists()


def test_json_tells_of_every_bundle(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/bad", {**FILES, "x.pkl": b"1"})
    write_bundle(seed / "models/good", FILES)
    done = ctl("sync", "--from", str(seed), "--json")
    told = json.loads(done.stdout)
    assert (told["schemaVersion"], told["command"], told["store"]) == (1, "seed sync", str(store))
    outcomes = {bundle["name"]: (bundle["outcome"], bundle["error"]) for bundle in told["bundles"]}
    assert outcomes == {"bad": ("refused", "org.dubnium.Seed1.Error.UnsafeModel"), "good": ("installed", "")}
    assert told["bundles"][1]["bytesDone"] == sum(len(data) for data in FILES.values())


def test_the_second_time_it_is_current(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    ctl("sync", "--from", str(seed))
    done = ctl("sync", "--from", str(seed))
    assert (done.returncode, done.stdout) == (0, "tiny is current: 0 B copied, 196 KiB were there already\n")


def test_a_dry_run_says_what_would_be_copied(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    done = ctl("sync", "--from", str(seed), "--dry-run")
    assert (done.returncode, done.stdout) == (0, "tiny is planned: 196 KiB to copy\n")
    assert not (store / "tiny").exists()


def test_one_bundle_by_name(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/a", FILES)
    write_bundle(seed / "models/b", FILES)
    assert ctl("sync", "--from", str(seed), "--bundle", "b").returncode == 0
    assert sorted(os.listdir(store)) == [".dubseed", "b"]


@pytest.mark.parametrize(("keys", "status"), [("# none yet\n\n", 0), ("ops ssh-ed25519 AAAA\n", 1)])
def test_where_a_key_is_enrolled_nothing_unsigned_is_installed(
    seed: Path, store: Path, ctl: Run, tmp_path: Path, keys: str, status: int
) -> None:
    (tmp_path / "signers").write_text(keys)
    with (tmp_path / "dubseedd.toml").open("a") as stream:
        stream.write(f'[trust]\nallowed_signers = "{tmp_path}/signers"\n')
    write_bundle(seed / "models/tiny", FILES)
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == status
    assert (store / "tiny").exists() is (status == 0)
    assert ("allowed_signers" in done.stderr) is (status == 1)


def test_a_name_that_is_no_text_stops_no_other_bundle(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/good", FILES)
    os.mkdir(os.fsencode(seed / "models") + b"/a\xff\x1bb")
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 1
    assert "is no name for a bundle" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(store / "good") == published(FILES)


def test_a_bundle_or_a_seed_that_is_not_there_is_one_sentence(seed: Path, store: Path, ctl: Run) -> None:
    (seed / "models").mkdir(parents=True)
    for where, what in ((str(seed), "does not have a bundle x"), (f"{seed}/absent", "cannot be opened")):
        done = ctl("sync", "--from", where, "--bundle", "x")
        assert done.returncode == 1
        assert done.stderr.startswith("dubseedctl: ")
        assert what in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (store / "x").exists()


def test_a_folder_without_models_says_where_the_bundles_go(seed: Path, ctl: Run) -> None:
    seed.mkdir()
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 1
    assert "models/NAME/" in done.stderr


def test_verify_offline_finds_what_was_damaged(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    ctl("sync", "--from", str(seed))
    assert ctl("verify", "--offline").stdout == "tiny is whole: 6 files, 196 KiB\n"
    (store / "tiny/tokenizer.json").write_bytes(b'{"version": "6.6"}')
    done = ctl("verify", "--offline", "tiny")
    assert done.returncode == 1
    assert "tokenizer.json of tiny is damaged" in done.stderr
    told = json.loads(ctl("verify", "--offline", "--json").stdout)
    assert told["bundles"][0]["error"] == "org.dubnium.Seed1.Error.ChecksumMismatch"


def test_verify_offline_of_a_bundle_that_is_not_installed(ctl: Run) -> None:
    done = ctl("verify", "--offline", "absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert "absent is not installed" in done.stderr


def test_what_was_done_stands_in_the_history_of_the_store(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    ctl("sync", "--from", str(seed))
    lines = (store / ".dubseed/history.jsonl").read_text().splitlines()
    assert [json.loads(line)["dubseed_event"] for line in lines] == ["bundle-installed"]


def test_a_bad_configuration_is_a_usage_error(ctl: Run, tmp_path: Path, seed: Path) -> None:
    (tmp_path / "dubseedd.toml").write_text("[stoer]\n")
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 2
    assert "did you mean store?" in done.stderr


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dbus_next", "pyudev", "systemd", "rich"):
            raise ImportError(name, name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_offline_commands_need_neither_bus_nor_udev_nor_extras(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    assert ctl("sync", "--from", str(seed), code=BLOCKED).returncode == 0
    assert ctl("verify", "--offline", code=BLOCKED).returncode == 0


NONSENSE = ["", "frobnicate", "sync --store /x", "cancel x", "watch --once --forever"]


@pytest.mark.parametrize("words", NONSENSE)
def test_nonsense_is_a_usage_error(words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dubseedd.cli.main", *words.split()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage: dubseedctl" in done.stderr


def test_a_bus_that_is_not_there_is_status_3(tmp_path: Path) -> None:
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/absent"}
    argv = [sys.executable, "-m", "dubseedd.cli.main", "status"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3
    assert done.stderr.startswith("dubseedctl: the system bus cannot be reached")
    assert done.stderr.count("\n") == 1


def test_help_teaches_by_examples() -> None:
    argv = [sys.executable, "-m", "dubseedd.cli.main", "--help"]
    assert "examples:" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout
