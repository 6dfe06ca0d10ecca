"""A receipt is read as it was written, or not at all."""

import json
from dataclasses import replace

import pytest

from dubseedd.core.receipt import Displaced, FileRecord, Receipt
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


def lines(receipt: Receipt) -> list[bytes]:
    return b"".join(receipt.to_json()).splitlines(keepends=True)


@pytest.mark.parametrize("files", [(), RECEIPT.files[:1], RECEIPT.files])
def test_a_receipt_is_read_as_it_was_written(files: tuple[FileRecord, ...]) -> None:
    whole = replace(RECEIPT, files=files).succeeding(replace(RECEIPT, name="tiny", installed_at=0))
    assert Receipt.from_lines(lines(whole)) == whole


def test_a_receipt_is_one_json_object_with_a_line_for_each_file() -> None:
    whole = RECEIPT.succeeding(RECEIPT)
    document = json.loads(b"".join(whole.to_json()))
    assert [file["path"] for file in document["files"]] == ["a/größe.json", "b"]
    assert document["previous"]["name"] == "tiny"
    assert len(lines(whole)) == 1 + 2 + 1 + 2 + 1


@pytest.mark.parametrize("kept", range(1, 7))
def test_a_receipt_that_was_cut_off_is_none(kept: int) -> None:
    whole = RECEIPT.succeeding(RECEIPT)
    with pytest.raises(StoreTrouble):
        Receipt.from_lines(lines(whole)[:kept])


def test_only_the_version_before_is_remembered() -> None:
    second = RECEIPT.succeeding(RECEIPT)
    third = RECEIPT.succeeding(second)
    assert third.previous is not None
    assert third.previous.previous is None


OTHER = replace(RECEIPT, manifest=replace(RECEIPT.manifest, sha256="o" * 64))


@pytest.mark.parametrize(
    ("former", "occupied", "keep", "displaced", "before"),
    [
        pytest.param(None, False, True, Displaced.NOTHING, None, id="the name is free"),
        pytest.param(OTHER, True, True, Displaced.KEPT, OTHER, id="another version"),
        pytest.param(OTHER, True, False, Displaced.DROPPED, None, id="another version, not to be kept"),
        pytest.param(RECEIPT.succeeding(OTHER), True, True, Displaced.DROPPED, OTHER, id="the same one, damaged"),
        pytest.param(RECEIPT, True, True, Displaced.DROPPED, None, id="the same one, and none before"),
        pytest.param(None, True, True, Displaced.KEPT, None, id="somebody else's"),
    ],
)
def test_what_becomes_of_the_version_that_is_replaced(
    former: Receipt | None, occupied: bool, keep: bool, displaced: Displaced, before: Receipt | None
) -> None:
    receipt = RECEIPT.in_place_of(former, occupied=occupied, keep=keep)
    assert (receipt.displaced, receipt.previous) == (displaced, before)


def test_its_size_is_that_of_its_files() -> None:
    assert RECEIPT.size == 15


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b"[" * 100_000], ids=lambda raw: raw[:3])
def test_what_is_no_receipt_is_a_trouble_of_the_store(raw: bytes) -> None:
    with pytest.raises(StoreTrouble) as trouble:
        Receipt.from_lines(raw.splitlines(keepends=True))
    assert trouble.value.error is ErrorName.STORE_FAILED


@pytest.mark.parametrize(
    ("part", "instead", "reason"),
    [
        (b'"schemaVersion": 1', b'"schemaVersion": 2', "schemaVersion 2, this dubseedd knows 1"),
        (b'"files": [', b'"files": [{}', "its files begin in the first line"),
    ],
)
def test_a_receipt_of_another_form_is_told_as_such(part: bytes, instead: bytes, reason: str) -> None:
    head, *rest = lines(RECEIPT)
    assert part in head
    with pytest.raises(StoreTrouble) as trouble:
        Receipt.from_lines([head.replace(part, instead), *rest])
    assert reason in trouble.value.sentence


def test_the_first_line_tells_of_which_folder_a_receipt_is() -> None:
    assert Receipt.folder_in(lines(RECEIPT)[0]) == (3, 4)
    for line in (b"", b"{", b"[" * 100_000, lines(RECEIPT)[1]):
        assert Receipt.folder_in(line) is None
