"""The composition root: reads the configuration, builds the parts, runs them on one loop until it is told to stop.

    udev ─────> Conductor <───── D-Bus calls
    UDisks2 <──> │ │
                 │ └──> threads: the engine
                 └────> journal, history, systemd, objects on the bus

A lost bus connection is opened again while the jobs go on; SIGTERM ends everything within a few seconds, SIGHUP reads
the configuration again.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dubseedd import __version__
from dubseedd.adapters.bus import Connection
from dubseedd.adapters.filesystems import Filesystems
from dubseedd.adapters.inotify import Inotify
from dubseedd.adapters.journal import QueuedRecorder, install_logging, journal_sink
from dubseedd.adapters.link import Link
from dubseedd.adapters.logind import Logind
from dubseedd.adapters.messages import BusGone, RemoteError
from dubseedd.adapters.notify import ServiceManager
from dubseedd.adapters.polkit import Polkit
from dubseedd.adapters.udev import UdevDevices
from dubseedd.adapters.udisks import UDisks
from dubseedd.bus.calls import Calls
from dubseedd.bus.publisher import Publisher
from dubseedd.bus.tree import ObjectTree
from dubseedd.core.config import Config, ConfigError
from dubseedd.engine.configfile import load
from dubseedd.engine.history import History
from dubseedd.engine.memory import return_large_blocks
from dubseedd.engine.store import Store
from dubseedd.errors import Failure
from dubseedd.names import BUS_NAME, RUNTIME_FOLDER
from dubseedd.service.board import Listener
from dubseedd.service.conductor import Conductor, runtime_folder
from dubseedd.service.errands import Errands
from dubseedd.service.metrics import Metrics

log = logging.getLogger("dubseedd")

EXIT_FAILED = 1
EXIT_CONFIG = 78
STOP_LIMIT_SECONDS = 4.0


class StatusLine(Listener):
    """A listener that tells systemd what a person would ask: `systemctl status` shows it."""

    def __init__(self, conductor: Conductor, manager: ServiceManager) -> None:
        self._conductor = conductor
        self._manager = manager
        self._told = ""

    def overall(self) -> None:
        if (status := self._conductor.status) != self._told:
            self._told = status
            self._manager.status(status)


class Daemon:
    """All parts, put together.

    There are two links to the bus. dbus-daemon takes nothing more of a connection while too much of what came from it
    lies unread: a caller who reads no answers can silence the one that answers callers, and not the one that asks.
    """

    def __init__(self, config: Config, config_file: str | None, store: Store, recorder: QueuedRecorder) -> None:
        self._config_file = config_file
        self._asking = Link("UDisks2 and polkit", self._asking_others)
        self._serving = Link("callers", self._serving_callers)
        self._manager = ServiceManager()
        self._devices = UdevDevices()
        self._udisks = UDisks(self._asking)
        self._logind = Logind(self._asking)
        self._conductor = Conductor(
            config,
            store,
            devices=self._devices,
            disks=Filesystems(self._udisks),
            sleep=self._logind,
            arrivals=Inotify(),
            recorder=recorder,
            runtime_folder=runtime_folder(RUNTIME_FOLDER),
        )
        self._tree = ObjectTree(Calls(self._conductor, Polkit(self._asking)))
        self._errands = Errands()
        self._stopping = asyncio.Event()
        self._reload_asked = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)
        async with AsyncExitStack() as undo:
            stop = loop.create_task(self._stopping.wait())
            start = loop.create_task(self._start(undo))
            await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
            if start.done():
                start.result()
                await stop
            start.cancel()
            self._manager.stopping()
            try:
                async with asyncio.timeout(STOP_LIMIT_SECONDS):
                    await self._conductor.stop()
            except TimeoutError:
                log.warning("some work did not end in time and was left behind; it is continued at the next start")

    async def _start(self, undo: AsyncExitStack) -> None:
        """Everything up to READY; what hangs here, a bus or a disk, holds up no stop."""
        self._conductor.board.listeners.append(Publisher(self._conductor, self._tree))
        self._conductor.board.listeners.append(StatusLine(self._conductor, self._manager))
        self._conductor.board.listeners.append(Metrics(self._conductor))
        for link in (self._asking, self._serving):
            await link.open()
            undo.push_async_callback(link.close)
        for helper in (self._asking.keep(), self._serving.keep(), self._pet()):
            undo.callback(self._errands.run(helper).cancel)
        await self._conductor.start()
        self._manager.ready(self._conductor.status)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        if self._reload_asked.is_set():
            self._reload()

    # The bus

    @asynccontextmanager
    async def _asking_others(self, connection: Connection) -> AsyncIterator[None]:
        try:
            await self._udisks.attach(connection)
            await self._logind.attach(connection)
            yield
        finally:
            self._udisks.detach()

    @asynccontextmanager
    async def _serving_callers(self, connection: Connection) -> AsyncIterator[None]:
        self._tree.attach(connection)
        try:
            await connection.request_name(BUS_NAME)
            yield
        finally:
            self._tree.detach()

    # systemd

    async def _pet(self) -> None:
        """Pet the watchdog while the loop runs: a thread that is stuck on a stick is no reason to be killed."""
        interval = self._manager.watchdog_interval_seconds()
        while interval is not None:
            self._manager.watchdog()
            await asyncio.sleep(interval)

    def _reload(self) -> None:
        """Read the configuration again. A SIGHUP that comes before everything is up waits until then."""
        self._manager.reloading()
        try:
            config = load(self._config_file)
        except ConfigError as error:
            log.error("the configuration is left as it was: %s", error)  # noqa: TRY400 - the sentence says it all
        else:
            self._conductor.reconfigure(config)
        finally:  # systemd waits for it, also where there is a bug
            self._manager.ready(self._conductor.status)


async def _serve(config: Config, config_file: str | None, store: Store, recorder: QueuedRecorder) -> None:
    await Daemon(config, config_file, store, recorder).run()


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dubseedd",
        description="Watches for DUB-SEED sticks, verifies their model bundles and publishes them.",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="take just this file instead of /etc/dubnium/dubseedd.toml and its drop-ins",
    )
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error"), help="default: info"
    )
    parser.add_argument("--version", action="version", version=f"dubseedd {__version__}")
    return parser.parse_args(argv)


def _sentence(error: OSError | RemoteError | Failure) -> str:
    """Why the daemon cannot run."""
    match error:
        case Failure():
            return error.sentence
        case BusGone() | TimeoutError() | RemoteError():
            return f"the system bus cannot be used: {error}; is dbus.service running?"
        case OSError():
            what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
            return f"dubseedd cannot run ({what}); mend that, and start it again: systemctl restart dubseedd"


def main(argv: list[str] | None = None) -> int:
    """The daemon as a program; returns its exit status."""
    options = _options(argv)
    try:
        config = load(options.config)
    except ConfigError as error:
        print(f"dubseedd: {error}", file=sys.stderr)
        return EXIT_CONFIG
    return_large_blocks()
    install_logging(options.log_level.upper())
    os.umask(0o022)
    try:
        store = Store(config.store.path)
    except Failure as failure:
        log.error("%s", failure.sentence)  # noqa: TRY400 - the sentence says it all
        return EXIT_FAILED
    recorder = QueuedRecorder([journal_sink(), History(store.own).append])
    status = 0
    try:
        asyncio.run(_serve(config, options.config, store, recorder))
    except (OSError, RemoteError, Failure) as error:
        log.error("%s", _sentence(error))  # noqa: TRY400 - the sentence says it all
        status = EXIT_FAILED
    recorder.close()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)  # a thread that is stuck in a read on a dead stick must not hold the process


if __name__ == "__main__":
    sys.exit(main())
