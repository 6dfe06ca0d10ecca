"""The parts of the benchmark. Each makes its seed, plays its rounds, and says what was found."""

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from dubseedd.core.manifest import parse
from dubseedd.engine.adopting import Adoption, objects_in, seal
from dubseedd.engine.store import Store
from dubseedd.engine.tree import opened_folder
from tools.bench import candidates, targets
from tools.bench.candidates import (
    BOUND,
    COPY,
    COPY_PHASE,
    CREATE,
    DAEMON,
    DIGESTS,
    NO_SHA_EXTENSIONS,
    READING,
    RUNBOOK,
    SLOW_HASH,
    SYNC,
    Candidate,
)
from tools.bench.chart import Series
from tools.bench.content import Content, small_files, sparse, weights, write_noise_file
from tools.bench.costs import Cost, Round, cpu_seconds, median, median_ratio, peak_bytes
from tools.bench.disk import MODEL, NoRoom, Scene, Stage, Traffic, drop_caches
from tools.bench.order import Order, noting
from tools.bench.plugged import Plug
from tools.bench.report import Curve, Part
from tools.bench.rounds import Entrant, on_disks, play, say
from tools.bench.targets import Finding, Target
from tools.machine import CannotRun, run

GIB = 1 << 30
STICK_BYTES_PER_SECOND = 200_000_000
IDLE_BYTES, IDLE_SHARDS = 100 * GIB, 20
NOISE_BYTES = 256 << 20


def throughput(order: Order) -> Part:
    """Everybody on the same large bundle."""
    notes = ["copying is dubseedctl sync with [sync] read_back = false, the whole process"]
    with order.stage(weights(order.size_bytes)) as stage, noise(order, stage.size_bytes) as noise_file:
        entrants = [
            on_disks(candidates.runbook),
            on_disks(candidates.copy),
            on_disks(candidates.bound(noise_file, stage.size_bytes)),
            on_disks(candidates.sync(order.config(read_back=False), COPY_PHASE)),
            Entrant(DIGESTS, candidates.digests),
            *order.ours(notes),
        ]
        if has_sha_extensions():
            entrants.append(on_disks(candidates.sync(order.config(), SLOW_HASH, environment=(NO_SHA_EXTENSIONS,))))
        if shutil.which("rclone"):
            entrants.append(on_disks(candidates.rclone))
        else:
            notes.append("rclone is left out: it is not installed")
        rounds = play("throughput", stage, entrants, order.runs)
    rate = median_ratio(rounds, BOUND, COPY_PHASE)
    findings = [
        *times(rounds),
        *(finding for name in ours(rounds) for finding in worth(rounds, name, stage.size_bytes)),
        Finding(f"{COPY_PHASE}: rate to that of {BOUND}", rate, "ratio", targets.COPY_RATE_TO_BOUND),
    ]
    if SLOW_HASH in rounds[0]:
        findings.append(ratio(rounds, SLOW_HASH, SYNC, targets.SLOW_HASH_TO_FAST))
    return Part("throughput", settings(order, size_bytes=stage.size_bytes), findings, rounds, notes=notes)


def throttled(order: Order) -> Part:
    """A stick of 200 MB/s: reading it once is the least that anybody needs."""
    slow = STICK_BYTES_PER_SECOND
    notes: list[str] = []
    with order.stage(weights(order.size_bytes)) as stage:
        entrants = [on_disks(candidates.reading, slow), *order.ours(notes, slow)]
        rounds = play("throttled", stage, entrants, order.runs)
    findings = [
        *times(rounds),
        Finding(f"{READING}: rate", stage.size_bytes / median(rounds, READING), "bytes per second"),
        *(ratio(rounds, name, READING, targets.WALL_TO_READING_ONCE) for name in ours(rounds)),
    ]
    return Part(
        "throttled", settings(order, size_bytes=stage.size_bytes, read_limit=slow), findings, rounds, notes=notes
    )


def small(order: Order) -> Part:
    """Many files of 4 KiB."""
    notes: list[str] = []
    with order.stage(small_files(order.small_files)) as stage:
        entrants = [on_disks(candidates.runbook), on_disks(candidates.copy), *order.ours(notes)]
        rounds = play("small", stage, entrants, order.runs)
    findings = [*times(rounds)]
    for name in ours(rounds):
        findings += [ratio(rounds, name, RUNBOOK, targets.SMALL_FILES_TO_RUNBOOK), peak(rounds, name)]
    return Part("small", settings(order, files=order.small_files), findings, rounds, notes=notes)


