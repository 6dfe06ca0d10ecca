"""Who may do what. Until polkit is asked, that is root, and nobody else."""

from collections.abc import Callable

from dubseedd.adapters.bus import DBUS, DBUS_PATH, BusGone, Connection, RemoteError
from dubseedd.names import Action

ROOT_UID = 0


class RootOnly:
    """Allows everything to uid 0 and nothing to others; a caller that went away is nobody."""

    def __init__(self, link: Callable[[], Connection]) -> None:
        self._link = link

    async def check(self, sender: str, action: Action) -> bool:  # noqa: ARG002 - every action is root's alone
        try:
            (uid,) = await self._link().call(DBUS, DBUS_PATH, DBUS, "GetConnectionUnixUser", "s", [sender])
        except (RemoteError, BusGone, TimeoutError):
            return False
        return bool(uid == ROOT_UID)
