"""The schema of what --json prints: every command has its part, and views have the keys that it lists."""

import re
from dataclasses import fields

import pytest
from jsonschema import Draft202012Validator

from dubseedd.cli.arguments import COMMANDS
from dubseedd.cli.views import BundleView, Error, JobView, ManagerView, Offered, Progress, SeedView
from dubseedd.core.drive import Drive, Part
from dubseedd.core.lifecycle import JobKind, JobState, SeedState
from dubseedd.core.serving import Server
from dubseedd.service.status import State
from tests.support.schema import SCHEMA

SHAPES = {
    "daemon": ManagerView, "seed": SeedView, "job": JobView, "bundle": BundleView, "server": Server, "drive": Drive,
    "part": Part, "offered": Offered, "progress": Progress, "error": Error,
}  # fmt: skip


def test_it_is_a_schema_itself() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_command_that_shows_data_has_a_part_and_no_other() -> None:
    parts = {one["properties"]["command"]["const"] for one in SCHEMA["oneOf"]}
    assert parts == {f"seed {row.name}" for row in COMMANDS if row.data}


@pytest.mark.parametrize("name", SHAPES)
def test_views_have_the_keys_that_it_lists(name: str) -> None:
    shape = SHAPES[name]
    names = shape._fields if hasattr(shape, "_fields") else [field.name for field in fields(shape)]
    assert list(SCHEMA["$defs"][name]["properties"]) == [re.sub(r"_(\w)", lambda m: m[1].upper(), n) for n in names]


def test_states_are_those_of_the_daemon() -> None:
    states = {name: SCHEMA["$defs"][name]["properties"]["state"]["enum"] for name in ("daemon", "seed", "job")}
    assert states == {"daemon": list(State), "seed": list(SeedState), "job": list(JobState)}
    assert SCHEMA["$defs"]["job"]["properties"]["kind"]["enum"] == [*JobKind, ""]
