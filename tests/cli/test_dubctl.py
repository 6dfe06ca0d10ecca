"""dubctl-seed: what shows, in JSON; nothing that changes."""

import pytest

from dubseedd.cli import dubctl
from dubseedd.cli.arguments import COMMANDS
from tests.cli.conftest import Ctl, ToyDaemon, ended
from tests.support.schema import document

AS_DUBCTL = "import sys; from dubseedd.cli.dubctl import main; sys.exit(main())"


async def test_the_status_is_the_envelope_that_dubctl_takes(toy: ToyDaemon, start_ctl: Ctl) -> None:
    said = await ended(await start_ctl("status", code=AS_DUBCTL))
    told = document(said.out)
    assert (said.status, told["schemaVersion"], told["command"]) == (0, 1, "seed status")


async def test_its_exit_status_is_that_of_the_command(toy: ToyDaemon, start_ctl: Ctl) -> None:
    said = await ended(await start_ctl("guard", "nowhere", code=AS_DUBCTL))
    assert (said.status, document(said.out)["verdict"]) == (10, "absent")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_its_help_names_its_commands(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dubctl.main([word]) == 0
    assert capsys.readouterr().out.startswith("usage: dubctl-seed {status,list,history,guard} ...\n")


@pytest.mark.parametrize("words", [[], *([row.name] for row in COMMANDS if row.name not in dubctl.VERBS)])
def test_whatever_else_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dubctl.main(words) == 2
    assert capsys.readouterr().err.startswith("dubseedctl: dubctl seed takes one of status, list, history, guard;")
