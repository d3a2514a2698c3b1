"""What the target interpreter and a model folder say, and servers that are recognised by their model list."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from envcheck.backends import _target
from envcheck.backends._served import device_words
from envcheck.backends.sglang import BACKEND as SGLANG
from envcheck.backends.vllm import BACKEND as VLLM
from envcheck.host import Host
from envcheck.schema.errors import EnvcheckError, InputError
from tests.backends.test_ollama import document
from tests.validate.scripted import ScriptedServer


def test_modules_are_found_without_importing_them() -> None:
    found = _target.modules(
        Host(target_python=sys.executable), {"pytest": ["pytest"], "click": ["no-such", "click"], "nope": ["nope"]}
    )
    assert isinstance(found, dict)
    assert set(found) == {"pytest", "click"}
    assert found["click"]


@pytest.mark.parametrize(
    ("program", "words"), [("/nonexistent/python", "could not be asked"), ("/bin/true", "something else")]
)
def test_an_interpreter_that_cannot_be_asked(program: str, words: str) -> None:
    found = _target.modules(Host(target_python=program), {"torch": ["torch"]})
    assert isinstance(found, str)
    assert words in found


@pytest.mark.parametrize(
    ("config", "context", "generates"),
    [
        ({"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048}, 2048, True),
        (
            {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"max_position_embeddings": 131072}},
            4096,
            True,
        ),
        ({"architectures": ["BertModel"]}, 4096, False),
        ({}, 4096, False),
    ],
)
def test_a_model_folder(tmp_path: Path, config: object, context: int, generates: bool) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert _target.context_of(Host(), str(tmp_path), 4096) == context
    assert _target.generates_text(Host(), str(tmp_path)) is generates
    assert _target.model_folder(Host(), str(tmp_path)).template is None
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "a"}')
    assert _target.model_folder(Host(), str(tmp_path)).template == "a"


LISTED = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2048}]}


def test_a_server_is_known_by_who_owns_its_models() -> None:
    with ScriptedServer(document(LISTED), document(LISTED), document(LISTED)) as server:
        found = VLLM.at(Host(), server.url, None)
        assert (found.backend, found.state, found.model) == ("vllm", "running", "m")
        with pytest.raises(InputError, match="it lists m"):
            VLLM.at(Host(), server.url, "other")
        with pytest.raises(EnvcheckError, match="No sglang server answers"):
            SGLANG.at(Host(), server.url, None)


@pytest.mark.parametrize(
    ("log", "device", "weights"),
    [
        (
            "INFO with config: model='m', device_config=cuda, seed=0\nModel loading took 14.25 GiB memory",
            "cuda",
            14592.0,
        ),
        ("device_config=cpu", "cpu", None),
        ("nothing", "unknown", None),
    ],
)
def test_where_vllm_says_it_runs(log: str, device: str, weights: float | None) -> None:
    words = device_words(log)
    assert words.device == device
    assert words.memory_mib.get("weights") == weights
