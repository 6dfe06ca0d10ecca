"""What is to be told on a desktop: one notice for every stick and every job. Pure functions from views to words.

The stick's notice says when it may be pulled out and how many jobs are queued for it, the job's how far it is and what
came of it. A stick may bring hundreds: a job has no notice before its turn.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dubseedd.cli import show, text
from dubseedd.cli.views import JobView, SeedView, State
from dubseedd.names import ERROR_PREFIX, NO_OBJECT, EventName, Field

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
"""What a job does, by its kind; one that the daemon has forgotten has none."""
NOTHING_KNOWN = "dubseedd has nothing to tell of it any more"


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
class Subject:
    """What the buttons of a notice are about, though it may be gone: a stick, by its path on the bus and its label; the
    journal fields by which events are found."""

    seed: str = NO_OBJECT
    label: str = ""
    fields: Mapping[Field, str | int] = field(default_factory=dict)


NOTHING = Subject()


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. `percent` is how far the thing is, None where that says nothing.

    A `quiet` one is only shown in the place of what stands on the screen already. Other buttons make no other notice of
    it: what has been read would come back for them.
    """

    summary: str
    body: str
    mood: Mood
    percent: int | None = None
    buttons: tuple[Button, ...] = field(default=(), compare=False)
    about: Subject = field(default=NOTHING, compare=False)
    quiet: bool = False


def notices(state: State) -> dict[str, Notice]:
    """What is to be told of a state, by the path of the object that it is about."""
    plugged = {seed.path: seed for seed in state.seeds}
    queued = Counter(job.seed for job in state.jobs if job.state == "queued")
    told = {seed.path: of_seed(seed, queued[seed.path]) for seed in state.seeds}
    return told | {job.path: of_job(job, plugged.get(job.seed)) for job in state.jobs}


def of_seed(seed: SeedView, queued: int = 0) -> Notice:
    """What there is to say of a stick for which so many jobs are queued."""
    identity = {Field.SEED: seed.uuid, Field.DEVICE: seed.device}
    about = Subject(seed.path, seed.label, {name: value for name, value in identity.items() if value})
    seed = text.printable(seed)
    summary = f"{seed.label} ({seed.drive or seed.device})"
    if seed.state in ("mounting", "scanning"):
        return Notice(summary, "Looking at what is on it", Mood.GOING, about=about)
    wrong = [seed.error.message] if seed.error.message else list(_refused(seed))
    mood = Mood.GOING if seed.state == "working" else Mood.WRONG if wrong else Mood.WELL
    buttons = (*(() if seed.safe_to_remove else (Button.EJECT,)), *((Button.DETAILS,) if wrong else ()))
    queue = [f"Bundles in the queue: {queued}"] if queued else []
    return Notice(summary, "\n".join([_pull(seed), *queue, *wrong]), mood, buttons=buttons, about=about)


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


def of_job(job: JobView, seed: SeedView | None) -> Notice:
    """What there is to say of a job and of its stick, None where that is not plugged in."""
    path, label = (seed.path, seed.label) if seed else (NO_OBJECT, "")
    about = Subject(path, label, {Field.JOB: job.id, Field.BUNDLE: job.bundle})
    job = text.printable(job)
    title = TITLES.get(job.state, DOINGS.get(job.kind, "{bundle}")).format(bundle=job.bundle)
    eject = (Button.EJECT,) if seed else ()
    if job.state == "done":
        done, _, more = (job.progress.message or f"{job.bundle} is done").partition("; ")
        return Notice(done, more or show.amount(job), Mood.WELL, buttons=eject, about=about)
    if job.state in ("failed", "interrupted"):
        why = job.error.message or job.progress.message
        return Notice(title, why, Mood.WRONG, buttons=(*eject, Button.DETAILS), about=about)
    if job.ended:
        return Notice(title, "What was verified is kept", Mood.WELL)
    if job.state in ("queued", "waiting"):
        return Notice(title, job.progress.message, Mood.GOING, quiet=job.state == "queued")
    left = text.left(job.expected_end_time)
    parts = (job.state, show.amount(job), f"{left} left" if left else "")
    return Notice(title, ", ".join(part for part in parts if part), Mood.GOING, percent=job.progress.percentage)


def story(about: Mapping[Field, str | int], events: Sequence[Mapping[str, Any]], until: float = math.inf) -> Notice:
    """What has happened to one thing since the daemon started, and the command that shows more.

    `about` are the journal fields that name it; `events` are those of the history, the newest first. What came after
    `until`, in microseconds since the epoch, has happened to others of that name.
    """
    past = itertools.dropwhile(lambda event: event.get("time", 0) > until, events)
    since = itertools.takewhile(lambda event: event.get(Field.EVENT.lower()) != EventName.STARTED, past)
    fields = {name.lower(): value for name, value in about.items()}
    fitting = [event for event in since if all(event.get(name) == value for name, value in fields.items())]
    lines = [text.printable(str(event["message"])) for event in fitting[:EVENTS_MOST][::-1]] or [NOTHING_KNOWN]
    command = " ".join(f"{name}={value}" for name, value in text.printable(tuple(about.items())))
    return Notice("What has happened", "\n".join([*lines, f"More: journalctl -x {command}"]), Mood.WRONG)
