"""`make bench`: how fast a bundle comes into the store, beside the runbook and what the disks can do.

Everything happens on images in a temporary folder (TMPDIR, else /var/tmp), which has to lie on a real disk. However it
ends, the machine is left as it was.
"""

import argparse
import compileall
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import dubseedd
from dubseedd.names import DEFAULT_LABEL
from tools.bench.disk import takes_direct_io
from tools.bench.order import Order
from tools.bench.parts import PARTS
from tools.bench.report import CHART, FIGURES, Part, keep, machine
from tools.bench.rounds import say
from tools.bench.table import table
from tools.machine import CannotRun, succeeds

DOCS = Path("docs") / "benchmarks"
RULES = "80-dubseedd.rules"
RULES_FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="make bench", description="How fast a bundle comes into the store.")
    top.add_argument("--size", type=in_bytes, default="4GiB", help="of the large bundle")
    top.add_argument("--small", type=counted, default=100_000, help="how many files of 4 KiB")
    top.add_argument("--runs", type=counted, default=5, help="rounds, of which the median counts")
    top.add_argument("--only", type=parts, default="", help=f"some of {','.join(PARTS)}; default all")
    top.add_argument("--output", type=Path, default=DOCS, help=f"where {FIGURES} and {CHART} go")
    top.add_argument("--label", default=DEFAULT_LABEL, help="of the seed; another keeps other daemons away from it")
    return top


def in_bytes(text: str) -> int:
    """A size like 256MiB or 4GiB."""
    match = re.fullmatch(r"(\d+)(MiB|GiB)", text)
    if match is None or match[1] == "0":
        raise argparse.ArgumentTypeError(f"{text} is no size: write it like 256MiB or 4GiB")
    return int(match[1]) * UNITS[match[2]]


def counted(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text} is no number of at least 1")
    return int(text)


def parts(text: str) -> list[str]:
    """Names of parts with commas; none is all."""
    names = text.split(",") if text else list(PARTS)
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return names


def refuse_what_cannot_be() -> None:
    """CannotRun with what is missing."""
    if os.geteuid() != 0:
        raise CannotRun("only root may attach images, mount them and drop the page cache: run it with sudo")
    if not os.path.exists("/dev/loop-control"):
        raise CannotRun("there are no loop devices (/dev/loop-control): load the module loop, or use another machine")
    missing = [name for name in ("losetup", "mkfs.ext4", "rsync", "udevadm") if shutil.which(name) is None]
    if missing:
        raise CannotRun(f"{', '.join(missing)} is missing: make provision")


def refuse_neighbours(label: str) -> None:
    """CannotRun where the machine's own daemon would take the seed of the bench, or ours a stick that is plugged in."""
    other = "or take another label: make bench LABEL=DUB-BENCH"
    if succeeds("blkid", "-L", label):
        raise CannotRun(f"a seed labelled {label} is plugged in: pull it out, {other}")
    if label == DEFAULT_LABEL and any(os.path.exists(f"{folder}/udev/rules.d/{RULES}") for folder in RULES_FOLDERS):
        raise CannotRun(f"dubseedd is installed here and would take the seed of the bench: make uninstall, {other}")


def measure(order: Order, names: Sequence[str], output: Path) -> list[Part]:
    """The parts one after the other, each shown and kept as soon as it is there. One that cannot be stops no other."""
    where = machine(direct_io=takes_direct_io(order.folder))
    done = []
    for name in names:
        try:
            part = PARTS[name](order)
        except CannotRun as reason:
            say(f"{name} is left out: {reason}")
            continue
        print(f"\n{table(name, part.findings)}", *part.notes, sep="\n", flush=True)
        keep(output, where, [part])
        done.append(part)
    return done


def bench(options: argparse.Namespace) -> int:
    refuse_what_cannot_be()
    refuse_neighbours(options.label)
    compileall.compile_dir(Path(dubseedd.__file__).parent, quiet=1)  # as an installed program is
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="dubseedd-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        undo.callback(shutil.rmtree, folder)
        order = Order(
            undo,
            folder,
            label=options.label,
            size_bytes=options.size,
            small_files=options.small,
            runs=options.runs,
        )
        done = measure(order, options.only, options.output)
    aimed = [finding for part in done for finding in part.findings if finding.target]
    met = sum(finding.is_met is True for finding in aimed)
    print(f"\n{met} of {len(aimed)} targets met; the figures are in {options.output / FIGURES}")
    return 0 if len(done) == len(options.only) else 1


def main() -> int:
    """1 where a part was left out, 2 where nothing can be measured here."""
    options = parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    try:
        return bench(options)
    except CannotRun as reason:
        say(f"make bench: {reason}")
        return 2
    except KeyboardInterrupt:
        say("\nmake bench: interrupted; everything is put back")
        return 130


if __name__ == "__main__":
    sys.exit(main())
