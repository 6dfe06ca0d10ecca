"""What a person is told in one sentence: what happens, how far it is, whether the stick may be pulled."""

from collections.abc import Collection
from enum import StrEnum

from dubseedd.core.lifecycle import JobState, SeedState
from dubseedd.service.job import Job
from dubseedd.service.seed import Seed


class State(StrEnum):
    """The daemon as a whole."""

    IDLE = "idle"
    WORKING = "working"
    WAITING = "waiting"
    FAILED = "failed"


UNKNOWN = frozenset({SeedState.MOUNTING, SeedState.SCANNING})
"""Of such a seed nobody can say yet what is on it, whose its mount is, or that there is nothing to do."""


def overall(jobs: Collection[Job], last_ended: Job | None) -> State:
    """Working beats waiting beats the last result."""
    states = {job.state for job in jobs}
    if any(state.at_work and state is not JobState.WAITING for state in states):
        return State.WORKING
    if states & {JobState.WAITING, JobState.INTERRUPTED}:
        return State.WAITING
    return State.FAILED if last_ended is not None and last_ended.state is JobState.FAILED else State.IDLE


def sentence(
    state: State,
    jobs: Collection[Job],
    seeds: Collection[Seed],
    last_ended: Job | None,
    installed: int,
    *,
    label: str,
    scrubbed: str = "",
) -> str:
    """The Status property, the same that systemctl status shows. `label` is that of a seed, `scrubbed` the bundle
    that is being read back."""
    running = [job for job in jobs if job.state.at_work]
    if running:
        return _running(running)
    unknown = [seed for seed in seeds if seed.state in UNKNOWN]
    if unknown:
        return f"{unknown[0].called} is being looked at"
    interrupted = [job for job in jobs if job.state is JobState.INTERRUPTED]
    if interrupted:
        return f"{interrupted[0].bundle}: {interrupted[0].error[1]}"
    held = [seed for seed in seeds if seed.others_mounts]
    if held:
        seed = held[0]
        return f"{seed.called} is mounted at {seed.others_mounts[0]} by somebody else: unmount it there first"
    meanwhile = f"; reading {scrubbed} back meanwhile" if scrubbed else ""
    return f"{_result(state, seeds, last_ended, installed, label)}{_pull(seeds)}{meanwhile}"


def _running(running: list[Job]) -> str:
    job = next((job for job in running if job.state is not JobState.QUEUED), running[0])
    rate = f", {job.pace.rate / 1e6:,.0f} MB/s" if job.pace.rate else ""
    more = f"; {len(running) - 1} more to do" if len(running) > 1 else ""
    return f"{job.sentence}, {job.percent} %{rate}{more}"


def _result(state: State, seeds: Collection[Seed], last_ended: Job | None, installed: int, label: str) -> str:
    if last_ended is not None and state is State.FAILED:
        return f"{last_ended.bundle} failed: {last_ended.error[1]}"
    wrong = next((seed for seed in seeds if seed.error[0]), None)
    if wrong is not None:
        return f"{wrong.called} failed: {wrong.error[1]}"
    bundles = f"{installed or 'no'} bundle{'' if installed == 1 else 's'} installed"
    refused = sum(len(seed.refused) for seed in seeds)
    if refused:
        return f"{refused} bundle{'' if refused == 1 else 's'} refused, see dubseedctl history; {bundles}"
    waiting = next((name for seed in seeds for name in seed.installable), "")
    if waiting:
        return f"{bundles}; to install {waiting} from the stick: dubseedctl sync --bundle {waiting}"
    return f"{bundles}, nothing to do" if seeds else f"{bundles}, waiting for a stick labelled {label}"


def _pull(seeds: Collection[Seed]) -> str:
    if not seeds:
        return ""
    return "; the stick may be pulled out" if all(seed.safe_to_remove for seed in seeds) else "; the stick is in use"
