"""Properties that any prediction of speed must have, whatever the constants are."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck import hardware
from envcheck.fit import cpus
from envcheck.fit.speed import calibrate, learn, predict
from envcheck.fit.speed_shape import shape_from_name
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Unknown
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.speed import ModelShape, Processor, SpeedBand, Workload

CARDS = ("NVIDIA GeForce RTX 4090", "NVIDIA TITAN V", "AMD Radeon RX 7900 XTX", "Apple M3 Max", "NVIDIA H100 PCIe")


def card(name: str) -> HardwareRow:
    row = hardware.find(name)
    assert row is not None
    return row


def shape(name: str) -> ModelShape:
    found = shape_from_name(name)
    assert found is not None
    return found


def question(**changes: object) -> Workload:
    model = shape("Llama-3.1-8B")
    base: dict[str, object] = {
        "shape": model,
        "weight_bytes": 4.9e9,
        "weight_kind": "int4",
        "engine": "llama.cpp",
        "gpus": (card("NVIDIA GeForce RTX 4090"),),
    }
    return Workload(**{**base, **changes})  # type: ignore[arg-type]


def speed(w: Workload) -> SpeedBand:
    found = predict(w)
    assert isinstance(found, SpeedBand)
    return found


workloads = st.builds(
    question,
    gpus=st.sampled_from(CARDS).map(lambda name: (card(name),)),
    weight_bytes=st.floats(1e8, 1e12),
    weight_kind=st.sampled_from(["f16", "int8", "int4", "low_bit", "codebook"]),
    engine=st.sampled_from(["llama.cpp", "ollama", "vllm", "transformers", "exllamav2", "something new"]),
    shape=st.sampled_from(["Llama-3.1-8B", "Qwen3-30B-A3B", "Llama-2-13B", "gemma-3-27b", "SmolLM2-0.135B"]).map(shape),
    depth=st.integers(0, 10**6),
    prompt_tokens=st.integers(0, 10**5),
    output_tokens=st.integers(0, 10**5),
    concurrency=st.integers(1, 512),
)


@settings(max_examples=150, deadline=None)
@given(workloads)
def test_every_band_holds_its_value(w: Workload) -> None:
    found = speed(w)
    for band in (found.decode_tps, found.throughput_tps, found.prefill_tps, found.ttft_ms):
        if band is not None:
            assert 0 < band.low <= band.value <= band.high


@settings(max_examples=150, deadline=None)
@given(workloads, st.floats(1.0, 20.0))
def test_more_bandwidth_is_never_slower(w: Workload, factor: float) -> None:
    gbs = w.gpus[0].bandwidth_gbs or 1.0
    slow, fast = (_with(w, gpu_bandwidth_gbs=gbs * each) for each in (1.0, factor))
    assert speed(fast).decode_tps.value >= speed(slow).decode_tps.value
    assert speed(fast).throughput_tps.value >= speed(slow).throughput_tps.value


@settings(max_examples=150, deadline=None)
@given(workloads, st.floats(1.0, 20.0), st.integers(0, 10**6))
def test_more_bytes_and_more_context_are_never_faster(w: Workload, factor: float, deeper: int) -> None:
    plain = speed(w).decode_tps.value
    assert speed(_with(w, weight_bytes=w.weight_bytes * factor)).decode_tps.value <= plain
    assert speed(_with(w, depth=w.depth + deeper)).decode_tps.value <= plain


@settings(max_examples=150, deadline=None)
@given(workloads, st.integers(1, 64))
def test_more_streams_raise_the_total_and_not_the_single(w: Workload, more: int) -> None:
    few, many = speed(w), speed(_with(w, concurrency=w.concurrency + more))
    assert many.throughput_tps.value >= few.throughput_tps.value * (1 - 1e-9)
    assert many.decode_tps.value <= few.decode_tps.value * (1 + 1e-9)


def test_a_card_whose_bandwidth_nobody_states_is_unknown_until_it_is_measured() -> None:
    unnamed = HardwareRow(name="Some GPU", vendor="NVIDIA", kind="discrete", source="", checked="2026-11-21")
    refused = predict(question(gpus=(unnamed,)))
    assert isinstance(refused, Unknown)
    assert "Some GPU" in refused.why
    measured = speed(question(gpus=(unnamed,), gpu_bandwidth_gbs=500.0))
    known = speed(question())
    assert measured.decode_tps.high / measured.decode_tps.low > known.decode_tps.high / known.decode_tps.low
    assert any("500 GB/s as measured" in each for each in measured.assumptions)


def test_the_cpu_alone_needs_its_bandwidth() -> None:
    assert isinstance(predict(question(gpus=())), Unknown)
    desktop = Processor(name="a desktop", bandwidth_gbs=80.0, cores=8, giga_flops_per_core=140.0)
    assert 3.0 < speed(question(gpus=(), processor=desktop)).decode_tps.value < 80.0 / 4.9


def test_less_on_the_gpu_is_slower() -> None:
    desktop = Processor(name="a desktop", bandwidth_gbs=80.0, cores=8, giga_flops_per_core=140.0)
    rates = [speed(question(processor=desktop, gpu_share=each)).decode_tps.value for each in (1.0, 0.9, 0.5, 0.0)]
    assert rates == sorted(rates, reverse=True)


def test_weights_on_the_host_slow_the_prompt_by_their_way_over_the_link() -> None:
    desktop = Processor(name="a desktop", bandwidth_gbs=80.0, cores=8, giga_flops_per_core=140.0)
    whole, half = (speed(question(processor=desktop, gpu_share=each)).prefill_tps for each in (1.0, 0.5))
    assert whole is not None
    assert half is not None
    # Half of 4.9 GB over PCIe 4.0 x16 at 25 GB/s is 0.1 s for each batch of 512 tokens.
    assert 512 / half.value - 512 / whole.value == pytest.approx(0.097, rel=0.02)


def test_tensor_parallel_beats_layers_on_a_large_model_over_the_same_cards() -> None:
    large = shape("Llama-3.1-70B")
    cards = (card("NVIDIA H100 PCIe"),) * 4
    base = {"shape": large, "weight_bytes": 141e9, "weight_kind": "f16", "engine": "vllm", "gpus": cards}
    by_layer, by_tensor = (speed(question(**base, split=split)) for split in ("layer", "tensor"))
    assert by_tensor.decode_tps.value > by_layer.decode_tps.value


def test_calibration_scales_the_band_and_says_so() -> None:
    plain = speed(question())
    own = calibrate(plain, 0.8, 3)
    assert own.decode_tps.value == pytest.approx(0.8 * plain.decode_tps.value)
    assert own.basis == "calibrated on this machine, 3 runs"
    with pytest.raises(InputError, match="cannot be used"):
        calibrate(plain, 0.0, 3)


def test_a_machine_learns_its_factor_from_its_runs() -> None:
    assert learn([0.7, 0.9, 0.8]) == pytest.approx(0.8)
    with pytest.raises(InputError, match="No run"):
        learn([])


@pytest.mark.parametrize(
    "changes", [{"weight_bytes": 0.0}, {"gpu_share": 1.2}, {"depth": -1}, {"concurrency": -1}, {"output_tokens": -5}]
)
def test_nonsense_is_refused_in_one_sentence(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        predict(question(**changes))


def _with(w: Workload, **changes: object) -> Workload:
    return Workload(**{**{name: getattr(w, name) for name in w.__struct_fields__}, **changes})


def on_processor(threads: int, f32: bool, **changes: object) -> Workload:
    cpu = Processor(name="box", bandwidth_gbs=90.0, cores=threads, giga_flops_per_core=140.0, half_units=True)
    model = shape("SmolLM2-1.7B")
    weights = model.params * (4.0 if f32 else 2.0)
    base = {"shape": model, "weight_bytes": weights, "weight_kind": "f16", "engine": "transformers", "gpus": ()}
    return question(**{**base, "processor": cpu, "prompt_tokens": 128, **changes})


def test_transformers_decodes_f32_on_one_thread_and_16_bit_on_all() -> None:
    """benchmarks/cpu_transformers_2026-11-21.txt: 203 and 205 ms a step of 1.1 B in f32, 91 and 158 in bfloat16."""
    one, two = (speed(on_processor(threads, True)).decode_tps.value for threads in (1, 2))
    assert one == pytest.approx(two, rel=0.01)
    one, two = (speed(on_processor(threads, False)).decode_tps.value for threads in (1, 2))
    assert 1.5 * one < two < 2 * one


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 64), st.booleans(), st.sampled_from(["transformers", "llama.cpp"]), st.integers(1, 16))
def test_prompts_on_a_processor_are_not_slower_with_more_cores(cores: int, f32: bool, engine: str, more: int) -> None:
    few, many = (speed(on_processor(n, f32, engine=engine)).prefill_tps for n in (cores, cores + more))
    assert few is not None
    assert many is not None
    assert few.value <= many.value


def test_an_assumed_processor_has_a_wider_band_for_prompts_only() -> None:
    known = on_processor(8, False, engine="llama.cpp")
    assert known.processor is not None
    guessed = speed(_with(known, processor=msgspec.structs.replace(known.processor, assumed=True)))
    sure = speed(known)
    assert guessed.decode_tps == sure.decode_tps
    assert guessed.prefill_tps is not None
    assert sure.prefill_tps is not None
    assert guessed.prefill_tps.value == sure.prefill_tps.value
    assert guessed.prefill_tps.low < sure.prefill_tps.low
    assert guessed.prefill_tps.high > sure.prefill_tps.high


@pytest.mark.parametrize(
    ("flags", "like"),
    [
        (("avx", "avx2", "avx512f"), "processors with AVX-512"),
        (("avx2", "avx"), "processors with AVX2"),
        (("asimd",), "64-bit Arm processors"),
        ((), "older servers"),
    ],
)
def test_arithmetic_follows_the_widest_units(flags: tuple[str, ...], like: str) -> None:
    assert cpus.arithmetic_of_units(flags)[1] == like
