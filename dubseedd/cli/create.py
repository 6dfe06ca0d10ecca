"""dubseedctl create: a bundle on a seed, made of a model, proven good; without a network."""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from dubseedd import __version__
from dubseedd.cli import text
from dubseedd.cli.document import document
from dubseedd.cli.exits import DONE
from dubseedd.cli.places import Place, opened_place
from dubseedd.cli.progress import display
from dubseedd.cli.views import JobView
from dubseedd.cli.working import watched
from dubseedd.core.selection import LeftOut, Wish
from dubseedd.core.sentence import shown
from dubseedd.engine.configfile import load
from dubseedd.engine.finding import open_source
from dubseedd.engine.making import Made, Making
from dubseedd.engine.memory import return_large_blocks
from dubseedd.engine.meter import Meter
from dubseedd.engine.mounts import mount_of
from dubseedd.engine.order import Order
from dubseedd.engine.preparing import prepare
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.workshop import Workshop
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName

SHOWN_NAMES = 3
SHORTEST_SECONDS = 0.001
TELLING_BYTES = 1 << 20
"""The rate of less says nothing."""


def create(options: argparse.Namespace) -> int:
    """Make or refresh one bundle."""
    return_large_blocks()
    config = load(options.config)
    wish = Wish(tuple(options.include), tuple(options.exclude), options.everything)
    _check_key(options.sign)
    with open_source(options.source, options.revision or "", own_cache()) as source:
        name = options.name or source.name
        draft = prepare(source, name, wish)
        with opened_place(options.to, config, to_write=True) as place:
            if not options.json:
                _tell([*_left_out(draft.left_out), *(f"note: {note}" for note in draft.notes)])
            mount = mount_of(place.root)
            filesystem = mount.filesystem if mount else ""
            order = Order(name, source, draft, options.sign or "", _now(), f"dubseedctl {__version__}", filesystem)
            made = _make(order, place.root, config.seed.models, quiet=options.json)
            removed = _named("removed, no file of the bundle", made.removed)
            if options.json:
                print(_document(options.to, order, made, removed))
            else:
                _tell([*removed, f"{name} is {_outcome(made)}"])
    if not options.json:
        print(_next(place, options.to))
    return DONE


def _make(order: Order, root: int, models: str, *, quiet: bool) -> Made:
    """Make it on the stick whose root this is; how far it is is shown, unless `quiet`."""
    meter, stop = Meter(), StopFlag()

    def work() -> Made:
        with Workshop(root, models) as shop:
            return Making(shop, order, meter, stop).run()

    with display(quiet=quiet) as screen:
        return watched(work, JobView("", 1, "create", order.name, "queued"), meter, stop, screen)


def own_cache() -> str:
    """Where huggingface_hub keeps models for this user."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("HF_HUB_CACHE") or os.path.join(
        os.environ.get("HF_HOME") or os.path.join(home, "huggingface"), "hub"
    )


def _check_key(key: str | None) -> None:
    """A key that is not there is known before an hour of copying."""
    if key and not os.access(key, os.R_OK):
        what = f"the key {shown(key)} cannot be read" if os.path.lexists(key) else f"there is no key {shown(key)}"
        raise CallRefused(ErrorName.NOT_FOUND, f"{what} to sign with; name its file: --sign ~/.ssh/id_ed25519")


def _now() -> str:
    return datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _left_out(left_out: tuple[LeftOut, ...]) -> list[str]:
    """A line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason.value, []).append(one.path)
    return [line for reason, paths in by_reason.items() for line in _named(f"left out, {reason}", paths)]


def _named(what: str, paths: Sequence[str]) -> list[str]:
    """One line that names the first of these paths; none where there are none."""
    more = f" and {len(paths) - SHOWN_NAMES:,} more" if len(paths) > SHOWN_NAMES else ""
    return [f"{what}: {', '.join(map(shown, paths[:SHOWN_NAMES]))}{more}"] if paths else []


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _document(seed: str, order: Order, made: Made, removed: list[str]) -> str:
    origin = order.source.origin
    bundle = {"name": order.name, "source": origin.source, "revision": origin.revision, **asdict(made)}
    del bundle["removed"]  # it is a note
    return document(
        "create",
        seed=seed,
        bundle=bundle,
        left_out=[{"path": one.path, "reason": one.reason.value} for one in order.draft.left_out],
        notes=[*order.draft.notes, *removed],
    )


def _outcome(made: Made) -> str:
    signed = ", signed" if made.signed else ""
    right = f"{text.size(made.size)} read back and right{_rate(made.size, made.read_seconds)}"
    if made.outcome == "current":
        return f"current: nothing to copy, {right}"
    copied = f"{text.size(made.copied)} copied{_rate(made.copied, made.write_seconds)}"
    return f"{made.outcome}: {copied}, {right}{signed}"


def _rate(count: int, seconds: float) -> str:
    rate = int(count / max(seconds, SHORTEST_SECONDS))
    return f" ({text.size(rate)}/s)" if count >= TELLING_BYTES else ""


def _next(place: Place, seed: str) -> str:
    """What to do with the seed, now that it is let go of."""
    if place.lent:
        return "dubseedd looks at it next: dubseedctl watch"
    if place.device is None:
        return "everything is on the disk"
    if place.ours:
        return f"{place.device.node} may be pulled out"
    return f"unmount {text.printable(seed)} before you pull it out"
