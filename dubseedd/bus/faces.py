"""The faces of our objects: what each shows on D-Bus, as plain values. Shapes and units: org.dubnium.Seed1.xml."""

from typing import Any

from dubseedd import __version__
from dubseedd.core.objectpath import encode_path
from dubseedd.engine.store_view import StoredBundle
from dubseedd.names import (
    BUNDLE_INTERFACE,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    NO_OBJECT,
    ROOT_PATH,
    SEED_INTERFACE,
)
from dubseedd.service.conductor import Conductor
from dubseedd.service.job import Job
from dubseedd.service.seed import Seed

Properties = dict[str, Any]


def seed_path(seed: Seed) -> str:
    return f"{ROOT_PATH}/seeds/{encode_path(seed.id)}"


def bundle_path(name: str) -> str:
    return f"{ROOT_PATH}/bundles/{encode_path(name)}"


def job_path(job: Job) -> str:
    return f"{ROOT_PATH}/jobs/{job.id}"


def manager(conductor: Conductor) -> tuple[str, Properties]:
    return MANAGER_INTERFACE, {
        "Version": __version__,
        "State": conductor.state.value,
        "Status": conductor.status,
        "Progress": [conductor.percent, conductor.status, 0],
        "LastError": list(conductor.last_error),
        "SafeToRemove": conductor.safe_to_remove,
        "Store": conductor.store.path,
        "Trust": conductor.trust,
        "Inhibitors": [[one.who, one.why] for one in conductor.inhibitors.all],
        "Seeds": [seed_path(seed) for seed in conductor.seeds.all.values()],
        "Bundles": [bundle_path(name) for name in conductor.shelf.bundles],
        "Jobs": [job_path(job) for job in conductor.jobs.all.values()],
    }


def seed(one: Seed, conductor: Conductor) -> tuple[str, Properties]:
    return SEED_INTERFACE, {
        "Uuid": one.device.uuid,
        "Label": one.device.label,
        "Device": one.device.node,
        "Filesystem": one.device.filesystem,
        "Size": one.device.size,
        "Drive": one.disk.drive if one.disk else "",
        "Serial": one.disk.serial if one.disk else "",
        "MountPoint": one.mount_point,
        "State": one.state.value,
        "SafeToRemove": one.safe_to_remove,
        "Bundles": [
            [offer.name, offer.size, offer.manifest_sha256, one.verdicts.get(offer.name, "")]
            for offer in one.offers.values()
        ],
        "Jobs": [job_path(job) for job in conductor.jobs.all.values() if job.seed is one],
        "Error": list(one.error),
    }


def bundle(one: StoredBundle) -> tuple[str, Properties]:
    return BUNDLE_INTERFACE, {
        "Name": one.name,
        "Path": one.path,
        "Size": one.size,
        "Files": one.files,
        "ManifestSha256": one.manifest_sha256,
        "Format": str(one.format),
        "State": one.state.value,
        "InstalledAt": one.installed_at,
        "VerifiedAt": one.verified_at,
        "SeedUuid": one.seed_uuid,
        "Signer": one.signer,
        "Source": one.source,
        "CanRollback": one.can_roll_back,
        "Error": list(one.error),
    }


def job(one: Job) -> tuple[str, Properties]:
    seen = one.seen
    return JOB_INTERFACE, {
        "Id": one.id,
        "Kind": one.kind.value,
        "Bundle": one.bundle,
        "Seed": seed_path(one.seed) if one.seed else NO_OBJECT,
        "State": one.state.value,
        "BytesTotal": seen.bytes_total,
        "BytesDone": seen.bytes_done,
        "BytesSkipped": seen.bytes_skipped,
        "FilesTotal": seen.files_total,
        "FilesDone": seen.files_done,
        "CurrentFile": seen.current_file,
        "Rate": one.pace.rate if one.state.at_work else 0,
        "StartTime": one.started_at,
        "ExpectedEndTime": one.expected_end if one.state.at_work else 0,
        "Progress": [one.percent, one.sentence, 1],
        "Error": list(one.error),
    }
