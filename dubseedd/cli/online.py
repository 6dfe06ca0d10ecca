"""The commands that ask the daemon. Each returns the exit status; errors are raised for main to say."""

import argparse
from collections.abc import Callable, Collection

from dubseedd.cli import show
from dubseedd.cli.client import Client, JobView, SeedView, State
from dubseedd.cli.exits import DONE, FAILED
from dubseedd.cli.progress import display
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName


async def status(client: Client, options: argparse.Namespace) -> int:
    state = await client.state()
    if options.json:
        print(_whole("status", state))
    else:
        print(show.status(state))
    return DONE


async def list_bundles(client: Client, options: argparse.Namespace) -> int:
    state = await client.state()
    if options.json:
        print(show.document("list", bundles=[show.plain(bundle) for bundle in state.bundles]))
    else:
        print(show.bundles(state.bundles))
    return DONE


async def watch(client: Client, options: argparse.Namespace) -> int:
    """Follow all jobs: from the first one to the end of the last, or for ever."""
    seen: set[int] = set()

    def enough(state: State) -> bool:
        running = [job.id for job in state.jobs if not job.ended]
        seen.update(running)
        return not options.forever and not running and (bool(seen) or options.once)

    first = await client.state()
    if all(job.ended for job in first.jobs) and not options.json:
        print(first.manager.status, flush=True)
    state = await _follow(client, enough, lambda job: job.id in seen, quiet=options.json)
    return _outcome("watch", state, seen, as_json=options.json)


async def sync(client: Client, options: argparse.Namespace) -> int:
    chosen = {"dry-run": options.dry_run, "replace-foreign": options.replace_foreign}
    paths = await client.sync(options.seed, options.bundle, {name: True for name, wanted in chosen.items() if wanted})
    return await _await(client, "sync", paths, as_json=options.json)


async def verify(client: Client, options: argparse.Namespace) -> int:
    paths = [path for name in options.bundles or [""] for path in await client.verify(name)]
    if not paths and not options.json:
        print("nothing is installed, so there is nothing to verify")
    return await _await(client, "verify", paths, as_json=options.json)


async def cancel(client: Client, options: argparse.Namespace) -> int:
    running = [job for job in (await client.state()).jobs if job.state not in ("done", "failed", "cancelled")]
    chosen = [job for job in running if options.job in (None, job.id)]
    if not chosen:
        which = f"job {options.job} is not running" if options.job is not None else "no job is running"
        raise CallRefused(ErrorName.NOT_FOUND, f"{which}; dubseedctl status lists the jobs")
    for job in chosen:
        await client.cancel(job)
        print(f"job {job.id} ({job.bundle}) is cancelled; what was verified is kept")
    return DONE


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


async def _await(client: Client, command: str, paths: Collection[str], *, as_json: bool) -> int:
    """Follow the jobs that were queued to their end."""

    def ours(job: JobView) -> bool:
        return job.path in paths

    state = await _follow(client, lambda state: all(job.ended for job in state.jobs if ours(job)), ours, quiet=as_json)
    return _outcome(command, state, {job.id for job in state.jobs if ours(job)}, as_json=as_json)


async def _follow(
    client: Client, enough: Callable[[State], bool], shown: Callable[[JobView], bool], *, quiet: bool = False
) -> State:
    with display() as screen:
        async for state in client.states():
            finished = enough(state)
            if not quiet:
                screen.update([job for job in state.jobs if shown(job)])
            if finished:
                return state
    raise AssertionError("the states end only when the caller has seen enough")


def _outcome(command: str, state: State, followed: Collection[int], *, as_json: bool) -> int:
    jobs = [job for job in state.jobs if job.id in followed]
    if as_json:
        print(show.document(command, jobs=[show.plain(job) for job in jobs]))
    return DONE if all(job.state == "done" for job in jobs) else FAILED


def _whole(command: str, state: State) -> str:
    return show.document(
        command,
        daemon=show.plain(state.manager),
        seeds=[show.plain(seed) for seed in state.seeds],
        jobs=[show.plain(job) for job in state.jobs],
        bundles=[show.plain(bundle) for bundle in state.bundles],
        next=show.next_step(state),
    )