def growth(order: Order) -> Part:
    """Cost against the size of a bundle, and against the number of its files."""
    sizes = {size: weights(size) for size in steps(order.size_bytes * 2, 2, 6)}
    counts = {count: small_files(count) for count in steps(order.small_files, 10, 4)}
    notes: list[str] = []
    curves = [grown(order, "bytes", sizes, notes), grown(order, "files", counts, notes)]
    findings = [Finding(f"{SYNC}: time to proportion, {curve.magnitude}", slope(curve), "ratio") for curve in curves]
    return Part("growth", settings(order), findings, curves=curves, notes=notes)


def idle(order: Order) -> Part:
    """100 GiB that are in the store already: nothing to do."""
    notes: list[str] = []
    sync = candidates.sync(order.config(), outcome="current")
    entrants = [Entrant(SYNC, lambda stage: find_current(stage, sync))]
    with noting(DAEMON, notes):
        plug = order.plug
        entrants.append(Entrant(DAEMON, lambda stage: plug_in_current(stage, plug)))
    with order.stage(sparse(IDLE_BYTES, IDLE_SHARDS)) as stage:
        rounds = play("idle", stage, entrants, order.runs)
    findings = [
        Finding(f"{name}: nothing to do", median(rounds, name), "seconds", targets.IDLE_SECONDS)
        for name in ours(rounds)
    ]
    return Part("idle", settings(order, size_bytes=IDLE_BYTES, shards=IDLE_SHARDS), findings, rounds, notes=notes)


def adoption(order: Order) -> Part:
    """The runbook's work taken over: read once, nothing copied."""
    rounds, traffic = [], []
    sync = candidates.sync(order.config(), outcome="adopted")
    with order.stage(weights(order.size_bytes)) as stage:
        for number in range(order.runs):
            with stage.mounted() as scene:
                run("cp", "-a", str(scene.source), str(scene.target))
                drop_caches(scene.store)
                before = Traffic.of(scene.store_node)
                rounds.append({SYNC: sync.run(scene)})
                run("sync", "--file-system", str(scene.store))
                traffic.append(Traffic.of(scene.store_node).since(before))
            say(f"adoption, round {number + 1} of {order.runs}: {rounds[-1][SYNC].wall_seconds:.2f} s")
    read = statistics.median(each.read_bytes for each in traffic) / stage.size_bytes
    written = statistics.median(each.written_bytes for each in traffic)
    findings = [
        *times(rounds),
        Finding("read from the store, to the size of the bundle", read, "ratio", targets.ADOPTION_READ),
        Finding("written to the store", written, "bytes", targets.ADOPTION_WRITTEN_BYTES),
    ]
    return Part("adoption", settings(order, size_bytes=stage.size_bytes), findings, rounds)


def making(order: Order) -> Part:
    """A seed made of a model: writing it beside a plain copy, which nobody looks at again."""
    reading: list[float] = []
    with order.stage(weights(order.size_bytes)) as stage:
        entrants = [on_disks(candidates.copy), on_disks(candidates.create(order.config(), reading))]
        rounds = play("making", stage, entrants, order.runs)
    writing = [each[CREATE].wall_seconds - seconds for each, seconds in zip(rounds, reading, strict=True)]
    rate = statistics.median(each[COPY].wall_seconds / seconds for each, seconds in zip(rounds, writing, strict=True))
    findings = [
        *times(rounds),
        Finding(f"{CREATE}: writing", statistics.median(writing), "seconds"),
        Finding(f"{CREATE}: reading back", statistics.median(reading), "seconds"),
        Finding(f"{CREATE}: rate of writing to that of {COPY}", rate, "ratio", targets.MAKING_RATE),
        peak(rounds, CREATE),
    ]
    return Part("making", settings(order, size_bytes=stage.size_bytes), findings, rounds)


PARTS: Mapping[str, Callable[[Order], Part]] = {
    part.__name__: part for part in (throughput, throttled, small, growth, idle, adoption, making)
}


# What the findings are made of


def settings(order: Order, **more: int) -> dict[str, int | str]:
    return {"runs": order.runs, "measured": time.strftime("%Y-%m-%d", time.gmtime()), **more}


def times(rounds: Sequence[Round]) -> Iterator[Finding]:
    """The wall time of everybody, for orientation; what counts are the ratios."""
    yield from (Finding(name, median(rounds, name), "seconds") for name in rounds[0])


def ours(rounds: Sequence[Round]) -> list[str]:
    """Those of ours that were measured."""
    return [name for name in (SYNC, DAEMON) if name in rounds[0]]


