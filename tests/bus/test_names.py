"""Names that an attacker has chosen leave the daemon as text that D-Bus and a person can bear."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import Match
from dubseedd.bus.calls import Calls
from dubseedd.bus.publisher import Publisher
from dubseedd.bus.tree import OBJECT_MANAGER, PROPERTIES, ObjectTree
from dubseedd.names import BUNDLE_INTERFACE, MANAGER_INTERFACE, ROOT_PATH, SEED_INTERFACE
from tests.bus.test_calls import Anybody
from tests.conftest import Connect
from tests.support.bundles import model_files
from tests.support.world import World, conducted
from tools.machine import run

MOST_BYTES = 2048
"""A sentence may quote the same name three times."""
NAMES = [
    "\x1b[2J\x1b]0;gone\x07",
    "line\nbreak\rback",
    "-rf",
    "%n%s%n",
    "$(reboot)",
    "rtl\u202egnp.exe",
    "nonchar\uffff\ufdd0",
    "astral\U0010ffff",
    "\udcff\udcfe",
    "half\udcc3",
    "\udced\udca0\udc80",
    "combining" + "\u0301" * 100,
    "l" * 255,
    "\udcff" * 255,
    "dé\N{FULLWIDTH LATIN SMALL LETTER A}",
]
"""The surrogates stand for bytes that are no UTF-8."""


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, keys and paths too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)


async def shown(client: Connection, server: str) -> list[Any]:
    """All that the daemon shows and tells."""
    (objects,) = await client.call(server, ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
    (manager,) = await client.call(server, ROOT_PATH, PROPERTIES, "GetAll", "s", [MANAGER_INTERFACE])
    return [objects, manager]


async def test_hostile_names_arrive_as_bounded_text(world: World, connect: Connect, bus_address: str) -> None:
    store = world.folder / "store"
    for name in NAMES:
        (store / name).mkdir(parents=True)
    server, client = await connect(), await connect()
    signals: list[Any] = []
    await client.subscribe(Match(sender=server.unique_name), lambda signal: signals.append(signal.body))
    async with conducted(world) as conductor:
        tree = ObjectTree(Calls(conductor, Anybody()))
        tree.attach(server)
        conductor.board.listeners.append(Publisher(conductor, tree))
        for bundle in conductor.shelf.bundles.values():
            conductor.board.changed(bundle)
        stick = world.stick(dict.fromkeys(NAMES, model_files()))
        world.plug(replace(stick, uuid="\x1b\udcff\u202e" * 20))
        await world.until(lambda: all(seed.looked_at.is_set() for seed in conductor.seeds.all.values()))
        said = await shown(client, server.unique_name)
        tree_of = ("busctl", f"--address={bus_address}", "tree", "--list", server.unique_name)
        introspected = await asyncio.to_thread(run, *tree_of)
    objects = said[0]
    (seed,) = [faces[SEED_INTERFACE] for faces in objects.values() if SEED_INTERFACE in faces]
    assert len(seed["Bundles"]) == len(NAMES)
    assert sum(BUNDLE_INTERFACE in faces for faces in objects.values()) == len(NAMES)
    assert len([path for path in introspected.split() if "/bundles/" in path]) == len(NAMES)
    assert signals
    for text in texts([said, signals]):
        assert len(text.encode()) <= MOST_BYTES
        assert "\0" not in text
    assert len(world.events) > len(NAMES)
    for sentence in (said[1]["Status"], *(event.message for event in world.events)):
        assert sentence.isprintable(), sentence
