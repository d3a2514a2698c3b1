"""Facts from `config.json`: the cases in tests/cases/models, and what is wrong with bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.hf_config import facts_from_config
from envcheck.fit.hf_layers import compress
from envcheck.fit.hf_traits import TRAITS
from envcheck.fit.tensors import parameter_count
from envcheck.schema.errors import InputError
from envcheck.schema.model import expand

CASES = sorted((Path(__file__).parent.parent / "cases" / "models").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = json.loads(path.read_text())
    facts = facts_from_config(case["config"], path.stem)
    expected = case["expected"]
    assert parameter_count(facts) == expected["parameters"]
    assert facts.mixers == expected["mixers"]
    assert facts.feed_forward == expected["feed_forward"]
    caches = [layer.attention.cached_elements for layer in facts.layers() if layer.caches and layer.attention]
    assert sum(caches) == expected["cached_elements"]


LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 160, "vocab_size": 1000, "max_position_embeddings": 2048,
}  # fmt: skip


@pytest.mark.parametrize("key", [k for k in LLAMA if k not in ("num_key_value_heads", "max_position_embeddings")])
def test_a_missing_key_is_named(key: str) -> None:
    config = {k: v for k, v in LLAMA.items() if k != key}
    with pytest.raises(InputError, match=key):
        facts_from_config(config, "x")


CONTRADICTIONS: list[dict[str, Any]] = [
    {"num_key_value_heads": 3},
    {"hidden_size": 66},
    {"hidden_size": "wide"},
    {"hidden_size": -1},
    {"hidden_size": 1.5},
    {"num_hidden_layers": 0},
    {"num_hidden_layers": 10**9},
    {"vocab_size": True},
    {"vocab_size": 2**60},
    {"model_type": "unheard_of"},
    {"layer_types": ["full_attention"]},
    {"layer_types": ["full_attention", "telepathy"]},
    {"layer_types": "full"},
    {"attention_bias": "yes"},
    {"num_local_experts": 8},
    {"block_configs": [{}]},
]


@pytest.mark.parametrize("changes", CONTRADICTIONS, ids=str)
def test_contradictions_give_one_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError) as raised:
        facts_from_config({**LLAMA, **changes}, "x")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_not_an_object() -> None:
    with pytest.raises(InputError):
        facts_from_config([], "x")  # type: ignore[arg-type]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2**70),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
)
KEYS = [
    *LLAMA,
    *("head_dim", "layer_types", "sliding_window", "num_experts", "num_experts_per_tok", "moe_intermediate_size"),
    *("kv_lora_rank", "text_config", "vision_config", "tie_word_embeddings", "block_configs", "quantization_config"),
    *("hybrid_override_pattern", "first_k_dense_replace", "num_kv_shared_layers", "num_nextn_predict_layers"),
]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(TRAITS)), st.dictionaries(st.sampled_from(KEYS), ODD, max_size=3))
def test_odd_values_never_crash(model_type: str, changes: dict[str, Any]) -> None:
    config = {**LLAMA, "model_type": model_type, **{k: v for k, v in changes.items() if k != "model_type"}}
    try:
        facts = facts_from_config(config, "x")
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert facts.hidden > 0


@settings(max_examples=200, deadline=None)
@given(st.text("asrl-", min_size=1, max_size=60))
def test_patterns_come_back(letters: str) -> None:
    assert expand(compress(letters), len(letters)) == letters
