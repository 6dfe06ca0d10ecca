"""The commands that ask the daemon. Each returns the exit status; errors are raised for main to say."""

import argparse
import shutil
import sys
from collections.abc import Callable, Collection, Sequence

from dubseedd.cli import show
from dubseedd.cli.client import Client
from dubseedd.cli.exits import DONE, FAILED, Complaint, complain
from dubseedd.cli.progress import display
from dubseedd.cli.views import JobView, SeedView, State
from dubseedd.errors import CallRefused
from dubseedd.names import ERROR_PREFIX, ErrorName


async def status(client: Client, options: argparse.Namespace) -> int:
    state = await client.state()
    print(_whole("status", state) if options.json else show.status(state, _width()))
    return DONE


async def list_bundles(client: Client, options: argparse.Namespace) -> int:
    state = await client.state()
    if options.json:
        print(show.document("list", bundles=[show.plain(bundle) for bundle in state.bundles]))
    else:
        print(show.bundles(state.bundles, _width()))
    return DONE


async def watch(client: Client, options: argparse.Namespace) -> int:
    """Follow all jobs: from the first one to the end of the last, or for ever."""
    first = await client.state()
    over = {job.id: job.state for job in first.jobs if job.ended}

    def new(job: JobView) -> bool:
        """It runs, or ran while we watched; it may have been over before we could look."""
        return over.get(job.id) != job.state

    def enough(state: State) -> bool:
        for job in state.jobs:
            if not job.ended:
                over.pop(job.id, None)
        followed = [job for job in state.jobs if new(job)]
        return not options.forever and all(job.ended for job in followed) and bool(followed or options.once)

    if all(job.ended for job in first.jobs) and not options.json:
        print(show.printable(first.manager.status), flush=True)
    state = await _follow(client, enough, new, quiet=options.json, patient=options.forever)
    return _outcome("watch", [job for job in state.jobs if new(job)], as_json=options.json)


async def sync(client: Client, options: argparse.Namespace) -> int:
    chosen = {"dry-run": options.dry_run, "replace-foreign": options.replace_foreign}
    wanted = {name: True for name, given in chosen.items() if given}
    paths = await client.sync(options.seed or "", options.bundle or "", wanted)
    state, jobs = await _finish(client, paths, quiet=options.json)
    outcome = _outcome("sync", jobs, as_json=options.json)
    refused = _refused(state.seeds, options)
    for name, verdict in refused:
        complain(show.printable(f"{name} is refused ({verdict}); journalctl -u dubseedd -p warning says why"))
    return FAILED if refused else outcome


def _refused(seeds: Sequence[SeedView], options: argparse.Namespace) -> list[tuple[str, str]]:
    """(name, verdict) of what was asked for and is refused: it has no job."""
    return [
        (name, verdict.removeprefix(ERROR_PREFIX))
        for seed in seeds
        if options.seed in (None, seed.uuid, seed.device)
        for name, _, _, verdict in seed.bundles
        if verdict.startswith(ERROR_PREFIX) and options.bundle in (None, name)
    ]


async def verify(client: Client, options: argparse.Namespace) -> int:
    paths = [path for name in options.bundles or [""] for path in await client.verify(name)]
    if not paths and not options.json:
        print("nothing is installed, so there is nothing to verify")
    _, jobs = await _finish(client, paths, quiet=options.json)
    return _outcome("verify", jobs, as_json=options.json)


async def cancel(client: Client, options: argparse.Namespace) -> int:
    """Cancel jobs and wait for what becomes of them: one that is being published runs to its end."""
    running = [job for job in (await client.state()).jobs if job.state not in ("done", "failed", "cancelled")]
    chosen = [job for job in running if options.job in (None, job.id)]
    if not chosen:
        which = f"job {options.job} is not running" if options.job is not None else "no job is running"
        raise CallRefused(ErrorName.NOT_FOUND, f"{which}; dubseedctl status lists the jobs")
    for job in chosen:
        await client.cancel(job)
    _, jobs = await _finish(client, [job.path for job in chosen], quiet=True)
    for job in jobs:
        if job.state == "cancelled":
            print(f"job {job.id} ({job.bundle}) is cancelled; what was verified is kept")
        else:
            complain(f"job {job.id} ({job.bundle}) could not be cancelled any more, it is {job.state}")
    return DONE if all(job.state == "cancelled" for job in jobs) else FAILED


async def eject(client: Client, options: argparse.Namespace) -> int:
    seed = _choose((await client.state()).seeds, options.seed)
    await client.eject(seed, power_off=options.power_off)
    print(f"{seed.label} ({seed.device}) may be pulled out")
    return DONE


def _choose(seeds: Collection[SeedView], wanted: str | None) -> SeedView:
    fitting = [seed for seed in seeds if wanted in (None, seed.device, seed.uuid, seed.mount_point)]
    if len(fitting) == 1:
        return fitting[0]
    if not seeds:
        raise CallRefused(ErrorName.NOT_FOUND, "no seed is plugged in; there is nothing to let go of")
    devices = ", ".join(seed.device for seed in seeds)
    problem = f"no seed {wanted} is plugged in" if not fitting else "more than one seed is plugged in"
    raise CallRefused(ErrorName.NOT_FOUND, f"{problem}; name one of: {devices}")


async def _finish(client: Client, paths: Collection[str], *, quiet: bool) -> tuple[State, list[JobView]]:
    """Follow jobs to their end; interrupted is an end, too."""

    def ours(job: JobView) -> bool:
        return job.path in paths

    state = await _follow(client, lambda state: all(job.ended for job in state.jobs if ours(job)), ours, quiet=quiet)
    jobs = [job for job in state.jobs if ours(job)]
    if len(jobs) < len(set(paths)):
        raise Complaint("nobody knows what became of a job; journalctl -u dubseedd does", FAILED)
    return state, jobs


async def _follow(
    client: Client,
    enough: Callable[[State], bool],
    shown: Callable[[JobView], bool],
    *,
    quiet: bool = False,
    patient: bool = False,
) -> State:
    with display(quiet=quiet) as screen:
        async for state in client.states(patient=patient):
            finished = enough(state)
            screen.update([job for job in state.jobs if shown(job)])
            if finished:
                return state
    raise AssertionError("the states end only when the caller has seen enough")


def _outcome(command: str, jobs: Sequence[JobView], *, as_json: bool) -> int:
    """The exit status, and on standard error why; a person who has just read it there is not told twice."""
    if as_json:
        print(show.document(command, jobs=[show.plain(job) for job in jobs]))
    told = sys.stdout.isatty() and sys.stderr.isatty() and not as_json
    wrong = [job for job in jobs if job.state != "done"]
    for job in wrong if not told else ():
        complain(show.line(job))
    return FAILED if wrong else DONE


def _whole(command: str, state: State) -> str:
    return show.document(
        command,
        daemon=show.plain(state.manager),
        seeds=[show.plain(seed) for seed in state.seeds],
        jobs=[show.plain(job) for job in state.jobs],
        bundles=[show.plain(bundle) for bundle in state.bundles],
        next=show.next_step(state),
    )


def _width() -> int | None:
    """The columns of the terminal; None where the output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
