"""The table of the commands: what each row runs is there, and is loaded when it is asked for."""

import subprocess
import sys
from pkgutil import resolve_name

import pytest

from dubseedd.cli.arguments import COMMANDS, Command

LOADED = """
import sys
from dubseedd.cli.main import main
main(sys.argv[1:])
print(*(name for name in sys.modules if name.startswith(("dubseedd.engine", "dubseedd.cli", "asyncio", "dbus_next"))))
"""


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_runs_a_function_that_is_there(row: Command) -> None:
    assert callable(resolve_name(f"dubseedd.cli.{row.runs}"))


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
