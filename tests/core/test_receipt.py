"""A receipt is read as it was written, or not at all."""

from dataclasses import replace

import pytest

from dubseedd.core.receipt import FileRecord, Receipt
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

FILE = FileRecord("a/größe.json", 10, "c" * 64, "d" * 64, 123, 456)
RECEIPT = Receipt(
    name="tiny",
    manifest=FileRecord("SHA256SUMS", 1, "m" * 64, "", 1, 1),
    files=(FILE, replace(FILE, path="b", size=5)),
    folder=(3, 4),
    format="safetensors",
    installed_at=1,
    verified_at=2,
    seed_uuid="u",
    damage=("name", "sentence"),
)


def test_a_receipt_is_read_as_it_was_written() -> None:
    whole = RECEIPT.succeeding(replace(RECEIPT, name="tiny", installed_at=0))
    assert Receipt.from_json(b"".join(whole.to_json())) == whole


def test_only_the_version_before_is_remembered() -> None:
    second = RECEIPT.succeeding(RECEIPT)
    third = RECEIPT.succeeding(second)
    assert third.previous is not None
    assert third.previous.previous is None


def test_its_size_is_that_of_its_files() -> None:
    assert RECEIPT.size == 15


@pytest.mark.parametrize(
    ("change", "same"), [({}, True), ({"size": 11}, False), ({"mtime_ns": 1}, False), ({"inode": 1}, False)]
)
def test_a_file_is_untouched_as_long_as_size_time_and_inode_are(change: dict[str, int], same: bool) -> None:
    assert FILE.untouched(**{"size": 10, "mtime_ns": 123, "inode": 456, **change}) is same


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"{}", b'{"schemaVersion": 2}', b'{"schemaVersion": 1}', b"[" * 100_000]
)
def test_what_is_no_receipt_is_a_trouble_of_the_store(raw: bytes) -> None:
    with pytest.raises(StoreTrouble) as trouble:
        Receipt.from_json(raw)
    assert trouble.value.error is ErrorName.STORE_FAILED
