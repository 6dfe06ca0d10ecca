"""dubctl-seed: what `dubctl seed …` runs on a Dubnium workstation: those commands of dubseedctl that show, in JSON.

$ dubctl-seed status
{"schemaVersion": 1, "command": "seed status", …}
"""

import sys

from dubseedd.cli.exits import DONE, USAGE, complain
from dubseedd.cli.main import main as dubseedctl

VERBS = ("status", "list", "history", "guard")
HELP = f"""\
usage: dubctl-seed {{{",".join(VERBS)}}} ...

What dubctl seed runs: these commands of dubseedctl, which change nothing, in JSON.

dubseedctl COMMAND --help shows the options of a command."""


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status, which is that of dubseedctl."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] in (["-h"], ["--help"]):
        print(HELP)
        return DONE
    if not words or words[0] not in VERBS:
        complain(f"dubctl seed takes one of {', '.join(VERBS)}; whatever changes something is for dubseedctl")
        return USAGE
    return dubseedctl([*words, "--json"])


if __name__ == "__main__":
    sys.exit(main())
