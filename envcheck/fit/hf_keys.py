"""A Hugging Face configuration read with synonyms and defaults; one sentence for whatever is missing or senseless."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envcheck.schema.errors import InputError

Config = Mapping[str, Any]

_ALSO_CALLED = {
    "hidden_size": ("n_embd", "d_model", "dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers", "decoder_layers", "num_transformer_layers"),
    "num_attention_heads": ("n_head", "n_heads", "decoder_attention_heads", "num_heads"),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv", "multi_query_group_num", "num_query_groups"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "decoder_ffn_dim", "d_ff", "mlp_hidden_size"),
    "vocab_size": ("padded_vocab_size", "embedding_size"),
    "max_position_embeddings": (
        "n_positions",
        "max_seq_len",
        "seq_length",
        "n_ctx",
        "max_target_positions",
        "model_max_length",
    ),
    "num_experts": ("n_routed_experts", "num_local_experts", "moe_num_experts"),
    "num_experts_per_tok": ("top_k_experts", "moe_top_k", "moe_topk", "num_experts_per_token", "moe_k"),
    "moe_intermediate_size": ("expert_ffn_hidden_size",),
}


class Keys:
    """One configuration; every reader raises InputError with `where`, the key and what is wrong."""

    def __init__(self, config: Config, defaults: Config, where: str) -> None:
        self.config, self.defaults, self.where = config, defaults, where

    def value(self, key: str) -> Any:
        """The value under the key or one of its synonyms; None when absent or null."""
        for name in (key, *_ALSO_CALLED.get(key, ())):
            if self.config.get(name) is not None:
                return self.config[name]
        return self.defaults.get(key)

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number that is not negative."""
        value = self.value(key)
        if value is None:
            if default is None:
                raise InputError(f"{self.where}: the key {key!r} is missing; a model cannot be sized without it")
            return default
        if isinstance(value, list) and value and all(type(v) is int for v in value):
            value = max(value)
        whole = type(value) is int or (isinstance(value, float) and value.is_integer())
        if not whole or not 0 <= value < 2**40:
            raise InputError(f"{self.where}: {key} = {str(value)[:60]!r} is not a plausible count")
        return int(value)

    def positive(self, key: str) -> int:
        """A whole number above zero."""
        number = self.count(key)
        if number == 0:
            raise InputError(f"{self.where}: {key} is 0")
        return number

    def flag(self, key: str, default: bool = False) -> bool:
        """A truth value; anything else is an error."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"{self.where}: {key} = {value!r} is neither true nor false")
        return value
