"""What is compared: ways to bring a bundle from a seed into a store, each a row of steps."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from dubseedd.engine.pump import BLOCK_BYTES
from tools.bench.costs import Cost
from tools.bench.disk import Scene, Stage, drop_caches
from tools.bench.process import measured
from tools.machine import CannotRun

RUNBOOK = "runbook"
COPY = "cp"
RCLONE = "rclone"
BOUND = "dd"
READING = "reading"
SYNC = "dubseedctl"
SLOW_HASH = "slow SHA-256"
COPY_PHASE = "copying"
CREATE = "dubseedctl create"
DIGESTS = "digests"
DAEMON = "dubseedd"
"""The names of the candidates; the daemon is measured in `plugged`."""

DUBSEEDCTL = Path(sys.executable).parent / "dubseedctl"
Step = Sequence[str]


@dataclass(frozen=True, slots=True)
class Candidate:
    """`steps` gives what to run. Between two steps the page cache is dropped, which is not counted."""

    name: str
    steps: Callable[[Scene], Sequence[Step]]
    proof: Callable[[str], None] = lambda _: None

    def run(self, scene: Scene, group: Path | None = None) -> Cost:
        """Do it; its cost. CannotRun where it fails."""
        cost = Cost(0)
        for number, step in enumerate(self.steps(scene)):
            if number:
                drop_caches(scene.store)
            once, said = measured(step, group)
            cost += once
        self.proof(said)
        return cost


def shell(script: str, *arguments: Path | str) -> Step:
    """A script that ends at its first error, with $1, $2 …"""
    return ("sh", "-euc", script, "sh", *map(str, arguments))


RUNBOOK_COPIES = 'rsync -a "$1/" "$2/"; chown -R root:root "$2"; sync -f "$2"'
RUNBOOK_CHECKS = 'cd "$1"; sha256sum --quiet -c SHA256SUMS'

runbook = Candidate(
    RUNBOOK, lambda scene: [shell(RUNBOOK_COPIES, scene.source, scene.target), shell(RUNBOOK_CHECKS, scene.target)]
)
"""What the operator does by hand; the check reads from the disk, for the page cache proves nothing."""

copy = Candidate(COPY, lambda scene: [shell('cp -a "$1" "$2"; sync -f "$2"', scene.source, scene.target)])
"""The least that anybody does; nothing is verified."""

rclone = Candidate(
    RCLONE,
    lambda scene: [
        shell('rclone --config /dev/null copy --checksum "$1" "$2"; sync -f "$2"', scene.source, scene.target)
    ],
)

reading = Candidate(READING, lambda scene: [shell('find "$1" -type f -exec cat {} + >/dev/null', scene.source)])
"""Every file of the seed, once."""

BOUND_SCRIPT = """
find "$1" -type f -exec dd if={} of=/dev/null bs=4M iflag=direct status=none \\; & reader=$!
number=0; while [ $number -lt "$4" ]; do
    dd if="$3" of="$2.$number" bs=4M oflag=direct conv=fsync status=none; number=$((number + 1))
done
wait $reader
"""


def bound(noise: Path, size_bytes: int) -> Candidate:
    """What the disks give when nothing is done with the data: direct reads and direct writes of as much, at once.

    What is written comes from `noise`, a file in memory, as often as `size_bytes` takes.
    """
    times = max(1, round(size_bytes / noise.stat().st_size))
    return Candidate(BOUND, lambda scene: [shell(BOUND_SCRIPT, scene.source, scene.target, noise, str(times))])


def digests(stage: Stage) -> Cost:
    """What the processor cannot be spared: SHA-256 once and BLAKE3 twice of as many bytes, which lie in memory."""
    block = bytes(BLOCK_BYTES)
    hashes = (hashlib.sha256(), blake3(), blake3())
    wall, cpu = time.monotonic(), time.process_time()
    for _ in range(stage.size_bytes // len(block)):
        for each in hashes:
            each.update(block)
    return Cost(time.monotonic() - wall, time.process_time() - cpu)


NO_SHA_EXTENSIONS = "OPENSSL_ia32cap=:~0x20000000"
"""Lets OpenSSL do without the processor's instructions for SHA-256, which not every machine has (x86-64)."""


def sync(config: Path, name: str = SYNC, outcome: str = "installed", environment: Step = ()) -> Candidate:
    """`dubseedctl sync --from`, the whole process; `outcome` is what has to come of the bundle."""

    def prove(said: str) -> None:
        found = json.loads(said)["bundles"][0]["outcome"]
        if found != outcome:
            raise CannotRun(f"dubseedctl says that the bundle is {found}; {outcome} was to be measured")

    prefix = ("env", *environment) if environment else ()
    options = ("--config", str(config), "--json")
    return Candidate(
        name,
        lambda scene: [
            (*prefix, str(DUBSEEDCTL), "sync", "--from", str(scene.seed), "--store", str(scene.store), *options),
        ],
        prove,
    )


def create(config: Path, reading: list[float]) -> Candidate:
    """`dubseedctl create`, the whole process, with the place of the store as the seed. Every run adds to `reading` the
    seconds that it took to read the bundle back, after it was written and on the disk."""
    options = ("--config", str(config), "--json")
    return Candidate(
        CREATE,
        lambda scene: [(str(DUBSEEDCTL), "create", str(scene.source), "--to", str(scene.store), *options)],
        lambda said: reading.append(json.loads(said)["bundle"]["readSeconds"]),
    )
