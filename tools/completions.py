"""`make derived`: what the shells complete, from the rows of dubseedd/cli/arguments.py, into packaging/completions.

Names are read off the machine, not asked for: bundles from the folders of the store, seeds from udev's links. That is
quick, needs no rights, and starts no daemon.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dubseedd.cli.arguments import COMMANDS, parser
from dubseedd.names import DEFAULT_LABEL, DEFAULT_STORE

FOLDER = Path(__file__).resolve().parents[1] / "packaging" / "completions"
MADE = "# Made by make derived from dubseedd/cli/arguments.py."
KINDS: Mapping[str, str] = {
    "BUNDLE": "bundles",
    "B": "bundles",
    "S": "seeds",
    "SEED": "seeds",
    "DEVICE": "files",
    "SOURCE": "files",
    "DIR": "files",
    "FILE": "files",
    "KEY": "files",
}
"""What the value of an argument is, by its name in the help; of others nothing is known."""


class Argument(NamedTuple):
    """One argument of a command: its option, "" for a positional one, its help, and what its value is, None where it
    takes none."""

    option: str
    help: str
    kind: str | None
    choices: tuple[str, ...] = ()


def arguments(command: str) -> list[Argument]:
    (subparsers,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return [_argument(action) for action in subparsers.choices[command]._actions if action.dest != "help"]


def _argument(action: argparse.Action) -> Argument:
    option = action.option_strings[-1] if action.option_strings else ""
    kind = None if action.nargs == 0 else KINDS.get(str(action.metavar), "")
    return Argument(option, action.help or "", kind, tuple(map(str, action.choices or ())))


def bash() -> str:
    return "\n".join(
        [
            MADE,
            "_dubseedctl_bundles() {  # of plain names alone: compgen expands what it is given",
            "    local folder",
            f"    for folder in {DEFAULT_STORE}/*/; do",
            "        folder=${folder%/} folder=${folder##*/}",
            '        case "$folder" in *[!A-Za-z0-9._+-]*) ;; *) echo "$folder" ;; esac',
            "    done",
            "}",
            "_dubseedctl_seeds() {",
            f"    readlink -e /dev/disk/by-label/{DEFAULT_LABEL}",
            "}",
            "_dubseedctl() {",
            "    local current=${COMP_WORDS[COMP_CWORD]} words= kind=",
            '    if [ "$COMP_CWORD" -eq 1 ]; then',
            f'        words="{" ".join(row.name for row in COMMANDS)} --help --version"',
            "    else",
            '        case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in',
            *(line for row in COMMANDS for line in _bash_values(row.name)),
            '        *) case "${COMP_WORDS[1]}" in',
            *(f"            {row.name}) {_bash_words(row.name)} ;;" for row in COMMANDS),
            "            esac ;;",
            "        esac",
            "    fi",
            '    case "$kind" in',
            '    bundles) words="$words $(_dubseedctl_bundles)" ;;',
            '    seeds) words="$words $(_dubseedctl_seeds)"; compopt -o default 2>/dev/null ;;',
            "    files) compopt -o default 2>/dev/null ;;",
            "    esac",
            '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
            "}",
            "complete -F _dubseedctl dubseedctl",
            "",
        ]
    )


def _bash_values(command: str) -> Iterator[str]:
    for argument in arguments(command):
        if argument.option and argument.kind is not None:
            words = f' words="{" ".join(argument.choices)}"' if argument.choices else ""
            yield f'        "{command} {argument.option}") kind={argument.kind or "none"}{words} ;;'


def _bash_words(command: str) -> str:
    found = arguments(command)
    options = " ".join([*(one.option for one in found if one.option), "--help"])
    kinds = [one.kind for one in found if not one.option and one.kind]
    return f'words="{options}"' + (f" kind={kinds[0]}" if kinds else "")


def zsh() -> str:
    return "\n".join(
        [
            "#compdef dubseedctl",
            MADE,
            "_dubseedctl_bundles() {",
            f"    local -a names=({DEFAULT_STORE}/*(N/:t))",
            "    _describe bundle names",
            "}",
            "_dubseedctl_seeds() {",
            f"    local -a devices=(/dev/disk/by-label/{DEFAULT_LABEL}(N:A))",
            "    compadd -a devices",
            "    _files",
            "}",
            "_dubseedctl() {",
            "    local -a commands=(",
            *(f"        {_quoted(f'{row.name}:{row.does}')}" for row in COMMANDS),
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe command commands",
            "        return",
            "    fi",
            "    shift words",
            "    (( CURRENT-- ))",
            '    case "$words[1]" in',
            *(f"    {row.name}) _arguments {' '.join(_zsh_arguments(row.name))} ;;" for row in COMMANDS),
            "    esac",
            "}",
            '_dubseedctl "$@"',
            "",
        ]
    )


def _zsh_arguments(command: str) -> Iterator[str]:
    for option, text, kind, choices in arguments(command):
        message = text.replace("[", "(").replace("]", ")").replace(":", "\\:")
        action = f"({' '.join(choices)})" if choices else _ZSH.get(kind or "", " ")
        if not option:
            yield _quoted(f"*:{message or 'value'}:{action}")
        else:
            yield _quoted(f"{option}[{message}]" + ("" if kind is None else f":value:{action}"))


_ZSH = {"bundles": "_dubseedctl_bundles", "seeds": "_dubseedctl_seeds", "files": "_files"}


def fish() -> str:
    here = "__fish_seen_subcommand_from"
    lines = [
        MADE,
        "function __dubseedctl_bundles",
        f"    for folder in {DEFAULT_STORE}/*/",
        "        basename $folder",
        "    end",
        "end",
        "function __dubseedctl_seeds",
        f"    readlink -e /dev/disk/by-label/{DEFAULT_LABEL}",
        "end",
        "complete -c dubseedctl -f",
    ]
    for row in COMMANDS:
        lines.append(f"complete -c dubseedctl -n __fish_use_subcommand -a {row.name} -d {_quoted(row.does)}")
        condition = f"complete -c dubseedctl -n '{here} {row.name}'"
        for option, text, kind, choices in arguments(row.name):
            flag = f" -l {option.removeprefix('--')} -d {_quoted(text)}" if option else ""
            value = f" -a '{' '.join(choices)}'" if choices else _FISH.get(kind or "", "")
            if option or value:
                lines.append(f"{condition}{flag}{' -r' if option and kind is not None else ''}{value}")
    return "\n".join([*lines, ""])


_FISH = {"bundles": " -a '(__dubseedctl_bundles)'", "seeds": " -F -a '(__dubseedctl_seeds)'", "files": " -F"}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def scripts() -> Mapping[str, str]:
    """Every script, by the name of its file."""
    return {"dubseedctl.bash": bash(), "_dubseedctl": zsh(), "dubseedctl.fish": fish()}


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, text in scripts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"packaging/completions/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
