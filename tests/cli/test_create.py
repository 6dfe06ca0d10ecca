"""dubseedctl create as a person runs it: a process, a model, and a folder or a real stick."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubseedd.cli.main import main
from tests.cli.conftest import interrupted_at
from tests.machine import Machine
from tests.support.bundles import contents, model_files, write_files
from tests.support.hfcache import blob_name, write_cache
from tests.support.schema import document
from tests.support.signing import make_key
from tests.support.sticks import SIZE_BYTES, mounted
from tools.image import empty_image
from tools.machine import run

FILES = {**model_files(shards=2, shard_bytes=5_000_000), "README.md": b"---\nlicense: mit\n---\n"}
CHANGED = {**FILES, "config.json": b'{"model_type": "tiny", "revision": "2"}'}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
Done = subprocess.CompletedProcess[str]
Create = Callable[..., Done]

WITHOUT_LINKS = ("-e", "inject=linkat:error=EPERM", "-e", "inject=renameat2:error=EINVAL")
"""What FAT and exFAT cannot do, done to a file system that can: neither has a driver on every machine."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_files(tmp_path / "tiny", FILES)
    return tmp_path / "tiny"


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    folder = tmp_path / "seed"
    folder.mkdir()
    return folder


@pytest.fixture
def create(tmp_path: Path) -> Create:
    """Runs create, within another program where one is given."""
    config = tmp_path / "dubseedd.toml"
    config.write_text("")

    def run_it(source: Path, seed: Path, *options: str, within: tuple[str, ...] = (), code: str = "") -> Done:
        program = f"{code}\nimport sys\nfrom dubseedd.cli.main import main\nsys.exit(main())"
        words = ["create", str(source), "--to", str(seed), "--config", str(config), *options]
        return subprocess.run(
            [*within, sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, timeout=60
        )

    return run_it


def check(bundle: Path, files: dict[str, bytes] = FILES) -> None:
    """Every tool of the runbook is content with a bundle, and it has these files."""
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=bundle, check=True)
    listed = re.findall(r"^[0-9a-f]{64}  \./(.*)$", (bundle / "SHA256SUMS").read_text(), re.MULTILINE)
    beside = {"dubnium-bundle.json"}
    assert set(listed) == files.keys() | beside
    assert listed == sorted(listed)
    there = contents(bundle)
    assert {path: there[path] for path in files} == files
    assert there.keys() - files.keys() - beside <= {"SHA256SUMS", "B3SUMS", "SHA256SUMS.sig"}


def traced(log: Path, *inject: str) -> tuple[str, ...]:
    return ("strace", "-f", "-qq", "-o", str(log), *inject)


def test_a_directory_becomes_a_bundle(model: Path, seed: Path, create: Create) -> None:
    done = create(model, seed)
    assert (done.returncode, done.stderr) == (0, "")
    told = r"tiny is made: 9\.54 MiB copied \(.*/s\), 9\.54 MiB read back and right \(.*/s\)"
    assert re.fullmatch(told, done.stdout.splitlines()[-2])
    check(seed / "models/tiny")
    assert (seed / "models/tiny/SHA256SUMS").read_text().startswith("# dubnium-bundle: tiny\n")
    assert sorted(os.listdir(seed)) == ["README.txt", "models"]
    modes = {path.stat().st_mode & 0o777 for path in (seed / "models").rglob("*") if path.is_file()}
    assert modes == {0o644}


def test_a_cache_becomes_a_bundle_that_says_where_it_came_from(tmp_path: Path, seed: Path, create: Create) -> None:
    write_cache(tmp_path / "hub", "owner/tiny", {**FILES, ".gitattributes": b"x", "pytorch_model.bin": b"x"})
    done = create(tmp_path / "hub/owner/tiny", seed, "--json")
    assert done.returncode == 0
    check(seed / "models/tiny")
    told = document(done.stdout)
    assert told["command"] == "seed create"
    assert (told["bundle"]["outcome"], told["bundle"]["source"]) == ("made", "owner/tiny")
    assert told["leftOut"] == [
        {"path": ".gitattributes", "reason": "of Git"},
        {"path": "pytorch_model.bin", "reason": "weights beside the safetensors"},
    ]
    about = json.loads((seed / "models/tiny/dubnium-bundle.json").read_text())
    assert (about["source"], about["license"], about["files"]) == ("owner/tiny", "mit", len(FILES))


