"""Sizes of checkpoints and GGUF files against published ones."""

from __future__ import annotations

import pytest

from envcheck.fit.checkpoints import SCHEMES, Scheme, checkpoint_bytes, native_scheme
from envcheck.fit.gguf_placed import placed_bytes
from envcheck.fit.gguf_types import BLOCKS, FILE_TYPES, gguf_bytes, gguf_tensors
from envcheck.fit.memory_checkpoint import gguf_weights, weights_of_file
from envcheck.fit.memory_gguf_weights import split
from envcheck.fit.memory_hparams import from_facts
from envcheck.fit.models import catalog, find
from envcheck.fit.tensors import parameter_count
from envcheck.schema.errors import InputError
from envcheck.schema.model import ModelFacts, ResolvedModel, StoredTensor

GIB = 2**30


def facts_of(name: str) -> ModelFacts:
    found = find(name)
    assert isinstance(found, ResolvedModel)
    return found.facts


# What llama.cpp prints as "model size" of files made by plain llama-quantize, GiB, and the case id of the log.
GGUF_SIZES = [
    ("Llama-3.1-70B", "Q4_K_M", 39.59, "lc-c15bd436f5-02"),
    ("Llama-3.1-70B", "Q6_K", 53.91, "lc-35c6de6ab8-01"),
    ("Qwen2.5-7B", "Q4_K_M", 4.36, "ol-eac80c17a1-01"),
    ("Qwen2.5-14B", "Q4_K_M", 8.37, "lc-5c5eef3a29-01"),
    ("Qwen2.5-32B", "Q4_K_M", 18.48, "lc-daa0d95c33-01"),
    ("Qwen2.5-32B", "Q8_0", 32.42, "lc-9bd1cf08a4-01"),
    ("Qwen3-32B", "Q5_K_M", 21.603, "lc-9fc135ca77-01"),
    ("Mistral-7B-v0.2", "Q4_K_M", 4.07, "lc-6e080322b5-01"),
    ("Mistral-7B-v0.3", "Q4_1", 4.24, "lc-a026b38cde-01"),
    ("Mistral-Large-123B", "IQ3_XS", 46.70, "lc-c15bd436f5-01"),
    ("DeepSeek-V2-Lite", "Q4_K_M", 9.65, "lc-091b564278-01"),
    ("DeepSeek-V2-Lite", "Q5_K_M", 11.03, "lc-359946fef5-01"),
    ("DeepSeek-V3", "Q8_0", 664.295, "lc-038dac0ec8-01"),
    ("Qwen3-235B-A22B", "Q6_K", 179.754, "lc-a8c28e16c5-04"),
    ("GLM-4-32B-0414", "IQ4_XS", 16.382, "lc-6c463e9610-03"),
    ("Gemma-3-27B", "IQ4_XS", 13.747, "lc-876aeb0e39-03"),
    ("Gemma-3-4B", "Q4_K_M", 2.31, "lc-bb31e6b940-01"),
    ("Gemma-2-27B", "Q8_0", 26.94, "lc-647f5bf5e3-01"),
    ("Mixtral-8x7B", "Q4_0", 24.63, "ol-b8796f05da-01"),
    ("Llama-3.2-3B", "Q4_K_M", 1.87, "lc-4a56c92d70-01"),
    ("Baichuan2-13B", "F16", 25.89, "lc-6013d59a74-01"),
]


@pytest.mark.parametrize(("name", "file_type", "gib", "_where"), GGUF_SIZES, ids=[f"{r[0]}-{r[1]}" for r in GGUF_SIZES])
def test_gguf_size_is_the_printed_one(name: str, file_type: str, gib: float, _where: str) -> None:
    assert sum(gguf_bytes(facts_of(name), file_type).values()) / GIB == pytest.approx(gib, rel=0.005, abs=0.006)


# Sizes of published checkpoints on the hub (sum of their safetensors files), GB.
CHECKPOINTS: list[tuple[str, Scheme, float]] = [
    ("Qwen2.5-7B", "bf16", 15.23), ("Qwen2.5-7B", "awq", 5.57), ("Qwen2.5-7B", "gptq-int4", 5.58),
    ("Qwen2.5-7B", "gptq-int8", 8.87), ("Qwen2.5-14B", "awq", 9.98), ("Qwen2.5-72B", "awq", 41.6),
    ("gpt-oss-20b", "mxfp4", 13.76), ("gpt-oss-120b", "mxfp4", 65.25), ("DeepSeek-V3", "fp8-block", 688.6),
    ("Qwen3-8B", "fp8-block", 9.44), ("Llama-2-13B", "awq", 7.25), ("Llama-3.1-8B", "bnb-4bit", 5.7),
]  # fmt: skip


@pytest.mark.parametrize(("name", "scheme", "gb"), CHECKPOINTS, ids=[f"{r[0]}-{r[1]}" for r in CHECKPOINTS])
def test_checkpoint_size_is_the_published_one(name: str, scheme: Scheme, gb: float) -> None:
    assert sum(checkpoint_bytes(facts_of(name), scheme).values()) / 1e9 == pytest.approx(gb, rel=0.01)


