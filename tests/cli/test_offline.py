"""dubseedctl without a daemon, as an installer runs it: a process of its own on real files."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from dubseedd.cli.main import main
from tests.cli.conftest import interrupted_at
from tests.support.bundles import contents, model_files, published, write_bundle
from tests.support.schema import document
from tests.support.users import NOBODY, needs_root

FILES = model_files()
INTERRUPTED_MID_COPY = interrupted_at('str(args[0]).startswith("model-00003")')
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

    def run(
        command: str, *options: str, code: str = "", stdout: int | IO[bytes] = subprocess.PIPE
    ) -> "subprocess.CompletedProcess[str]":
        program = [sys.executable, "-c", f"{code}\nimport sys\nfrom dubseedd.cli.main import main\nsys.exit(main())"]
        argv = [*program, command, "--config", str(config), *options]
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        return subprocess.run(
            argv, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, env=buffered
        )

    return run


def events(store: Path) -> list[str]:
    """What the history of a store tells, oldest first."""
    lines = (store / ".dubseed/history.jsonl").read_text().splitlines()
    return [json.loads(line)["dubseed_event"] for line in lines]


def test_a_seed_is_synced_into_a_store_that_is_not_there_yet(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    done = ctl("sync", "--from", str(seed), "--store", str(store))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "tiny is installed: 196 KiB copied"
    assert contents(store / "tiny") == published(FILES)


@needs_root
def test_what_an_installer_brings_into_its_root_is_roots_and_readable_whatever_the_stick_says(
    seed: Path, tmp_path: Path, ctl: Run
) -> None:
    write_bundle(seed / "models/tiny", {**FILES, "sub/notes.txt": b"x"})
    for path in seed.rglob("*"):
        os.chown(path, 1000, 1000)
        path.chmod(0o777 if path.is_dir() else 0o600)
    store = tmp_path / "mnt/var/lib/dubnium/models"
    assert ctl("sync", "--from", str(seed), "--store", str(store), code="import os\nos.umask(0o077)").returncode == 0
    found = {
        str(path.relative_to(store)): (path.stat().st_uid, path.stat().st_gid, oct(path.stat().st_mode & 0o7777))
        for path in [store, store / ".dubseed", *(store / "tiny").rglob("*"), store / "tiny"]
    }
    assert {what for name, what in found.items() if (store / name).is_file()} == {(0, 0, "0o644")}
    assert found.pop(".dubseed") == (0, 0, "0o700")
    assert {what for name, what in found.items() if (store / name).is_dir()} == {(0, 0, "0o755")}


def test_one_refused_bundle_stops_no_other_and_is_the_exit_status(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/bad", {**FILES, "x.pkl": b"1"})
    write_bundle(seed / "models/good", FILES)
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 1
    assert done.stderr.startswith("dubseedctl: bad is refused: x.pkl holds pickled weights")
    assert contents(store / "good") == published(FILES)
    assert not (store / "bad").exists()


def test_weights_that_were_cut_short_are_refused_once_they_are_copied(seed: Path, store: Path, ctl: Run) -> None:
    path = "model-00002-of-00002.safetensors"
    write_bundle(seed / "models/bad", {**FILES, path: FILES[path][:-5]})
    write_bundle(seed / "models/good", FILES)
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 1
    assert done.stderr == (
        f"dubseedctl: bad has failed: {path} has 99,995 bytes of tensors, and its header tells of 100,000; "
        "copy the model from its source anew\n"
    )
    assert contents(store / "good") == published(FILES)
    assert not (store / "bad").exists()
    assert events(store).count("job-failed") == 1


def test_json_tells_of_every_bundle(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/bad", {**FILES, "x.pkl": b"1"})
    write_bundle(seed / "models/good", FILES)
    done = ctl("sync", "--from", str(seed), "--json")
    told = document(done.stdout)
    assert (told["schemaVersion"], told["command"], told["store"]) == (1, "seed sync", str(store))
    outcomes = {bundle["name"]: bundle["outcome"] for bundle in told["bundles"]}
    assert outcomes == {"bad": "refused", "good": "installed"}
    bad, good = (bundle["error"] for bundle in told["bundles"])
    assert bad["name"] == "org.dubnium.Seed1.Error.UnsafeModel"
    assert good is None
    assert told["bundles"][1]["bytesDone"] == sum(len(data) for data in FILES.values())


def test_the_second_time_it_is_current(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    ctl("sync", "--from", str(seed))
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "tiny is current: 196 KiB were there already"


def test_a_dry_run_says_what_would_be_copied(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    done = ctl("sync", "--from", str(seed), "--dry-run")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "tiny is planned: 196 KiB to copy"
    assert not (store / "tiny").exists()
    assert not (store / ".dubseed/history.jsonl").exists()


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
    assert ctl("verify", "--offline").stdout.splitlines()[-1] == "tiny is whole: 6 files, 196 KiB"
    (store / "tiny/tokenizer.json").write_bytes(b'{"version": "6.6"}')
    done = ctl("verify", "--offline", "tiny")
    assert done.returncode == 1
    assert "tokenizer.json of tiny is damaged" in done.stderr
    told = document(ctl("verify", "--offline", "--json").stdout)
    assert told["bundles"][0]["error"]["name"] == "org.dubnium.Seed1.Error.ChecksumMismatch"
    assert events(store) == ["bundle-installed", "bundle-damaged", "bundle-damaged"]


def test_verify_offline_of_a_bundle_that_is_not_installed(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    ctl("sync", "--from", str(seed))
    done = ctl("verify", "--offline", "absent", "tiny")
    assert (done.returncode, done.stdout) == (1, "")
    assert "absent is not installed" in done.stderr


def test_verify_offline_makes_no_store_where_there_is_none(store: Path, ctl: Run) -> None:
    done = ctl("verify", "--offline")
    assert done.returncode == 1
    assert done.stderr == f"dubseedctl: there is no store {store}; name the right one: --store DIR\n"
    assert not store.exists()


def test_verify_offline_says_when_there_is_nothing_to_verify(store: Path, ctl: Run) -> None:
    store.mkdir(parents=True)
    done = ctl("verify", "--offline")
    assert (done.returncode, done.stdout) == (0, "nothing is installed, so there is nothing to verify\n")


@needs_root
def test_who_may_not_work_on_a_store_is_told_to_do_it_as_root() -> None:
    with tempfile.TemporaryDirectory() as store:
        os.chmod(store, 0o755)
        code = f"main(['verify', '--offline', '--store', '{store}'])"
        code = f"import dubseedd.cli.offline; from dubseedd.cli.main import main; os.setuid({NOBODY}); sys.exit({code})"
        argv = [sys.executable, "-c", f"import os, sys; {code}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.rpartition("; ")[2]) == (1, "do it as root: sudo\n")


def test_an_older_revision_that_was_put_there_by_hand_is_told_as_adopted_and_then_updated(
    seed: Path, store: Path, ctl: Run
) -> None:
    write_bundle(store / "tiny", model_files(seed=b"0"))
    write_bundle(seed / "models/tiny", FILES)
    done = ctl("sync", "--from", str(seed))
    assert done.returncode == 0
    assert "tiny was put there by hand" in done.stdout
    assert events(store) == ["bundle-adopted", "bundle-installed"]


def test_what_was_done_stands_in_the_history_of_the_store(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    ctl("sync", "--from", str(seed))
    assert events(store) == ["bundle-installed"]


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
    assert ctl("check", str(seed), code=BLOCKED).returncode == 0


NONSENSE = [
    ["sync", "--store", "/x"],
    ["sync", "--from", "/x", "--seed", "/dev/sdb1"],
    ["sync", "--from", "/x", "--store", ""],
    ["cancel", "x"],
    ["cancel", "-3"],
    ["check"],
    ["format", "/dev/sdb", "--type", "vfat"],
    ["format", "/dev/sdb", "--expected", ""],
    ["watch", "--once", "--forever"],
]


@pytest.mark.parametrize("words", NONSENSE, ids=" ".join)
def test_nonsense_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An empty argument too: the unset variable of a script must not mean the store of this machine."""
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("dubseedctl: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "a command is missing; begin with dubseedctl status, dubseedctl --help lists all"),
        (["statsu"], "there is no command 'statsu'; did you mean status? dubseedctl --help lists all"),
        (["", "x"], "there is no command ''; dubseedctl --help lists all"),
        (
            ["remove"],
            "the following arguments are required: BUNDLE; dubseedctl remove --help shows what it takes",
        ),
        (["list", "-x"], "unrecognized arguments: -x; dubseedctl list --help shows what it takes"),
        (
            ["history", "-n", "0"],
            "argument -n/--number: takes a number from 1 to 1000; dubseedctl history --help shows what it takes",
        ),
    ],
    ids=str,
)
def test_what_is_mistyped_is_one_sentence_that_says_where_to_look(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"dubseedctl: {sentence}\n"


def test_a_bus_that_is_not_there_is_status_3(tmp_path: Path) -> None:
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/absent"}
    argv = [sys.executable, "-m", "dubseedd.cli.main", "status"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3
    assert done.stderr.startswith("dubseedctl: the system bus cannot be reached (No such file or directory); ")
    assert done.stderr.count("\n") == 1


def test_help_teaches_by_examples() -> None:
    argv = [sys.executable, "-m", "dubseedd.cli.main", "--help"]
    assert "examples:" in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


# The output


def test_a_reader_that_leaves_is_no_news(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as broken:
        done = ctl("sync", "--from", str(seed), "--json", stdout=broken)
    assert done.stderr == ""


def test_an_output_that_is_full_is_one_sentence(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", FILES)
    with open("/dev/full", "wb") as full:
        done = ctl("sync", "--from", str(seed), "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("dubseedctl: No space left on device; look at ")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_a_verification_that_no_daemon_goes_on_with(seed: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", model_files(shards=4))
    assert ctl("sync", "--from", str(seed)).returncode == 0
    done = ctl("verify", "--offline", code=INTERRUPTED_MID_COPY)
    assert done.returncode == 130
    assert done.stderr == "dubseedctl: stopped; what was not read to its end counts as before\n"


def test_ctrl_c_keeps_what_was_verified_and_ends_with_130(seed: Path, store: Path, ctl: Run) -> None:
    write_bundle(seed / "models/tiny", model_files(shards=4, shard_bytes=5_000_000))
    done = ctl("sync", "--from", str(seed), code=INTERRUPTED_MID_COPY)
    assert done.returncode == 130
    assert done.stderr == ("dubseedctl: stopped; what was verified is kept, and the same command goes on from there\n")
    assert not (store / "tiny").exists()
    again = ctl("sync", "--from", str(seed))
    assert again.returncode == 0
    assert "were there already" in again.stdout.splitlines()[-1]
