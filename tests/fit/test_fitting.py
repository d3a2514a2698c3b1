"""Fit rows: the laws that every row obeys on any machine, and what is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.fit import memory_room
from envcheck.fit.fitting import BACKENDS, GGUF_BACKENDS, fit
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Absent, Known, Unknown
from envcheck.schema.fit import Device, FitRow, Room
from envcheck.schema.model import ModelFacts, Vision
from envcheck.schema.snapshot import Apple, Gpu, Memory, Nvidia, Snapshot
from tests.fit.made import ALL, LATENT, PLAIN, card, room
from tests.fit.test_memory_vllm_loaded import facts

ORDER = {"no": 0, "offload": 1, "tight": 2, "fits": 3}
GGUF = ("Q8_0", "Q6_K", "Q4_K_M", "Q2_K")
STORED = ("bf16", "fp8", "awq", "bnb-4bit")
cases = st.tuples(st.sampled_from(ALL), st.sampled_from(BACKENDS), st.integers(0, 3))
sizes = st.lists(st.sampled_from((8.0, 16.0, 24.0, 48.0, 80.0)), max_size=4)


def row(case: tuple[ModelFacts, str, int], context: int, concurrency: int, machine: Room) -> FitRow:
    facts, backend, quant = case
    quants = GGUF if backend in GGUF_BACKENDS else STORED
    return fit(facts, backend, quants[quant], context, concurrency, machine)


@settings(max_examples=80, deadline=None)
@given(cases, st.integers(1, 32768), st.integers(1, 8), sizes, st.floats(1, 512))
def test_the_total_is_the_sum_of_its_terms(
    case: tuple[ModelFacts, str, int], context: int, concurrency: int, cards: list[float], ram: float
) -> None:
    memory = row(case, context, concurrency, room(*cards, ram_gib=ram)).memory_mib
    assert memory is not None
    parts = memory.weights + memory.kv + memory.recurrent_state + memory.compute + memory.overhead
    assert memory.total == pytest.approx(parts, abs=0.01)
    assert memory.headroom == pytest.approx(memory.available - memory.total, abs=0.01)
    assert min(memory.weights, memory.kv, memory.recurrent_state, memory.compute, memory.overhead) >= 0


@settings(max_examples=80, deadline=None)
@given(cases, st.integers(1, 32768), st.integers(1, 8), sizes, st.floats(4, 256), st.floats(1, 4))
def test_more_memory_never_makes_it_worse(
    case: tuple[ModelFacts, str, int], context: int, concurrency: int, cards: list[float], ram: float, more: float
) -> None:
    small = row(case, context, concurrency, room(*cards, ram_gib=ram))
    large = row(case, context, concurrency, room(*(c * more for c in cards), ram_gib=ram * more))
    assert ORDER[small.status] <= ORDER[large.status]


@settings(max_examples=60, deadline=None)
@given(cases, st.integers(1, 32768), st.integers(1, 32768), sizes)
def test_longer_context_never_gets_better(
    case: tuple[ModelFacts, str, int], a: int, b: int, cards: list[float]
) -> None:
    short, long = (row(case, context, 1, room(*cards)) for context in sorted((a, b)))
    assert ORDER[short.status] >= ORDER[long.status]


@settings(max_examples=60, deadline=None)
@given(cases, st.integers(256, 32768), sizes)
def test_what_is_said_to_fit_at_most_does_fit(
    case: tuple[ModelFacts, str, int], context: int, cards: list[float]
) -> None:
    found = row(case, context, 1, room(*cards))
    if found.status in ("fits", "tight"):
        assert found.max_context is not None
        assert found.max_concurrency is not None
        again = row(case, max(found.max_context, 1), 1, room(*cards))
        assert ORDER[again.status] >= ORDER["tight"]
        assert ORDER[row(case, context, found.max_concurrency, room(*cards)).status] >= ORDER["tight"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_smaller_quantization_never_needs_more(backend: str) -> None:
    quants = GGUF if backend in GGUF_BACKENDS else STORED
    totals = []
    for quant in quants:
        memory = fit(PLAIN, backend, quant, 4096, 1, room(80)).memory_mib
        assert memory is not None
        totals.append(memory.total)
    assert totals[0] == max(totals)
    assert totals[2] < totals[0]


def test_a_model_larger_than_the_card_is_split() -> None:
    found = fit(PLAIN, "llama.cpp", "Q8_0", 8192, 1, room(6, ram_gib=32))
    assert found.status == "offload"
    assert found.gpu_layers is not None
    assert 0 < found.gpu_layers < 33
    assert found.host_mib > 1000
    assert found.command is not None
    assert f"-ngl {found.gpu_layers}" in found.command


def test_experts_stay_on_the_host_before_whole_layers_do() -> None:
    found = fit(LATENT, "llama.cpp", "Q8_0", 4096, 1, room(12, ram_gib=64))
    assert found.status == "offload"
    assert found.gpu_layers == LATENT.layer_count + 1
    assert found.command is not None
    assert "--n-cpu-moe" in found.command
    elsewhere = fit(LATENT, "ollama", "Q8_0", 4096, 1, room(12, ram_gib=64))
    assert elsewhere.gpu_layers is not None
    assert elsewhere.gpu_layers <= LATENT.layer_count


def test_an_image_encoder_is_loaded_beside_the_model() -> None:
    seeing = msgspec.structs.replace(PLAIN, vision=Vision(parameters=600_000_000))
    blind, with_eyes = (fit(facts, "llama.cpp", None, 4096, 1, room(24)).memory_mib for facts in (PLAIN, seeing))
    assert blind is not None
    assert with_eyes is not None
    assert with_eyes.weights - blind.weights == pytest.approx(1.2e9 / 2**20, abs=0.1)


def test_without_a_gpu_host_memory_counts() -> None:
    found = fit(PLAIN, "llama.cpp", None, 4096, 1, room(ram_gib=16))
    assert (found.status, found.gpu_layers, found.devices) == ("fits", 0, 0)
    assert fit(PLAIN, "llama.cpp", None, 4096, 1, room(ram_gib=4)).status == "no"


def test_vllm_takes_its_share_however_little_it_needs() -> None:
    found = fit(PLAIN, "vllm", "bf16", 4096, 1, room(80))
    assert found.memory_mib is not None
    assert found.reserved_mib is not None
    assert found.reserved_mib == pytest.approx(0.9 * 80 * 1024)
    assert found.memory_mib.total < 0.4 * found.reserved_mib


def test_vllm_goes_parallel_over_cards_that_are_too_small_alone() -> None:
    found = fit(PLAIN, "vllm", "bf16", 8192, 1, room(12, 12))
    assert found.devices == 2
    assert found.command is not None
    assert "--tensor-parallel-size 2" in found.command


def test_old_cards_get_half_precision() -> None:
    old = Room(devices=(msgspec.structs.replace(room(32).devices[0], compute_capability="7.0"),), ram_mib=65536)
    found = fit(PLAIN, "vllm", "bf16", 4096, 1, old)
    assert found.command is not None
    assert "--dtype half" in found.command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((PLAIN, "llama.cpp", "awq", 4096, 1), "GGUF"),
        ((PLAIN, "vllm", "Q4_K_M", 4096, 1), "awq"),
        ((PLAIN, "abacus", None, 4096, 1), "abacus"),
        ((LATENT, "vllm", None, 65536, 1), "32768"),
        ((PLAIN, "vllm", None, 0, 1), "at least 1"),
        ((PLAIN, "vllm", None, 4096, 0), "at least 1"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(
    arguments: tuple[ModelFacts, str, str | None, int, int], said: str
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        fit(*arguments, room(24))
    assert "\n" not in str(refused.value)


def test_a_machine_nobody_could_read_gives_unknown() -> None:
    found = fit(PLAIN, "vllm", None, 4096, 1, Room(gpus_unknown="NVML did not answer in 5 s"))
    assert found.status == "unknown"
    assert "NVML" in found.why
    assert found.memory_mib is None


def snapshot(**changes: object) -> Snapshot:
    absent = Absent(source="test")
    memory = Memory(ram_total_mib=Known(value=65536, source="test"))
    blank = Snapshot(nvidia=Nvidia(gpus=absent), memory=memory)
    return msgspec.structs.replace(blank, **changes)


def gpu(total: int | None, free: int | None = None) -> Gpu:
    return Gpu(
        index=0, vendor="nvidia", name=Known(value="RTX", source="test"), kind="discrete",
        memory_total_mib=Known(value=total, source="test") if total else Unknown(why="not said"),
        memory_free_mib=Known(value=free, source="test") if free else Unknown(why="not said"),
    )  # fmt: skip


def nvidia(*gpus: Gpu) -> Nvidia:
    return Nvidia(gpus=Known(value=gpus, source="test"))


def test_free_memory_is_believed_where_it_was_read() -> None:
    found = memory_room.of_snapshot(snapshot(nvidia=nvidia(gpu(24576, 20000))))
    assert [d.available_mib for d in found.devices] == [20000]
    assert memory_room.of_snapshot(snapshot(nvidia=nvidia(gpu(24576)))).devices[0].available_mib < 24576


def test_a_gpu_of_unknown_memory_makes_the_answer_unknown() -> None:
    found = memory_room.of_snapshot(snapshot(nvidia=nvidia(gpu(None))))
    assert found.devices == ()
    assert found.gpus_unknown is not None


def test_the_container_limit_counts() -> None:
    memory = Memory(ram_total_mib=Known(value=65536, source="test"), cgroup_limit_mib=Known(value=8192, source="test"))
    assert memory_room.of_snapshot(snapshot(memory=memory)).ram_mib == 8192


def test_unified_memory_is_limited_by_metal() -> None:
    chip = Gpu(index=0, vendor="apple", name=Known(value="Apple M3", source="test"), kind="integrated")
    found = memory_room.of_snapshot(snapshot(apple=Apple(gpus=Known(value=(chip,), source="test"))))
    assert [(d.kind, d.available_mib) for d in found.devices] == [("unified", 65536 * 0.75)]


def test_unified_memory_counts_once() -> None:
    one = Device(index=0, name="chip", vendor="apple", kind="unified", total_mib=32768, available_mib=24576)
    found = fit(PLAIN, "llama.cpp", "Q8_0", 8192, 1, Room(devices=(one,), ram_mib=30000))
    assert found.memory_mib is not None
    assert (found.status, found.memory_mib.available) == ("fits", 24576)


@pytest.mark.parametrize(
    ("backend", "quant", "capability", "runs"),
    [
        ("vllm", "awq", "7.0", False),
        ("vllm", "awq", "7.5", True),
        ("vllm", "gptq-int4", "7.0", True),
        ("vllm", "fp8", "7.5", False),
        ("transformers", "awq", "7.0", False),
        ("llama.cpp", "Q4_K_M", "5.2", True),
        ("vllm", "awq", None, True),
    ],
)
def test_formats_without_kernels_for_a_card_do_not_run(
    backend: str, quant: str, capability: str | None, runs: bool
) -> None:
    device = msgspec.structs.replace(card(80), compute_capability=capability)
    found = fit(PLAIN, backend, quant, 4096, 1, Room(devices=(device,), ram_mib=64000))
    assert (found.status != "no") is runs
    assert ("kernels" in found.why) is not runs
    assert (found.command is not None) is runs


def test_what_host_memory_cannot_take_is_said() -> None:
    small, model = card(8), facts("Qwen2.5-72B")
    why = {
        ram: fit(model, "llama.cpp", "Q4_K_M", 4096, 1, Room(devices=(small,), ram_mib=ram)).why for ram in (None, 9000)
    }
    assert "host memory could take the rest is not known" in why[None]
    assert "does not go into 8.8 GiB of host memory" in why[9000]
    awq = fit(model, "transformers", "awq", 4096, 1, Room(devices=(small,), ram_mib=500_000))
    assert (awq.status, "cannot stay in host memory" in awq.why) == ("no", True)


def test_vllm_takes_a_larger_share_of_the_card_where_the_usual_one_is_too_small() -> None:
    found = fit(facts("Mixtral-8x22B"), "vllm", "awq", 8192, 1, room(80))
    assert found.status == "tight"
    assert "--gpu-memory-utilization 0.95" in (found.command or "")


def test_vllm_on_the_processor_takes_its_cache_in_whole_gibibytes() -> None:
    machine = Room(ram_mib=65536, cores=16)
    short, long = (fit(PLAIN, "vllm", "bf16", context, 1, machine) for context in (1024, 65536))
    assert short.memory_mib is not None
    assert long.memory_mib is not None
    assert (short.memory_mib.kv, long.memory_mib.kv) == (1024, 8192)
    assert (short.command or "").startswith("VLLM_CPU_KVCACHE_SPACE=1 vllm serve")
    assert (long.command or "").startswith("VLLM_CPU_KVCACHE_SPACE=8 vllm serve")
