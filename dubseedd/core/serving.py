"""Serving: which model a unit of systemd serves, read off its command line.

Command lines of vLLM and llama-server are understood:

    vllm serve /var/lib/dubnium/models/llama --port 8000
    python3 -m vllm.entrypoints.openai.api_server --model=/var/lib/dubnium/models/llama
    llama-server -m /var/lib/dubnium/models/qwen-gguf/qwen.gguf
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

MODEL_OPTIONS = ("--model", "-m")
FETCHING_OPTIONS = ("-hf", "-hfr", "--hf-repo", "-mu", "--model-url")
"""Those of llama-server that name a model on the network."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+)\b)")


@dataclass(frozen=True, slots=True)
class Unit:
    """A service as systemd has it loaded. `started_at` in microseconds since the epoch, 0 while it does not run."""

    name: str
    active: bool
    started_at: int
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """What a unit serves: `model` as it is on its command line, and `bundle`, the one in the store that this is.

    Both are empty where nothing can be told; `bundle` alone, where the model is no path in the store.
    """

    unit: str
    active: bool
    started_at: int
    model: str = ""
    bundle: str = ""


def served_by(unit: Unit, store: str) -> Server:
    """What a unit serves from a store."""
    model = _model(unit, store)
    return Server(unit.name, unit.active, unit.started_at, model, _bundle(model, store))


def _model(unit: Unit, store: str) -> str:
    """The model argument of a command line, with the unit's variables put in; "" where there is none."""
    words = [_VARIABLE.sub(lambda match: unit.environment.get(match[1] or match[2], match[0]), w) for w in unit.command]
    if posixpath.basename(words[0] if words else "").startswith("python") and words[1:2] == ["-m"]:
        words = words[2:]
    for option in (*MODEL_OPTIONS, *FETCHING_OPTIONS):
        for place, word in enumerate(words):
            name, equals, value = word.partition("=")
            if name == option:
                return value if equals else _after(words, place)
    if "serve" not in words:
        return ""
    serve = words.index("serve")
    return _after(words, serve) or _behind_options(words[serve:], store)


def _behind_options(words: Sequence[str], store: str) -> str:
    """The model among options of which nobody knows which take a value: rather a word that follows no option, and of
    those rather a path in the store; what follows an option is taken only as such a path."""
    free = [word for before, word in pairwise(words) if not word.startswith("-") and not before.startswith("-")]
    best = (*_paths(free, store), *free, *_paths(words, store))
    return best[0] if best else ""


def _paths(words: Sequence[str], store: str) -> list[str]:
    return [word for word in words if _bundle(word, store)]


def _after(words: Sequence[str], place: int) -> str:
    value = words[place + 1] if place + 1 < len(words) else ""
    return "" if value.startswith("-") else value


def _bundle(model: str, store: str) -> str:
    path = posixpath.normpath(model)
    inside = path.removeprefix(f"{posixpath.normpath(store)}/")
    return inside.split("/")[0] if path != inside else ""
