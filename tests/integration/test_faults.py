"""The daemon under faults: stopped, killed, with its neighbours killed, and asked by those who may not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import RemoteError, Variant
from dubseedd.names import (
    BUNDLE_INTERFACE,
    BUS_NAME,
    ERROR_PREFIX,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    ROOT_PATH,
    SEED_INTERFACE,
    ErrorName,
)
from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.machine import Machine
from tests.support.bundles import contents, model_files, published
from tests.support.daemon import Client
from tests.support.sticks import mounted
from tools.image import empty_image
from tools.machine import run, succeeds

FILES = model_files(shard_bytes=5_000_000)
SLOW = model_files(shards=4, shard_bytes=8_000_000)


async def test_sigterm_mid_copy_stops_in_time_and_the_next_start_goes_on(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    stick = plug(make_stick({"tiny": SLOW}), slow_for=process)
    await client.until_job("tiny", "copying", progress=9_000_000)
    assert process.terminate(5.0) == 0
    assert not (process.store / "tiny").exists()
    assert process.left_told("job-interrupted")
    assert process.left_told("stopped")
    assert not process.left_told("job-resumed")
    assert not succeeds("findmnt", "--source", stick.node)
    daemon()
    job = await client.until_job("tiny", "done")
    assert job["BytesSkipped"] >= 8_000_000
    assert contents(process.store / "tiny") == published(SLOW)


async def test_sigkill_mid_copy_leaves_a_mount_that_the_next_start_takes_over(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    stick = plug(make_stick({"tiny": SLOW}), slow_for=process)
    await client.until_job("tiny", "copying", progress=9_000_000)
    process.kill()
    assert succeeds("findmnt", "--source", stick.node)
    again = daemon()
    job = await client.until_job("tiny", "done")
    assert job["BytesSkipped"] >= 8_000_000
    await client.until_safe()
    assert contents(again.store / "tiny") == published(SLOW)
    assert not succeeds("findmnt", "--source", stick.node)


async def test_a_thread_that_is_stuck_in_the_store_is_left_behind_and_the_bus_goes_on(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
) -> None:
    disk = empty_image(tmp_path / "disk.img", 256 << 20)
    with mounted(disk) as folder:
        process = daemon(store=folder / "store")
        plug(make_stick({"tiny": SLOW}), slow_for=process)
        job = await client.until_job("tiny", "copying", progress=1)
        run("fsfreeze", "--freeze", str(folder))
        try:
            await client.call(f"{ROOT_PATH}/jobs/{job['Id']}", JOB_INTERFACE, "Cancel")
            await client.until_job("tiny", "cancelled")
            assert (await client.manager())["State"] == "idle"
        finally:
            run("fsfreeze", "--unfreeze", str(folder))
        await client.until_safe()
        assert not (process.store / "tiny").exists()
        process.terminate()


async def test_sighup_takes_a_new_configuration_and_keeps_the_old_one_when_it_is_bad(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon('sync.automatic = "off"')
    plug(make_stick({"tiny": FILES}))
    await client.until_seed("done")
    good = process.config.read_text()
    for text in ("[nonsense]\n", good.replace('"off"', '"publish"')):
        process.config.write_text(text)
        process.reload()
        for _ in range(3):  # a signal is dealt with one turn of the loop after it has come
            await client.manager()
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Scan")
    await client.until_bundle("tiny")
    process.terminate()
    assert "unknown table 'nonsense'" in process.log


async def test_nothing_leaks_over_many_plugs(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    image = make_stick({"tiny": FILES})
    seen = []
    for _ in range(4):
        stick = plug(image)
        await client.until_seed("done")
        await client.until_safe()
        stick.pull()
        await client.until_no_seed()
        await client.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 1)  # returns when all events are written
        seen.append(process.descriptors())
    assert seen[-1] == seen[1]


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body"),
    [
        (ROOT_PATH, MANAGER_INTERFACE, "Scan", "", []),
        (ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", ["", "", {}]),
        (ROOT_PATH, MANAGER_INTERFACE, "Verify", "sa{sv}", ["", {}]),
        ("seeds", SEED_INTERFACE, "Sync", "a{sv}", [{}]),
        ("seeds", SEED_INTERFACE, "Eject", "a{sv}", [{}]),
        ("bundles", BUNDLE_INTERFACE, "Verify", "a{sv}", [{}]),
        ("jobs", JOB_INTERFACE, "Cancel", "", []),
    ],
)
async def test_who_is_not_root_may_read_and_change_nothing(
    make_stick: MakeStick,
    daemon: StartDaemon,
    plug: PlugIn,
    client: Client,
    machine: Machine,
    path: str,
    interface: str,
    member: str,
    signature: str,
    body: list[object],
) -> None:
    daemon()
    plug(make_stick({"tiny": FILES}))
    await client.until_bundle("tiny")
    await client.until_seed("done")
    if not path.startswith("/"):
        path = next(known for known in await client.objects() if f"/{path}/" in known)
    arguments = ["0" if isinstance(value, dict) else str(value) for value in body]
    argv = ["busctl", f"--address={machine.bus_address}", "call", BUS_NAME, path, interface, member]
    done = as_nobody([*argv, *([signature, *arguments] if signature else [])])
    assert done.returncode != 0
    assert "you are not allowed to" in done.stderr
    read = as_nobody([*argv[:2], "get-property", BUS_NAME, ROOT_PATH, MANAGER_INTERFACE, "State"])
    assert read.stdout.strip() == 's "idle"'


def as_nobody(argv: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=False, user=65534, group=65534)


async def test_bad_arguments_are_refused_by_name_and_no_traceback_reaches_a_caller(
    daemon: StartDaemon, client: Client
) -> None:
    daemon()
    calls = [
        ("Sync", "ssa{sv}", ["nowhere", "", {}], ErrorName.NOT_FOUND, "nowhere"),
        ("Sync", "ssa{sv}", ["", "", {"colour": Variant("s", "red")}], ErrorName.INVALID_ARGS, "colour"),
        ("Sync", "ssa{sv}", ["", "", {"dry-run": Variant("s", "yes")}], ErrorName.INVALID_ARGS, "dry-run"),
        ("Verify", "sa{sv}", ["absent", {}], ErrorName.NOT_FOUND, "absent"),
    ]
    for member, signature, body, error, word in calls:
        with pytest.raises(RemoteError) as refused:
            await client.call(ROOT_PATH, MANAGER_INTERFACE, member, signature, *body)
        assert refused.value.name == error.full
        assert word in refused.value.text
        assert "Traceback" not in refused.value.text


async def test_verify_finds_damage_and_the_next_plug_mends_it(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    image = make_stick({"tiny": FILES})
    stick = plug(image)
    await client.until_bundle("tiny")
    await client.until_safe()
    shard = process.store / "tiny/model-00001-of-00002.safetensors"
    flip_a_byte_quietly(shard)
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Verify", "sa{sv}", "", {})
    bundle = await client.until_bundle("tiny", "damaged")
    assert bundle["Error"][0] == ErrorName.CHECKSUM_MISMATCH.full
    assert shard.name in bundle["Error"][1]
    assert await client.told("bundle-damaged")
    stick.pull()
    await client.until_no_seed()
    plug(image)
    await client.until_bundle("tiny")
    assert contents(process.store / "tiny") == published(FILES)


def flip_a_byte_quietly(path: Path) -> None:
    """As a failing disk does it: neither size nor times change."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(100_000)
        byte = stream.read(1)[0]
        stream.seek(100_000)
        stream.write(bytes([byte ^ 1]))
        os.fsync(stream.fileno())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def test_the_history_is_told_newest_first_with_the_fields_of_the_journal(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    daemon()
    plug(make_stick({"tiny": FILES}))
    await client.until_bundle("tiny")
    await client.until_safe()
    (events,) = await client.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 1000)
    names = [event["dubseed_event"] for event in events]
    assert names[-1] == "started"
    assert "bundle-installed" in names
    assert "job-progress" not in names
    installed = next(event for event in events if event["dubseed_event"] == "bundle-installed")
    assert installed["dubseed_bundle"] == "tiny"
    assert len(installed["message_id"]) == 32
    (one,) = await client.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 1)
    assert one == events[:1]


