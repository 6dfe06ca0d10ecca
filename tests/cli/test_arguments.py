"""The table of the commands: what each row runs is there, is loaded when it is asked for, and is told in README.md."""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from dubseedd.cli.arguments import COMMANDS, Command, parser

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

LOADED = """
import sys
from dubseedd.cli.main import main
main(sys.argv[1:])
print(*(name for name in sys.modules if name.startswith(("dubseedd.engine", "dubseedd.cli", "asyncio", "dbus_next"))))
"""


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_runs_a_function_that_is_there(row: Command) -> None:
    assert callable(resolve_name(f"dubseedd.cli.{row.runs}"))


def test_the_table_of_the_readme_has_every_command_and_no_option_that_is_not_there() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", README.partition("## dubseedctl")[2].partition("\n## ")[0], re.MULTILINE)
    typed = [usage for row in rows for usage in re.findall(r"`(.+?)`", row)]
    assert {usage.split()[0] for usage in typed} == {row.name for row in COMMANDS}
    for usage in typed:
        name, options = usage.split()[0], re.findall(r"--\w[\w-]*", usage)
        assert set(options) <= known_options(name), name


def known_options(command: str) -> set[str]:
    (commands,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {word for action in commands.choices[command]._actions for word in action.option_strings}


def loaded(*words: str) -> set[str]:
    """The modules of the engine, of the command line and of what talks to the bus that a command has loaded."""
    done = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_nothing_is_loaded_for_what_was_not_asked_for() -> None:
    parsing = {"dubseedd.cli", "dubseedd.cli.main", "dubseedd.cli.arguments", "dubseedd.cli.exits"}
    assert loaded("--help") == parsing
    assert loaded("cancel", "x") == parsing
    by_itself = loaded("verify", "--offline", "--store", "/nowhere")
    assert "dubseedd.cli.offline" in by_itself
    assert not {"dbus_next", "asyncio", "dubseedd.cli.check", "dubseedd.engine.making"} & by_itself
