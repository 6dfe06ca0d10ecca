"""A small world for the conductor: sticks are folders of tmpfs, mounted for real, by nobody but this process.

Whatever the world is asked for can be held up (`hold`) or refused (`refuse`), so that a test can act in between.
"""

import asyncio
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dubseedd.adapters.inotify import Inotify
from dubseedd.core.config import Config, SeedConfig, StoreConfig, SyncConfig
from dubseedd.core.device import BlockDevice, BlockEvent, Disk, Number
from dubseedd.core.events import Event
from dubseedd.core.lifecycle import SeedState
from dubseedd.engine.store import Store
from dubseedd.errors import SeedGone, StoreTrouble
from dubseedd.names import ErrorName, EventName
from dubseedd.service.board import Listener
from dubseedd.service.conductor import Conductor
from dubseedd.service.ports import Clock
from dubseedd.service.seed import Seed
from tests.support.bundles import write_bundle
from tests.support.news import News
from tools.machine import run

LABEL = "WORLD"
OPTIONS = "ro,nosuid,nodev,noexec"


class Nightwatch:
    """The port Sleep. `held` is why the machine is kept from sleeping, once for each who does."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.ever_held: list[str] = []
        self._watchers: list[Callable[[bool], None]] = []

    def prepare(self, preparing: bool) -> None:
        """The machine is about to sleep, or awake again."""
        for watcher in self._watchers:
            watcher(preparing)

    def watch(self, on_prepare: Callable[[bool], None]) -> Callable[[], None]:
        self._watchers.append(on_prepare)
        return lambda: self._watchers.remove(on_prepare)

    async def delay(self, why: str) -> Callable[[], None]:
        self.held.append(why)
        self.ever_held.append(why)
        return lambda: self.held.remove(why)


@dataclass
class World(Listener):
    """The ports Devices, Disks and Recorder, and whoever waits for what the board says."""

    folder: Path
    undo: ExitStack
    events: list[Event] = field(default_factory=list)
    plugged: dict[Number, BlockDevice] = field(default_factory=dict)
    points: dict[Number, tuple[str, ...]] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    night: Nightwatch = field(default_factory=Nightwatch)
    writing: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._sequence = itertools.count(1)
        self._sticks: dict[Number, Path] = {}
        self._gates: dict[tuple[str, Number | None], asyncio.Event] = {}
        self._refusals: dict[str, StoreTrouble] = {}
        self._on_event: Callable[[BlockEvent], None] = lambda _: None
        self._on_mounts: Callable[[Number, tuple[str, ...]], None] = lambda *_: None
        self._news = News()
        self.until = self._news.until

    # What a test does

    def stick(self, bundles: Mapping[str, Mapping[str, bytes]], *, uuid: str = "u-1") -> BlockDevice:
        """A stick with these bundles, not plugged in yet."""
        folder = self.folder / f"stick-{next(self._sequence)}"
        folder.mkdir()
        run("mount", "-t", "tmpfs", "none", str(folder))
        self.undo.callback(run, "umount", str(folder))
        (folder / "models").mkdir()
        for name, files in bundles.items():
            write_bundle(folder / "models" / name, files)
        number = os.stat(folder).st_dev
        device = BlockDevice(
            node=f"/dev/{folder.name}",
            number=(os.major(number), os.minor(number)),
            diskseq=0,
            usage="filesystem",
            label=LABEL,
            uuid=uuid,
            filesystem="ext4",
            size=1 << 20,
            ready=True,
        )
        self._sticks[device.number] = folder
        return device

    def plug(self, stick: BlockDevice) -> BlockDevice:
        device = replace(stick, diskseq=next(self._sequence))
        self.plugged[device.number] = device
        self._on_event(BlockEvent("add", device))
        return device

    def pull(self, device: BlockDevice) -> None:
        del self.plugged[device.number]
        for point in self.points.pop(device.number, ()):
            run("umount", "--lazy", point)
        self._on_event(BlockEvent("remove", device))

    def mounted_by_hand(self, device: BlockDevice) -> str:
        """Somebody mounts a stick, and UDisks2 tells of it; the mount point."""
        return self._mount(device, f"by-hand-{next(self._sequence)}", "rw")

    def unmounted_by_hand(self, device: BlockDevice) -> None:
        self._unmount(device)

    def hold(self, member: str, *, of: BlockDevice | None = None) -> asyncio.Event:
        """Let every call of this port's method, or those for one stick, wait until the event is set."""
        gate = self._gates[member, of.number if of else None] = asyncio.Event()
        return gate

    def refuse(self, member: str) -> None:
        self._refusals[member] = StoreTrouble(ErrorName.MOUNT_FAILED, f"the world refuses to {member}")

    def allow(self, member: str) -> None:
        del self._refusals[member]

    def told(self, name: EventName) -> list[str]:
        return [event.message for event in self.events if event.name is name]

    # Listener

    def overall(self) -> None:
        self._news.set()

    # Recorder

    def record(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def flush(self) -> None:
        with self.writing:
            pass

    # Devices and Disks

    def listed(self) -> list[BlockDevice]:
        return list(self.plugged.values())

    def present(self, device: BlockDevice) -> bool:
        return self.plugged.get(device.number) == device

    def watch(self, on_event: Callable[..., None], *on_lost: Callable[[], None]) -> Callable[[], None]:
        if on_lost:
            self._on_event = on_event
        else:
            self._on_mounts = on_event
        return lambda: None

    def mount_points(self, number: Number) -> tuple[str, ...]:
        return self.points.get(number, ())

    async def find(self, device: BlockDevice) -> Disk:
        await self._ask("find", device)
        return Disk(self.points.get(device.number, ()), "", "")

    async def loop_owner(self, node: str) -> int:
        await self._ask("loop_owner")
        return self.owners.get(node, 0)

    async def mount(
        self, device: BlockDevice, options: tuple[str, ...], wanted: Callable[[], bool]
    ) -> tuple[str, bool]:
        await self._ask("mount", device)
        if not wanted():
            raise SeedGone
        return self._mount(device, f"mount-{next(self._sequence)}", OPTIONS), True

    async def unmount(self, device: BlockDevice) -> None:
        await self._ask("unmount", device)
        if self.points.get(device.number):
            self._unmount(device)

    async def power_off(self, device: BlockDevice) -> None:
        await self._ask("power_off", device)

    async def _ask(self, member: str, device: BlockDevice | None = None) -> None:
        self.asked.append(member)
        self._news.set()
        for of in {None, device.number if device else None}:
            if gate := self._gates.get((member, of)):
                await gate.wait()
        if refusal := self._refusals.get(member):
            raise refusal

    def _mount(self, device: BlockDevice, name: str, options: str) -> str:
        point = self.folder / name
        point.mkdir()
        run("mount", "--bind", str(self._sticks[device.number]), str(point))
        self.undo.callback(run, "umount", "--lazy", str(point), check=False)
        run("mount", "-o", f"remount,bind,{options}", str(point))
        self._show(device, (*self.points.get(device.number, ()), str(point)))
        return str(point)

    def _unmount(self, device: BlockDevice) -> None:
        (point,) = self.points[device.number]
        try:
            run("umount", point)
        except Exception as error:
            raise StoreTrouble(ErrorName.MOUNT_FAILED, f"{device.node} is busy") from error
        self._show(device, ())

    def _show(self, device: BlockDevice, points: tuple[str, ...]) -> None:
        self.points[device.number] = points
        asyncio.get_running_loop().call_soon(self._on_mounts, device.number, points)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of this test's own; what it has mounted is unmounted after it."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    with ExitStack() as undo:
        yield World(tmp_path, undo)


def now() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def conducted(
    world: World, config: Config | None = None, *, kind: type[Store] = Store, clock: Clock = now
) -> AsyncIterator[Conductor]:
    """A conductor in a world, with a store of this kind, started, and stopped at the end."""
    config = config or Config(seed=SeedConfig(label=LABEL), store=StoreConfig(str(world.folder / "store"), 0))
    store = kind(config.store.path)
    conductor = Conductor(
        config,
        store,
        devices=world,
        disks=world,
        sleep=world.night,
        arrivals=Inotify(),
        recorder=world,
        runtime_folder=str(world.folder / "run"),
        clock=clock,
    )
    conductor.board.listeners.append(world)
    try:
        await conductor.start()
        yield conductor
    finally:
        await conductor.stop()
        store.close()


def config_of(world: World, **sync: object) -> Config:
    """A configuration for a world, with this in its [sync]."""
    return Config(
        seed=SeedConfig(label=LABEL),
        store=StoreConfig(str(world.folder / "store"), 0),
        sync=replace(SyncConfig(), **sync),
    )


def is_served(seed: Seed) -> bool:
    """Has it been looked at, is all done, and has everybody let go of it?"""
    return seed.state in (SeedState.DONE, SeedState.FAILED) and not seed.readers and not seed.mounting.locked()


async def served_all(world: World, conductor: Conductor) -> None:
    """Wait until every stick is served."""
    await world.until(lambda: all(is_served(seed) for seed in conductor.seeds.all.values()))


async def served(world: World, conductor: Conductor) -> Seed:
    """The one stick, once it is served."""
    await served_all(world, conductor)
    (seed,) = conductor.seeds.all.values()
    return seed


async def updated(world: World, conductor: Conductor, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> None:
    """Two versions of `tiny` came, one after the other; the stick with the new one stays plugged in."""
    first = world.plug(world.stick({"tiny": old}))
    await served(world, conductor)
    world.pull(first)
    await world.until(lambda: not conductor.seeds.all)
    world.plug(world.stick({"tiny": new}, uuid="u-2"))
    await served(world, conductor)
