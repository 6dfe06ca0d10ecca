"""What a unit serves, read off command lines as people write them."""

import pytest

from dubseedd.core.serving import Unit, served_by

STORE = "/var/lib/dubnium/models"


def served(*command: str, **environment: str) -> tuple[str, str]:
    server = served_by(Unit("vllm.service", active=True, started_at=1, command=command, environment=environment), STORE)
    return server.model, server.bundle


@pytest.mark.parametrize(
    "command",
    [
        ("/usr/bin/vllm", "serve", f"{STORE}/llama", "--port", "8000"),
        ("vllm", "serve", f"{STORE}//llama/"),
        ("vllm", "serve", "--model", f"{STORE}/llama"),
        ("/usr/bin/python3", "-m", "vllm.entrypoints.openai.api_server", f"--model={STORE}/llama"),
        ("llama-server", "-m", f"{STORE}/llama/model.gguf", "-c", "4096"),
    ],
)
def test_a_path_in_the_store_is_a_bundle(command: tuple[str, ...]) -> None:
    assert served(*command)[1] == "llama"


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "8000"),
        ("--enforce-eager",),
        ("--port=8000", "--tokenizer", f"{STORE}/other", "--port", "8000"),
        ("--chat-template", f"{STORE}/other/chat.jinja"),
    ],
)
def test_a_model_behind_options_is_found_where_it_is_a_path_in_the_store(options: tuple[str, ...]) -> None:
    assert served("vllm", "serve", *options, f"{STORE}/llama", "--seed", "1") == (f"{STORE}/llama", "llama")


def test_a_model_behind_options_is_found_by_the_name_of_a_repository_where_it_follows_no_option() -> None:
    options = ("--chat-template", f"{STORE}/llama/chat.jinja", "--port", "8000")
    assert served("vllm", "serve", *options, "owner/llama") == ("owner/llama", "")
    assert served("vllm", "serve", "--enforce-eager", "owner/llama") == ("", "")


def test_a_path_in_the_store_that_an_option_has_is_not_taken_for_a_model_that_is_named() -> None:
    command = ("vllm", "serve", "meta-llama/Llama-3-8B", "--tokenizer", f"{STORE}/llama")
    assert served(*command) == ("meta-llama/Llama-3-8B", "")


def test_the_variables_of_the_unit_are_put_in() -> None:
    assert served("vllm", "serve", "${MODELS}/$NAME", MODELS=STORE, NAME="llama") == (f"{STORE}/llama", "llama")
    assert served("vllm", "serve", "$ELSEWHERE") == ("$ELSEWHERE", "")


@pytest.mark.parametrize(
    ("command", "model"),
    [
        (("vllm", "serve", "meta-llama/Llama-3-8B"), "meta-llama/Llama-3-8B"),
        (("llama-server", "-hf", "ggml-org/gemma-3"), "ggml-org/gemma-3"),
        (("vllm", "serve", "/srv/models/llama"), "/srv/models/llama"),
        (("vllm", "serve", f"{STORE}-old/llama"), f"{STORE}-old/llama"),
        (("vllm", "serve", f"{STORE}/../llama"), f"{STORE}/../llama"),
        (("vllm", "serve", STORE), STORE),
    ],
)
def test_what_is_no_path_in_the_store_is_no_bundle(command: tuple[str, ...], model: str) -> None:
    assert served(*command) == (model, "")


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("/nix/store/abc-vllm-start",),
        ("vllm", "serve"),
        ("vllm", "serve", "--port", "8000"),
        ("python3", "-m", "server"),
    ],
)
def test_of_other_command_lines_nothing_is_told(command: tuple[str, ...]) -> None:
    assert served(*command) == ("", "")
