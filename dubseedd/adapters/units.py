"""systemd: what it knows of a service. A machine without it has no services."""

from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import RemoteError
from dubseedd.core.serving import Unit

SERVICE = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
SERVICE_UNIT = "org.freedesktop.systemd1.Service"
PROPERTIES = "org.freedesktop.DBus.Properties"


async def unit_named(connection: Connection, name: str) -> Unit | None:
    """A service by its name; None where there is none, or no systemd. Raises BusGone or TimeoutError."""
    try:
        (path,) = await connection.call(SERVICE, PATH, MANAGER, "LoadUnit", "s", [name])
        unit = await _properties(connection, path, UNIT)
        if unit["LoadState"] != "loaded":
            return None
        service = await _properties(connection, path, SERVICE_UNIT)
    except RemoteError:
        return None
    active = unit["ActiveState"] in ("active", "activating", "reloading")
    commands = [list(command[1]) for command in service["ExecStart"]]
    return Unit(
        name,
        active,
        int(service["ExecMainStartTimestamp"]) if active else 0,
        tuple(commands[-1]) if commands else (),
        dict(variable.partition("=")[::2] for variable in service["Environment"]),
    )


async def _properties(connection: Connection, path: str, interface: str) -> dict[str, Any]:
    (found,) = await connection.call(SERVICE, path, PROPERTIES, "GetAll", "s", [interface])
    return dict(found)
