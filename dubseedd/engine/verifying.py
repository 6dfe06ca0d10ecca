"""Verifying what is installed: every file read back from the disk and compared with its manifest."""

from dataclasses import replace

from dubseedd.core.bundle import BundleFile, shown
from dubseedd.core.lifecycle import JobState
from dubseedd.core.receipt import FileRecord, Receipt
from dubseedd.engine import copying, publishing, tree
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import Pump, ReadError
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import NO_ERROR, Failure, StoreTrouble
from dubseedd.names import ErrorName


def verify(store: Store, receipt: Receipt, meter: Meter, stop: StopFlag, *, now: int) -> Receipt:
    """Read one installed bundle back; returns its new receipt, which is written down and carries the damage if any.

    A file that was touched and has the right bytes is good: its record is renewed.
    """
    files = (*receipt.files, receipt.manifest)
    meter.enter(JobState.VERIFYING)
    meter.files_total = len(files)
    meter.bytes_total = meter.work_total = sum(file.size for file in files)
    try:
        with Pump(stop) as pump:
            records = [_verified(store, receipt.name, file, meter, pump) for file in files]
        found = {"files": tuple(records[:-1]), "manifest": records[-1], "damage": NO_ERROR}
    except StoreTrouble as damage:
        found = {"damage": damage.pair}
    meter.current_file = ""
    with writing_store(receipt.name):
        return store.amend_receipt(receipt, verified_at=now, **found)


def _verified(store: Store, name: str, file: FileRecord, meter: Meter, pump: Pump) -> FileRecord:
    """The renewed record of one file; StoreTrouble with what is wrong."""
    meter.current_file = file.path
    folder, _, base = f"{name}/{file.path}".rpartition("/")
    mend = "plug in a seed with this bundle to mend it"
    try:
        with tree.opened_folder(store.root, folder) as descriptor:
            found = copying.digest_file(pump, descriptor, base, file.size, count=meter.copied).digests.sha256
            record = publishing.record_of(descriptor, BundleFile(base, file.size, file.sha256), blake3=file.blake3)
    except FileNotFoundError as error:
        raise StoreTrouble(
            ErrorName.FILE_MISSING, f"{shown(file.path)} of {name} is missing; {mend}", file=file.path
        ) from error
    except (OSError, ReadError, Failure) as error:
        if isinstance(error, Failure) and error.error is ErrorName.CANCELLED:
            raise
        raise StoreTrouble(
            ErrorName.READ_FAILED,
            f"{shown(file.path)} of {name} cannot be read ({error}); check the disk, then {mend}",
            file=file.path,
        ) from error
    if (found, record.size) != (file.sha256, file.size):
        fault = f"its digest is {found}, its manifest says {file.sha256}"
        if record.size != file.size:
            fault = f"it has {record.size:,} bytes and had {file.size:,}"
        raise StoreTrouble(
            ErrorName.CHECKSUM_MISMATCH, f"{shown(file.path)} of {name} is damaged: {fault}; {mend}", file=file.path
        )
    meter.finished()
    return replace(record, path=file.path)
