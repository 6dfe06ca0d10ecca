"""R17: the power goes while `create` brings a bundle on a stick up to date, in every state that it may be left in."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.bundles import contents, write_files
from tests.torture import recorder
from tests.torture.amounts import amount, randomness
from tests.torture.disk import SIZES, Disk
from tests.torture.faults import Acknowledging
from tests.torture.figures import Lost, Row, Torn
from tests.torture.invariants import assert_checks_out
from tests.torture.nursery import Ended, Nursery, P
from tests.torture.recorder import recording
from tests.torture.replay import CrashState, crash_states
from tests.torture.test_power_cut import CONTROLS, share
from tests.torture.versions import NAME, NEW, OLD, Version

Files = Mapping[str, bytes]
SAID = b"read back and right"


@pytest.fixture(scope="session")
def models(ground: Path) -> Path:
    """A model directory of each version."""
    for version in (OLD, NEW):
        write_files(ground / "models" / version.name, version.files)
    (ground / "models/dubseedd.toml").write_text("")
    return ground / "models"


@dataclass(frozen=True, slots=True)
class Maker:
    """Runs `create` for a stick that is mounted at `folder`."""

    models: Path
    nursery: Nursery
    folder: Path

    def make(self, version: Version, plan: P = None) -> Ended[P]:  # type: ignore[assignment]
        source, config = str(self.models / version.name), str(self.models / "dubseedd.toml")
        ended = self.nursery.run(
            "create", source, "--to", str(self.folder), "--name", NAME, "--config", config, plan=plan
        )
        assert ended.status == 0, ended.errors
        assert not ended.leaked, f"left open: {ended.leaked}"
        return ended

    @property
    def bundle(self) -> Path:
        return self.folder / "models" / NAME


@dataclass(frozen=True, slots=True)
class Life:
    """The life of a stick: `former` is on it, then `create` makes `latter`, and says so at a moment of the log."""

    base: Disk
    log: Path
    former: Files
    latter: Files
    moment: int


@pytest.fixture
def life(request: pytest.FixtureRequest, ground: Path, models: Path, nursery: Nursery) -> Iterator[Life]:
    """The recorded life of a stick with a file system, with or without fsync."""
    filesystem, forgets_to_sync = request.param
    if not os.path.exists(recorder.DEVICE):
        pytest.skip(f"a disk is recorded by FUSE, and there is no {recorder.DEVICE}")
    disk, log = Disk.made(ground / "stick.img", filesystem), ground / "stick.log"
    with disk as folder:
        maker = Maker(models, nursery, folder / "seed")
        maker.folder.mkdir()
        maker.make(OLD)
        former = contents(maker.bundle)
    base = disk.copied(ground / "before.img")
    try:
        with recording(disk.image, log) as recorded, Disk(recorded, disk.folder, filesystem):
            plan = maker.make(NEW, Acknowledging(str(log), forgets_to_sync, SAID)).plan
            latter = contents(maker.bundle)
        yield Life(base, log, former, latter, plan.moment)
    finally:
        log.unlink(missing_ok=True)
        disk.forget()
        base.forget()


def assert_one_version_is_there(life: Life, state: CrashState, bundle: Path) -> None:
    """The former bundle or the new one, and that once `create` has said so."""
    if not bundle.exists():
        raise Lost("the bundle is gone")
    found = contents(bundle)
    if found not in (life.former, life.latter):
        raise Torn(f"neither the former bundle nor the new one: {sorted(found)}")
    if state.moment >= life.moment and found != life.latter:
        raise Lost("the new bundle was said to be there, and the former one is")
    assert_checks_out(bundle)


@pytest.mark.parametrize("life", [(name, False) for name in SIZES], ids=list(SIZES), indirect=True)
def test_whatever_state_a_power_cut_leaves_a_stick_in_it_has_the_former_bundle_or_the_new_one(
    life: Life, models: Path, nursery: Nursery
) -> None:
    """Whoever makes it again completes it, and leaves nothing else on the stick."""
    rng = randomness("R17", life.base.filesystem)
    assert life.moment
    with Row("R17", f"create cut short, {life.base.filesystem}") as row:
        for state in crash_states(life.base, life.log, share(amount("R17")), rng):
            with row.point(state.label), state.disk as folder:
                maker = Maker(models, nursery, folder / "seed")
                assert_one_version_is_there(life, state, maker.bundle)
                maker.make(NEW)
                assert contents(maker.bundle).items() >= NEW.files.items()
                assert_checks_out(maker.bundle)
                assert sorted(os.listdir(maker.folder)) == ["README.txt", "models"]


@pytest.mark.parametrize("life", [(name, True) for name in SIZES], ids=list(SIZES), indirect=True)
def test_without_fsync_the_same_states_of_a_stick_are_found_torn_or_lost(life: Life) -> None:
    """The control, from when `create` has said that the new bundle is there: what finds nothing here never does."""
    rng = randomness("R17 control", life.base.filesystem)
    with Row("R17", f"the control without fsync, {life.base.filesystem}", is_control=True) as row:
        for state in crash_states(life.base, life.log, CONTROLS, rng, since=life.moment):
            with row.point(state.label), state.disk as folder:
                assert_one_version_is_there(life, state, folder / "seed/models" / NAME)
