"""Tidings: what is told of a bundle of the store, in the same words by the daemon and by commands that need none."""

from collections.abc import Mapping
from typing import NamedTuple

from dubseedd.core.receipt import Receipt
from dubseedd.core.sentence import signed_by
from dubseedd.names import EventName, Field


class Tiding(NamedTuple):
    """An event that has no time yet: one line for a person, fields for programs."""

    event: EventName
    sentence: str
    fields: Mapping[Field, str | int]


def noted(name: str, sentence: str) -> Tiding:
    """Something about it that does not keep it from being installed."""
    return Tiding(EventName.BUNDLE_FOUND, f"{name}: {sentence}", {Field.BUNDLE: name})


def given_up(sentence: str, *, name: str = "", manifest_sha256: str = "") -> Tiding:
    """An unfinished copy or a previous version had to go. What is not known of it is empty, not left out: the bundle
    that it made room for is another one."""
    return Tiding(EventName.BUNDLE_REMOVED, sentence, {Field.BUNDLE: name, Field.MANIFEST: manifest_sha256})


def published(receipt: Receipt) -> Tiding:
    """It was installed, or adopted: the runbook's work, and ours now."""
    if receipt.adopted:
        sentence = f"{receipt.name} was put there by hand and is verified now: adopted, nothing was copied"
        return Tiding(EventName.BUNDLE_ADOPTED, sentence + signed_by(receipt.signer), _fields(receipt))
    sentence = (
        f"{receipt.name} is installed: {_files(receipt)}, {receipt.size:,} bytes, every one verified"
        f"{signed_by(receipt.signer)}"
    )
    return Tiding(EventName.BUNDLE_INSTALLED, sentence, {**_fields(receipt), Field.BYTES_TOTAL: receipt.size})


def completed(receipt: Receipt) -> Tiding:
    """Its publication was cut short after the switch, and has been finished."""
    sentence = f"{receipt.name} is installed: its publication was cut short and is complete now"
    return Tiding(EventName.BUNDLE_INSTALLED, sentence, _fields(receipt))


def rolled_back(receipt: Receipt) -> Tiding:
    """It was swapped with the version before it."""
    sentence = (
        f"{receipt.name} is rolled back to {receipt.manifest_sha256[:12]}…; {receipt.held_back[:12]}… is kept, and "
        "installed again only on request"
    )
    return Tiding(EventName.BUNDLE_ROLLED_BACK, sentence, _fields(receipt))


def removed(name: str) -> Tiding:
    """It was deleted on request, with the version before it."""
    return Tiding(EventName.BUNDLE_REMOVED, f"{name} is removed from the store", {Field.BUNDLE: name})


def current(name: str, manifest_sha256: str) -> Tiding:
    """The seed has what is installed."""
    fields = {Field.BUNDLE: name, Field.MANIFEST: manifest_sha256}
    return Tiding(EventName.BUNDLE_CURRENT, f"{name} is current, nothing to do", fields)


def damaged(receipt: Receipt) -> Tiding:
    """A verification has found it so."""
    error, sentence = receipt.damage
    return Tiding(EventName.BUNDLE_DAMAGED, sentence, {**_fields(receipt), Field.ERROR: error})


def _files(receipt: Receipt) -> str:
    return f"{len(receipt.files)} file{'' if len(receipt.files) == 1 else 's'}"


def _fields(receipt: Receipt) -> dict[Field, str | int]:
    return {Field.BUNDLE: receipt.name, Field.MANIFEST: receipt.manifest_sha256}
