"""Plug in and wait: the main job on real devices, with the real udevd and UDisks2."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from dubseedd.adapters.messages import Variant
from dubseedd.names import JOB_INTERFACE, MANAGER_INTERFACE, ROOT_PATH, ErrorName
from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.support.bundles import contents, model_files, published, write_bundle, write_files
from tests.support.daemon import Client
from tests.support.sticks import mounted
from tools.bench.disk import Traffic, drop_caches
from tools.image import empty_image
from tools.machine import run, succeeds

FILES = model_files(shard_bytes=5_000_000)
SLOW = model_files(shards=4, shard_bytes=8_000_000)


async def test_a_stick_that_is_plugged_in_is_published_unmounted_and_safe(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    stick = plug(make_stick({"tiny": FILES}))
    bundle = await client.until_bundle("tiny")
    await client.until_safe()
    assert contents(process.store / "tiny") == published(FILES)
    for path in [process.store / "tiny", *(process.store / "tiny").rglob("*")]:
        assert (path.stat().st_uid, path.stat().st_gid) == (0, 0)
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert bundle["Path"] == str(process.store / "tiny")
    assert bundle["Format"] == "safetensors"
    assert not succeeds("findmnt", "--source", stick.node)
    assert await client.told("safe-to-remove")


async def test_the_signals_of_a_publication_come_in_order(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    daemon()
    plug(make_stick({"tiny": FILES}))
    await client.until_job("tiny", "done")
    members = [
        signal.member for signal in client.signals if signal.member in ("BundleInstalled", "Completed", "JobRemoved")
    ]
    assert members == ["BundleInstalled", "Completed", "JobRemoved"]


async def test_a_stick_that_was_there_before_the_start_is_published(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    plug(make_stick({"tiny": FILES}))
    run("udevadm", "settle", "--timeout=30")
    daemon()
    await client.until_bundle("tiny")


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
async def test_each_file_system_is_taken_and_its_mount_proven(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, filesystem: str
) -> None:
    process = daemon()
    plug(make_stick({"tiny": FILES}, filesystem=filesystem))
    await client.until_bundle("tiny")
    await client.until_safe()
    assert contents(process.store / "tiny") == published(FILES)


async def test_the_same_stick_again_is_current_and_its_weights_are_not_read(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    daemon()
    image = make_stick({"tiny": model_files(shards=4, shard_bytes=20_000_000)})
    stick = plug(image)
    await client.until_bundle("tiny")
    await client.until_safe()
    stick.pull()
    await client.until_no_seed()
    drop_caches(image.parent)
    again = plug(image)
    before = Traffic.of(again.node)
    await client.until_seed("done")
    await client.until_safe()
    assert await client.told("bundle-current") == ["tiny is current, nothing to do"]
    assert Traffic.of(again.node).since(before).read_bytes < 10 << 20


async def test_mounting_causes_no_endless_loop(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    daemon()
    stick = plug(make_stick({"tiny": FILES}))
    await client.until_bundle("tiny")
    await client.until_safe()
    run("udevadm", "trigger", "--action=change", "--settle", stick.node)
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 10)
    assert len(await client.told("seed-added")) == 1
    assert len(await client.told("seed-mounted")) == 1


async def test_a_stick_pulled_mid_copy_shows_nothing_and_goes_on_at_the_next_plug(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    image = make_stick({"tiny": SLOW})
    stick = plug(image, slow_for=process)
    first = await client.until_job("tiny", "copying", progress=9_000_000)
    stick.pull()
    job = await client.until_job("tiny", "interrupted")
    assert job["Error"][0] == ErrorName.SEED_GONE.full
    assert not (process.store / "tiny").exists()
    assert (await client.manager())["State"] == "waiting"
    await client.until_no_seed()
    plug(image)
    resumed = await client.until_job("tiny", "done")
    assert resumed["Id"] == first["Id"]
    assert resumed["BytesSkipped"] >= 8_000_000
    assert contents(process.store / "tiny") == published(SLOW)
    assert await client.told("job-resumed")


async def test_two_sticks_at_once_are_both_served(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    other = model_files(seed=b"7")
    plug(make_stick({"tiny": FILES}, name="a"))
    plug(make_stick({"other": other}, name="b"))
    await client.until_bundle("tiny")
    await client.until_bundle("other")
    assert contents(process.store / "tiny") == published(FILES)
    assert contents(process.store / "other") == published(other)


async def test_two_sticks_with_the_same_bundle_install_it_once(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    first = make_stick({"tiny": FILES}, name="a")
    second = make_stick({"tiny": FILES}, name="b")
    plug(first)
    plug(second)
    await client.until_seed("done", count=2)
    await client.until_safe()
    assert contents(process.store / "tiny") == published(FILES)
    assert len(await client.told("bundle-installed")) == 1


async def test_different_content_under_one_name_at_start_is_a_conflict_that_a_person_decides(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    one, two = model_files(seed=b"1"), model_files(seed=b"2")
    first = plug(make_stick({"tiny": one}, name="a"))
    plug(make_stick({"tiny": two}, name="b"))
    run("udevadm", "settle", "--timeout=30")
    process = daemon()
    seeds = await client.until_seed("done", count=2)
    assert {bundle[3] for seed in seeds for bundle in seed["Bundles"]} == {ErrorName.CONFLICT.full}
    assert await client.jobs() == []
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", first.node, "tiny", {})
    await client.until_bundle("tiny")
    assert contents(process.store / "tiny") == published(one)


async def test_one_refused_bundle_stops_no_other(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    broken = {**FILES, "pytorch_model.bin": b"pickled"}
    plug(make_stick({"good": FILES, "bad": broken}))
    await client.until_bundle("good")
    (seed,) = await client.until_seed("done")
    assert {name: verdict for name, _, _, verdict in seed["Bundles"]}["bad"] == ErrorName.UNSAFE_MODEL.full
    assert not (process.store / "bad").exists()
    (sentence,) = await client.told("bundle-refused")
    assert "pytorch_model.bin" in sentence


async def test_a_corrupted_file_fails_its_job_by_name_and_publishes_nothing(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    image = make_stick({"tiny": FILES})
    with mounted(image) as folder:
        (folder / "models/tiny/tokenizer.json").write_bytes(b'{"version": "6.6"}')
    plug(image)
    job = await client.until_job("tiny", "failed")
    assert job["Error"][0] == ErrorName.CHECKSUM_MISMATCH.full
    assert "tokenizer.json" in job["Error"][1]
    manager = await client.manager()
    assert manager["State"] == "failed"
    assert manager["LastError"] == job["Error"]
    assert not (process.store / "tiny").exists()
    await client.until_safe()


async def test_a_full_store_is_refused_before_anything_is_copied(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
) -> None:
    disk = empty_image(tmp_path / "disk.img", 16 << 20)
    with mounted(disk) as folder:
        process = daemon(store=folder / "store")
        plug(make_stick({"tiny": SLOW}))
        job = await client.until_job("tiny", "failed")
        assert job["Error"][0] == ErrorName.NO_SPACE.full
        assert job["BytesDone"] == 0
        assert not (process.store / "tiny").exists()
        process.terminate()


class TestWhatIsInTheStoreAlready:
    async def test_a_store_seeded_by_hand_is_adopted(
        self, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
    ) -> None:
        write_bundle(tmp_path / "store/tiny", FILES)
        inode = (tmp_path / "store/tiny/config.json").stat().st_ino
        process = daemon()
        await client.until_bundle("tiny", "foreign")
        plug(make_stick({"tiny": FILES}))
        await client.until_bundle("tiny")
        assert (process.store / "tiny/config.json").stat().st_ino == inode
        assert await client.told("bundle-adopted")

    async def test_an_older_revision_is_adopted_updated_and_kept(
        self, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
    ) -> None:
        old = model_files(seed=b"0")
        write_bundle(tmp_path / "store/tiny", old)
        process = daemon()
        plug(make_stick({"tiny": FILES}))
        await client.until_job("tiny", "done")
        assert contents(process.store / "tiny") == published(FILES)
        assert contents(process.store / ".dubseed/previous/tiny") == published(old)

    async def test_what_is_not_roots_is_foreign_and_stays_as_it_is(
        self, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
    ) -> None:
        folder = write_bundle(tmp_path / "store/tiny", FILES)
        shutil.chown(folder, 1000, 1000)
        daemon()
        plug(make_stick({"tiny": model_files(seed=b"2")}))
        job = await client.until_job("tiny", "failed")
        assert job["Error"][0] == ErrorName.FOREIGN_BUNDLE.full
        assert f"chown -R root:root {folder}" in job["Error"][1]
        assert contents(folder) == published(FILES)

    async def test_somebody_elses_folder_is_shown_and_never_touched(
        self, daemon: StartDaemon, client: Client, tmp_path: Path
    ) -> None:
        write_files(tmp_path / "store/notes", {"a.txt": b"mine"})
        daemon()
        bundle = await client.until_bundle("notes", "foreign")
        assert bundle["Size"] == 4
        assert contents(tmp_path / "store/notes") == {"a.txt": b"mine"}


async def test_a_stick_that_a_desktop_has_mounted_is_used_there_and_left_mounted(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon('sync.automatic = "off"')
    stick = plug(make_stick({"tiny": FILES}))
    await client.until_seed("done")
    await client.until_safe()
    run("udisksctl", "mount", "--no-user-interaction", "-b", stick.node, environment=process.environment)

    async def is_mounted() -> bool:
        return any(seed["MountPoint"] for seed in await client.seeds())

    await client.until("the mount is seen", is_mounted)
    assert not (await client.manager())["SafeToRemove"]
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", "", "tiny", {})
    await client.until_bundle("tiny")
    assert "rw" in run("findmnt", "--noheadings", "--output", "OPTIONS", "--source", stick.node)
    manager = await client.manager()
    assert not manager["SafeToRemove"]
    assert "unmount it there" in manager["Status"]


async def test_a_seed_of_another_label_is_nobodys_business(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    daemon()
    plug(make_stick({"tiny": FILES}, name="other", label="OTHER"))
    plug(make_stick({"mine": FILES}, name="mine"))
    await client.until_bundle("mine")
    assert list(await client.bundles()) == ["mine"]
    assert len(await client.told("seed-added")) == 1


async def test_a_file_system_that_is_not_taken_is_refused_in_one_sentence(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    daemon('seed.filesystems = ["vfat"]')
    plug(make_stick({"tiny": FILES}))
    (seed,) = await client.until_seed("failed")
    assert "[seed] filesystems" in seed["Error"][1]
    assert await client.told("seed-refused")


async def test_verify_only_stages_and_sync_publishes(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon('sync.automatic = "verify"')
    plug(make_stick({"tiny": FILES}))
    await client.until_job("tiny", "done")
    await client.until_seed("done")
    assert not (process.store / "tiny").exists()

    async def is_staged() -> bool:
        return [bundle[3] for seed in await client.seeds() for bundle in seed["Bundles"]] == ["staged"]

    await client.until("the verdict is staged", is_staged)
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", "", "", {})
    await client.until_bundle("tiny")
    assert contents(process.store / "tiny") == published(FILES)


async def test_a_dry_run_counts_and_writes_nothing(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon('sync.automatic = "off"')
    plug(make_stick({"tiny": FILES}))
    await client.until_seed("done")
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", "", "tiny", {"dry-run": Variant("b", True)})
    job = await client.until_job("tiny", "done")
    assert job["BytesTotal"] == sum(len(data) for data in FILES.values())
    assert os.listdir(process.store) == [".dubseed"]


async def test_a_job_that_is_cancelled_keeps_what_is_whole(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    process = daemon()
    plug(make_stick({"tiny": SLOW}), slow_for=process)
    job = await client.until_job("tiny", "copying", progress=9_000_000)
    await client.call(f"{ROOT_PATH}/jobs/{job['Id']}", JOB_INTERFACE, "Cancel")
    await client.until_job("tiny", "cancelled")
    await client.until_safe()
    staged = process.store / ".dubseed/staging"
    (digest,) = os.listdir(staged)
    assert (staged / digest / "tree/config.json").read_bytes() == SLOW["config.json"]


async def test_what_rots_on_the_disk_is_found_by_the_scrub_and_mended_by_the_seed(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    """One bit of an installed file flips; size and mtime stay as they were. A seed mends it."""
    process = daemon('scrub.interval = "1s"')
    image = make_stick({"tiny": FILES})
    stick = plug(image)
    await client.until_bundle("tiny")
    await client.until_safe()
    stick.remove()
    await client.until_no_seed()
    shard = process.store / "tiny" / max(FILES, key=lambda name: len(FILES[name]))
    before = shard.stat()
    with shard.open("r+b") as file:
        file.seek(1_000_000)
        (byte,) = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    bundle = await client.until_bundle("tiny", "damaged")
    assert f"{shard.name} of tiny is damaged" in bundle["Error"][1]
    assert await client.told("bundle-damaged") == [bundle["Error"][1]]
    plug(image)
    await client.until_bundle("tiny")
    job = await client.until_job("tiny", "done")
    assert (job["BytesDone"], contents(process.store / "tiny")) == (before.st_size, published(FILES))
