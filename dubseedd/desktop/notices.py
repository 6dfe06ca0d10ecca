"""What is to be told on a desktop: one notice for every stick and every job. Pure functions from views to words.

The stick's notice says when it may be pulled out and how many jobs are queued for it, the job's how far it is and what
came of it. A stick may bring hundreds: a job has no notice before its turn.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dubseedd.cli import show, text
from dubseedd.cli.views import JobView, SeedView, State
from dubseedd.names import ERROR_PREFIX, EventName, Field

EVENTS_MOST = 8
REFUSED_MOST = 3
"""More refused bundles of one stick are counted."""
TITLES = {
    "queued": "{bundle} has its turn soon",
    "waiting": "{bundle} waits",
    "interrupted": "{bundle} is interrupted",
    "failed": "{bundle} has failed",
    "cancelled": "{bundle} is cancelled",
}
DOINGS = {
    "sync": "Syncing {bundle}",
    "verify": "Verifying {bundle}",
    "rollback": "Rolling {bundle} back",
}
"""What a job does, by its kind."""


class Mood(Enum):
    """Whether a thing goes on, has ended well, or went wrong."""

    GOING = "going"
    WELL = "well"
    WRONG = "wrong"


class Button(Enum):
    """What a person may ask for below a notice; the value is its label."""

    EJECT = "Eject"
    DETAILS = "Details"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. `percent` is how far the thing is, None where that says nothing.

    A `quiet` one is only shown in the place of what stands on the screen already.
    """

    summary: str
    body: str
    mood: Mood
    percent: int | None = None
    buttons: tuple[Button, ...] = ()
    quiet: bool = False


def notices(state: State) -> dict[str, Notice]:
    """What is to be told of a state, by the path of the object that it is about."""
    state = text.printable(state)
    plugged = {seed.path for seed in state.seeds}
    queued = Counter(job.seed for job in state.jobs if job.state == "queued")
    told = {seed.path: of_seed(seed, queued[seed.path]) for seed in state.seeds}
    return told | {job.path: of_job(job, plugged_in=job.seed in plugged) for job in state.jobs if job.kind in DOINGS}


def of_seed(seed: SeedView, queued: int = 0) -> Notice:
    """What there is to say of a stick for which so many jobs are queued."""
    summary = f"{seed.label} ({seed.drive or seed.device})"
    if seed.state in ("mounting", "scanning"):
        return Notice(summary, "Looking at what is on it", Mood.GOING)
    wrong = [seed.error.message] if seed.error.message else list(_refused(seed))
    mood = Mood.GOING if seed.state == "working" else Mood.WRONG if wrong else Mood.WELL
    buttons = (*(() if seed.safe_to_remove else (Button.EJECT,)), *((Button.DETAILS,) if wrong else ()))
    queue = [f"Bundles in the queue: {queued}"] if queued else []
    return Notice(summary, "\n".join([_pull(seed), *queue, *wrong]), mood, buttons=buttons)


def _pull(seed: SeedView) -> str:
    if seed.safe_to_remove:
        return "It may be pulled out"
    if seed.state == "working":
        return "Leave it in until this says that it may be pulled out"
    if seed.mount_point:
        return f"Unmount it before you pull it out: umount {seed.mount_point}"
    return "Eject it before you pull it out"


def _refused(seed: SeedView) -> Iterator[str]:
    """A line for each of the first refused bundles."""
    wrong = [bundle for bundle in seed.bundles if bundle.verdict.startswith(ERROR_PREFIX)]
    for bundle in wrong[:REFUSED_MOST]:
        yield f"{bundle.name} is refused: {bundle.verdict.removeprefix(ERROR_PREFIX)}"
    if len(wrong) > REFUSED_MOST:
        yield f"and {len(wrong) - REFUSED_MOST} more are refused"


def of_job(job: JobView, *, plugged_in: bool) -> Notice:
    """What there is to say of a job; `plugged_in` says whether its stick still is."""
    if job.state == "done":
        done, _, more = (job.progress.message or f"{job.bundle} is done").partition("; ")
        return Notice(done, more or show.amount(job), Mood.WELL, buttons=(Button.EJECT,) if plugged_in else ())
    title = TITLES.get(job.state, DOINGS[job.kind]).format(bundle=job.bundle)
    if job.state in ("failed", "interrupted"):
        buttons = (*((Button.EJECT,) if plugged_in else ()), Button.DETAILS)
        return Notice(title, job.error.message or job.progress.message, Mood.WRONG, buttons=buttons)
    if job.ended:
        return Notice(title, "What was verified is kept", Mood.WELL)
    if job.state in ("queued", "waiting"):
        return Notice(title, job.progress.message, Mood.GOING, quiet=job.state == "queued")
    left = text.left(job.expected_end_time)
    parts = (job.state, show.amount(job), f"{left} left" if left else "")
    return Notice(title, ", ".join(part for part in parts if part), Mood.GOING, percent=job.progress.percentage)


def story(about: Mapping[Field, str | int], events: Sequence[Mapping[str, Any]]) -> Notice:
    """What has happened to one thing since the daemon started, and the command that shows more.

    `about` are the journal fields that name it; `events` are those of the history, the newest first.
    """
    since = itertools.takewhile(lambda event: event.get(Field.EVENT.lower()) != EventName.STARTED, events)
    fields = {name.lower(): value for name, value in about.items()}
    fitting = [event for event in since if all(event.get(name) == value for name, value in fields.items())]
    lines = [text.printable(str(event["message"])) for event in fitting[:EVENTS_MOST][::-1]]
    command = " ".join(f"{name}={value}" for name, value in text.printable(tuple(about.items())))
    return Notice("What has happened", "\n".join([*lines, f"More: journalctl -x {command}"]), Mood.WRONG)
