"""Advice: what a person should do next, in a sentence. Pure functions from what is seen to words."""

from dubseedd.cli.views import SeedView, State
from dubseedd.core.plan import INSTALLABLE
from dubseedd.core.serving import Server
from dubseedd.names import ERROR_PREFIX


def next_step(state: State, server: Server | None = None) -> str:
    """What a person should do now."""
    if any(job.state == "interrupted" for job in state.jobs):
        return "plug the stick in again; the job goes on by itself"
    if any(not job.ended for job in state.jobs):
        return "wait; dubseedctl watch shows how it goes on"
    if any(seed.busy for seed in state.seeds):
        return "wait; the stick is being looked at"
    mounted = next((pulling(seed) for seed in state.seeds if seed.mount_point), "")
    return _trouble(state) or _waiting(state) or mounted or serving(state, server) or _peace(state)


def pulling(seed: SeedView) -> str:
    """Whether a stick may be pulled out, and what to do first where it may not."""
    called = f"{seed.label} ({seed.device})"
    if seed.safe_to_remove:
        return f"{called} may be pulled out"
    if seed.mount_point:
        return f"unmount {called} before you pull it out: umount {seed.mount_point}"
    return f"leave {called} in, it is in use"


def _trouble(state: State) -> str:
    """What to do about what went wrong; empty where nothing did."""
    refused = any(verdict.startswith(ERROR_PREFIX) for seed in state.seeds for *_, verdict in seed.bundles)
    if refused or any(seed.error[0] for seed in state.seeds):
        return "see why it was refused: dubseedctl history"
    damaged = [bundle.name for bundle in state.bundles if bundle.state == "damaged"]
    if damaged:
        return f"plug in a stick with {damaged[0]}, that mends it; if it is in: dubseedctl sync --bundle {damaged[0]}"
    if state.manager.state == "failed":
        return "mend what the last job failed of, then dubseedctl sync; what happened: dubseedctl history"
    return ""


def _waiting(state: State) -> str:
    """What a stick has and nobody installs unasked: by the configuration, or since it was rolled back from."""
    for seed in state.seeds:
        for bundle in seed.bundles:
            if bundle.verdict in INSTALLABLE:
                return f"to install {bundle.name} while the stick is in: dubseedctl sync --bundle {bundle.name}"
    return ""


def serving(state: State, server: Server | None) -> str:
    """What to do about the model server; empty where it is as it should be, or nobody can tell."""
    if server is None or not server.bundle:
        return _fetching(server) if server else ""
    bundle = next((bundle for bundle in state.bundles if bundle.name == server.bundle), None)
    if bundle is None:
        return f"plug in a stick that has {server.bundle}, which {server.unit} serves"
    if not server.active:
        unit = server.unit.removesuffix(".service")
        return f"start the server: sudo mode request compute; then systemctl status {unit}, journalctl -u {unit} -b"
    if server.started_at < bundle.installed_at:
        return f"restart {server.unit} to use the new version of {bundle.name}: sudo systemctl restart {server.unit}"
    return ""


def _fetching(server: Server) -> str:
    """A model that is no path at all is the name of a repository."""
    if not server.model or server.model.startswith("/"):
        return ""
    return f"give {server.unit} a path in the store: it would fetch {server.model} from the network"


def _peace(state: State) -> str:
    if state.seeds:
        return "nothing to do; you may pull the stick"
    return "nothing to do" if state.bundles else "plug in a stick with a bundle on it"
