"""What the shells complete: as the table of commands is, with the names that this machine has."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dubseedd.cli.arguments import COMMANDS
from dubseedd.names import DEFAULT_STORE
from tools.completions import FOLDER, scripts

SHELLS = {"dubseedctl.bash": "bash", "_dubseedctl": "zsh", "dubseedctl.fish": "fish"}


@pytest.mark.parametrize("name", scripts())
def test_what_is_made_from_the_table_is_made_from_this_table(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == scripts()[name], "make derived"


@pytest.mark.parametrize("name", SHELLS)
def test_its_shell_can_read_it(name: str) -> None:
    shell = shutil.which(SHELLS[name])
    if shell is None:
        pytest.skip(f"{SHELLS[name]} is not there: apt-get install {SHELLS[name]}")
    subprocess.run([shell, "-n", str(FOLDER / name)], check=True)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for name in ("llama", "llava", "qwen", ".dubseed", "$(touch evil)", "with space"):
        (tmp_path / "store" / name).mkdir(parents=True)
    return tmp_path / "store"


def completed(store: Path, *words: str) -> list[str]:
    """What bash makes of the last of these words, in a machine with this store."""
    script = (FOLDER / "dubseedctl.bash").read_text().replace(DEFAULT_STORE, str(store))
    ask = 'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _dubseedctl; printf "%s\\n" "${COMPREPLY[@]}"'
    argv = ("bash", "-c", f"{script}\n{ask}", "bash", "dubseedctl", *words)
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_commands(store: Path) -> None:
    assert set(completed(store, "")) == {row.name for row in COMMANDS} | {"--help", "--version"}
    assert completed(store, "ro") == ["rollback"]


def test_the_options_of_a_command_and_their_values(store: Path) -> None:
    assert completed(store, "watch", "--") == ["--once", "--forever", "--json", "--help"]
    assert completed(store, "format", "--type", "") == ["exfat", "ext4"]


def test_the_bundles_of_the_store(store: Path) -> None:
    assert completed(store, "guard", "ll") == ["llama", "llava"]
    assert completed(store, "sync", "--bundle", "q") == ["qwen"]


def test_a_folder_that_is_no_bundle_is_neither_offered_nor_run(store: Path) -> None:
    assert completed(store, "remove", "") == ["--yes", "--json", "--help", "llama", "llava", "qwen"]
    assert not (store / "evil").exists()


def test_no_store_and_no_stick_are_nothing_to_complain_of(tmp_path: Path) -> None:
    assert completed(tmp_path / "nowhere", "guard", "l") == []
    assert completed(tmp_path / "nowhere", "eject", "/dev/no") == []