async def test_eject_ends_the_jobs_of_a_seed_and_unmounts_it(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    stick = plug(make_stick({"tiny": SLOW}), slow_for=process)
    await client.until_job("tiny", "copying", progress=9_000_000)
    path = next(known for known in await client.objects() if "/seeds/" in known)
    await client.call(path, SEED_INTERFACE, "Eject", "a{sv}", {})
    assert not succeeds("findmnt", "--source", stick.node)
    await client.until_job("tiny", "cancelled")
    await client.until_safe()


async def test_a_second_daemon_on_the_same_store_says_who_has_it(
    daemon: StartDaemon, machine: Machine, tmp_path: Path
) -> None:
    first = daemon()
    argv = [sys.executable, "-m", "dubseedd.daemon", "--config", str(first.config)]
    done = subprocess.run(argv, env=first.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "another process works on the store" in done.stderr


async def test_a_bad_configuration_stops_the_start_with_one_line_and_78(machine: Machine, tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text('[sync]\nafter = "explode"\n')
    argv = [sys.executable, "-m", "dubseedd.daemon", "--config", str(config)]
    done = subprocess.run(argv, env=machine.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert str(config) in done.stderr
    assert "after" in done.stderr
    assert "power-off" in done.stderr
    assert ERROR_PREFIX not in done.stderr


class TestNeighboursThatGoAway:
    """The bus and udisksd of these tests are their own: they are killed."""

    async def test_udisksd_killed_mid_copy_changes_nothing_and_the_unmount_waits_for_it(
        self, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, machine: Machine
    ) -> None:
        process = daemon()
        stick = plug(make_stick({"tiny": SLOW}), slow_for=process)
        await client.until_job("tiny", "copying", progress=1)
        machine.restart_udisksd()
        await client.until_bundle("tiny")
        await client.until_safe()
        assert not succeeds("findmnt", "--source", stick.node)
        assert contents(process.store / "tiny") == published(SLOW)

    async def test_the_bus_killed_mid_copy_the_job_goes_on_and_the_daemon_comes_back(
        self, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, machine: Machine
    ) -> None:
        process = daemon()
        plug(make_stick({"tiny": SLOW}), slow_for=process)
        await client.until_job("tiny", "copying", progress=1)
        pid = process.pid
        machine.restart_bus()
        async with Client.connected(machine.bus_address) as fresh:
            await fresh.until_owned()
            await fresh.until_bundle("tiny")
            await fresh.until_safe()
        assert process.pid == pid
        assert contents(process.store / "tiny") == published(SLOW)


async def test_the_idle_daemon_is_small(daemon: StartDaemon, client: Client) -> None:
    process = daemon()
    await client.until_owned()
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident_kib = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))
    assert resident_kib < 60 << 10


async def test_the_connection_of_a_client_that_goes_away_harms_nobody(
    daemon: StartDaemon, client: Client, machine: Machine
) -> None:
    daemon()
    other = await Connection.open(machine.bus_address)
    await other.close()
    assert (await client.manager())["State"] == "idle"
