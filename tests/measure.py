"""What one sync costs here, measured: `make measure` prints the table that the README quotes.

Each figure is the median of ROUNDS plugs of one 1 GiB bundle on a loop-mounted ext4, page cache dropped before each;
those of the replies are of all rounds, asked for one after the other from the first byte to the last.
"""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.machine import Machine, provide_udevd
from tests.support.daemon import Client, Daemon
from tests.support.sticks import LABEL, Stick, free_node
from tools.bench.disk import Traffic, drop_caches
from tools.bundle import make_seed

ROUNDS = 5
SIZE_BYTES = 1 << 30
IDLE_SECONDS = 20


async def first_bytes(client: Client) -> None:
    async def moved() -> bool:
        return any(job["BytesDone"] for job in await client.jobs())

    await client.until("the first byte", moved)


async def keep_asking(client: Client, replies: list[float]) -> None:
    """Ask for every object again and again; notes how many milliseconds each reply took."""
    while True:
        began = time.monotonic()
        await client.objects()
        replies.append((time.monotonic() - began) * 1000)


async def one_round(folder: Path, machine: Machine, image: Path, replies: list[float]) -> dict[str, float]:
    """Plug, publish, pull, plug again, with a fresh store."""
    with ExitStack() as undo:
        shutil.rmtree(folder / "store", ignore_errors=True)
        daemon = Daemon(folder, machine.environment)
        daemon.start(undo)
        async with Client.connected(machine.bus_address) as client:
            drop_caches(folder)
            stick = Stick(image, free_node())
            undo.callback(stick.remove)
            began = time.monotonic()
            stick.attach()
            await first_bytes(client)
            moving = time.monotonic()
            asking = asyncio.create_task(keep_asking(client, replies))
            await client.until_bundle("tiny")
            published = time.monotonic()
            asking.cancel()
            await client.until_safe()
            stick.pull()
            await client.until_no_seed()
            drop_caches(folder)
            again = Stick(image, free_node())
            undo.callback(again.remove)
            before = Traffic.of(again.node)
            began_again = time.monotonic()
            again.attach()
            await client.until_seed("done")
            await client.until_safe()
            current = time.monotonic()
            return {
                "plug to first byte shown (s)": moving - began,
                "plug to published (s)": published - began,
                "plugged again, current (s)": current - began_again,
                "plugged again, read from the stick (MiB)": Traffic.of(again.node).since(before).read_bytes / 2**20,
            }


async def idle(folder: Path, machine: Machine) -> dict[str, float]:
    """The daemon with nothing to do; the watchdog is not counted, none is asked for."""
    with ExitStack() as undo:
        daemon = Daemon(folder, machine.environment)
        daemon.start(undo)
        before = wakeups(daemon.pid)
        await asyncio.sleep(IDLE_SECONDS)
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
        return {
            f"idle: wakeups in {IDLE_SECONDS} s": wakeups(daemon.pid) - before,
            "idle: resident (MiB)": resident / 1024,
        }


def wakeups(pid: int) -> int:
    """How often any of its threads went to sleep by itself, which it does once for each time it was woken."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        status = Path(f"/proc/{pid}/task/{task}/status").read_text()
        total += int(next(line.split()[1] for line in status.splitlines() if line.startswith("voluntary")))
    return total


async def measure(folder: Path, machine: Machine) -> dict[str, float]:
    image = make_seed(folder, "tiny", label=LABEL, size_bytes=SIZE_BYTES)
    replies: list[float] = []
    rounds = [await one_round(folder, machine, image, replies) for _ in range(ROUNDS)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    *_, slow = statistics.quantiles(replies, n=100)
    asked = {
        f"a reply in mid-sync, median of {len(replies):,} (ms)": statistics.median(replies),
        "a reply in mid-sync, 99th percentile (ms)": slow,
        "a reply in mid-sync, slowest (ms)": max(replies),
    }
    return {**medians, **asked, **await idle(folder, machine)}


def main() -> None:
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="dubseedd-measure-", dir="/var/tmp")))
        provide_udevd(undo, folder)
        machine = Machine(folder)
        undo.callback(machine.stop)
        machine.start()
        for name, value in asyncio.run(measure(folder, machine)).items():
            print(f"{name:50} {value:8.2f}")


if __name__ == "__main__":
    main()
