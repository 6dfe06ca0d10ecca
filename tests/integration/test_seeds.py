"""dubseedctl format and check on real devices: what a person types, with the real UDisks2 and polkit."""

import asyncio
import fcntl
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dubseedd.engine.durable import owned
from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.machine import Machine
from tests.support.bundles import contents, model_files, published, write_bundle, write_files
from tests.support.daemon import Client
from tests.support.partitions import partitions
from tests.support.schema import document
from tests.support.sticks import LABEL
from tests.support.users import NOBODY
from tools.image import attached
from tools.machine import run, succeeds

FILES = model_files(shard_bytes=5_000_000)
SIZE_BYTES = 256 << 20
RUNBOOK = "find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum > SHA256SUMS"
RUN = "import sys; from dubseedd.cli.main import main; sys.exit(main())"
AS_NOBODY = f"""
import os
import dubseedd.cli.main, dubseedd.cli.check, dubseedd.cli.formatting, dubseedd.adapters.drives
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
"""
Ctl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A configuration that every user can read."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(f'seed.label = "{LABEL}"\nstore.path = "{tmp_path}/store"\nstore.reserve = 0\n')
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        yield Path(file.name)


@pytest.fixture
def ctl(machine: Machine, config: Path) -> Ctl:
    """dubseedctl with nobody at a terminal."""

    def typed(
        *words: str, code: str = "", environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-c", f"{code}\n{RUN}", *words, "--config", str(config)]
        env = {**machine.environment, **(environment or {})}
        nobody = subprocess.DEVNULL
        return subprocess.run(argv, env=env, stdin=nobody, capture_output=True, text=True, check=False, timeout=100)

    return typed


@pytest.fixture
def drive(machine: Machine, tmp_path: Path) -> Iterator[str]:
    """A drive with nothing on it, whose image is called my-stick."""
    image = tmp_path / "my-stick"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    with partitions(machine), attached(image, "--partscan") as node:
        yield node


@contextmanager
def read_only(node: str) -> Iterator[None]:
    """A loop device keeps this when its image is long gone."""
    run("blockdev", "--setro", node)
    try:
        yield
    finally:
        run("blockdev", "--setrw", node)


@contextmanager
def mounted(node: str, folder: Path) -> Iterator[Path]:
    """As a file manager mounts a stick."""
    folder.mkdir(exist_ok=True)
    run("mount", node, str(folder))
    try:
        yield folder
    finally:
        run("umount", str(folder))


def shown(node: str, *what: str) -> list[str]:
    return run("lsblk", "--noheadings", "--nodeps", "--output", ",".join(what), node).split()


def digest(image: Path) -> str:
    return run("sha256sum", str(image)).split()[0]


# Making a seed


async def test_a_drive_becomes_a_seed_that_is_filled_by_hand_checked_and_published(
    ctl: Ctl, drive: str, daemon: StartDaemon, client: Client, tmp_path: Path
) -> None:
    made = ctl("format", drive, "--any", "--expected", "my-stick", "--type", "ext4")
    assert (made.returncode, made.stderr) == (0, "")
    seed = f"{drive}p1"
    assert made.stdout.splitlines()[-1] == (
        f"{seed} is an empty seed: ext4, labelled {LABEL}, 254 MiB; fill it: dubseedctl create SOURCE --to {seed}"
    )
    with mounted(seed, tmp_path / "mnt") as folder:
        assert os.listdir(folder / "models") == []
        write_files(tmp_path / "tiny", FILES)
        run("cp", "-r", str(tmp_path / "tiny"), str(folder / "models"))
        subprocess.run(["sh", "-c", RUNBOOK], cwd=folder / "models/tiny", check=True, env={**os.environ, "LC_ALL": "C"})
    checked = ctl("check", seed)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines()[-1] == "1 of 1 bundles would be accepted"
    assert not succeeds("findmnt", "--source", seed)
    process = daemon()
    await client.until_bundle("tiny")
    await client.until_safe()
    assert contents(process.store / "tiny") == published(FILES)
    again = document(ctl("check", seed, "--json").stdout)
    assert (again["seed"]["device"], again["bundles"][0]["verdict"]) == (seed, "current")


def test_by_default_it_is_exfat_and_every_system_shows_it(ctl: Ctl, drive: str) -> None:
    made = ctl("format", drive, "--any", "--expected", "my-stick", "--json")
    told = document(made.stdout)
    assert (made.returncode, told["command"]) == (0, "seed format")
    assert told["seed"] == {"device": f"{drive}p1", "filesystem": "exfat", "label": LABEL, "size": 254 << 20}
    assert told["drive"]["parts"][0]["node"] == drive
    partition_type = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
    assert shown(f"{drive}p1", "FSTYPE", "LABEL", "PARTTYPE") == ["exfat", LABEL, partition_type]
    if "exfat" not in Path("/proc/filesystems").read_text():
        assert told["notes"][0].startswith("models/ is not made yet: UDisks2 cannot mount")


def test_a_seed_is_formatted_anew(ctl: Ctl, drive: str) -> None:
    for filesystem in ("exfat", "ext4"):
        made = ctl("format", drive, "--any", "--expected", "my-stick", "--type", filesystem)
        assert (made.returncode, made.stderr) == (0, "")
        assert shown(f"{drive}p1", "FSTYPE", "LABEL") == [filesystem, LABEL]


async def test_a_daemon_that_runs_sees_the_seed_when_it_is_finished(
    ctl: Ctl, drive: str, daemon: StartDaemon, client: Client
) -> None:
    process = daemon()
    made = await asyncio.to_thread(ctl, "format", drive, "--any", "--expected", "my-stick", "--type", "ext4")
    assert (made.returncode, made.stderr) == (0, "")
    (seed,) = await client.until_seed("done")
    assert seed["Device"] == f"{drive}p1"
    assert process.left_told("seed-refused") == []


# Which drive is meant


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ((), 1, "(my-stick) is not a removable drive; take a stick, or say --any if it is meant"),
        (
            ("--any",),
            2,
            'nobody is here to confirm that {} is to be erased; say which drive is meant: --expected "my-s',
        ),
        (("--any", "--expected", "Ultra Fit"), 1, "{} is my-stick, expected was Ultra Fit; nothing is erased"),
    ],
)
def test_a_drive_that_was_not_confirmed_is_not_touched(
    ctl: Ctl, drive: str, tmp_path: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    before = digest(tmp_path / "my-stick")
    done = ctl("format", drive, *words)
    assert done.returncode == status
    assert sentence.format(drive) in done.stderr
    assert done.stdout.splitlines()[0] == f"{drive}: {tmp_path}/my-stick, 256 MiB, not removable"
    assert digest(tmp_path / "my-stick") == before


class Terminal:
    """A terminal at which `format` was typed, up to its question."""

    def __init__(self, machine: Machine, config: Path, drive: str) -> None:
        self._master, slave = pty.openpty()
        argv = [sys.executable, "-c", RUN, "format", drive, "--any", "--type", "ext4", "--config", str(config)]
        self._process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=dict(machine.environment), start_new_session=True
        )
        os.close(slave)
        self.said = ""
        while "(my-stick): " not in self.said:
            self.said += os.read(self._master, 4096).decode()

    def type(self, words: str) -> int:
        """Answer; returns the exit status."""
        os.write(self._master, f"{words}\n".encode())
        try:
            while data := os.read(self._master, 4096):
                self.said += data.decode()
        except OSError:  # nobody has it open any more
            pass
        os.close(self._master)
        return self._process.wait(10)


