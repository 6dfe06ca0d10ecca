"""What is told of a bundle, by whoever tells it."""

from dataclasses import replace

from dubseedd.core import tidings
from dubseedd.core.receipt import FileRecord, Receipt
from dubseedd.names import EventName, Field

RECEIPT = Receipt(
    name="tiny",
    manifest=FileRecord("SHA256SUMS", 1, "m" * 64, "", 1, 1),
    files=(FileRecord("config.json", 2_000, "c" * 64, "d" * 64, 1, 1),),
    folder=(3, 4),
    format="other",
    installed_at=1,
    verified_at=2,
)


def test_what_is_installed_is_told_with_its_amount_and_whoever_signed_it() -> None:
    event, sentence, fields = tidings.published(replace(RECEIPT, signer="ops@example.org"))
    assert event is EventName.BUNDLE_INSTALLED
    assert sentence == "tiny is installed: 1 file, 2,000 bytes, every one verified, signed by ops@example.org"
    assert fields == {Field.BUNDLE: "tiny", Field.MANIFEST: "m" * 64, Field.BYTES_TOTAL: 2_000}


def test_each_tiding_names_its_bundle_and_version() -> None:
    told = [
        tidings.published(RECEIPT),
        tidings.completed(RECEIPT),
        tidings.published(replace(RECEIPT, adopted=True)),
        tidings.damaged(RECEIPT),
        tidings.current("tiny", "m" * 64),
        tidings.given_up("gave up the previous version of tiny", name="tiny", manifest_sha256="m" * 64),
    ]
    assert {(tiding.fields[Field.BUNDLE], tiding.fields[Field.MANIFEST]) for tiding in told} == {("tiny", "m" * 64)}
    assert [tiding.event for tiding in told] == [
        EventName.BUNDLE_INSTALLED,
        EventName.BUNDLE_INSTALLED,
        EventName.BUNDLE_ADOPTED,
        EventName.BUNDLE_DAMAGED,
        EventName.BUNDLE_CURRENT,
        EventName.BUNDLE_REMOVED,
    ]


def test_what_is_not_known_of_something_given_up_is_left_empty_not_to_whoever_tells_it() -> None:
    fields = tidings.given_up("gave up the unfinished copy", manifest_sha256="m" * 64).fields
    assert fields == {Field.BUNDLE: "", Field.MANIFEST: "m" * 64}
