"""R12, and R1 with the real daemon: several sticks at once, and kills at any moment of a plug."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dubseedd.names import JOB_INTERFACE
from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.support.bundles import contents
from tests.support.daemon import Client
from tests.torture.amounts import SEED, amount, randomness
from tests.torture.figures import Row
from tests.torture.invariants import (
    START_SECONDS,
    assert_checks_out,
    assert_next_start_knows,
    assert_nothing_is_left_over,
    assert_nothing_is_torn_or_lost,
)
from tests.torture.nursery import Nursery
from tests.torture.scene import Scene, describe
from tests.torture.versions import NAME, NEW, OLD
from tools.machine import succeeds

ROUNDS = amount("R12")
KILLS = amount("R1") // 10
SIGNALS = 24
"""More than a plug of a small bundle makes."""


@dataclass(slots=True)
class Reader:
    """Reads the bundle over and over, as a model server that starts does; `mixed` is what was no whole version."""

    store: Path
    whole: int = 0
    mixed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def reading(self) -> Iterator[None]:
        thread = threading.Thread(target=self._read)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _read(self) -> None:
        while not self._over.is_set():
            with suppress(FileNotFoundError):  # nothing is there yet, or what was opened has just been removed
                self._look()

    def _look(self) -> None:
        """A folder that is held open stays the same one; what is no whole version in it is not the published one."""
        descriptor = os.open(self.store / NAME, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = contents(Path(f"/proc/self/fd/{descriptor}"))
            if found in (OLD.published, NEW.published):
                self.whole += 1
            elif os.path.samestat(os.fstat(descriptor), os.stat(self.store / NAME)):
                self.mixed.append(describe(found))
        finally:
            os.close(descriptor)


def publishing_at_once(client: Client) -> int:
    """How many jobs were publishing at the same time, at the most."""
    state: dict[str, str] = {}
    most = 0
    for signal in client.signals:
        if signal.member == "PropertiesChanged" and signal.body[0] == JOB_INTERFACE and "State" in signal.body[1]:
            state[signal.path] = str(signal.body[1]["State"])
            most = max(most, sum(each == "publishing" for each in state.values()))
    return most


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_several_sticks_at_once_publish_one_at_a_time_and_never_a_mixture(
    number: int, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path,
    seeds: Path, nursery: Nursery,
) -> None:  # fmt: skip
    """Two to four; of the same bundle, or of the same name with other content."""
    rng = randomness("R12", number)
    versions = [OLD, NEW, *rng.choices((OLD, NEW), k=number % 3)][: 2 + number % 3]
    if rng.random() < 0.3:
        versions = [NEW] * len(versions)
    rng.shuffle(versions)
    with Row("R12", f"{len(versions)} sticks") as row, row.point(f"{[each.name for each in versions]}, seed {SEED}"):
        images = [make_stick({NAME: each.files}, name=f"stick{at}") for at, each in enumerate(versions)]
        process = daemon()
        reader = Reader(process.store)
        with reader.reading():
            for image in images:
                plug(image)
            await client.until_seed("done", count=len(images))
            await client.until_safe()
        installed = await client.told("bundle-installed")
        bundle = await client.until_bundle(NAME)
        process.terminate()
        assert not reader.mixed, reader.mixed
        assert publishing_at_once(client) <= 1
        assert len(installed) <= len(versions)
        assert len(set(versions)) > 1 or len(installed) == 1
        scene = Scene(tmp_path, seeds, nursery, shared=False)
        seen = scene.visible()
        assert seen is not None
        assert bundle["ManifestSha256"] == seen.digest
        assert_ends_well(scene)


def assert_ends_well(scene: Scene) -> None:
    """What holds of a store whose daemon has ended with nothing left to do."""
    seen = scene.visible()
    assert seen is not None
    assert_checks_out(scene.store / NAME)
    assert_next_start_knows(scene, seen)
    previous = scene.own / "previous" / NAME
    before = next((each for each in (OLD, NEW) if previous.exists() and contents(previous) == each.published), None)
    assert_nothing_is_left_over(scene, before=before)


@pytest.mark.parametrize("number", range(KILLS))
async def test_a_daemon_that_is_killed_goes_on_at_its_next_start(
    number: int, make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path,
    seeds: Path, nursery: Nursery,
) -> None:  # fmt: skip
    """At a random one of the signals by which it tells how far an update is."""
    kill_at = randomness("R1 daemon", number).randint(1, SIGNALS)
    scene = Scene(tmp_path, seeds, nursery, shared=False)
    scene.install(OLD)

    async def updated() -> bool:
        return (await client.bundles()).get(NAME, {}).get("ManifestSha256") == NEW.digest

    async def told_enough() -> bool:
        return len(client.signals) - heard >= kill_at or await updated()

    with Row("R1", "SIGKILL of the daemon") as row, row.point(f"at signal {kill_at}, seed {SEED}"):
        process, image = daemon(), make_stick({NAME: NEW.files})
        heard = len(client.signals)
        stick = plug(image)
        await client.until(f"signal {kill_at}", told_enough)
        process.kill()
        assert_nothing_is_torn_or_lost(scene, before=OLD, after=NEW, acknowledged=False)
        began = time.monotonic()
        again = daemon()
        await client.until("the update", updated)
        assert time.monotonic() - began < START_SECONDS
        await client.until_safe()
        assert not succeeds("findmnt", "--source", stick.node), "(e) still mounted"
        again.terminate()
        assert scene.visible() is NEW
        assert_ends_well(scene)