def test_at_a_terminal_the_name_of_the_drive_is_typed(machine: Machine, config: Path, drive: str) -> None:
    terminal = Terminal(machine, config, drive)
    assert terminal.type(" my-stick ") == 0
    assert shown(f"{drive}p1", "LABEL") == [LABEL]


def test_another_name_ends_it(machine: Machine, config: Path, drive: str, tmp_path: Path) -> None:
    before = digest(tmp_path / "my-stick")
    terminal = Terminal(machine, config, drive)
    assert terminal.type("y") == 1
    assert f"that is not the name of {drive}; nothing is erased" in terminal.said
    assert digest(tmp_path / "my-stick") == before


def test_a_drive_that_changed_before_it_was_confirmed_is_not_touched(
    machine: Machine, config: Path, drive: str, tmp_path: Path
) -> None:
    before = digest(tmp_path / "my-stick")
    terminal = Terminal(machine, config, drive)
    with read_only(drive):
        assert terminal.type("my-stick") == 1
    assert f"{drive} is not as it was shown any more; nothing is erased" in terminal.said
    assert digest(tmp_path / "my-stick") == before


# What uses it


def refused(ctl: Ctl, drive: str) -> str:
    done = ctl("format", drive, "--any", "--expected", "my-stick")
    assert done.returncode == 1
    return done.stderr


