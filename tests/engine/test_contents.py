"""What is in the weights of a bundle, judged from the copy in staging: early, and never blamed on the wrong disk."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dubseedd.core.lifecycle import JobState
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Readiness
from dubseedd.errors import Cancelled, SeedRefused, StoreTrouble
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import (
    contents,
    gguf,
    manifest_of,
    model_files,
    published,
    safetensors,
    safetensors_of,
    write_bundle,
)

InStore = Callable[[str], Path]

LARGE = (4 << 20) + 1000
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
CUT = safetensors_of(LARGE)[:-1]
SWAPPED = {"weight_map": {"layer.1.weight": ONE, "layer.2.weight": ONE}}
ONE_SHARD = {"weight_map": {"layer.1.weight": ONE}}
BROKEN = {
    "one byte less": ({ONE: model_files()[ONE][:-1]}, ONE, "has 99,999 bytes of tensors, and its header"),
    "one byte more, large": ({ONE: safetensors_of(LARGE) + b"x"}, ONE, "has 4,195,177 bytes of tensors, and"),
    "no header": ({TWO: b"\xff" * 100}, TWO, "is cut short or no safetensors file"),
    "empty": ({TWO: b""}, TWO, "has 0 bytes, too few for a safetensors file"),
    "a pointer": ({TWO: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}, TWO, "is a pointer of Git LFS"),
    "in a folder": ({"vae/x.SAFETENSORS": b"x" * 9}, "vae/x.SAFETENSORS", "is cut short or no safetensors file"),
    "a GGUF that was cut": ({"x.gguf": gguf(tensors=9, data=0)[:-99]}, "x.gguf", "is cut short or broken"),
    "a GGUF pointer": ({"x.gguf": b"version https://git-lfs.github.com/"}, "x.gguf", "is a pointer of Git LFS"),
    "a tensor elsewhere": ({INDEX: json.dumps(SWAPPED).encode()}, INDEX, f"looks for layer.2.weight in {ONE}, which"),
    "five indexes of one shard": (
        {f"{n}.safetensors.index.json": json.dumps(ONE_SHARD).encode() for n in range(4)},
        INDEX,
        f"names {ONE}, as 4 others do; leave one index for a shard",
    ),
    "a shard that is none": ({INDEX: b'{"weight_map": {"a": "tokenizer.json"}}'}, "tokenizer.json", "is cut short"),
}  # fmt: skip


def refusal_of(sync: Syncing) -> SeedRefused:
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert refused.value.error is ErrorName.MODEL_INCOMPLETE
    return refused.value


@pytest.mark.parametrize("case", BROKEN)
def test_weights_that_do_not_fit_their_header_are_refused(
    models: Path, sync: Syncing, store: Store, in_store: InStore, case: str
) -> None:
    files, path, reason = BROKEN[case]
    write_bundle(models / "tiny", {**model_files(), **files})
    refusal = refusal_of(sync)
    assert refusal.file == path
    assert refusal.sentence.startswith(f"{path} {reason}")
    assert not in_store("tiny").exists()
    assert store.receipt("tiny") is None


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_with_such_weights_is_not_adopted(
    models: Path, sync: Syncing, store: Store, in_store: InStore, case: str
) -> None:
    files = {**model_files(), **BROKEN[case][0]}
    write_bundle(models / "tiny", files)
    write_bundle(in_store("tiny"), files)
    assert refusal_of(sync).file == BROKEN[case][1]
    assert store.receipt("tiny") is None
    assert contents(in_store("tiny")) == published(files)


def test_a_bundle_of_gguf_files_is_published(models: Path, sync: Syncing, in_store: InStore) -> None:
    files = {"a.gguf": gguf(), "b.gguf": gguf(tensors=5, tokens=99, data=LARGE)}
    write_bundle(models / "tiny", files)
    assert sync("tiny") is Readiness.STAGED
    assert contents(in_store("tiny")) == published(files)


def test_a_broken_shard_is_known_before_the_next_one_is_read(models: Path, sync: Syncing) -> None:
    files = {"config.json": b"{}", "a.safetensors": CUT, "b.safetensors": safetensors_of(LARGE)}
    write_bundle(models / "tiny", files)
    assert refusal_of(sync).file == "a.safetensors"
    assert sync.tools.meter.bytes_done == len(b"{}") + len(CUT)


def test_a_broken_small_file_is_known_before_any_large_one_is_read(models: Path, sync: Syncing) -> None:
    files = {"config.json": b"{}", "a.safetensors": safetensors_of(LARGE), "z.safetensors": b"broken"}
    write_bundle(models / "tiny", files)
    assert refusal_of(sync).file == "z.safetensors"
    assert sync.tools.meter.bytes_done == len(b"{}") + len(b"broken")


def test_what_was_copied_of_a_refused_bundle_is_refused_again_without_being_read_again(
    models: Path, sync: Syncing
) -> None:
    files = {"config.json": b"{}", "a.safetensors": CUT}
    write_bundle(models / "tiny", files)
    first = refusal_of(sync)
    assert refusal_of(sync).sentence == first.sentence
    assert sync.tools.meter.bytes_done == 0


def test_weights_that_the_store_has_under_another_name_are_looked_into_as_well(models: Path, sync: Syncing) -> None:
    write_bundle(models / "plain", {"config.json": b"{}", "a.dat": CUT})
    sync("plain")
    write_bundle(models / "tiny", {"config.json": b"{}", "a.safetensors": CUT})
    assert refusal_of(sync).file == "a.safetensors"
    assert sync.tools.meter.bytes_done == 0


def test_code_that_a_model_brings_or_asks_for_is_noted(models: Path, sync: Syncing) -> None:
    files = {**model_files(), "modeling.py": b"", "config.json": b'{"auto_map": {}}'}
    write_bundle(models / "tiny", files)
    sync("tiny")
    assert sync.notes == [
        "tiny: modeling.py is code",
        "tiny: config.json has an auto_map, which asks loaders to run code of the bundle",
    ]


class TestADiskThatGivesBackOtherBytes:
    """Between two attempts: what is staged is taken as it is, and so looked into as it is."""

    def staged(self, models: Path, sync: Syncing, store: Store, files: Mapping[str, bytes]) -> Path:
        """The staging folder, with every file in it."""
        write_bundle(models / "tiny", files)
        tools = sync.fresh_tools()
        make, sync.fresh_tools = sync.fresh_tools, lambda: tools  # type: ignore[method-assign]

        def stop(phase: JobState) -> None:
            if phase is JobState.VERIFYING:
                tools.stop.set(Cancelled())

        tools.meter.on_phase = stop
        with pytest.raises(Cancelled):
            sync("tiny")
        sync.fresh_tools = make  # type: ignore[method-assign]
        (digest,) = os.listdir(store.staging)
        return Path(store.path) / ".dubseed/staging" / digest / "tree"

    @pytest.mark.parametrize("size", [1000, LARGE])
    @pytest.mark.parametrize(
        ("old", "new"), [(b'"shape"', b'"shapf"'), (b"layer.1.weight", b"layer.1.weighs"), (b'"U8"', b'"U9"')]
    )
    def test_it_is_the_disk_that_is_named_and_the_file_is_copied_anew(
        self, models: Path, sync: Syncing, store: Store, in_store: InStore, size: int, old: bytes, new: bytes
    ) -> None:
        files = {**model_files(), ONE: safetensors("layer.1.weight", bytes(size))}
        path = self.staged(models, sync, store, files) / ONE
        replace_keeping_times(path, old, new)
        with pytest.raises(StoreTrouble) as trouble:
            sync("tiny")
        assert (trouble.value.error, trouble.value.file) == (ErrorName.CHECKSUM_MISMATCH, ONE)
        assert "the store's disk is failing" in trouble.value.sentence
        assert not path.exists()
        sync("tiny")
        assert sync.tools.meter.bytes_done == len(files[ONE])
        assert contents(in_store("tiny")) == published(files)


def replace_keeping_times(path: Path, old: bytes, new: bytes) -> None:
    """What a flipped bit does: no time changes."""
    before, data = path.stat(), path.read_bytes()
    assert old in data
    with path.open("r+b") as stream:
        stream.write(data.replace(old, new, 1))
        os.fsync(stream.fileno())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_wrong_digest_is_told_before_a_wrong_header(models: Path, sync: Syncing) -> None:
    files = {"config.json": b"{}", "a.safetensors": safetensors_of(LARGE)}
    write_bundle(models / "tiny", {**files, "a.safetensors": CUT + b"x"}, manifest=manifest_of(files))
    with pytest.raises(SeedRefused) as refused:
        sync("tiny")
    assert refused.value.error is ErrorName.CHECKSUM_MISMATCH
