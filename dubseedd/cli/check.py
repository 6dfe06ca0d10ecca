"""`check`: would this seed be accepted here? Every bundle, every rule, every byte; nothing is written."""

import argparse
from dataclasses import replace
from typing import Any

from dubseedd.cli import text
from dubseedd.cli.document import document
from dubseedd.cli.exits import DONE, FAILED, complain
from dubseedd.cli.places import Place, opened_place
from dubseedd.cli.progress import Display, display
from dubseedd.cli.views import NO_ERROR, Error, JobView
from dubseedd.cli.working import watched
from dubseedd.core.plan import Verdict
from dubseedd.core.sentence import shown, signed_by
from dubseedd.engine.checking import Judgement, SeedCheck
from dubseedd.engine.configfile import load
from dubseedd.engine.memory import return_large_blocks
from dubseedd.engine.meter import Meter
from dubseedd.engine.prospects import Prospects
from dubseedd.engine.scanning import SeedFolder
from dubseedd.engine.stop import StopFlag
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName

MEANINGS: dict[Verdict | None, str] = {
    Verdict.NEW: "new here",
    Verdict.UPDATE: "an update of what is installed",
    Verdict.STAGED: "copied already, and to be published",
    Verdict.CURRENT: "current here already",
    Verdict.FOREIGN: "put into the store by hand, and to be adopted",
    None: "what the store has of it is not known",
}


def check(options: argparse.Namespace) -> int:
    """Judge every bundle of a seed, as the daemon would on this machine."""
    return_large_blocks()
    config = load(options.config)
    if options.store:
        config = replace(config, store=replace(config.store, path=options.store))
    stop = StopFlag()
    with (
        opened_place(options.seed, config) as place,
        SeedFolder(place.root, config, place.device) as seed,
        Prospects(config) as prospects,
    ):
        names = seed.names(config.seed.bundles)
        if not names:
            raise CallRefused(
                ErrorName.NOT_FOUND, f"{shown(options.seed)} has no bundle; look into its {config.seed.models}/"
            )
        if not options.json:
            _say_where(place)
        work = SeedCheck(seed, prospects, stop)
        judgements = []
        for name in names:
            with display(quiet=options.json) as screen:
                judgements.append(_judge(work, name, stop, screen))
            if not options.json:
                _say(judgements[-1])
        print(_document(place, judgements, work, prospects) if options.json else _summary(judgements, work, prospects))
    return FAILED if any(judgement.failures for judgement in judgements) else DONE


def _judge(work: SeedCheck, name: str, stop: StopFlag, screen: Display) -> Judgement:
    meter = Meter()
    return watched(lambda: work.judge(name, meter), JobView("", 1, "check", name, "queued"), meter, stop, screen)


# For a person


def _say_where(place: Place) -> None:
    if place.device is not None:
        device = place.device
        remarks = f" ({'; '.join(place.notes)})" if place.notes else ""
        where = f"{device.called}, {device.filesystem}, {text.size(device.size)}, at {place.path}{remarks}"
        print(text.printable(where), flush=True)


def _say(judgement: Judgement) -> None:
    name, bundle, prospect = shown(judgement.name), judgement.bundle, judgement.prospect
    for failure, how in zip(judgement.failures, ("is refused", "is refused as well"), strict=False):
        complain(f"{name} {how}: {failure.sentence}")
    if bundle is not None and not judgement.failures:
        copied = f", {text.size(prospect.to_copy)} to copy" if prospect.to_copy else ""
        signed = signed_by(bundle.signer)
        print(f"{name} is accepted: {text.size(bundle.size)}{signed}, {MEANINGS[prospect.verdict]}{copied}")
    for note in judgement.notes:
        print(f"  {text.printable(note)}", flush=True)


def _summary(judgements: list[Judgement], work: SeedCheck, prospects: Prospects) -> str:
    lines = []
    to_copy = sum(judgement.prospect.to_copy for judgement in judgements if not judgement.failures)
    if work.rate:
        lines.append(f"The stick gives {text.size(work.rate)}/s{_duration(to_copy, work.rate)}")
    if prospects.trouble:
        lines.append(f"Not judged: {prospects.trouble}")
    most = "at most " if prospects.trouble else ""
    lines.append(
        f"Store {prospects.path}: {most}{text.size(prospects.needed)} needed, {text.size(prospects.free)} free, "
        f"{text.size(prospects.reserve)} kept in reserve"
    )
    good = sum(not judgement.failures for judgement in judgements)
    lines.append(f"{good} of {len(judgements)} bundles would be accepted")
    return "\n".join(map(text.printable, lines))


def _duration(to_copy: int, rate: int) -> str:
    if not to_copy:
        return ", and nothing has to be copied"
    return f": a sync copies {text.size(to_copy)} in about {text.duration(_seconds(to_copy, rate))}"


def _seconds(to_copy: int, rate: int) -> int:
    return -(-to_copy // rate) if rate else 0


# For programs


def _document(place: Place, judgements: list[Judgement], work: SeedCheck, prospects: Prospects) -> str:
    device = place.device
    return document(
        "check",
        accepted=not any(judgement.failures for judgement in judgements),
        seed={
            "path": place.path,
            "device": device.node if device else "",
            "label": device.label if device else "",
            "filesystem": device.filesystem if device else "",
            "uuid": device.uuid if device else "",
            "notes": place.notes,
        },
        rate=work.rate,
        bundles=[_result(judgement, work.rate) for judgement in judgements],
        store={
            "path": prospects.path,
            "needed": prospects.needed,
            "free": prospects.free,
            "reserve": prospects.reserve,
            "trouble": prospects.trouble,
        },
    )


def _result(judgement: Judgement, rate: int) -> dict[str, Any]:
    bundle, prospect = judgement.bundle, judgement.prospect
    first = judgement.failures[0] if judgement.failures else None
    return {
        "name": judgement.name,
        "accepted": first is None,
        "error": Error(*first.pair) if first else NO_ERROR,
        "also": [Error(*failure.pair) for failure in judgement.failures[1:]],
        "verdict": prospect.verdict.value if prospect.verdict else "",
        "size": bundle.size if bundle else 0,
        "files": len(bundle.files) if bundle else 0,
        "manifest_sha256": bundle.manifest.sha256 if bundle else "",
        "signer": bundle.signer if bundle else "",
        "notes": judgement.notes,
        "bytes_to_copy": prospect.to_copy,
        "bytes_needed": prospect.needed,
        "seconds_to_copy": _seconds(prospect.to_copy, rate),
    }