def test_a_drive_that_is_in_use_is_refused(ctl: Ctl, drive: str, tmp_path: Path) -> None:
    run("mkswap", drive)
    with ExitStack() as undo:
        run("swapon", drive)
        undo.callback(run, "swapoff", drive)
        assert refused(ctl, drive) == f"dubseedctl: {drive} is used as swap; end that first: swapoff {drive}\n"
    run("mkfs.ext4", "-q", "-F", drive)
    with mounted(drive, tmp_path / "mnt") as folder:
        sentence = f"{drive} is mounted at {folder}; unmount it first: umount {drive}"
        assert refused(ctl, drive) == f"dubseedctl: {sentence}\n"
    with mounted(drive, tmp_path / "store"):
        assert f"{drive} holds {tmp_path}/store of the running system" in refused(ctl, drive)
    with owned(os.open(drive, os.O_RDONLY | os.O_EXCL)):
        assert f"{drive} is in use by another program or container" in refused(ctl, drive)
    with read_only(drive):
        assert f"{drive} is read-only" in refused(ctl, drive)


def test_a_drive_that_another_program_partitions_is_left_alone(ctl: Ctl, drive: str, tmp_path: Path) -> None:
    """By the lock that systemd asks those for who write a table."""
    before = digest(tmp_path / "my-stick")
    with owned(os.open(drive, os.O_RDONLY)) as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert refused(ctl, drive).startswith(f"dubseedctl: another program is at work on {drive}; nothing is erased")
    assert digest(tmp_path / "my-stick") == before


def test_a_partition_is_refused_and_its_drive_named(ctl: Ctl, drive: str, tmp_path: Path) -> None:
    assert ctl("format", drive, "--any", "--expected", "my-stick", "--type", "ext4").returncode == 0
    assert f"name that: dubseedctl format {drive}\n" in refused(ctl, f"{drive}p1")
    with mounted(f"{drive}p1", tmp_path / "mnt"):
        assert f"{drive}p1 is mounted at" in refused(ctl, drive)


@pytest.mark.parametrize(("node", "words"), [("/dev/absent", "cannot be found"), ("/dev/null", "is no drive")])
def test_what_is_no_drive_is_one_sentence(ctl: Ctl, node: str, words: str) -> None:
    done = ctl("format", node)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{node} {words}" in done.stderr


# Checking devices


def test_a_stick_is_mounted_to_be_checked_and_unmounted_after(ctl: Ctl, make_stick: MakeStick, plug: PlugIn) -> None:
    stick = plug(make_stick({"bad": {**FILES, "x.pkl": b"1"}, "tiny": FILES}))
    run("udevadm", "settle", "--timeout=30")
    before = digest(stick.image)
    done = ctl("check", stick.node)
    assert digest(stick.image) == before
    assert done.returncode == 1
    assert done.stdout.startswith(f"{LABEL} ({stick.node}), ext4, 512 MiB, at ")
    assert done.stderr.startswith("dubseedctl: bad is refused: x.pkl holds pickled weights")
    assert not succeeds("findmnt", "--source", stick.node)


