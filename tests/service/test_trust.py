"""What the daemon says of its trust, and of who has signed what."""

from dataclasses import replace
from pathlib import Path

import pytest

from dubseedd.core.config import Config, SeedConfig, StoreConfig, TrustConfig
from dubseedd.core.device import BlockDevice
from dubseedd.core.lifecycle import SeedState
from dubseedd.names import ErrorName, EventName
from dubseedd.service.conductor import Conductor
from dubseedd.service.requests import Requests
from tests.support.bundles import model_files
from tests.support.signing import make_key, sign
from tests.support.world import LABEL, World, conducted

FILES = model_files()


@pytest.fixture
def signers(tmp_path: Path) -> Path:
    return tmp_path / "seed-signers"


@pytest.fixture
def config(world: World, signers: Path) -> Config:
    return Config(
        seed=SeedConfig(label=LABEL),
        store=StoreConfig(str(world.folder / "store"), 0),
        trust=TrustConfig(allowed_signers=str(signers)),
    )


def enrol(signers: Path) -> Path:
    """Enrol a fresh key as `ops`."""
    key = signers.with_name("ops")
    signers.write_text(f"ops {make_key(key)}\n")
    return key


async def plugged(world: World, conductor: Conductor, stick: BlockDevice) -> None:
    device = world.plug(stick)
    done = (SeedState.DONE, SeedState.FAILED)
    await world.until(lambda: (seed := conductor.seeds.all.get(device.number)) and seed.state in done)


async def test_digests_alone_decide_until_a_key_is_enrolled_and_a_scan_tells(
    world: World, config: Config, signers: Path
) -> None:
    async with conducted(world, config) as conductor:
        assert conductor.trust == "integrity"
        enrol(signers)
        await Requests(conductor).scan()
        assert conductor.trust == "signed"
        signers.unlink()
        await Requests(conductor).scan()
        assert conductor.trust == "integrity"


async def test_a_daemon_that_starts_with_a_key_enrolled_says_so(world: World, config: Config, signers: Path) -> None:
    enrol(signers)
    async with conducted(world, config) as conductor:
        assert conductor.trust == "signed"


async def test_keys_that_cannot_be_read_are_no_integrity(world: World, config: Config, signers: Path) -> None:
    signers.mkdir()
    async with conducted(world, config) as conductor:
        assert conductor.trust == "signed"


async def test_another_file_of_keys_counts_from_the_reload_on(world: World, config: Config, signers: Path) -> None:
    enrol(signers)
    empty = replace(config, trust=TrustConfig(allowed_signers=str(signers.with_name("absent"))))
    async with conducted(world, empty) as conductor:
        assert conductor.trust == "integrity"
        conductor.reconfigure(config)
        await world.until(lambda: conductor.trust == "signed")


async def test_a_key_that_is_enrolled_between_two_plugs_counts_for_the_second(
    world: World, config: Config, signers: Path
) -> None:
    async with conducted(world, config) as conductor:
        enrol(signers)
        await plugged(world, conductor, world.stick({"tiny": FILES}))
        assert conductor.trust == "signed"
        (seed,) = conductor.seeds.all.values()
        assert seed.verdicts == {"tiny": ErrorName.UNTRUSTED_SEED.full}
        (message,) = world.told(EventName.BUNDLE_REFUSED)
        assert "tiny cannot be trusted: it has no SHA256SUMS.sig" in message


async def test_journal_and_shelf_name_the_signer(world: World, config: Config, signers: Path) -> None:
    key = enrol(signers)
    stick = world.stick({"tiny": FILES})
    sign(world.folder / "stick-1/models/tiny", key)
    async with conducted(world, config) as conductor:
        await plugged(world, conductor, stick)
        assert conductor.shelf.bundles["tiny"].signer == "ops"
        assert any("bytes, signed by ops, is new" in message for message in world.told(EventName.BUNDLE_FOUND))
        (installed,) = world.told(EventName.BUNDLE_INSTALLED)
        assert installed.endswith("every one verified, signed by ops")
