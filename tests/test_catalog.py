"""Every event is explained: the catalog has an entry for each MESSAGE_ID, and no other."""

import re
import subprocess
from pathlib import Path

from dubseedd.core.events import ANNOUNCEMENTS
from dubseedd.names import Field

CATALOG = Path(__file__).parents[1] / "systemd" / "dubseedd.catalog"


def test_the_catalog_has_an_entry_for_every_event_and_no_other() -> None:
    ids = re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), flags=re.MULTILINE)
    assert sorted(ids) == sorted(announcement.message_id for announcement in ANNOUNCEMENTS.values())


def test_an_entry_names_only_fields_that_events_have() -> None:
    assert set(re.findall(r"@(\w+)@", CATALOG.read_text())) <= {field.value for field in Field}


def test_the_journal_can_read_it(tmp_path: Path) -> None:
    root = tmp_path / "usr/lib/systemd/catalog"
    root.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (root / CATALOG.name).write_bytes(CATALOG.read_bytes())
    subprocess.run(["journalctl", f"--root={tmp_path}", "--update-catalog"], check=True, capture_output=True)
    listed = subprocess.run(
        ["journalctl", f"--root={tmp_path}", "--list-catalog"], check=True, capture_output=True, text=True
    ).stdout
    assert listed.count("dubseedd: ") == len(ANNOUNCEMENTS)
