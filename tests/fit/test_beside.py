"""What is counted beside a model: draft models and LoRA adapters."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit.beside import Beside, fit_beside, lora_bytes
from envcheck.fit.fitting import BACKENDS, fit
from envcheck.schema.errors import InputError
from envcheck.schema.fit import FitRow, Room
from tests.fit.made import ALL, LATENT, PLAIN, room

SMALL = msgspec.structs.replace(PLAIN, name="Plain-1B", hidden=2048, layer_count=8, ffn=4096)


def beside(backend: str, quant: str | None, what: Beside, machine: Room, context: int = 4096) -> FitRow:
    return fit_beside(PLAIN, backend, quant, context, 1, machine, (), (), what)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_draft_model_adds_its_weights_and_cache(backend: str) -> None:
    alone = fit(PLAIN, backend, None, 4096, 1, room(48))
    both = beside(backend, None, Beside(draft=SMALL), room(48))
    assert alone.memory_mib is not None
    assert both.memory_mib is not None
    added = both.memory_mib.weights - alone.memory_mib.weights
    assert (added > 0) is (backend != "ollama")
    assert (both.memory_mib.kv > alone.memory_mib.kv) is (backend != "ollama")
    assert both.memory_mib.overhead == alone.memory_mib.overhead
    assert any("draft" in note for note in both.assumptions)


def test_adapters_are_thin_matrices_beside_every_projection() -> None:
    # One layer of PLAIN: q, k, v, o and gate, up, down, each with A (rank x inputs) and B (outputs x rank).
    widths = (4096 + 4096) + 2 * (1024 + 4096) + (4096 + 4096) + 3 * (4096 + 14336)
    assert lora_bytes(PLAIN, 16, 2) == 2 * 2 * 16 * 32 * widths
    assert lora_bytes(LATENT, 8, 1) < lora_bytes(LATENT, 16, 1)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(BACKENDS), st.integers(1, 64), st.integers(1, 8), st.sampled_from((8.0, 24.0, 80.0)))
def test_the_terms_still_add_up(backend: str, rank: int, count: int, card: float) -> None:
    memory = beside(backend, None, Beside(draft=SMALL, lora_rank=rank, loras=count), room(card)).memory_mib
    assert memory is not None
    parts = memory.weights + memory.kv + memory.recurrent_state + memory.compute + memory.overhead
    assert memory.total == pytest.approx(parts, abs=0.01)
    assert memory.headroom == pytest.approx(memory.available - memory.total, abs=0.01)


def test_what_is_beside_can_be_what_does_not_fit() -> None:
    assert fit(PLAIN, "vllm", "awq", 4096, 1, room(10)).status == "fits"
    assert beside("vllm", "awq", Beside(draft=PLAIN, draft_quant="bf16"), room(10)).status == "no"


def test_the_commands_name_what_is_beside() -> None:
    what = Beside(draft=SMALL, lora_rank=16, loras=2)
    llama = beside("llama.cpp", "Q4_K_M", what, room(24)).command or ""
    assert "-md Plain-1B-Q4_K_M.gguf" in llama
    assert llama.count("--lora ") == 2
    vllm = beside("vllm", "awq", what, room(24)).command or ""
    assert "--speculative-config" in vllm
    assert "--max-loras 2 --max-lora-rank 16" in vllm
    assert "--gpu-memory-utilization 0.9" in vllm


def test_another_vocabulary_cannot_draft() -> None:
    with pytest.raises(InputError, match="vocabularies differ"):
        beside("llama.cpp", None, Beside(draft=ALL[1]), room(24))


def test_nothing_beside_changes_nothing() -> None:
    row = beside("llama.cpp", "Q4_K_M", Beside(), room(24))
    assert row.memory_mib == fit(PLAIN, "llama.cpp", "Q4_K_M", 4096, 1, room(24)).memory_mib
