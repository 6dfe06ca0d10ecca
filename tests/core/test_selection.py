"""Which files of a model go into its bundle."""

import pytest

from dubseedd.core.selection import LeftOut, Reason, Wish, select

MODEL = ("config.json", "model.safetensors")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".gitattributes", Reason.GIT),
        (".git/config", Reason.GIT),
        (".cache/huggingface/download/config.json.metadata", Reason.CACHE),
        ("__pycache__/model.pyc", Reason.CACHE),
        ("._config.json", Reason.LITTER),
        ("tokenizer/.DS_Store", Reason.LITTER),
        ("model-00001.safetensors.incomplete", Reason.PARTIAL),
        ("pytorch_model.bin", Reason.FOREIGN),
        ("pytorch_model.bin.index.json", Reason.FOREIGN),
        ("TF_MODEL.H5", Reason.FOREIGN),
        ("flax_model.msgpack", Reason.FOREIGN),
        ("original/consolidated.00.pth", Reason.FOREIGN),
        ("original/params.json", Reason.FOREIGN),
        ("onnx/model.onnx", Reason.FOREIGN),
        ("SHA256SUMS", Reason.ANEW),
        ("SHA256SUMS.sig", Reason.ANEW),
        ("B3SUMS", Reason.ANEW),
        ("dubnium-bundle.json", Reason.ANEW),
    ],
)
def test_what_no_workstation_needs_is_left_out_with_its_reason(path: str, reason: Reason) -> None:
    selection = select((*MODEL, path), Wish())
    assert selection.taken == MODEL
    assert selection.left_out == (LeftOut(path, reason),)


@pytest.mark.parametrize("path", ["README.md", "tokenizer/vocab.txt", "modeling_x.py", "vocab.bin.txt", "model.sig"])
def test_everything_else_is_taken(path: str) -> None:
    assert path in select((*MODEL, path), Wish()).taken


def test_weights_of_another_kind_are_taken_where_there_are_no_safetensors() -> None:
    paths = ("config.json", "pytorch_model.bin")
    assert select(paths, Wish()).taken == paths


def test_safetensors_in_capitals_replace_other_weights_too() -> None:
    paths = ("MODEL.SAFETENSORS", "config.json", "pytorch_model.bin")
    assert select(paths, Wish()).left_out == (LeftOut("pytorch_model.bin", Reason.FOREIGN),)


def test_safetensors_in_a_folder_of_another_framework_replace_nothing() -> None:
    paths = ("config.json", "original/model.safetensors", "pytorch_model.bin")
    assert select(paths, Wish()).taken == paths


@pytest.mark.parametrize("pattern", ["original", "original/", "original/*", "*.pth", "orig*"])
def test_include_takes_a_path_a_name_or_a_folder_with_all_in_it(pattern: str) -> None:
    paths = (*MODEL, "original/consolidated.00.pth")
    assert select(paths, Wish(include=(pattern,))).taken == paths


def test_exclude_goes_before_include_and_before_everything() -> None:
    wish = Wish(include=("*.safetensors",), exclude=("model.safetensors",), everything=True)
    assert select(MODEL, wish).left_out == (LeftOut("model.safetensors", Reason.EXCLUDED),)


def test_everything_takes_all_but_what_is_written_anew() -> None:
    paths = (".gitattributes", "SHA256SUMS", "config.json", "original/x.pth")
    assert select(paths, Wish(everything=True)).taken == (".gitattributes", "config.json", "original/x.pth")
