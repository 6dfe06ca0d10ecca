"""What may be typed behind dubseedctl: a row for every command, with its options and examples to copy."""

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from dubseedd import __version__
from dubseedd.cli.exits import USAGE, Complaint
from dubseedd.core.drive import MAKERS
from dubseedd.names import HISTORY_MOST

JSON_HELP = 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
FIRST_STEPS = ("dubseedctl status", "dubseedctl watch", "dubseedctl sync --bundle llama", "dubseedctl eject")
SEE_ALSO = "dubseedctl COMMAND --help shows the options of a command, and examples."


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What was typed. Raises Complaint where it is not understood, and SystemExit once help was given."""
    names = [row.name for row in COMMANDS]
    if not words:
        raise Complaint("a command is missing; begin with dubseedctl status, dubseedctl --help lists all", USAGE)
    if not words[0].startswith("-") and words[0] not in names:
        near = difflib.get_close_matches(words[0], names, n=1)
        advice = f"did you mean {near[0]}? " if near else ""
        raise Complaint(f"there is no command {words[0]!r}; {advice}dubseedctl --help lists all", USAGE)
    options, unknown = parser().parse_known_args(words)
    if unknown:
        message = f"unrecognized arguments: {' '.join(unknown)}"
        raise Complaint(_not_understood(message, f"dubseedctl {options.command}"), USAGE)
    return options


class Parser(argparse.ArgumentParser):
    """What is wrong, and where to look, in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise Complaint(_not_understood(message, self.prog), USAGE)


