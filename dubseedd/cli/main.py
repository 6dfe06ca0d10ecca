"""dubseedctl: what a person or a script says to dubseedd.

Exit status: 0 done; 1 refused or failed; 2 usage; 3 the daemon or the bus cannot be reached; 4 not authorised; 130
interrupted. `guard` has more of them. Errors go to standard error as one sentence with what to do next.
"""

import argparse
import io
import os
import sys
from pkgutil import resolve_name
from typing import Any

from dubseedd.cli.arguments import parse
from dubseedd.cli.exits import FAILED, INTERRUPTED, USAGE, Complaint, complain
from dubseedd.core.config import ConfigError
from dubseedd.errors import Failure

LEFT_OFF = {
    "sync": "jobs that were queued go on; dubseedctl cancel ends them",
    "verify": "jobs that were queued go on; dubseedctl cancel ends them",
    "verify --offline": "stopped; what was not read to its end counts as before",
    "check": "stopped; nothing was written",
    "format": "stopped; a drive that was being erased is no seed yet, format it again",
    "create": "stopped; the stick has the bundle that was there before, whole, or none; the same command begins anew",
    "sync --from": "stopped; what was verified is kept, and the same command goes on from there",
}
"""What an interrupted command leaves behind."""


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    _prepare_output()
    try:
        status = _outcome(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return FAILED
    except OSError as error:
        _drop_output()
        complain(f"{error.strerror or error}; look at where the output goes, and at the disk")
        return FAILED
    return status


def _prepare_output() -> None:
    """Let every name be written, whatever the terminal's encoding; a closed output is none at all."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lives as long as we do
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Nobody reads it any more: what is left in the buffer goes nowhere, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _called(options: argparse.Namespace) -> str:
    """The command, with the option that makes it another one."""
    if getattr(options, "from_folder", None) is not None:
        return "sync --from"
    return "verify --offline" if getattr(options, "offline", False) else str(options.command)


def _outcome(argv: list[str] | None) -> int:
    """Parse and run; whatever goes wrong, files and output aside, is a sentence and a status."""
    command = ""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        command = _called(options)
        return _run(options)
    except SystemExit as ended:  # how argparse says that it has said everything
        return int(ended.code or 0)
    except OSError:
        raise
    except KeyboardInterrupt:
        sentence, status = LEFT_OFF.get(command, ""), INTERRUPTED
    except Complaint as complaint:
        sentence, status = str(complaint), complaint.status
    except Failure as failure:
        sentence, status = failure.sentence, FAILED
    except ConfigError as error:
        sentence, status = str(error), USAGE
    except Exception as error:  # noqa: BLE001 - a person is never shown a traceback
        sentence = f"internal error ({type(error).__name__}: {error}); please report it, with what you typed"
        status = FAILED
    if sentence:
        complain(sentence)
    return status


def _run(options: argparse.Namespace) -> int:
    """Run the command; what it takes is loaded now, and nothing else."""
    runs: str = options.runs
    if options.command == "sync" and options.from_folder is not None:
        runs = "offline:sync"
    if options.command == "verify" and options.offline:
        runs = "offline:verify"
    if not runs.startswith("online:"):
        return int(_function(runs)(options))
    if getattr(options, "store", None) or getattr(options, "config", None):
        alone = "--from SEED" if options.command == "sync" else "--offline"
        raise Complaint(f"--store and --config go with {alone}; the daemon has its own", USAGE)
    return int(_function("asking:ask")(options))


def _function(name: str) -> Any:
    return resolve_name(f"dubseedd.cli.{name}")


if __name__ == "__main__":
    sys.exit(main())