@pytest.mark.parametrize("within", [(), WITHOUT_LINKS], ids=["links", "none"])
def test_the_second_time_nothing_is_written(
    model: Path, seed: Path, create: Create, tmp_path: Path, within: tuple[str, ...]
) -> None:
    create(model, seed)
    before = {path: path.stat().st_ino for path in (seed / "models").rglob("*")}
    done = create(model, seed, within=traced(tmp_path / "log", *within) if within else ())
    assert done.stdout.splitlines()[-2].startswith("tiny is current: nothing to copy, 9.54 MiB read back and right (")
    assert {path: path.stat().st_ino for path in (seed / "models").rglob("*")} == before


@pytest.mark.parametrize("within", [(), WITHOUT_LINKS], ids=["links", "none"])
def test_a_refresh_copies_what_has_changed(
    model: Path, seed: Path, create: Create, tmp_path: Path, within: tuple[str, ...]
) -> None:
    create(model, seed)
    inode = (seed / "models/tiny" / FIRST).stat().st_ino
    write_files(model, {"config.json": CHANGED["config.json"], "new/a.txt": b"a"})
    (model / "tokenizer.json").unlink()
    done = create(model, seed, "--json", within=traced(tmp_path / "log", *within) if within else ())
    assert done.returncode == 0, done.stderr
    bundle = document(done.stdout)["bundle"]
    assert (bundle["outcome"], bundle["copied"]) == ("refreshed", len(CHANGED["config.json"]) + 1)
    files = {**CHANGED, "new/a.txt": b"a"}
    del files["tokenizer.json"]
    check(seed / "models/tiny", files)
    assert (seed / "models/tiny" / FIRST).stat().st_ino == inode
    assert sorted(os.listdir(seed)) == ["README.txt", "models"]


KILL, FAIL = "signal=SIGKILL", "error=EIO"
RENAMES = "rename,renameat"


@pytest.mark.parametrize(
    ("calls", "step", "fault"),
    [
        (RENAMES, 1, KILL),
        (RENAMES, 1, FAIL),
        ("renameat2", 1, KILL),
        ("linkat", 2, KILL),
        ("unlinkat,rmdir", 3, KILL),
        ("fsync,syncfs", 3, KILL),
        ("fsync,syncfs", 3, FAIL),
    ],
)
@pytest.mark.parametrize("links", [(), WITHOUT_LINKS], ids=["links", "none"])
def test_a_cut_at_any_step_leaves_one_version_whole_and_whoever_makes_the_next_bundle_completes_it(
    model: Path,
    seed: Path,
    create: Create,
    tmp_path: Path,
    calls: str,
    step: int,
    fault: str,
    links: tuple[str, ...],
) -> None:
    """At the Nth such call, from the first to beyond the last. The next bundle is another one: nothing of this one can
    come from its source again."""
    create(model, seed)
    write_files(model, {"config.json": CHANGED["config.json"]})
    write_files(tmp_path / "other", model_files(shards=1, shard_bytes=100))
    shutil.copytree(seed, tmp_path / "before", copy_function=os.link)
    next_one = ["create", str(tmp_path / "other"), "--to", str(seed), "--config", str(tmp_path / "dubseedd.toml")]
    for number in range(1, 60, step):
        shutil.rmtree(seed)
        shutil.copytree(tmp_path / "before", seed, copy_function=os.link)
        cut = ("-e", f"inject={calls}:{fault}:when={number}")
        done = create(model, seed, within=traced(tmp_path / "log", *links, *cut))
        if done.returncode == 0:
            break
        if not links and (seed / "models/tiny").exists():
            check(seed / "models/tiny", version(seed))
        assert main(next_one) == 0
        check(seed / "models/tiny", version(seed))
        assert sorted(os.listdir(seed)) == ["README.txt", "models"]
        assert sorted(os.listdir(seed / "models")) == ["other", "tiny"]
    assert done.returncode == 0


def version(seed: Path) -> dict[str, bytes]:
    """What the bundle has to be, by its config.json."""
    newer = (seed / "models/tiny/config.json").read_bytes() == CHANGED["config.json"]
    return CHANGED if newer else FILES


def test_what_is_damaged_on_the_stick_is_copied_anew(model: Path, seed: Path, create: Create) -> None:
    create(model, seed)
    path = seed / "models/tiny" / FIRST
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    done = create(model, seed, "--json")
    assert document(done.stdout)["bundle"]["copied"] == len(FILES[FIRST])
    check(seed / "models/tiny")


def test_what_somebody_has_put_into_the_bundle_goes_and_is_told(model: Path, seed: Path, create: Create) -> None:
    """For it the whole bundle would be refused, by `check` and by every daemon."""
    create(model, seed)
    bundle = seed / "models/tiny"
    (bundle / "notes").mkdir()
    (bundle / "notes/mine.txt").write_text("mine")
    (bundle / "link").symlink_to("config.json")
    done = create(model, seed)
    lines = done.stdout.splitlines()
    assert sorted(lines[-3].partition(": ")[2].split(", ")) == ["link", "notes/mine.txt"]
    assert lines[-3].startswith("removed, no file of the bundle: ")
    assert lines[-2].startswith("tiny is refreshed: 0 B copied, 9.54 MiB read back and right (")
    check(bundle)
    assert not (bundle / "link").is_symlink()
    assert document(create(model, seed, "--json").stdout)["bundle"]["outcome"] == "current"


