"""dubseedctl and the real daemon: what a person types, and its exit status."""

import subprocess
import sys

from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.support.bundles import model_files
from tests.support.daemon import Client, Daemon
from tests.support.schema import document

FILES = model_files(shard_bytes=5_000_000)
SLOW = model_files(shards=4, shard_bytes=8_000_000)


AS_NOBODY = """
import os, sys
import dubseedd.cli.main, dubseedd.cli.asking, dubseedd.cli.online
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(dubseedd.cli.main.main())
"""
"""Another user may not reach the interpreter of a test, so it is loaded before."""


def ctl(daemon: Daemon, *words: str, nobody: bool = False) -> "subprocess.CompletedProcess[str]":
    program = ["-c", AS_NOBODY] if nobody else ["-m", "dubseedd.cli.main"]
    return subprocess.run(
        [sys.executable, *program, *words],
        env=dict(daemon.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_status_and_list_tell_what_is_there(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    plug(make_stick({"tiny": FILES}))
    await client.until_bundle("tiny")
    await client.until_seed("done")
    await client.until_safe()
    status = ctl(process, "status")
    assert status.returncode == 0
    assert status.stdout.endswith("Next: nothing to do; you may pull the stick\n")
    told = document(ctl(process, "status", "--json").stdout)
    assert told["command"] == "seed status"
    assert told["seeds"][0]["bundles"][0]["verdict"] == "current"
    assert told["daemon"]["safeToRemove"] is True
    assert ctl(process, "list").stdout.splitlines()[1].split()[:2] == ["tiny", "installed"]


async def test_watch_waits_for_the_first_job_and_ends_with_the_outcome(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    watching = subprocess.Popen(
        [sys.executable, "-m", "dubseedd.cli.main", "watch"],
        env=dict(process.environment),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert "waiting for a stick labelled " in watching.stdout.readline()
    stick = plug(make_stick({"tiny": FILES}))
    lines = watching.stdout.read().splitlines()
    watching.stdout.close()
    assert watching.wait(20) == 0
    assert lines[-2].startswith("tiny: done")
    assert lines[-1].endswith(f" ({stick.node}) may be pulled out")


async def test_watch_ends_with_1_when_the_job_fails(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon('sync.automatic = "off"')
    plug(make_stick({"tiny": {**FILES, "config.json": b"[]"}}))
    await client.until_seed("done")
    done = ctl(process, "sync", "--bundle", "tiny")
    assert done.returncode == 1
    assert "tiny: failed: config.json is no JSON object" in done.stdout


async def test_sync_follows_its_job_to_the_end(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon('sync.automatic = "off"')
    stick = plug(make_stick({"tiny": FILES}))
    await client.until_seed("done")
    assert ctl(process, "sync", "--seed", stick.node, "--dry-run").returncode == 0
    assert not (process.store / "tiny").exists()
    done = ctl(process, "sync", "--bundle", "tiny", "--json")
    assert done.returncode == 0
    assert document(done.stdout)["jobs"][0]["state"] == "done"
    assert (process.store / "tiny").exists()


async def test_verify_cancel_and_eject(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    stick = plug(make_stick({"tiny": SLOW}), slow_for=process)
    await client.until_job("tiny", "copying", progress=1)
    assert ctl(process, "cancel", "7").returncode == 1
    assert ctl(process, "cancel").returncode == 0
    await client.until_job("tiny", "cancelled")
    assert ctl(process, "eject", stick.node).stdout.endswith("may be pulled out\n")
    assert ctl(process, "verify", "tiny").returncode == 1
    assert "nothing is installed" in ctl(process, "verify").stdout


async def test_who_is_not_root_reads_and_is_refused_with_4(daemon: StartDaemon, client: Client) -> None:
    process = daemon()
    assert ctl(process, "status", nobody=True).returncode == 0
    refused = ctl(process, "sync", nobody=True)
    assert refused.returncode == 4
    assert refused.stderr.startswith("dubseedctl: you are not allowed to sync")