def test_a_stick_is_synced_without_a_daemon_and_unmounted_after(
    ctl: Ctl, make_stick: MakeStick, plug: PlugIn, tmp_path: Path
) -> None:
    stick = plug(make_stick({"tiny": FILES}))
    run("udevadm", "settle", "--timeout=30")
    done = ctl("sync", "--from", stick.node)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(tmp_path / "store/tiny") == published(FILES)
    assert not succeeds("findmnt", "--source", stick.node)


def test_a_mount_of_any_label_is_synced_without_a_daemon(
    ctl: Ctl, make_stick: MakeStick, plug: PlugIn, tmp_path: Path
) -> None:
    stick = plug(make_stick({"tiny": FILES}, label="INSTALLER"))
    run("udevadm", "settle", "--timeout=30")
    with mounted(stick.node, tmp_path / "mnt") as folder:
        assert ctl("sync", "--from", str(folder)).returncode == 0
    assert "is labelled INSTALLER" in ctl("sync", "--from", stick.node).stderr


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
def test_what_somebody_else_has_mounted_is_used_where_it_is(
    ctl: Ctl, make_stick: MakeStick, plug: PlugIn, tmp_path: Path, filesystem: str
) -> None:
    stick = plug(make_stick({"tiny": FILES}, filesystem=filesystem))
    run("udevadm", "settle", "--timeout=30")
    with mounted(stick.node, tmp_path / "mnt") as folder:
        for seed in (stick.node, str(folder)):
            done = ctl("check", seed)
            assert (done.returncode, done.stderr) == (0, "")
            assert f"at {folder} (mounted without ro, nosuid, nodev, noexec)" in done.stdout.splitlines()[0]
        assert succeeds("findmnt", "--source", stick.node)


def test_the_name_of_a_mount_point_cannot_speak_to_the_terminal(
    ctl: Ctl, make_stick: MakeStick, plug: PlugIn, tmp_path: Path
) -> None:
    stick = plug(make_stick({"tiny": FILES}))
    run("udevadm", "settle", "--timeout=30")
    with mounted(stick.node, tmp_path / "mnt\x1b[2J"):
        done = ctl("check", stick.node)
    assert r"/mnt\x1b[2J (mounted without" in done.stdout.splitlines()[0]
    assert "\x1b" not in done.stdout


def test_a_device_or_a_mount_that_the_daemon_would_not_take_is_refused(
    ctl: Ctl, make_stick: MakeStick, plug: PlugIn, tmp_path: Path, config: Path
) -> None:
    stick = plug(make_stick({"tiny": FILES}, label="OTHER"))
    run("udevadm", "settle", "--timeout=30")
    label_it = f"{stick.node} is labelled OTHER, and the daemon looks for {LABEL}; label it anew: e2label {stick.node}"
    with mounted(stick.node, tmp_path / "mnt") as folder:
        for seed in (stick.node, str(folder)):
            done = ctl("check", seed)
            assert done.returncode == 1
            assert label_it in done.stderr
        write_bundle(folder / "inside/models/tiny", FILES)
        assert ctl("check", str(folder / "inside")).returncode == 0
    with config.open("a") as stream:
        stream.write('seed.filesystems = ["vfat"]\n')
    run("e2label", stick.node, LABEL)
    run("udevadm", "trigger", "--settle", stick.node)
    assert "has the file system ext4; taken are vfat" in ctl("check", stick.node).stderr


def test_where_nobody_answers_it_ends_with_3_and_without_rights_with_4(
    ctl: Ctl, make_stick: MakeStick, plug: PlugIn
) -> None:
    stick = plug(make_stick({"tiny": FILES}))
    run("udevadm", "settle", "--timeout=30")
    for words in (("check", stick.node), ("format", stick.node)):
        done = ctl(*words, environment={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
        assert done.returncode == 3
        assert "the system bus cannot be reached" in done.stderr
    done = ctl("check", stick.node, code=AS_NOBODY)
    assert done.returncode == 4
    assert f"you are not allowed to mount {stick.node}" in done.stderr
    done = ctl("format", stick.node, "--any", "--expected", "stick.img", "--type", "ext4", code=AS_NOBODY)
    assert done.returncode == 4
    assert f"you are not allowed to erase {stick.node}" in done.stderr
