"""dubseedctl check on folders: what it says, and how it ends. Devices are in tests/integration/test_seeds.py."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubseedd.cli.main import main
from tests.cli.test_offline import INTERRUPTED_MID_COPY
from tests.support.bundles import model_files, write_bundle
from tests.support.schema import document
from tests.support.signing import make_key, sign
from tests.support.users import NOBODY, needs_root

FILES = model_files(shards=4)
SIZE = sum(len(data) for data in FILES.values())
RUN = "import sys; from dubseedd.cli.main import main; sys.exit(main())"
AS_NOBODY = f"""
import os
import dubseedd.cli.main, dubseedd.cli.check
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
"""
"""Another user may not reach the interpreter of a test, so it is loaded before."""

Said = pytest.CaptureFixture[str]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can enter, with a seed, a store and the configuration in it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    text = f'[store]\npath = "{folder}/store"\nreserve = 0\n[trust]\nallowed_signers = "{folder}/signers"\n'
    (folder / "dubseedd.toml").write_text(text)
    yield folder
    shutil.rmtree(folder)


def check(place: Path, *words: str) -> int:
    return main(["check", str(place / "seed"), "--config", str(place / "dubseedd.toml"), *words])


def check_apart(place: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """The same in a process of its own, after `code`."""
    argv = [sys.executable, "-c", f"{code}\n{RUN}", "check", "seed", "--config", "dubseedd.toml"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(argv, cwd=place, capture_output=True, text=True, check=False, env=environment)


def sync(place: Path) -> None:
    assert main(["sync", "--from", str(place / "seed"), "--config", str(place / "dubseedd.toml")]) == 0


def test_a_seed_that_is_good_ends_with_0_and_what_a_sync_will_take(place: Path, capsys: Said) -> None:
    write_bundle(place / "seed/models/tiny", FILES)
    assert check(place) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[-4] == "tiny is accepted: 391 KiB, new here, 391 KiB to copy"
    assert lines[-3].startswith("The stick gives ")
    assert lines[-3].endswith("a sync copies 391 KiB in about 0:01")
    assert lines[-2].startswith(f"Store {place}/store: ")
    assert lines[-2].endswith(" free, 0 B kept in reserve")
    assert lines[-1] == "1 of 1 bundles would be accepted"
    assert not (place / "store").exists()


def test_one_bad_bundle_stops_no_other_and_is_the_exit_status(place: Path, capsys: Said) -> None:
    write_bundle(place / "seed/models/bad", {**FILES, "config.json": b"[]"})
    write_bundle(place / "seed/models/good", FILES)
    assert check(place) == 1
    out, err = capsys.readouterr()
    assert err.startswith("dubseedctl: bad is refused: config.json is no JSON object")
    assert err.count("\n") == 1
    assert "good is accepted" in out
    assert out.splitlines()[-1] == "1 of 2 bundles would be accepted"


def test_json_tells_of_every_bundle_of_the_stick_and_of_the_store(place: Path, capsys: Said) -> None:
    write_bundle(place / "seed/models/good", {**FILES, "code.py": b""})
    sync(place)
    write_bundle(place / "seed/models/bad", {**FILES, "x.pkl": b"1"})
    capsys.readouterr()
    assert check(place, "--json") == 1
    out, err = capsys.readouterr()
    told = document(out)
    assert err == ""
    assert (told["schemaVersion"], told["command"], told["accepted"]) == (1, "seed check", False)
    assert told["seed"]["path"] == str(place / "seed")
    assert told["store"]["path"] == str(place / "store")
    assert told["rate"] > 0
    bad, good = told["bundles"]
    assert (bad["accepted"], bad["error"]["name"]) == (False, "org.dubnium.Seed1.Error.UnsafeModel")
    assert (good["accepted"], good["error"], good["verdict"]) == (True, None, "current")
    assert (good["size"], good["bytesToCopy"], good["secondsToCopy"]) == (SIZE, 0, 0)
    assert good["notes"] == ["code.py is code"]


def test_where_a_key_is_enrolled_an_unsigned_bundle_would_not_be_accepted(place: Path, capsys: Said) -> None:
    (place / "signers").write_text("ops ssh-ed25519 AAAA\n")
    write_bundle(place / "seed/models/tiny", FILES)
    assert check(place) == 1
    assert "tiny is refused: tiny cannot be trusted" in capsys.readouterr().err


def test_a_bundle_that_an_enrolled_key_has_signed_is_accepted_and_by_whom_is_told(place: Path, capsys: Said) -> None:
    (place / "signers").write_text(f"ops {make_key(place / 'key')}\n")
    sign(write_bundle(place / "seed/models/tiny", FILES), place / "key")
    assert check(place) == 0
    assert "tiny is accepted: 391 KiB, signed by ops, new here" in capsys.readouterr().out


@needs_root
def test_a_user_who_may_not_read_the_store_is_told_so_and_the_seed_is_judged(place: Path) -> None:
    write_bundle(place / "seed/models/tiny", FILES)
    sync(place)
    done = check_apart(place, AS_NOBODY)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny is accepted: 391 KiB, what the store has of it is not known, 391 KiB to copy" in done.stdout
    assert f"Not judged: the store {place}/store cannot be read (Permission denied); run it with sudo" in done.stdout
    assert f"Store {place}/store: at most " in done.stdout


def test_ctrl_c_ends_it_with_130(place: Path) -> None:
    write_bundle(place / "seed/models/tiny", FILES)
    done = check_apart(place, INTERRUPTED_MID_COPY)
    assert (done.returncode, done.stderr) == (130, "dubseedctl: stopped; nothing was written\n")


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        ("absent", "absent cannot be opened (No such file or directory); name a device, a mounted seed or any folder"),
        ("dubseedd.toml", "dubseedd.toml cannot be opened (Not a directory)"),
        ("empty", "the seed has no folder models/"),
        ("bare", "bare has no bundle; look into its models/"),
    ],
)
def test_what_is_no_seed_is_one_sentence(place: Path, capsys: Said, seed: str, words: str) -> None:
    (place / "empty").mkdir()
    (place / "bare/models").mkdir(parents=True)
    assert main(["check", str(place / seed), "--config", str(place / "dubseedd.toml")]) == 1
    out, err = capsys.readouterr()
    assert words in err
    assert (out, err.count("\n")) == ("", 1)