def test_it_is_told_as_well_where_the_bundle_is_another_one_now(model: Path, seed: Path, create: Create) -> None:
    create(model, seed)
    (seed / "models/tiny/mine.txt").write_text("mine")
    write_files(model, {"config.json": CHANGED["config.json"], "new.txt": b"new"})
    (seed / "models/tiny/new.txt").write_text("older")
    told = document(create(model, seed, "--json").stdout)
    assert told["notes"] == ["removed, no file of the bundle: mine.txt"]
    check(seed / "models/tiny", {**CHANGED, "new.txt": b"new"})


def test_the_litter_of_other_systems_may_stay(model: Path, seed: Path, create: Create) -> None:
    """It is passed over everywhere, and a stick that was in a Mac has a `._` beside each file."""
    create(model, seed)
    litter = seed / "models/tiny/._config.json"
    litter.write_bytes(b"mac")
    assert document(create(model, seed, "--json").stdout)["bundle"]["outcome"] == "current"
    assert litter.exists()


@pytest.mark.parametrize("what", ["corrupt", "dangling", "missing shard"])
def test_a_broken_source_ends_in_one_sentence_and_leaves_the_former_bundle_whole(
    tmp_path: Path, seed: Path, create: Create, what: str
) -> None:
    home = write_cache(tmp_path / "hub", "owner/tiny", FILES)
    create(home, seed)
    newer = {**CHANGED, SECOND: model_files(shards=2, shard_bytes=5_000_000, seed=b"2")[SECOND]}
    home = write_cache(tmp_path / "hub", "owner/tiny", newer, commit="1" * 40)
    blob = home / "blobs" / blob_name(SECOND, newer[SECOND])
    if what == "corrupt":
        with blob.open("r+b") as file:
            file.seek(4_500_000)
            file.write(b"damage")
    elif what == "dangling":
        blob.unlink()
    else:
        (home / "snapshots" / ("1" * 40) / SECOND).unlink()
    done = create(home, seed)
    assert done.returncode == 1
    assert done.stderr.startswith("dubseedctl: ")
    assert SECOND in done.stderr
    assert done.stderr.count("\n") == 1
    check(seed / "models/tiny")
    assert sorted(os.listdir(seed)) == ["README.txt", "models"]


def test_a_signature_is_of_the_manifest_beside_it(model: Path, seed: Path, create: Create, tmp_path: Path) -> None:
    key = tmp_path / "key"
    line = make_key(key)
    assert create(model, seed, "--sign", str(key)).stdout.splitlines()[-2].endswith(", signed")
    bundle = seed / "models/tiny"
    (tmp_path / "signers").write_text(f"ops {line}\n")
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "ops", "-n", "dubnium-seed"]
    argv = [*verify, "-s", str(bundle / "SHA256SUMS.sig")]
    with (bundle / "SHA256SUMS").open() as manifest:
        subprocess.run(argv, stdin=manifest, check=True, capture_output=True)
    check(bundle)
    assert create(model, seed).stdout.splitlines()[-2].startswith("tiny is current")
    assert (bundle / "SHA256SUMS.sig").exists()
    write_files(model, {"config.json": CHANGED["config.json"]})
    create(model, seed)
    check(bundle, CHANGED)
    assert not (bundle / "SHA256SUMS.sig").exists()