def ratio(rounds: Sequence[Round], name: str, to: str, target: Target) -> Finding:
    return Finding(f"{name}: time to that of {to}", median_ratio(rounds, name, to), "ratio", target)


def worth(rounds: Sequence[Round], name: str, size_bytes: int) -> Iterator[Finding]:
    """What one of ours takes beside the runbook and a plain copy, and of the machine."""
    per_gib = median(rounds, name, cpu_seconds) * GIB / size_bytes
    yield ratio(rounds, name, RUNBOOK, targets.WALL_TO_RUNBOOK)
    yield ratio(rounds, name, COPY, targets.WALL_TO_COPY)
    yield Finding(f"{name}: processor time", per_gib, "seconds per GiB", targets.CPU_SECONDS_PER_GIB)
    of_digests = median_ratio(rounds, name, DIGESTS, cpu_seconds)
    yield Finding(f"{name}: processor time to that of {DIGESTS}", of_digests, "ratio")
    yield peak(rounds, name)


def peak(rounds: Sequence[Round], name: str) -> Finding:
    return Finding(f"{name}: memory", median(rounds, name, peak_bytes), "bytes", targets.PEAK_BYTES)


# What the parts need


def has_sha_extensions() -> bool:
    """Has this processor instructions for SHA-256 that OpenSSL can be told to leave?"""
    return " sha_ni" in Path("/proc/cpuinfo").read_text()


@contextmanager
def noise(order: Order, size_bytes: int) -> Iterator[Path]:
    """A file of random bytes that goes into `size_bytes` some times; in memory where the machine has a place for it."""
    times_over = -(-size_bytes // NOISE_BYTES)
    folder = Path("/dev/shm")
    path = (folder if folder.is_dir() else order.folder) / f"dubseedd-bench-{os.getpid()}"
    try:
        write_noise_file(path, size_bytes // times_over // 4096 * 4096)
        yield path
    finally:
        path.unlink(missing_ok=True)


def steps(last: int, factor: int, count: int) -> list[int]:
    """So many magnitudes up to the last one, each a factor larger than the one before."""
    return sorted({max(1, last // factor**step) for step in range(count)})


def grown(order: Order, magnitude: str, contents: Mapping[int, Content], notes: list[str]) -> Curve:
    """Play each content; those for which there is no room are left out, with a note."""
    names = (SYNC, RUNBOOK, COPY)
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for amount, content in contents.items():
        entrants = [order.sync(), on_disks(candidates.runbook), on_disks(candidates.copy)]
        what = f"{amount:,} {magnitude}"
        with noting(f"the growth to {what}", notes, NoRoom), order.stage(content) as stage:
            rounds = play(f"growth, {what}", stage, entrants, order.runs)
            for name in names:
                points[name].append((amount, median(rounds, name)))
    return Curve(magnitude, [Series(name, points[name]) for name in names])


def slope(curve: Curve) -> float:
    """How the last step of the first series grew beside its magnitude: 1 is in proportion, less is better."""
    if len(curve.series[0].points) < 2:
        raise CannotRun("there is room for one size only, which shows no growth: set TMPDIR, or a smaller SIZE")
    (x, y), (last_x, last_y) = curve.series[0].points[-2:]
    return (last_y / y) / (last_x / x)


def find_current(stage: Stage, sync: Candidate) -> Cost:
    """A sync of what is in the store already."""
    with stage.mounted() as scene:
        install_unread(scene)
        drop_caches(scene.store)
        return sync.run(scene)


def plug_in_current(stage: Stage, plug: Plug) -> Cost:
    """A plug of what is in the store already, until it may be pulled out again."""
    with stage.fresh_store() as node:
        with stage.with_seed(node) as scene:
            install_unread(scene)
        return plug.settled(stage)


def install_unread(scene: Scene) -> None:
    """Put the seed's sparse bundle into the store as if it had been synced, without the hour that hashing takes.

    The receipt is the engine's own, as for an adopted folder; only its digests have never been looked at. A sync that
    finds a bundle current reads none of them, which is just what is to be measured.
    """
    run("cp", "-a", "--sparse=auto", str(scene.source), str(scene.target))
    manifest = parse((scene.target / "SHA256SUMS").read_bytes())
    digests = {entry.path: "0" * 64 for entry in manifest.entries}
    with closing(Store(str(scene.store))) as store, opened_folder(store.root, MODEL) as folder:
        adoption = Adoption(MODEL, manifest, digests, seen=objects_in(folder))
        seal(store, adoption, installed_at=time.time_ns() // 1000, seed_uuid="")
