"""dubseedctl create, real sticks and the real daemon: what is made is published, beside a daemon that runs as well."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.machine import Machine
from tests.support.bundles import contents, model_files, write_files
from tests.support.daemon import Client, Daemon
from tests.support.hfcache import write_cache
from tests.support.schema import document
from tests.support.sticks import LABEL, mounted
from tools.machine import run, succeeds

FILES = model_files(shard_bytes=5_000_000)
NEWER = model_files(shard_bytes=5_000_000, seed=b"2")


async def create(
    folder: Path, environment: dict[str, str], source: Path, seed: str, *options: str
) -> "subprocess.CompletedProcess[str]":
    """Run it while the test's own loop goes on."""
    config = folder / "create.toml"
    config.write_text(f'seed.label = "{LABEL}"\n')
    words = [sys.executable, "-m", "dubseedd.cli.main", "create", str(source), "--to", seed, *options]
    argv = [*words, "--config", str(config)]
    return await asyncio.to_thread(
        subprocess.run, argv, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_cache(tmp_path / "hub", "owner/tiny", FILES, listing=True)


async def test_a_stick_that_nobody_holds_is_mounted_made_and_unmounted_and_a_daemon_publishes_it(
    machine: Machine,
    make_stick: MakeStick,
    daemon: StartDaemon,
    plug: PlugIn,
    client: Client,
    model: Path,
    tmp_path: Path,
) -> None:
    stick = plug(make_stick({}))
    done = await create(tmp_path, dict(machine.environment), model, stick.node)
    assert (done.returncode, done.stderr) == (0, "")
    assert not succeeds("findmnt", "--source", stick.node)
    process = daemon()
    await client.until_bundle("tiny")
    assert {**contents(process.store / "tiny")}.items() >= FILES.items()


async def test_a_stick_that_the_daemon_holds_is_lent_and_looked_at_afterwards(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, model: Path, tmp_path: Path
) -> None:
    process = daemon()
    stick = plug(make_stick({"other": NEWER}))
    await client.until_bundle("other")
    done = await create(tmp_path, dict(process.environment), model, stick.node)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "dubseedd looks at it next: dubseedctl watch"
    await client.until_bundle("tiny")
    await client.until_safe()
    seed = (await client.seeds())[0]
    assert {name: verdict for name, _, _, verdict in seed["Bundles"]} == {"other": "current", "tiny": "current"}


async def test_a_refresh_in_a_mount_of_somebody_else_is_an_update(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
) -> None:
    process = daemon()
    stick = plug(make_stick({"tiny": FILES}))
    first = (await client.until_bundle("tiny"))["ManifestSha256"]
    await client.until_safe()
    point = tmp_path / "mine"
    point.mkdir()
    run("mount", stick.node, str(point))
    try:
        write_files(tmp_path / "tiny", NEWER)
        done = await create(tmp_path, dict(process.environment), tmp_path / "tiny", str(point), "--json")
        assert done.returncode == 0, done.stderr
        digest = document(done.stdout)["bundle"]["manifestSha256"]

        async def updated() -> bool:
            return (await client.bundles())["tiny"]["ManifestSha256"] == digest

        await client.until("the update", updated)
        await client.until_seed("done")
    finally:
        run("umount", "--lazy", str(point))
    assert digest != first


async def test_while_a_bundle_is_made_nobody_reads_the_stick_and_a_kill_gives_it_back(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, model: Path, tmp_path: Path
) -> None:
    """The key is a pipe: whoever signs waits at it, with everything copied and nothing in its place."""
    process = daemon()
    stick = plug(make_stick({"other": NEWER}))
    await client.until_bundle("other")
    fifo = tmp_path / "key"
    subprocess.run(["mkfifo", str(fifo)], check=True)
    config = tmp_path / "create.toml"
    config.write_text(f'seed.label = "{LABEL}"\n')
    words = ["create", str(model), "--to", stick.node, "--sign", str(fifo), "--config", str(config)]
    making = subprocess.Popen(
        [sys.executable, "-m", "dubseedd.cli.main", *words], env=dict(process.environment), start_new_session=True
    )
    try:
        (seed,) = await client.until_seed("failed")
        assert seed["Error"][0].endswith(".Busy")
        assert seed["Error"][1].startswith(f"a bundle is being made on {LABEL} ({stick.node})")
        refused = await asyncio.to_thread(ctl, process, "sync")
        assert refused.returncode == 1
        pen = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)  # there is somebody at the other end
    finally:
        os.killpg(making.pid, signal.SIGKILL)
        making.wait()
        os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))  # whoever still waits for the other end goes on
    os.close(pen)
    await client.until_seed("done")
    assert "tiny" not in await client.bundles()
    run("umount", stick.node)
    done = await create(tmp_path, dict(process.environment), model, stick.node)
    assert done.returncode == 0, done.stderr
    await client.until_bundle("tiny")


async def test_a_daemon_that_comes_while_a_bundle_is_made_leaves_the_stick_alone(
    machine: Machine, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
) -> None:
    image = make_stick({"tiny": FILES})
    with mounted(image) as folder:
        (folder / ".dubseed-making").mkdir()
        (folder / ".dubseed-making/lock").touch()
    stick = plug(image)
    point = tmp_path / "mine"
    point.mkdir()
    run("mount", stick.node, str(point))
    holder = subprocess.Popen(["flock", "-x", str(point / ".dubseed-making/lock"), "cat"], stdin=subprocess.PIPE)
    try:
        daemon()
        (seed,) = await client.until_seed("failed")
        assert seed["Error"][0].endswith(".Busy")
    finally:
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
        run("umount", "--lazy", str(point))


async def test_a_pulled_stick_ends_in_one_sentence_and_keeps_the_former_bundle(
    machine: Machine, make_stick: MakeStick, plug: PlugIn, model: Path, tmp_path: Path
) -> None:
    """The device gives errors from one moment on, as a pulled one does."""
    image = make_stick({})
    stick = plug(image)
    done = await create(tmp_path, dict(machine.environment), model, stick.node)
    assert done.returncode == 0, done.stderr
    write_cache(tmp_path / "hub", "owner/tiny", NEWER, commit="1" * 40)
    strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "log"), "-e", "inject=pwrite64:error=EIO:when=2+"]
    config = tmp_path / "create.toml"
    argv = [sys.executable, "-m", "dubseedd.cli.main", "create", str(model), "--to", stick.node]
    unmeasured = {name: value for name, value in machine.environment.items() if not name.startswith("COVERAGE_")}
    done = await asyncio.to_thread(
        subprocess.run,
        [*strace, *argv, "--config", str(config)],
        env=unmeasured,  # what make coverage writes there would fail as well
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.match(r"dubseedctl: model-\S+ cannot be written to the stick: Input/output error; plug", done.stderr)
    assert done.stderr.count("\n") == 1
    stick.remove()
    with mounted(image) as folder:
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=folder / "models/tiny", check=True)
        assert contents(folder / "models/tiny").items() >= FILES.items()


def ctl(daemon: Daemon, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dubseedd.cli.main", *words],
        env=dict(daemon.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
