"""Every event has an id of its own, for ever, and reads the same in the history as in the journal."""

from dubseedd.core.events import ANNOUNCEMENTS, Event
from dubseedd.names import EventName, Field


def test_every_event_has_an_id_of_its_own() -> None:
    assert set(ANNOUNCEMENTS) == set(EventName)
    ids = [announcement.message_id for announcement in ANNOUNCEMENTS.values()]
    assert len(set(ids)) == len(ids)
    assert all(len(bytes.fromhex(message_id)) == 16 for message_id in ids)


def test_the_record_has_the_journals_fields_in_lower_case_without_the_empty_ones() -> None:
    event = Event(EventName.BUNDLE_CURRENT, "x is current", 5, {Field.BUNDLE: "x", Field.SEED: "", Field.JOB: 0})
    assert event.as_record() == {
        "time": 5,
        "message": "x is current",
        "message_id": ANNOUNCEMENTS[EventName.BUNDLE_CURRENT].message_id,
        "priority": 6,
        "dubseed_event": "bundle-current",
        "dubseed_bundle": "x",
        "dubseed_job": 0,
    }
