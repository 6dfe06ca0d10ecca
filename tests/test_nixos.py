"""The NixOS module: what Nix makes of it, judged by the daemon's own schema and the project's own files."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dubseedd.core.config import OPTIONS, ConfigError, build
from tools import options

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "packaging/nix"
SIGNER = 'ops@example.org namespaces="dubnium-seed" ssh-ed25519 AAAA'

needs_nix = pytest.mark.skipif(
    not shutil.which("nix-instantiate"), reason="nix-instantiate is not here; apt-get install nix-bin brings it"
)


def nix(folder: Path, *argv: str | Path) -> str:
    """What nix-instantiate says, with a store of its own."""
    places = {"NIX_STATE_DIR": str(folder), "NIX_STORE_DIR": str(folder / "store"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(("nix-instantiate", *argv), capture_output=True, text=True, check=False, env=places)
    assert done.returncode == 0, done.stderr
    return done.stdout


def judged(folder: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the module makes of each services.dubseedd: `config` and `failed` assertions, or `refused` options."""
    argv = ("--eval", "--strict", "--json", ROOT / "tests/nix/evaluate.nix", "--arg", "module", FOLDER / "module.nix")
    given = json.dumps([{"enable": True, **case} for case in cases])
    made: list[dict[str, Any]] = json.loads(nix(folder, *argv, "--argstr", "given", given))
    return made


def evaluated(folder: Path, **given: Any) -> dict[str, Any]:
    (made,) = judged(folder, [given])
    return made


@needs_nix
@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.nix")), ids=lambda file: file.name)
def test_nix_understands_the_file(file: Path, tmp_path: Path) -> None:
    nix(tmp_path, "--parse", file)


@needs_nix
@pytest.mark.parametrize("name", ["systemd-python", "systemd"])
def test_the_package_finds_its_libraries_whatever_nixpkgs_calls_them(name: str, tmp_path: Path) -> None:
    there = ["blake3", "cryptography", "dbus-next", "pyudev", "rich", name]
    packages = " ".join(f'{each} = "{each}";' for each in there)
    asked = f"""(import {FOLDER}/package.nix {{
        lib = {{
            fileset = {{ toSource = given: null; unions = files: null; }};
            licenses.asl20 = null;
            platforms.linux = null;
        }};
        stdenvNoCC.mkDerivation = given: given;
        python3.withPackages = choose: builtins.concatStringsSep "," (choose {{ {packages} }});
    }}).installFlags"""
    flags: list[str] = json.loads(nix(tmp_path, "--eval", "--strict", "--json", "--expr", asked))
    assert f"PYTHON={','.join(there)}/bin/python3" in flags


# The options


def test_the_options_of_the_module_are_those_of_the_daemon() -> None:
    assert options.OUTPUT.read_text() == options.as_json(), "make derived"
    assert options.PAGE.read_text().endswith(options.as_table()), "make derived"


def test_what_the_module_writes_by_default_is_what_the_daemon_does_by_default() -> None:
    rows = json.loads(options.OUTPUT.read_text())
    document: dict[str, dict[str, object]] = {}
    for row in rows:
        document.setdefault(row["table"], {})[row["key"]] = row["default"]
    assert build([("module", document)]) == build([])
    assert len(rows) == len(OPTIONS)


SAMPLES = {
    "flag": [True, False, "yes", 1],
    "texts": [["a"], ["a", "b"], [], "a", [1], [""], ["a", ""]],
    "size": [1, 0, "2 GiB", "512MiB", "7", -1, True, "1 gig", "1gib", ""],
    "words": ["publish", "off", "unmount", "refuse", "maybe", ""],
    "text": [
        "a",
        "/a",
        "/a b",
        "rel/x",
        "vllm.service",
        "a@b.service",
        "vllm",
        "30d",
        "2 w",
        "0",
        "soon",
        "-x",
        "",
        1,
        "a/b",
        "a/..",
        "./a",
        "...",
        ".a/..b",
        "a//b",
        "/",
        "a\nb",
    ],
}


def taken(settings: dict[str, Any]) -> bool:
    try:
        build([("module", settings)])
    except ConfigError:
        return False
    return True


@needs_nix
@pytest.mark.parametrize("row", options.rows(), ids=lambda row: f"{row['table']}.{row['key']}")
def test_nix_takes_what_the_daemon_takes_and_nothing_else(row: dict[str, Any], tmp_path: Path) -> None:
    name, values = f"{row['table']}.{row['key']}", [row["default"], *SAMPLES[row["kind"]]]
    settings = [{row["table"]: {row["key"]: value}} for value in values]
    made = judged(tmp_path, [{"settings": tables} for tables in settings])
    assert [case.get("refused") for case in made] == [None if taken(tables) else [name] for tables in settings]


# What it configures