@pytest.mark.parametrize("model", catalog()[::9], ids=lambda model: model.name)
def test_fewer_bits_are_never_larger(model: ModelFacts) -> None:
    total = {scheme: sum(checkpoint_bytes(model, scheme).values()) for scheme in SCHEMES}
    assert total["bf16"] == total["fp16"] == 2 * parameter_count(model)
    assert total["fp32"] == 2 * total["bf16"]
    for four, eight in (("awq", "gptq-int8"), ("int4", "int8"), ("bnb-4bit", "bnb-int8"), ("w4a16", "fp8")):
        assert total[four] <= max(total[eight], total["bf16"])  # type: ignore[index]
    files = [sum(gguf_bytes(model, kind).values()) for kind in ("Q4_0", "Q8_0", "F16", "F32")]
    assert files == sorted(files)
    assert checkpoint_bytes(model, native_scheme(model))


@pytest.mark.parametrize("file_type", FILE_TYPES)
def test_every_file_type_is_whole(file_type: str) -> None:
    for name in ("Qwen2.5-0.5B", "Mixtral-8x7B", "Falcon-7B", "Qwen3-Next-80B-A3B", "DeepSeek-V2-Lite", "Gemma-3n-E2B"):
        typed = gguf_tensors(facts_of(name), file_type)
        assert all(tensor.type in BLOCKS and tensor.nbytes > 0 for tensor in typed)
        assert len({tensor.tensor.name for tensor in typed}) == len(typed)


def test_unknown_formats_are_said() -> None:
    with pytest.raises(InputError, match="known are"):
        gguf_bytes(facts_of("7B"), "Q9_K")
    with pytest.raises(InputError, match="known are"):
        checkpoint_bytes(facts_of("7B"), "int3")  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["Qwen2.5-7B-Instruct", "Mixtral-8x7B", "DeepSeek-V2-Lite", "gpt-oss-20b"])
@pytest.mark.parametrize("file_type", sorted(FILE_TYPES))
def test_bytes_by_place_are_those_of_the_tensors(model: str, file_type: str) -> None:
    found = find(model)
    assert isinstance(found, ResolvedModel)
    placed = placed_bytes(found.facts, file_type)
    listed = gguf_tensors(found.facts, file_type)
    for index in (0, 1, found.facts.layer_count // 2, found.facts.layer_count - 1):
        inside = [typed for typed in listed if typed.tensor.name.startswith(f"blk.{index}.")]
        assert placed.layers[index] == sum(typed.nbytes for typed in inside)
        assert placed.experts[index] == sum(typed.nbytes for typed in inside if "_exps." in typed.tensor.name)
    assert sum(placed.outside.values()) + sum(placed.layers) == sum(typed.nbytes for typed in listed)


# What stays in host memory with all layers on a GPU, and what the GPU holds, MiB: the tables that the input is looked
# up in, and with a tied head a copy of the first one.
PLACES = [
    ("BGE-small-en-v1.5", "F16", 23.11, 40.73),  # printed by llama.cpp's own CI: an encoder has no head
    ("GPT-2", "Q8_0", 50257 * 768 * 34 / 32 / 2**20 + 1024 * 768 * 4 / 2**20, 125.64),
    ("Gemma-3n-E2B", "Q8_0", (262400 * 2048 + 262144 * 30 * 256) * 34 / 32 / 2**20, None),
    ("Gemma-4-E4B", "Q8_0", 262144 * (2560 + 42 * 256) * 34 / 32 / 2**20, None),
    ("Llama-3.2-3B", "Q4_K_M", 308.24, 1918.36),
]


@pytest.mark.parametrize(("name", "file_type", "host", "gpu"), PLACES, ids=[row[0] for row in PLACES])
def test_input_tables_stay_in_host_memory(name: str, file_type: str, host: float, gpu: float | None) -> None:
    weights = gguf_weights(facts_of(name), file_type)
    assert weights is not None
    assert weights.embedding / 2**20 == pytest.approx(host, abs=0.2)
    if gpu is not None:
        assert (weights.output + weights.all_layers) / 2**20 == pytest.approx(gpu, abs=0.2)


@pytest.mark.parametrize("name", [row[0] for row in PLACES])
def test_a_file_is_placed_as_the_quantizer_would_write_it(name: str) -> None:
    facts = facts_of(name)
    listed = tuple(
        StoredTensor(name=typed.tensor.name, dtype=typed.type, shape=(1,), nbytes=typed.nbytes)
        for typed in gguf_tensors(facts, "Q8_0")
    )
    found, wanted = weights_of_file(listed, facts), gguf_weights(facts, "Q8_0")
    assert wanted is not None
    assert (found.embedding, found.output) == (wanted.embedding, wanted.output)
    assert found.layers == wanted.layers


def test_embeddings_by_layer_are_taken_from_what_a_log_prints() -> None:
    facts = facts_of("Gemma-4-E4B")
    table = facts.per_layer_vocab * facts.per_layer_width * facts.layer_count
    wanted = gguf_weights(facts, "Q8_0")
    assert wanted is not None
    printed = f"{wanted.total / 2**20:.2f} MiB (8.50 BPW)"
    found = split(from_facts(facts), "Q8_0", {"q8_0": 400, "f32": 300}, printed, None, table)
    assert found is not None
    assert found.embedding == pytest.approx(wanted.embedding, rel=1e-3)
    assert found.output + found.all_layers == pytest.approx(wanted.output + wanted.all_layers, rel=5e-3)
