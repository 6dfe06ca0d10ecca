"""The manual pages: as the code is, and as man takes them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dubseedd.cli.arguments import COMMANDS
from dubseedd.core.config import OPTIONS
from dubseedd.names import ErrorName, EventName, Field
from tools.manpages import FOLDER, pages

PAGES = sorted(FOLDER.iterdir())


@pytest.mark.parametrize("name", pages())
def test_what_is_made_from_the_code_is_made_from_this_code(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "make derived"


def test_every_command_and_every_option_has_its_place() -> None:
    commands, options = (FOLDER / "dubseedctl.1").read_text(), (FOLDER / "dubseedd.toml.5").read_text()
    assert [row.name for row in COMMANDS if f'.SS "{row.name}' not in commands] == []
    assert [f"{option.table}.{option.key}" for option in OPTIONS if f"\\fB{option.key} = " not in options] == []


def test_every_error_event_and_field_has_its_place() -> None:
    interface, daemon = (words(FOLDER / name) for name in ("org.dubnium.Seed1.5", "dubseedd.8"))
    assert [error for error in ErrorName if error.value not in interface] == []
    assert [name for name in (*EventName, *Field) if name.value not in daemon] == []


def words(page: Path) -> set[str]:
    return set(re.findall(r"[A-Za-z_-]+", page.read_text(encoding="utf-8").replace("\\-", "-")))


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not there: apt-get install man-db")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_has_nothing_to_say_about_a_page(page: Path) -> None:
    argv = ("man", "--warnings", "--encoding=UTF-8", "--local-file", str(page))
    environment = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""}
    shown = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "NAME" in shown.stdout
    assert "SEE ALSO" in shown.stdout
