"""dubseedctl: what a person or a script says to dubseedd.

Exit status: 0 done; 1 refused or failed; 2 usage; 3 the daemon or the bus cannot be reached; 4 not authorised; 130
interrupted. Errors go to standard error as one sentence with what to do next.
"""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from dubseedd import __version__
from dubseedd.cli import offline
from dubseedd.cli.agent import password_agent
from dubseedd.cli.exits import FAILED, INTERRUPTED, NOT_AUTHORISED, UNREACHABLE, USAGE, Complaint, complain
from dubseedd.core.config import ConfigError
from dubseedd.errors import Failure
from dubseedd.names import ERROR_PREFIX, ErrorName

EXAMPLES = """examples:
  dubseedctl status                          what is plugged in, what is installed, what to do next
  dubseedctl watch                           live progress until all is done
  dubseedctl sync --bundle llama             sync one bundle from whatever seed has it
  dubseedctl sync --from /media/seed --store /mnt/var/lib/dubnium/models
                                             the same work once, without a daemon
  dubseedctl verify --offline                read every installed bundle back
  dubseedctl eject                           let go of the stick
"""

NO_DAEMON = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Spawn.",
    "org.freedesktop.systemd1.",
)
"""How the bus says that the daemon neither runs nor can be started; the last two are families."""
DENIED = frozenset({ErrorName.NOT_AUTHORIZED.full, "org.freedesktop.DBus.Error.AccessDenied"})

GUARDED = ("sync", "verify", "cancel", "eject")
"""The commands for which the daemon may want a password."""
JSON_HELP = 'for programs: {"schemaVersion": 1, "command": "seed …", …}'
LEFT_OFF = {
    "sync": "jobs that were queued go on; dubseedctl cancel ends them",
    "verify": "jobs that were queued go on; dubseedctl cancel ends them",
    "sync --from": "stopped; what was verified is kept, and the same command goes on from there",
}
"""What an interrupted command leaves behind."""


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    top = argparse.ArgumentParser(
        prog="dubseedctl",
        description="Ask dubseedd what it does, and tell it what to do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"dubseedctl {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, text: str, *, data: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if data:
            added.add_argument("--json", action="store_true", help=JSON_HELP)
        return added

    command("status", "daemon, seeds, jobs, bundles, and what to do next")
    watch = command("watch", "live progress; waits for the first job, ends with the last")
    ends = watch.add_mutually_exclusive_group()
    ends.add_argument("--once", action="store_true", help="do not wait for a job")
    ends.add_argument("--forever", action="store_true", help="do not end")
    command("list", "the bundles in the store")
    sync = command("sync", "sync bundles from a seed into the store")
    sync.add_argument("--seed", type=_given, metavar="S", help="UUID or device; default: every seed")
    sync.add_argument("--bundle", type=_given, metavar="B", help="one bundle; default: all")
    sync.add_argument("--dry-run", action="store_true", help="plan only: nothing is copied or published")
    sync.add_argument("--replace-foreign", action="store_true", help="replace a folder that dubseedd did not make")
    sync.add_argument(
        "--from", dest="from_folder", type=_given, metavar="DIR", help="without the daemon: a mounted seed or folder"
    )
    _offline_options(sync)
    verify = command("verify", "read installed bundles back from the disk")
    verify.add_argument("bundles", nargs="*", type=_given, metavar="BUNDLE", help="default: every bundle")
    verify.add_argument("--offline", action="store_true", help="without the daemon")
    _offline_options(verify)
    cancel = command("cancel", "cancel a job; what was verified is kept", data=False)
    cancel.add_argument("job", nargs="?", type=int, metavar="JOB", help="its number; default: every job")
    eject = command("eject", "end the jobs of a seed and unmount it", data=False)
    eject.add_argument(
        "seed", nargs="?", type=_given, metavar="SEED", help="device, UUID or mount point; default: the only one"
    )
    eject.add_argument("--power-off", action="store_true", help="power its drive down as well")
    return top


def _offline_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store", type=_given, metavar="DIR", help="without the daemon: the store, default from the configuration"
    )
    command.add_argument(
        "--config", type=_given, metavar="FILE", help="without the daemon: take just this configuration file"
    )


def _given(word: str) -> str:
    """An argument that is not empty: an unset variable of a script must not mean the default."""
    if not word:
        raise argparse.ArgumentTypeError("may not be empty")
    return word


def main(argv: list[str] | None = None) -> int:
    """The program; returns its exit status."""
    _prepare_output()
    try:
        status = _guarded(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return FAILED
    except OSError as error:
        _drop_output()
        complain(f"{error}; look at where the output goes, and at the disk")
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


def _guarded(argv: list[str] | None) -> int:
    """Parse and run; whatever goes wrong, files and output aside, is a sentence and a status."""
    top = parser()
    command = ""
    try:
        options = top.parse_args(argv)
        command = options.command if getattr(options, "from_folder", None) is None else "sync --from"
        return _run(top, options)
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


def _run(top: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.command == "sync" and options.from_folder is not None:
        if options.seed:
            top.error("--seed names a stick of the daemon, --from a folder: give one of them")
        return offline.sync(options)
    if options.command == "verify" and options.offline:
        return offline.verify(options)
    if getattr(options, "store", None) or getattr(options, "config", None):
        alone = "--from DIR" if options.command == "sync" else "--offline"
        top.error(f"--store and --config go with {alone}: the daemon has its own")
    return asyncio.run(_ask(options))


async def _ask(options: argparse.Namespace) -> int:
    """Run a command that needs the daemon. The libraries that this takes are loaded only now."""
    try:
        from dubseedd.adapters.bus import BusGone, RemoteError  # noqa: PLC0415 - offline commands work without them
        from dubseedd.cli import online  # noqa: PLC0415
        from dubseedd.cli.client import Client  # noqa: PLC0415
    except ImportError as error:
        raise Complaint(
            f"{error.name} is missing, which talks to the bus; install it, or use --from", UNREACHABLE
        ) from error
    table: dict[str, Callable[[Any, argparse.Namespace], Awaitable[int]]] = {
        "status": online.status,
        "watch": online.watch,
        "list": online.list_bundles,
        "sync": online.sync,
        "verify": online.verify,
        "cancel": online.cancel,
        "eject": online.eject,
    }
    try:
        with password_agent() if options.command in GUARDED else nullcontext():
            async with Client.open() as client:
                return await table[options.command](client, options)
    except RemoteError as error:
        raise _complaint(error.name, error.text) from error
    except BusGone as error:
        raise Complaint(f"the system bus cannot be reached ({error}); is dbus.service running?", UNREACHABLE) from error
    except TimeoutError as error:
        raise Complaint(f"no answer: {error}; see systemctl status dubseedd dbus", UNREACHABLE) from error


def _complaint(name: str, text: str) -> Complaint:
    if name.startswith(NO_DAEMON):
        return Complaint("dubseedd does not run; start it: systemctl start dubseedd", UNREACHABLE)
    if name in DENIED:
        return Complaint(text, NOT_AUTHORISED)
    if name.startswith(ERROR_PREFIX):
        return Complaint(text, FAILED)
    return Complaint(f"dubseedd does not answer as expected ({text}); see journalctl -u dubseedd", FAILED)


if __name__ == "__main__":
    sys.exit(main())