@needs_nix
def test_one_line_is_enough(tmp_path: Path) -> None:
    made = evaluated(tmp_path)
    assert made["failed"] == []
    config = made["config"]
    assert config["services"]["udisks2"]["enable"]
    assert config["security"]["polkit"]["enable"]
    assert config["environment"]["systemPackages"] == ["dubseedd"]
    for neighbour in ("dbus", "udev"):
        assert config["services"][neighbour]["packages"] == ["dubseedd"]
    assert config["systemd"]["packages"] == ["dubseedd"]
    assert config["systemd"]["services"]["dubseedd"]["wantedBy"] == ["multi-user.target"]
    assert build([("module", config["environment"]["etc"]["dubnium/dubseedd.toml"]["source"])]) == build([])


@needs_nix
def test_it_makes_the_store_as_the_projects_own_tmpfiles_do(tmp_path: Path) -> None:
    shipped = (ROOT / "systemd/dubseedd.tmpfiles.conf").read_text().splitlines()
    rules = evaluated(tmp_path)["config"]["systemd"]["tmpfiles"]["rules"]
    assert [rule.split() for rule in rules] == [line.split() for line in shipped if not line.startswith("#")]


@needs_nix
def test_the_sandbox_is_opened_for_another_store_and_for_metrics_and_for_nothing_else(tmp_path: Path) -> None:
    unit = evaluated(tmp_path)["config"]["systemd"]["services"]["dubseedd"]
    assert unit["serviceConfig"] == {"ReadWritePaths": []}
    config = evaluated(tmp_path, store="/srv/models", settings={"metrics": {"folder": "/var/lib/text"}})["config"]
    unit = config["systemd"]["services"]["dubseedd"]
    assert unit["serviceConfig"] == {"ReadWritePaths": ["-/srv/models", '"-/var/lib/text"']}
    assert unit["unitConfig"] == {"RequiresMountsFor": "/srv/models"}
    assert config["systemd"]["tmpfiles"]["rules"] == [
        "d /srv/models 0755 root root -",
        "d /srv/models/.dubseed 0700 root root -",
    ]
    assert config["environment"]["etc"]["dubnium/dubseedd.toml"]["source"]["store"]["path"] == "/srv/models"


@needs_nix
def test_systemd_takes_any_folder_of_metrics_as_one_path(tmp_path: Path) -> None:
    made = evaluated(tmp_path, settings={"metrics": {"folder": '/var/lib/my "100%n" metrics\\'}})
    (path,) = made["config"]["systemd"]["services"]["dubseedd"]["serviceConfig"]["ReadWritePaths"]
    assert path == r'''"-/var/lib/my \"100%%n\" metrics\\"'''
    unit = tmp_path / "a.service"
    unit.write_text(f"[Service]\nExecStart=/bin/true\nReadWritePaths={path}\n")
    done = subprocess.run(("systemd-analyze", "verify", "--man=no", unit), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_nix
def test_another_label_gets_the_projects_own_rule_under_its_name(tmp_path: Path) -> None:
    assert evaluated(tmp_path)["config"]["services"]["udev"]["extraRules"] is None
    rules = evaluated(tmp_path, label="MY-SEED")["config"]["services"]["udev"]["extraRules"]
    assert rules == (ROOT / "udev/80-dubseedd.rules").read_text().replace("DUB-SEED", "MY-SEED")


@needs_nix
def test_signers_and_notifications_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    plain = evaluated(tmp_path)["config"]
    assert plain["environment"]["etc"]["dubnium/seed-signers"] is None
    assert plain["systemd"]["user"]["services"]["dubseed-notify"] is None
    asked = evaluated(tmp_path, allowedSigners=[SIGNER, SIGNER], notifications=True)["config"]
    assert asked["environment"]["etc"]["dubnium/seed-signers"] == {"text": f"{SIGNER}\n{SIGNER}\n"}
    assert asked["systemd"]["user"]["services"]["dubseed-notify"] == {"wantedBy": ["graphical-session.target"]}


@needs_nix
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"settings": {"seed": {"lable": "X"}}}, "seed.lable is unknown to dubseedd, which would not start"),
        ({"settings": {"sede": {"label": "X"}}}, "sede.label is unknown to dubseedd, which would not start"),
        ({"settings": {"seed": {"label": "X"}}}, "seed.label is X, services.dubseedd.label DUB-SEED; set only the"),
        ({"settings": {"store": {"path": "/x"}}}, "store.path is /x, services.dubseedd.store /var/lib/dubnium/models"),
        (
            {"allowedSigners": [SIGNER], "settings": {"trust": {"allowed_signers": "/x"}}},
            "but settings.trust.allowed_signers names /x; set only one of them",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_sentence(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    (sentence,) = evaluated(tmp_path, **given)["failed"]
    assert said in sentence


@needs_nix
@pytest.mark.parametrize("store", ["models", "/a b", "/a/", "/", "/%h"])
def test_a_store_that_a_unit_cannot_name_is_refused(store: str, tmp_path: Path) -> None:
    assert evaluated(tmp_path, store=store)["refused"] == ["store"]


@needs_nix
def test_a_label_that_the_daemon_would_not_take_is_refused(tmp_path: Path) -> None:
    labels = ["A" * 255, "A" * 256, "-A", ""]
    made = judged(tmp_path, [{"label": label} for label in labels])
    assert [case.get("refused") for case in made] == [
        None if taken({"seed": {"label": label}}) else ["label"] for label in labels
    ]
