"""dubseedctl create: a bundle on a seed, made of a model, proven good; without a network."""

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Any

from dubseedd import __version__
from dubseedd.cli import show
from dubseedd.cli.exits import DONE
from dubseedd.cli.places import Place, opened_place
from dubseedd.cli.progress import display
from dubseedd.cli.views import JobView
from dubseedd.cli.working import watched
from dubseedd.core.selection import LeftOut, Wish
from dubseedd.core.sentence import shown
from dubseedd.engine.configfile import load
from dubseedd.engine.finding import open_source
from dubseedd.engine.making import Made, Making, Order
from dubseedd.engine.memory import return_large_blocks
from dubseedd.engine.meter import Meter
from dubseedd.engine.mounts import mount_of
from dubseedd.engine.preparing import prepare
from dubseedd.engine.source import Source
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.workshop import Workshop
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName

SHOWN_NAMES = 3
SHORTEST_SECONDS = 0.001


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
                _tell([*_left_out(draft.left_out), *draft.notes])
            mount = mount_of(place.root)
            filesystem = mount.filesystem if mount else ""
            order = Order(name, options.sign or "", _now(), f"dubseedctl {__version__}", filesystem)
            meter, stop = Meter(), StopFlag()

            def work() -> Made:
                with Workshop(place.root, config.seed.models) as shop:
                    return Making(shop, source, draft, order, meter, stop).run()

            job = JobView("", 1, "create", name, "queued")
            with display(quiet=options.json) as screen:
                made = watched(work, job, meter, stop, screen)
            if options.json:
                left_out = [{"path": one.path, "reason": one.reason.value} for one in draft.left_out]
                facts = _facts(name, source, made)
                print(show.document("create", seed=options.to, bundle=facts, left_out=left_out, notes=draft.notes))
            else:
                _tell([f"{name} is {_outcome(made)}"])
    if not options.json:
        print(_next(place, options.to))
    return DONE


def own_cache() -> str:
    """Where huggingface_hub keeps models for this user."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("HF_HUB_CACHE") or os.path.join(
        os.environ.get("HF_HOME") or os.path.join(home, "huggingface"), "hub"
    )


def _check_key(key: str | None) -> None:
    """A key that is not there is known before an hour of copying."""
    if key and not os.access(key, os.R_OK):
        raise CallRefused(
            ErrorName.NOT_FOUND, f"there is no key {shown(key)} to sign with; name its file: --sign ~/.ssh/id_ed25519"
        )


def _now() -> str:
    return datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _left_out(left_out: tuple[LeftOut, ...]) -> list[str]:
    """A line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason.value, []).append(shown(one.path))
    return [
        f"left out, {reason}: {', '.join(paths[:SHOWN_NAMES])}"
        + (f" and {len(paths) - SHOWN_NAMES:,} more" if len(paths) > SHOWN_NAMES else "")
        for reason, paths in by_reason.items()
    ]


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _facts(name: str, source: Source, made: Made) -> dict[str, Any]:
    return {"name": name, "source": source.origin.source, "revision": source.origin.revision, **show.plain(made)}


def _outcome(made: Made) -> str:
    signed = ", signed" if made.signed else ""
    right = f"{show.size(made.size)} read back and right ({_rate(made.size, made.read_seconds)})"
    if made.outcome == "current":
        return f"current: nothing to copy, {right}"
    return (
        f"{made.outcome}: {show.size(made.copied)} copied ({_rate(made.copied, made.write_seconds)}), {right}{signed}"
    )


def _rate(count: int, seconds: float) -> str:
    return f"{show.size(int(count / max(seconds, SHORTEST_SECONDS)))}/s"


def _next(place: Place, seed: str) -> str:
    """What to do with the seed, now that it is let go of."""
    if place.lent:
        return "dubseedd looks at it next: dubseedctl watch"
    if place.device is None:
        return "everything is on the disk"
    if place.ours:
        return f"{place.device.node} may be pulled out"
    return f"unmount {show.printable(seed)} before you pull it out"
