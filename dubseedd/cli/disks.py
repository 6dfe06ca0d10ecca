"""UDisks2 as dubseedctl uses it: for one errand, with its user's rights, a password asked for where one is needed."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dubseedd.cli.agent import password_agent
from dubseedd.cli.exits import NOT_AUTHORISED, UNREACHABLE, Complaint, bus_unreachable, complain
from dubseedd.cli.terminal import somebody_is_there
from dubseedd.core.device import BlockDevice
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

if TYPE_CHECKING:
    from dubseedd.adapters.drives import Drives
    from dubseedd.adapters.filesystems import Filesystems

T = TypeVar("T")

TO_WRITE = ("nosuid", "nodev", "noexec")
"""How a seed is mounted to be written."""


class Disks(NamedTuple):
    """What UDisks2 is asked for."""

    filesystems: "Filesystems"
    drives: "Drives"


def with_udisks(errand: Callable[[Disks], Awaitable[T]]) -> T:
    """Do an errand with UDisks2, and return what comes of it. Complaint where nobody answers, or it is not allowed.

    What this takes is loaded only now.
    """
    import asyncio  # noqa: PLC0415

    try:
        from dubseedd.adapters.messages import BusGone  # noqa: PLC0415 - a mounted seed is checked without them
        from dubseedd.adapters.udisks import Unanswered  # noqa: PLC0415
    except ImportError as error:
        raise Complaint(
            f"{error.name} is missing, which talks to UDisks2; install it, or mount the seed and name its folder",
            UNREACHABLE,
        ) from error

    try:
        with password_agent():
            return asyncio.run(_do(errand))
    except Unanswered as silence:
        raise Complaint(silence.sentence, UNREACHABLE) from silence
    except StoreTrouble as trouble:
        if trouble.error is ErrorName.NOT_AUTHORIZED:
            raise Complaint(trouble.sentence, NOT_AUTHORISED) from trouble
        raise
    except BusGone as error:
        raise bus_unreachable(error) from error
    except TimeoutError as error:
        raise Complaint(f"no answer: {error}; see systemctl status udisks2 dbus", UNREACHABLE) from error


async def _do(errand: Callable[[Disks], Awaitable[T]]) -> T:
    from dubseedd.adapters.bus import Connection  # noqa: PLC0415
    from dubseedd.adapters.drives import Drives  # noqa: PLC0415
    from dubseedd.adapters.filesystems import Filesystems  # noqa: PLC0415
    from dubseedd.adapters.udisks import UDisks  # noqa: PLC0415

    connection = await Connection.open()
    try:
        udisks = UDisks(lambda: connection, interactive=somebody_is_there())
        disks = Disks(Filesystems(udisks), Drives(udisks))
        await udisks.attach(connection)
        try:
            return await errand(disks)
        finally:
            udisks.detach()
    finally:
        await connection.close()


@contextmanager
def mounted(device: BlockDevice, options: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """(mount point, did we mount it) of a device; what we have mounted is unmounted at the end of the block.

    Where that cannot be, what was read of it stands, and that is only told; one that was written to may not be pulled
    out, which is a StoreTrouble. Where it takes long, that is told, too.
    """
    from dubseedd.service.patience import unmounted  # noqa: PLC0415 - it loads asyncio

    point, ours = with_udisks(lambda disks: disks.filesystems.mount(device, options))
    written = False
    try:
        yield point, ours
        written = options == TO_WRITE
    finally:
        if ours:
            try:
                with_udisks(lambda disks: unmounted(lambda: disks.filesystems.unmount(device), overdue=_say))
            except (StoreTrouble, Complaint) as trouble:
                if written:
                    raise
                complain(str(trouble))


def _say(trouble: StoreTrouble) -> None:
    complain(trouble.sentence)
