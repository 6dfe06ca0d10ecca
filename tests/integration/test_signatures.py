"""Signed sticks, plugged into a daemon that demands signatures."""

from pathlib import Path

from dubseedd.names import MANAGER_INTERFACE, ROOT_PATH, ErrorName
from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.support.bundles import contents, model_files, published
from tests.support.daemon import Client
from tests.support.signing import make_key, sign
from tests.support.sticks import mounted

FILES = model_files()


async def test_of_a_stick_only_what_is_signed_is_installed_and_the_bus_names_the_signer(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "seed-signers").write_text(f"ops@example.org {make_key(tmp_path / 'ops')}\n")
    image = make_stick({"signed": FILES, "unsigned": FILES})
    with mounted(image) as folder:
        sign(folder / "models/signed", tmp_path / "ops")
    process = daemon(f'trust.allowed_signers = "{tmp_path}/seed-signers"')
    assert (await client.manager())["Trust"] == "signed"
    plug(image)
    bundle = await client.until_bundle("signed")
    assert bundle["Signer"] == "ops@example.org"
    (seed,) = await client.until_seed("done")
    assert {name: verdict for name, _, _, verdict in seed["Bundles"]}["unsigned"] == ErrorName.UNTRUSTED_SEED.full
    assert contents(process.store / "signed") == published(FILES)
    assert not (process.store / "unsigned").exists()
    assert (await client.told("bundle-installed"))[0].endswith("signed by ops@example.org")


async def test_the_bus_is_told_when_a_key_is_enrolled(daemon: StartDaemon, client: Client, tmp_path: Path) -> None:
    daemon(f'trust.allowed_signers = "{tmp_path}/seed-signers"')
    assert (await client.manager())["Trust"] == "integrity"
    (tmp_path / "seed-signers").write_text(f"ops {make_key(tmp_path / 'ops')}\n")
    await client.call(ROOT_PATH, MANAGER_INTERFACE, "Scan")
    changes = [signal.body[1] for signal in client.signals if signal.member == "PropertiesChanged"]
    assert any("Trust" in changed for changed in changes)
    assert (await client.manager())["Trust"] == "signed"
