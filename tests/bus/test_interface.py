"""The interfaces as the XML file declares them."""

from pathlib import Path

import pytest

from dubseedd.bus.interface import FILE, Method, load, parse, source
from dubseedd.names import BUNDLE_INTERFACE, JOB_INTERFACE, MANAGER_INTERFACE, SEED_INTERFACE

PUBLISHED = Path(__file__).parents[2] / "packaging" / "dbus" / FILE


def test_the_methods_of_the_contract_and_no_other_are_declared() -> None:
    assert {name: dict(interface.methods) for name, interface in load().items()} == {
        MANAGER_INTERFACE: {
            "Scan": Method("", ""),
            "Sync": Method("ssa{sv}", "ao"),
            "Verify": Method("sa{sv}", "ao"),
            "Rollback": Method("sa{sv}", "o"),
            "Remove": Method("sa{sv}", ""),
            "Inhibit": Method("ss", "h"),
            "GetHistory": Method("u", "aa{sv}"),
        },
        SEED_INTERFACE: {"Sync": Method("a{sv}", "ao"), "Eject": Method("a{sv}", "")},
        BUNDLE_INTERFACE: {
            "Verify": Method("a{sv}", "o"),
            "Rollback": Method("a{sv}", "o"),
            "Remove": Method("a{sv}", ""),
        },
        JOB_INTERFACE: {"Cancel": Method("", "")},
    }


def test_the_arguments_of_a_signal_make_its_signature() -> None:
    assert load()[MANAGER_INTERFACE].signals == {"JobRemoved": "uoss", "BundleInstalled": "sss"}
    assert load()[JOB_INTERFACE].signals == {"Completed": "bss"}


@pytest.mark.parametrize(
    ("interface", "name", "signature"),
    [
        (MANAGER_INTERFACE, "Progress", "(isi)"),
        (SEED_INTERFACE, "Bundles", "a(stss)"),
        (BUNDLE_INTERFACE, "Size", "t"),
        (JOB_INTERFACE, "Seed", "o"),
    ],
)
def test_a_property_has_the_signature_of_the_file(interface: str, name: str, signature: str) -> None:
    assert load()[interface].properties[name] == signature


@pytest.mark.parametrize("name", load())
def test_what_is_shown_to_introspection_declares_the_same_again(name: str) -> None:
    interface = load()[name]
    assert parse(f"<node>{interface.xml}</node>") == {name: interface}


def test_the_published_file_is_the_one_that_the_daemon_reads() -> None:
    assert PUBLISHED.is_symlink()
    assert not PUBLISHED.readlink().is_absolute()
    assert PUBLISHED.read_text(encoding="utf-8") == source()
