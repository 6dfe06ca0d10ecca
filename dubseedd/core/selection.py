"""Which files of a model go into its bundle, which are left out, and why.

What `--exclude` names is left out, what `--include` names is taken; the rules below are for the rest. `--everything`
switches them off. What create writes anew is never copied.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from dubseedd.core.bundle import PICKLED, is_litter
from dubseedd.core.content import SAFETENSORS
from dubseedd.names import ABOUT, BLAKE3_MANIFEST, MANIFEST, SIGNATURE

WRITTEN_ANEW = frozenset({MANIFEST, SIGNATURE, BLAKE3_MANIFEST, ABOUT})
PARTIAL = ("*.incomplete", "*.part", "*.partial", "*.crdownload", "*.aria2", "*.tmp")
FOREIGN_FOLDERS = frozenset({"original", "onnx", "openvino", "coreml", "metal", "flax", "tensorrt"})
FOREIGN_FILES = (
    *(f"*{suffix}" for suffix in PICKLED),
    *("*.h5", "*.msgpack", "*.ot", "*.onnx", "*.onnx_data", "*.tflite", "*.mlmodel"),
    *("*.bin.index.json", "*.h5.index.json", "*.msgpack.index.json"),
)


class Reason(StrEnum):
    """Why a file is left out."""

    ANEW = "written anew"
    EXCLUDED = "excluded"
    GIT = "of Git"
    CACHE = "a cache"
    LITTER = "litter of another system"
    PARTIAL = "a partial download"
    FOREIGN = "weights beside the safetensors"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. A pattern is a shell's; it fits a whole path, a name, or a folder with all in it."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    everything: bool = False

    @property
    def takes_more(self) -> bool:
        """Is more asked for than the rules let through?"""
        return self.everything or bool(self.include)


@dataclass(frozen=True, slots=True)
class LeftOut:
    path: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Selection:
    """The paths of a model, sorted."""

    taken: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def select(paths: Iterable[str], wish: Wish) -> Selection:
    """Divide the files of a model."""
    everything = sorted(paths)
    has_safetensors = any(path.lower().endswith(SAFETENSORS) and not _is_foreign(path) for path in everything)
    taken, left_out = [], []
    for path in everything:
        reason = _reason(path, wish, has_safetensors=has_safetensors)
        if reason is None:
            taken.append(path)
        else:
            left_out.append(LeftOut(path, reason))
    return Selection(tuple(taken), tuple(left_out))


def _reason(path: str, wish: Wish, *, has_safetensors: bool) -> Reason | None:
    if path in WRITTEN_ANEW:
        return Reason.ANEW
    if _fits(path, wish.exclude):
        return Reason.EXCLUDED
    if wish.everything or _fits(path, wish.include):
        return None
    folders = path.split("/")
    rules = (
        (any(part.startswith(".git") for part in folders), Reason.GIT),
        (".cache" in folders or "__pycache__" in folders, Reason.CACHE),
        (is_litter(path), Reason.LITTER),
        (_fits(path, PARTIAL), Reason.PARTIAL),
        (has_safetensors and _is_foreign(path), Reason.FOREIGN),
    )
    return next((reason for applies, reason in rules if applies), None)


def _is_foreign(path: str) -> bool:
    return not FOREIGN_FOLDERS.isdisjoint(path.split("/")[:-1]) or _fits(path.lower(), FOREIGN_FILES)


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """Does a pattern fit the path, its name, or a folder that it lies in?"""
    parts = path.split("/")
    whole = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    return any(fnmatchcase(text, pattern.rstrip("/")) for pattern in patterns for text in (*whole, parts[-1]))
