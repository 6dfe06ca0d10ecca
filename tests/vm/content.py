"""What is on the sticks: an older and a newer version of one bundle, small enough for a guest that is slow."""

from tests.support.bundles import model_files

NAME = "tiny"
MANAGER = ("org.dubnium.Seed1", "/org/dubnium/Seed1", "org.dubnium.Seed1.Manager")
"""Where busctl finds the daemon."""
STATE = ("busctl", "--timeout=5", "get-property", *MANAGER, "State")
"""A question that it answers within 5 s, or the command fails."""
STORE = "/var/lib/dubnium/models"
OLD = model_files(shards=3, shard_bytes=1_200_000, seed=b"1")
NEW = model_files(shards=3, shard_bytes=1_200_000, seed=b"2")
SIZE_BYTES = sum(map(len, NEW.values()))
LITTER = {
    "._.Trashes": b"\x00\x05\x16\x07",
    ".DS_Store": b"\x00\x00\x00\x01Bud1",
    ".Spotlight-V100/Store-V2/0.indexHead": b"index",
    ".fseventsd/fseventsd-uuid": b"uuid",
    ".Trashes/501/old.bin": b"gone",
    "System Volume Information/IndexerVolumeGuid": b"{guid}",
    "$RECYCLE.BIN/desktop.ini": b"[.ShellClassInfo]",
    "models/.DS_Store": b"\x00\x00\x00\x01Bud1",
    "models/._tiny": b"\x00\x05\x16\x07",
    "models/tiny/._config.json": b"\x00\x05\x16\x07",
    "models/tiny/.DS_Store": b"\x00\x00\x00\x01Bud1",
    "models/tiny/Thumbs.db": b"\xd0\xcf\x11\xe0",
    "models/tiny/desktop.ini": b"[.ShellClassInfo]",
}
"""What macOS and Windows leave on a stick that was in them."""