def _not_understood(message: str, program: str) -> str:
    return f"{message}; {program} --help shows what it takes"


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = Parser(
        prog="dubseedctl",
        description="Ask dubseedd what it does, and tell it what to do.",
        epilog=f"{_examples(FIRST_STEPS)}\n{SEE_ALSO}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"dubseedctl {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for row in COMMANDS:
        added = commands.add_parser(
            row.name,
            help=row.does,
            description=row.does[0].upper() + row.does[1:] + ".",
            epilog=row.note + _examples(row.examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        row.options(added)
        added.set_defaults(runs=row.runs)
        if row.data:
            added.add_argument("--json", action="store_true", help=JSON_HELP)
    return top


def _examples(lines: tuple[str, ...]) -> str:
    return "examples:\n" + "".join(f"  {line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does in one line, examples of its use, its options, whether it shows data, and a note.

    `runs` is the function of dubseedd.cli for it; those of `online` ask the daemon.
    """

    name: str
    does: str
    runs: str
    examples: tuple[str, ...]
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None
    data: bool = True
    note: str = ""


def _watch(command: argparse.ArgumentParser) -> None:
    ends = command.add_mutually_exclusive_group()
    ends.add_argument("--once", action="store_true", help="with no job under way, end at once")
    ends.add_argument("--forever", action="store_true", help="go on until Ctrl-C")


def _sync(command: argparse.ArgumentParser) -> None:
    seed = command.add_mutually_exclusive_group()
    seed.add_argument("--seed", type=_given, metavar="S", help="its UUID or device; default: every seed")
    seed.add_argument(
        "--from", dest="from_folder", type=_given, metavar="SEED", help="without the daemon: a device, mount or folder"
    )
    command.add_argument("--bundle", type=_given, metavar="B", help="one bundle; default: all")
    command.add_argument("--dry-run", action="store_true", help="plan only: nothing is copied or published")
    command.add_argument("--replace-foreign", action="store_true", help="replace a folder that dubseedd did not make")
    _store(command, "with --from: ")


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("bundles", nargs="*", type=_given, metavar="BUNDLE", help="default: every bundle")
    command.add_argument("--offline", action="store_true", help="without the daemon")
    _store(command, "with --offline: ")


def _check(command: argparse.ArgumentParser) -> None:
    command.add_argument("seed", type=_given, metavar="SEED", help="a device, a mount point or any folder")
    _store(command)


def _format(command: argparse.ArgumentParser) -> None:
    command.add_argument("device", type=_given, metavar="DEVICE", help="the whole drive, as /dev/sdb")
    command.add_argument("--type", choices=tuple(MAKERS), help="the file system; default: exfat where it can be made")
    command.add_argument("--expected", type=_given, metavar="MODEL", help="do not ask: the drive has to be this model")
    command.add_argument("--any", action="store_true", help="take a drive that is not removable as well")
    _config(command)


def _store(command: argparse.ArgumentParser, when: str = "") -> None:
    command.add_argument(
        "--store", type=_given, metavar="DIR", help=f"{when}the store; default: that of the configuration"
    )
    _config(command, when)


def _config(command: argparse.ArgumentParser, when: str = "") -> None:
    command.add_argument("--config", type=_given, metavar="FILE", help=f"{when}take this configuration file alone")


def _bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument("bundle", type=_given, metavar="BUNDLE")


def _guard(command: argparse.ArgumentParser) -> None:
    _bundle(command)
    _store(command, "without the daemon: ")


def _remove(command: argparse.ArgumentParser) -> None:
    _bundle(command)
    command.add_argument("--yes", action="store_true", help="do not ask; without a terminal nobody is asked")


def _history(command: argparse.ArgumentParser) -> None:
    command.add_argument("-n", "--number", type=_count, default=20, metavar="N", help="how many events; default: 20")
    command.add_argument("--bundle", type=_given, metavar="B", help="those of one bundle")


def _count(word: str) -> int:
    if not word.isascii() or not word.isdigit() or not 0 < int(word) <= HISTORY_MOST:
        raise argparse.ArgumentTypeError(f"takes a number from 1 to {HISTORY_MOST}")
    return int(word)


def _job(word: str) -> int:
    if not word.isascii() or not word.isdigit():
        raise argparse.ArgumentTypeError("takes the number of a job, as dubseedctl status has it")
    return int(word)


def _create(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source", type=_given, metavar="SOURCE", help="a model directory, or [CACHE/]OWNER/NAME of a Hugging Face cache"
    )
    command.add_argument(
        "--to", required=True, type=_given, metavar="SEED", help="a stick's device or mount point, or any folder"
    )
    command.add_argument("--name", type=_given, metavar="N", help="the bundle's name; default: the model's own")
    command.add_argument(
        "--revision", type=_given, metavar="R", help="of a cache: branch, tag or commit; default: main"
    )
    command.add_argument(
        "--include",
        action="append",
        default=[],
        type=_given,
        metavar="P",
        help="take files that match this shell pattern as well; may be repeated, * matches / too",
    )
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        type=_given,
        metavar="P",
        help="leave out files that match this shell pattern; may be repeated",
    )
    command.add_argument("--everything", action="store_true", help="leave out nothing but what --exclude names")
    command.add_argument(
        "--sign", type=_given, metavar="KEY", help="a private key of OpenSSH, or the .pub of one that ssh-agent has"
    )
    _config(command)


def _cancel(command: argparse.ArgumentParser) -> None:
    command.add_argument("job", nargs="?", type=_job, metavar="JOB", help="its number; default: every job")


def _eject(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "seed", nargs="?", type=_given, metavar="SEED", help="device, UUID or mount point; default: the only one"
    )
    command.add_argument("--power-off", action="store_true", help="power its drive down as well")


def _given(word: str) -> str:
    """An argument that is not empty: an unset variable of a script must not mean the default."""
    if not word:
        raise argparse.ArgumentTypeError("may not be empty")
    return word


COMMANDS = (
    Command(
        "status",
        "daemon, seeds, jobs, bundles, and what to do next",
        "online:status",
        ("dubseedctl status", "dubseedctl status --json"),
    ),
    Command(
        "watch",
        "live progress; waits for the first job, ends with the last",
        "online:watch",
        ("dubseedctl watch", "dubseedctl watch --once && echo done"),
        _watch,
    ),
    Command("list", "the bundles in the store", "online:list_bundles", ("dubseedctl list",)),
    Command(
        "sync",
        "sync bundles from a seed into the store",
        "online:sync",
        (
            "dubseedctl sync --bundle llama",
            "dubseedctl sync --seed /dev/sdb1 --dry-run",
            "dubseedctl sync --from /media/seed --store /mnt/var/lib/dubnium/models",
        ),
        _sync,
    ),
    Command(
        "verify",
        "read installed bundles back from the disk",
        "online:verify",
        ("dubseedctl verify llama", "dubseedctl verify --offline"),
        _verify,
    ),
    Command(
        "check",
        "judge every bundle of a seed by every rule, and write nothing",
        "check:check",
        ("dubseedctl check /dev/sdb1", "dubseedctl check /run/media/me/DUB-SEED --json"),
        _check,
    ),
    Command(
        "format",
        "erase a drive and make it an empty seed",
        "formatting:format_drive",
        ("dubseedctl format /dev/sdb", 'dubseedctl format /dev/sdb --expected "Ultra Fit" --type ext4'),
        _format,
    ),
    Command(
        "rollback",
        "swap a bundle with its previous version",
        "online:roll_back",
        ("dubseedctl rollback llama", "dubseedctl rollback llama && sudo systemctl restart vllm"),
        _bundle,
    ),
    Command(
        "remove",
        "delete a bundle and its previous version",
        "online:remove",
        ("dubseedctl remove llama", "dubseedctl remove llama --yes"),
        _remove,
    ),
    Command(
        "create",
        "make a bundle on a seed, or bring it up to date",
        "create:create",
        (
            "dubseedctl create ./tiny-llama --to /media/seed",
            "dubseedctl create ~/.cache/huggingface/hub/OWNER/NAME --to /dev/sdb1 --sign ~/.ssh/id_ed25519",
            "dubseedctl create OWNER/NAME --to /dev/sdb1 --exclude '*.gguf'",
        ),
        _create,
    ),
    Command(
        "cancel",
        "cancel a job; what was verified is kept",
        "online:cancel",
        ("dubseedctl cancel", "dubseedctl cancel 7"),
        _cancel,
        data=False,
    ),
    Command(
        "eject",
        "end the jobs of a seed and unmount it",
        "online:eject",
        ("dubseedctl eject", "dubseedctl eject /dev/sdb1 --power-off"),
        _eject,
        data=False,
    ),
    Command(
        "guard",
        "tell a script whether a bundle is installed, whole and verified",
        "guard:guard",
        (
            "dubseedctl guard llama && systemctl start vllm",
            "dubseedctl guard llama --store /mnt/var/lib/dubnium/models",
        ),
        _guard,
        note="exit status: 0 it is; 10 absent; 11 damaged;\n  12 foreign or unverified; 20 cannot be determined\n\n",
    ),
    Command(
        "history",
        "what has happened, the newest last; in JSON first",
        "online:history",
        (
            "dubseedctl history",
            "dubseedctl history -n 100 --bundle llama",
            "dubseedctl history --json | jq '.events[0]'",
        ),
        _history,
    ),
)
