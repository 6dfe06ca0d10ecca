"""The commands that ask the daemon. Each returns the exit status; errors are raised for main to say."""

import argparse
from collections.abc import Collection, Sequence

from dubseedd.cli import advice, show, terminal, text
from dubseedd.cli.client import Client
from dubseedd.cli.document import document
from dubseedd.cli.exits import DONE, FAILED, Complaint, complain
from dubseedd.cli.following import finish, follow, let_go_of, outcome
from dubseedd.cli.progress import Silence
from dubseedd.cli.screen import Screen, whole_display
from dubseedd.cli.views import JobView, SeedView, State
from dubseedd.core.serving import Server
from dubseedd.errors import CallRefused
from dubseedd.names import ERROR_PREFIX, HISTORY_MOST, ErrorName, EventName, Field


async def status(client: Client, options: argparse.Namespace) -> int:
    state = await client.state()
    server = await client.server(state.manager.store)
    if options.json:
        print(_whole(state, server))
    else:
        paint = text.in_colour if terminal.has_colours() else text.as_it_is
        print(show.status(state, server, terminal.width(), paint=paint))
    return DONE


async def list_bundles(client: Client, options: argparse.Namespace) -> int:
    state = await client.state()
    if options.json:
        print(document("list", bundles=state.bundles))
    else:
        print(show.bundles(state.bundles, terminal.width()))
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

    screen = Silence() if options.json else whole_display()
    state = await follow(client, enough, new, screen, patient=options.forever)
    jobs = [job for job in state.jobs if new(job)]
    if not jobs and isinstance(screen, Screen):
        print(text.wrapped(text.printable(state.manager.status), terminal.width()))
    status = outcome("watch", jobs, as_json=options.json)
    await _say_what_may_be_pulled(client, jobs, options)
    return status


async def _say_what_may_be_pulled(client: Client, jobs: Sequence[JobView], options: argparse.Namespace) -> None:
    """Of each stick that jobs have read, at the end; one that was pulled out has no need of it."""
    if not options.json:
        for seed in await let_go_of(client, {job.seed for job in jobs}):
            print(text.printable(advice.pulling(seed)))


async def sync(client: Client, options: argparse.Namespace) -> int:
    chosen = {"dry-run": options.dry_run, "replace-foreign": options.replace_foreign}
    wanted = {name: True for name, given in chosen.items() if given}
    paths = await client.sync(options.seed or "", options.bundle or "", wanted)
    state, jobs = await finish(client, paths, quiet=options.json)
    status = outcome("sync", jobs, as_json=options.json)
    refused = _refused(state.seeds, jobs, options)
    reasons = await _reasons(client) if refused else {}
    for seed, name, verdict in refused:
        reason = reasons.get((seed, name)) or f"{name} is refused ({verdict}); see journalctl -u dubseedd"
        complain(text.printable(reason))
    await _say_what_may_be_pulled(client, jobs, options)
    return FAILED if refused else status


def _refused(
    seeds: Sequence[SeedView], jobs: Sequence[JobView], options: argparse.Namespace
) -> list[tuple[str, str, str]]:
    """(UUID of the seed, name, verdict) of what was asked for and is refused: it has no job. A verdict from before the
    job may still stand for a moment after its end. A seed that a job reads was asked for, whatever it was called by."""
    taken = {(job.seed, job.bundle) for job in jobs}
    read = {job.seed for job in jobs}
    return [
        (seed.uuid, name, verdict.removeprefix(ERROR_PREFIX))
        for seed in seeds
        if options.seed in (None, seed.uuid, seed.device) or seed.path in read
        for name, _, _, verdict in seed.bundles
        if verdict.startswith(ERROR_PREFIX) and options.bundle in (None, name) and (seed.path, name) not in taken
    ]


async def _reasons(client: Client) -> dict[tuple[str, str], str]:
    """Why bundles were refused, in the words of the journal, by seed and name; of each the last word."""
    return {
        (event.get(Field.SEED.lower(), ""), event.get(Field.BUNDLE.lower(), "")): event["message"]
        for event in reversed(await client.history(HISTORY_MOST))
        if event[Field.EVENT.lower()] == EventName.BUNDLE_REFUSED
    }


async def verify(client: Client, options: argparse.Namespace) -> int:
    paths = [path for name in options.bundles or [""] for path in await client.verify(name)]
    if not paths and not options.json:
        print("nothing is installed, so there is nothing to verify")
    _, jobs = await finish(client, paths, quiet=options.json)
    return outcome("verify", jobs, as_json=options.json)


async def roll_back(client: Client, options: argparse.Namespace) -> int:
    path = await client.roll_back(options.bundle)
    _, jobs = await finish(client, [path], quiet=True)
    if not options.json and all(job.state == "done" for job in jobs):
        print(f"{options.bundle} is rolled back; restart its server to use it. The same command goes forward again")
    return outcome("rollback", jobs, as_json=options.json)


async def remove(client: Client, options: argparse.Namespace) -> int:
    """Remove a bundle; a person at a terminal is asked first, elsewhere the command was meant as it was given."""
    question = f"remove {options.bundle} from the store, and its previous version? [y/N]"
    answer = None if options.yes else terminal.answer_to(question)
    if answer is not None and answer.strip().lower() not in ("y", "yes"):
        raise Complaint(f"nothing is removed; {options.bundle} stays as it is", FAILED)
    await client.remove(options.bundle)
    print(document("remove", bundle=options.bundle) if options.json else f"{options.bundle} is removed")
    return DONE


async def history(client: Client, options: argparse.Namespace) -> int:
    """The events of the history: for a person the newest last, where the eyes are."""
    events = await client.history(HISTORY_MOST if options.bundle else options.number)
    chosen = [event for event in events if options.bundle in (None, event.get(Field.BUNDLE.lower()))][: options.number]
    if options.json:
        print(document("history", events=chosen))
    elif chosen:
        print(show.events(chosen[::-1], terminal.width()))
    else:
        print("nothing has happened yet" + (f" to {options.bundle}" if options.bundle else ""))
    return DONE


async def cancel(client: Client, options: argparse.Namespace) -> int:
    """Cancel jobs and wait for what becomes of them: one that is being published runs to its end."""
    running = [job for job in (await client.state()).jobs if job.state not in ("done", "failed", "cancelled")]
    chosen = [job for job in running if options.job in (None, job.id)]
    asked = [job.path for job in chosen if await client.cancel(job)]
    if not asked:
        which = f"job {options.job} is not running" if options.job is not None else "no job is running"
        raise CallRefused(ErrorName.NOT_FOUND, f"{which}; dubseedctl status lists the jobs")
    _, jobs = await finish(client, asked, quiet=True)
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


def _whole(state: State, server: Server | None) -> str:
    return document(
        "status",
        daemon=state.manager,
        seeds=state.seeds,
        jobs=state.jobs,
        bundles=state.bundles,
        server=server,
        next=advice.next_step(state, server),
    )
