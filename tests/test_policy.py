"""The polkit policy: polkit's own DTD, and the table of the contract."""

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dubseedd.adapters.polkit import PROMPT, WHAT
from dubseedd.names import Action

POLICY = Path(__file__).parent.parent / "packaging" / "polkit" / "org.dubnium.seed1.policy"
DTD = Path("/usr/share/polkit-1/policyconfig-1.dtd")
EASY = ("auth_admin_keep", "auth_admin_keep", "yes")
HARD = ("auth_admin", "auth_admin", "auth_admin_keep")
TABLE = {
    "sync": EASY,
    "verify": EASY,
    "cancel": EASY,
    "eject": EASY,
    "inhibit": EASY,
    "manage": HARD,
    "replace-foreign": HARD,
}
"""(any, inactive, active) of each action: the contract's table."""


def actions() -> list[ET.Element]:
    return ET.fromstring(POLICY.read_text()).findall("action")


def test_the_defaults_are_the_table_of_the_contract() -> None:
    kinds = ("allow_any", "allow_inactive", "allow_active")
    given = {one.attrib["id"]: tuple(one.findtext(f"defaults/{kind}") for kind in kinds) for one in actions()}
    assert given == {f"org.dubnium.seed1.{name}": defaults for name, defaults in TABLE.items()}


def test_every_action_of_the_code_has_words_for_a_person() -> None:
    assert {one.attrib["id"] for one in actions()} == {action.full for action in Action}
    assert set(WHAT) == set(Action)
    for one in actions():
        assert one.findtext("message", "").startswith(PROMPT)
        assert one.findtext("description")


@pytest.mark.skipif(not (shutil.which("xmllint") and DTD.exists()), reason="needs xmllint and polkit's DTD")
def test_polkits_own_dtd_takes_it() -> None:
    argv = ("xmllint", "--noout", "--nonet", "--dtdvalid", DTD, POLICY)
    assert subprocess.run(argv, capture_output=True, text=True, check=False).stderr == ""


@pytest.mark.skipif(not shutil.which("xmllint"), reason="needs xmllint")
def test_the_bus_policy_is_well_formed() -> None:
    policy = POLICY.parent.parent / "dbus" / "org.dubnium.Seed1.conf"
    assert subprocess.run(("xmllint", "--noout", policy), capture_output=True, text=True, check=False).stderr == ""
