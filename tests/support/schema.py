"""What dubseedctl prints with --json, held to its schema wherever a test reads it."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from dubseedd import cli

SCHEMA: dict[str, Any] = json.loads((Path(cli.__path__[0]) / "dubseedctl.schema.json").read_text())


def document(text: str) -> dict[str, Any]:
    """The document that a command has printed; of a command with one part of the schema, what is wrong by its place."""
    told: dict[str, Any] = json.loads(text)
    parts = [one for one in SCHEMA["oneOf"] if one["properties"]["command"]["const"] == told.get("command")]
    schema = {**parts[0], "$defs": SCHEMA["$defs"]} if len(parts) == 1 else SCHEMA
    assert [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(told)] == []
    return told
