"""What dubseedctl says to programs: one JSON object, `{"schemaVersion": 1, "command": "seed status", …}`.

dubseedctl.schema.json beside this file has the keys of every command. Those of the daemon, of seeds, jobs and bundles
are the properties of org.dubnium.Seed1.xml in camelCase; structs are objects, and an error is null where there is none.
"""

import json
from dataclasses import fields, is_dataclass
from typing import Any

from dubseedd.cli.views import NO_ERROR

SCHEMA_VERSION = 1


def document(command: str, **content: Any) -> str:
    """The object, as text: values and views, in any depth."""
    return json.dumps({"schemaVersion": SCHEMA_VERSION, "command": f"seed {command}", **_camel(content)}, indent=2)


def _camel(value: Any) -> Any:
    if value == NO_ERROR:
        return None
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return {_key(key): _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list | tuple) else value


def _key(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
