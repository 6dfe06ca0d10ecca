"""Every well-known string of the project, written once.

What they stand for is told to users: states and errors in org.dubnium.Seed1(5), events and fields in dubseedd(8).
"""

from enum import StrEnum

BUS_NAME = "org.dubnium.Seed1"
ROOT_PATH = "/org/dubnium/Seed1"
MANAGER_INTERFACE = "org.dubnium.Seed1.Manager"
SEED_INTERFACE = "org.dubnium.Seed1.Seed"
BUNDLE_INTERFACE = "org.dubnium.Seed1.Bundle"
JOB_INTERFACE = "org.dubnium.Seed1.Job"
ERROR_PREFIX = "org.dubnium.Seed1.Error."
ACTION_PREFIX = "org.dubnium.seed1."
NO_OBJECT = "/"

HISTORY_MOST = 1000
"""Events in one answer of GetHistory."""

IDENTIFIER = "dubseedd"
DEFAULT_LABEL = "DUB-SEED"
DEFAULT_STORE = "/var/lib/dubnium/models"
CONFIG_FILE = "/etc/dubnium/dubseedd.toml"
CONFIG_FOLDER = "/etc/dubnium/dubseedd.d"
RUNTIME_FOLDER = "/run/dubseedd"

MANIFEST = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
SIGNATURE_NAMESPACE = "dubnium-seed"
MODEL_SIGNATURE = "model.sig"
BLAKE3_MANIFEST = "B3SUMS"
ABOUT = "dubnium-bundle.json"
LEAFLET = "README.txt"
WORKSHOP = ".dubseed-making"
NEIGHBOURS = frozenset({SIGNATURE, MODEL_SIGNATURE, BLAKE3_MANIFEST})
"""Files beside the manifest that may stay unlisted."""


class Action(StrEnum):
    """What a caller may be authorised for."""

    SYNC = "sync"
    VERIFY = "verify"
    CANCEL = "cancel"
    EJECT = "eject"
    INHIBIT = "inhibit"
    MANAGE = "manage"
    REPLACE_FOREIGN = "replace-foreign"

    @property
    def full(self) -> str:
        """The name that polkit knows it by."""
        return ACTION_PREFIX + self.value


class ErrorName(StrEnum):
    """The deliberate errors; on D-Bus each carries ERROR_PREFIX."""

    INVALID_ARGS = "InvalidArgs"
    NOT_FOUND = "NotFound"
    NOT_AUTHORIZED = "NotAuthorized"
    BUSY = "Busy"
    INHIBITED = "Inhibited"
    CANCELLED = "Cancelled"
    SEED_GONE = "SeedGone"
    MOUNT_FAILED = "MountFailed"
    UNSAFE_MOUNT = "UnsafeMount"
    INVALID_NAME = "InvalidName"
    CACHE_TREE = "CacheTree"
    MANIFEST_MISSING = "ManifestMissing"
    MANIFEST_INVALID = "ManifestInvalid"
    UNTRUSTED_SEED = "UntrustedSeed"
    FILE_MISSING = "FileMissing"
    UNSAFE_FILE = "UnsafeFile"
    UNLISTED_FILE = "UnlistedFile"
    MODEL_INCOMPLETE = "ModelIncomplete"
    UNSAFE_MODEL = "UnsafeModel"
    NO_SPACE = "NoSpace"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    FOREIGN_BUNDLE = "ForeignBundle"
    CONFLICT = "Conflict"
    NO_PREVIOUS = "NoPrevious"
    READ_FAILED = "ReadFailed"
    WRITE_FAILED = "WriteFailed"
    STORE_FAILED = "StoreFailed"
    INTERNAL = "Internal"

    @property
    def full(self) -> str:
        """The name on D-Bus."""
        return ERROR_PREFIX + self.value

    @classmethod
    def of(cls, full: str) -> "ErrorName":
        """The error that has this name on D-Bus."""
        return cls(full.removeprefix(ERROR_PREFIX))


class EventName(StrEnum):
    """What is told to the journal and the history."""

    STARTED = "started"
    STOPPED = "stopped"
    SEED_ADDED = "seed-added"
    SEED_REMOVED = "seed-removed"
    SEED_MOUNTED = "seed-mounted"
    SEED_UNMOUNTED = "seed-unmounted"
    SEED_REFUSED = "seed-refused"
    BUNDLE_FOUND = "bundle-found"
    BUNDLE_REFUSED = "bundle-refused"
    JOB_STARTED = "job-started"
    JOB_PROGRESS = "job-progress"
    JOB_FINISHED = "job-finished"
    JOB_FAILED = "job-failed"
    JOB_INTERRUPTED = "job-interrupted"
    JOB_RESUMED = "job-resumed"
    JOB_CANCELLED = "job-cancelled"
    BUNDLE_INSTALLED = "bundle-installed"
    BUNDLE_ADOPTED = "bundle-adopted"
    BUNDLE_CURRENT = "bundle-current"
    BUNDLE_DAMAGED = "bundle-damaged"
    BUNDLE_ROLLED_BACK = "bundle-rolled-back"
    BUNDLE_REMOVED = "bundle-removed"
    SAFE_TO_REMOVE = "safe-to-remove"


class Field(StrEnum):
    """The journal fields of an event; in the history and on D-Bus the same in lower case."""

    EVENT = "DUBSEED_EVENT"
    SEED = "DUBSEED_SEED"
    DEVICE = "DUBSEED_DEVICE"
    BUNDLE = "DUBSEED_BUNDLE"
    JOB = "DUBSEED_JOB"
    FILE = "DUBSEED_FILE"
    BYTES_DONE = "DUBSEED_BYTES_DONE"
    BYTES_TOTAL = "DUBSEED_BYTES_TOTAL"
    PERCENT = "DUBSEED_PERCENT"
    RATE = "DUBSEED_RATE"
    ERROR = "DUBSEED_ERROR"
    MANIFEST = "DUBSEED_MANIFEST"