def test_an_unsigned_bundle_is_signed_without_copying(model: Path, seed: Path, create: Create, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    create(model, seed)
    done = create(model, seed, "--sign", str(tmp_path / "key"), "--json")
    bundle = document(done.stdout)["bundle"]
    assert (bundle["outcome"], bundle["copied"], bundle["signed"]) == ("refreshed", 0, True)
    check(seed / "models/tiny")


def test_a_key_that_cannot_sign_leaves_nothing(model: Path, seed: Path, create: Create, tmp_path: Path) -> None:
    assert "there is no key" in create(model, seed, "--sign", str(tmp_path / "absent")).stderr
    (tmp_path / "key").write_text("no key")
    done = create(model, seed, "--sign", str(tmp_path / "key"))
    assert done.returncode == 1
    assert "cannot sign" in done.stderr
    assert os.listdir(seed / "models") == []


def test_a_text_that_a_person_wrote_stays(model: Path, seed: Path, create: Create) -> None:
    (seed / "README.txt").write_text("mine")
    create(model, seed)
    assert (seed / "README.txt").read_text() == "mine"


def test_two_at_a_time_get_in_nobodys_way(model: Path, seed: Path, create: Create) -> None:
    create(model, seed)
    code = f"""
import fcntl, os
os.makedirs({str(seed)!r} + "/.dubseed-making", exist_ok=True)
fcntl.flock(os.open({str(seed)!r} + "/.dubseed-making/lock", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
"""
    done = create(model, seed, code=code)
    assert done.returncode == 1
    assert "another dubseedctl create is at work on this stick" in done.stderr


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dbus_next", "pyudev", "systemd", "rich"):
            raise ImportError(name, name=name)
sys.meta_path.insert(0, Blocker())
"""


def test_a_folder_needs_no_extras(model: Path, seed: Path, create: Create) -> None:
    assert create(model, seed, code=BLOCKED).returncode == 0


INTERRUPTED_MID_COPY = interrupted_at(f"str(args[0]) == {SECOND!r} and args[2] & os.O_CREAT")


def test_ctrl_c_leaves_the_stick_as_it_was(model: Path, seed: Path, create: Create) -> None:
    create(model, seed)
    write_files(model, model_files(shards=2, shard_bytes=5_000_000, seed=b"2"))
    done = create(model, seed, code=INTERRUPTED_MID_COPY)
    assert done.returncode == 130
    assert done.stderr.startswith("dubseedctl: stopped; the stick has the bundle that was there before")
    check(seed / "models/tiny")
    assert sorted(os.listdir(seed)) == ["README.txt", "models"]


# Real sticks


@pytest.fixture
def stick(machine: Machine, tmp_path: Path) -> Iterator[Path]:
    with mounted(empty_image(tmp_path / "stick.img", 64 << 20, "ext4", "-L", "DUB-SEED")) as folder:
        yield folder


def test_a_stick_that_is_too_small_is_known_before_the_first_byte(
    stick: Path, model: Path, create: Create, tmp_path: Path
) -> None:
    create(model, stick)
    (stick / "ballast").write_bytes(bytes(36 << 20))
    write_files(model, model_files(shards=2, shard_bytes=5_000_000, seed=b"2"))
    done = create(model, stick, within=traced(tmp_path / "log", "-e", "trace=openat"))
    assert done.returncode == 1
    assert re.search(r"the stick has .* free, and 9\.5 MiB have to be copied; remove a bundle", done.stderr)
    assert not re.search(rf'"{FIRST}", [A-Z_|]*O_CREAT', (tmp_path / "log").read_text())
    check(stick / "models/tiny")


def test_a_stick_that_is_full_all_the_same_ends_in_one_sentence(stick: Path, model: Path, create: Create) -> None:
    create(model, stick)
    write_files(model, model_files(shards=2, shard_bytes=5_000_000, seed=b"2"))
    filling = f"""
import os, sys
def look(event, args):
    if event == "open" and str(args[0]) == {SECOND!r} and args[2] & os.O_CREAT:
        with open({str(stick)!r} + "/ballast", "wb", buffering=0) as file:
            try:
                while True: file.write(bytes(1 << 20))
            except OSError: pass
sys.addaudithook(look)
"""
    done = create(model, stick, code=filling)
    assert done.returncode == 1
    assert done.stderr.startswith(f"dubseedctl: the stick is full at {SECOND}; remove a bundle from it")
    assert done.stderr.count("\n") == 1
    check(stick / "models/tiny")


def test_a_read_only_stick_is_told_before_the_first_byte(stick: Path, model: Path, create: Create) -> None:
    folder = stick.with_name("ro")
    folder.mkdir()
    run("mount", "--bind", str(stick), str(folder))
    try:
        run("mount", "-o", "remount,bind,ro", str(folder))
        done = create(model, folder)
    finally:
        run("umount", str(folder))
    assert done.returncode == 1
    assert done.stderr.startswith(f"dubseedctl: {folder} is read-only; look for a switch on the stick")
    assert done.stderr.count("\n") == 1


def test_a_stick_with_another_label_is_no_seed(machine: Machine, model: Path, create: Create, tmp_path: Path) -> None:
    with mounted(empty_image(tmp_path / "other.img", SIZE_BYTES, "ext4", "-L", "PHOTOS")) as folder:
        run("udevadm", "control", "--start-exec-queue")
        run("udevadm", "settle", "--timeout=30")
        done = create(model, folder)
    assert done.returncode == 1
    assert "is labelled PHOTOS, and the daemon looks for DUB-SEED; label it anew: e2label" in done.stderr
