"""Jobs followed to their end, and what came of them as an exit status."""

import asyncio
import sys
from collections.abc import Callable, Collection, Sequence

from dubseedd.adapters.messages import BusGone, RemoteError
from dubseedd.cli import show
from dubseedd.cli.client import Client
from dubseedd.cli.document import document
from dubseedd.cli.exits import DONE, FAILED, Complaint, complain
from dubseedd.cli.progress import Display, display
from dubseedd.cli.views import JobView, SeedView, State

LET_GO_SECONDS = 3.0
"""How long unmounting a stick may take; what is mounted then, stays so."""


async def finish(client: Client, paths: Collection[str], *, quiet: bool) -> tuple[State, list[JobView]]:
    """Follow jobs to their end; interrupted is an end, too."""

    def ours(job: JobView) -> bool:
        return job.path in paths

    state = await follow(
        client, lambda state: all(job.ended for job in state.jobs if ours(job)), ours, display(quiet=quiet)
    )
    jobs = [job for job in state.jobs if ours(job)]
    if len(jobs) < len(set(paths)):
        raise Complaint("nobody knows what became of a job; journalctl -u dubseedd does", FAILED)
    return state, jobs


async def follow(
    client: Client,
    enough: Callable[[State], bool],
    shown: Callable[[JobView], bool],
    screen: Display,
    *,
    patient: bool = False,
) -> State:
    """Show the jobs that are to be shown until it is enough; the last state."""
    with screen:
        async for state in client.states(patient=patient):
            finished = enough(state)
            screen.update([job for job in state.jobs if shown(job)], state)
            if finished:
                return state
    raise AssertionError("the states end only when the caller has seen enough")


async def let_go_of(client: Client, paths: Collection[str]) -> list[SeedView]:
    """The seeds of these paths as they are once the daemon has let go of them, if it does; none where it cannot be
    asked any more, which changes nothing about what has been done."""
    seeds: list[SeedView] = []
    try:
        async with asyncio.timeout(LET_GO_SECONDS):
            async for state in client.states():
                seeds = [seed for seed in state.seeds if seed.path in paths]
                if all(seed.safe_to_remove for seed in seeds):
                    break
    except TimeoutError:
        return seeds
    except (BusGone, RemoteError, Complaint):
        return []
    return seeds


def outcome(command: str, jobs: Sequence[JobView], *, as_json: bool) -> int:
    """The exit status, and on standard error why; a person who has just read it there is not told twice."""
    if as_json:
        print(document(command, jobs=jobs))
    told = sys.stdout.isatty() and sys.stderr.isatty() and not as_json
    wrong = [job for job in jobs if job.state != "done"]
    for job in wrong if not told else ():
        complain(show.line(job))
    return FAILED if wrong else DONE
