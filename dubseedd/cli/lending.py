"""The daemon lends a stick: it lets go of it, and leaves it alone until we have left the bus, however we end."""

from collections.abc import Iterator
from contextlib import contextmanager

from dubseedd.adapters.messages import BusGone, RemoteError
from dubseedd.cli.agent import password_agent
from dubseedd.cli.aside import Aside
from dubseedd.cli.asking import NO_DAEMON, NO_START, complaint_of
from dubseedd.cli.client import Client
from dubseedd.cli.exits import FAILED, Complaint
from dubseedd.names import ErrorName


@contextmanager
def lent(node: str) -> Iterator[bool]:
    """Have a device lent for the length of a block; False where there is no bus, no daemon, or it does not have it."""
    with password_agent(), Aside() as aside:
        yield _lends(aside, node)


def _lends(aside: Aside, node: str) -> bool:
    """Ask the daemon; the connection that it is lent to lasts as long as the loop."""
    try:
        client = aside.enter(Client.open())
    except BusGone:
        return False
    try:
        return aside.run(_lend(client, node))
    except RemoteError as error:
        if error.name.startswith(NO_DAEMON + NO_START):
            return False
        raise complaint_of(error.name, error.text) from error
    except (BusGone, TimeoutError) as error:
        raise Complaint(
            f"dubseedd does not let go of {node}: {error}; see systemctl status dubseedd", FAILED
        ) from error


async def _lend(client: Client, node: str) -> bool:
    """Ask again while the daemon still looks at it; a seed that it has lent to somebody else is busy for longer."""
    async for state in client.states():
        seed = next((seed for seed in state.seeds if seed.device == node), None)
        if seed is None:
            return False
        try:
            await client.eject(seed, lend=True)
        except RemoteError as error:
            if error.name != ErrorName.BUSY.full or await _is_lent(client, node):
                raise
            continue
        return True
    raise AssertionError("the states end only when the caller has seen enough")


async def _is_lent(client: Client, node: str) -> bool:
    """Is it lent to somebody by now? A person may have been asked for a password meanwhile."""
    seeds = (await client.state()).seeds
    return any(seed.device == node and seed.error.name == ErrorName.BUSY.full for seed in seeds)
