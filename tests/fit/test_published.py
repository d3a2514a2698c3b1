"""What a model is loaded from: as its publisher has it, a quantized copy that is known, or a folder that says so."""

from __future__ import annotations

import pytest

from envcheck.api_fit import resolved
from envcheck.fit import commands, search
from envcheck.fit.fitting import fit, usual_quant
from envcheck.fit.row_speed import with_speed
from envcheck.schema.fit import Device, Room

CARD = Device(
    index=0, name="card", vendor="nvidia", kind="discrete", total_mib=81920.0, available_mib=80000.0,
    compute_capability="9.0",
)  # fmt: skip
ROOM = Room(devices=(CARD,), ram_mib=131072.0, cores=16)


@pytest.mark.parametrize(
    ("model", "quant", "loaded"),
    [
        ("Qwen/Qwen3-8B", "bf16", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B", "fp8", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B", "awq", "Qwen/Qwen3-8B-AWQ"),
        ("Qwen3-8B-AWQ", "awq", "Qwen/Qwen3-8B-AWQ"),
        ("Qwen2.5-7B-Instruct", "gptq-int8", "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8"),
        ("Qwen2.5-7B-Instruct", "gptq-int4", "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "awq", "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4"),
        ("meta-llama/Llama-3.1-8B-Instruct", "awq", "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4"),
        ("somebody/Qwen3-8B-AWQ", "awq", "somebody/Qwen3-8B-AWQ"),
        ("somebody/Qwen3-8B-AWQ", "gptq-int4", "./Qwen3-8B-GPTQ-Int4"),
        ("Qwen/Qwen2.5-7B", "awq", "./Qwen2.5-7B-AWQ"),
        ("openai/gpt-oss-20b", "mxfp4", "openai/gpt-oss-20b"),
        ("deepseek-ai/DeepSeek-V3", "fp8-block", "deepseek-ai/DeepSeek-V3"),
    ],
)
def test_a_command_names_what_is_published(model: str, quant: str, loaded: str) -> None:
    assert commands.checkpoint(resolved(model).facts, quant) == loaded


@pytest.mark.parametrize(
    ("model", "quant", "says_so"),
    [("Qwen2.5-7B-Instruct", "awq", False), ("Qwen2.5-7B-Instruct", "int4", True), ("gpt-oss-20b", "mxfp4", False)],
)
def test_a_folder_in_a_command_is_said_to_be_one(model: str, quant: str, says_so: bool) -> None:
    row = fit(resolved(model).facts, "vllm", quant, 4096, 1, ROOM)
    assert any("loads a folder" in said for said in row.assumptions) == says_so


@pytest.mark.parametrize(
    ("model", "backend", "usual", "weights_gib"),
    [
        ("gpt-oss-20b", "vllm", "mxfp4", (12.0, 14.5)),
        ("gpt-oss-20b", "transformers", "mxfp4", (12.0, 14.5)),
        ("gpt-oss-20b", "llama.cpp", "MXFP4_MOE", (10.5, 11.3)),
        ("Qwen2.5-7B-Instruct", "vllm", "bf16", (14.0, 14.5)),
    ],
)
def test_a_model_is_loaded_as_it_was_published(
    model: str, backend: str, usual: str, weights_gib: tuple[float, float]
) -> None:
    facts = resolved(model).facts
    assert usual_quant(facts, backend) == usual
    row = fit(facts, backend, None, 4096, 1, ROOM)
    assert row.quant == usual
    assert row.memory_mib is not None
    assert weights_gib[0] <= row.memory_mib.weights / 1024 <= weights_gib[1]


def test_without_a_gpu_quantized_weights_are_widened() -> None:
    row = fit(resolved("gpt-oss-20b").facts, "transformers", None, 4096, 1, Room(ram_mib=131072.0, cores=16))
    assert row.quant == "bf16"


def test_no_quantization_wider_than_the_published_is_proposed() -> None:
    facts = resolved("gpt-oss-20b").facts
    assert search.ladder("vllm", facts)[0] == "mxfp4"
    assert not set(search.ladder("vllm", facts)) & {"bf16", "fp8", "gptq-int8"}
    (best,) = search.best_quant([facts], ["vllm"], 4096, 1, ROOM)
    assert best.quant == "mxfp4"


@pytest.mark.parametrize(
    ("model", "tag"),
    [
        ("Mistral-Small-3.2-24B-Instruct-2506", "mistral-small3.2:24b"),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "deepseek-r1:8b"),
        ("Qwen3-8B", "qwen3:8b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "deepseek-r1:8b-llama-distill"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1:8b"),
        ("gpt-oss-20b", "gpt-oss:20b"),
    ],
)
def test_ollamas_tag_is_the_one_named_like_the_model(model: str, tag: str) -> None:
    facts = resolved(model).facts
    command = commands.ollama(facts, usual_quant(facts, "ollama"), 8192, 1)
    assert command.endswith(f" & ollama run {tag}")


@pytest.mark.parametrize(
    ("model", "backend", "said"),
    [
        ("bge-m3", "llama.cpp", "--embedding"),
        ("bge-m3", "ollama", "& ollama pull bge-m3"),
        ("bge-m3", "vllm", "--runner pooling"),
        ("bge-m3", "transformers", 'pipeline("feature-extraction"'),
        ("whisper-large-v3", "transformers", 'pipeline("automatic-speech-recognition"'),
        ("Qwen2.5-VL-7B-Instruct", "transformers", 'pipeline("image-text-to-text"'),
        ("Qwen2.5-7B-Instruct", "transformers", 'pipeline("text-generation"'),
    ],
)
def test_a_command_asks_for_what_the_model_does(model: str, backend: str, said: str) -> None:
    command = fit(resolved(model).facts, backend, None, 256, 1, ROOM).command
    assert command is not None
    assert said in command


@pytest.mark.parametrize(
    ("model", "backend", "status"),
    [
        ("whisper-large-v3", "llama.cpp", "no"),
        ("whisper-large-v3", "ollama", "no"),
        ("whisper-large-v3", "vllm", "fits"),
        ("opt-1.3b", "llama.cpp", "no"),
        ("Llama-3.2-11B-Vision-Instruct", "llama.cpp", "no"),
        ("Llama-3.2-11B-Vision-Instruct", "ollama", "fits"),
    ],
)
def test_what_a_backend_has_no_code_for_does_not_run(model: str, backend: str, status: str) -> None:
    row = fit(resolved(model).facts, backend, None, 256, 1, ROOM)
    assert row.status == status
    assert ("has no code for" in row.why) == (status == "no")


def test_an_encoder_has_no_speed() -> None:
    facts = resolved("bge-m3").facts
    row = with_speed(fit(facts, "vllm", None, 256, 1, ROOM), facts, ROOM)
    assert row.speed is None
    assert "no speed: an encoder generates no tokens" in row.assumptions


MAC = Device(
    index=0, name="Apple M3 Max", vendor="apple", kind="unified", total_mib=65536.0, available_mib=49152.0
)  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "quant", "status", "says"),
    [
        ("vllm", "bf16", "no", "vllm has wheels for Linux only; this is macos"),
        ("transformers", "awq", "no", "transformers has no awq kernels for Apple M3 Max"),
        ("transformers", "bf16", "fits", "needs"),
        ("llama.cpp", "Q4_K_M", "fits", "needs"),
    ],
)
def test_a_mac_runs_what_has_code_for_it(backend: str, quant: str, status: str, says: str) -> None:
    room = Room(devices=(MAC,), ram_mib=49152.0, os_family="macos")
    row = fit(resolved("Qwen2.5-7B-Instruct").facts, backend, quant, 4096, 1, room)
    assert (row.status, row.command is None) == (status, status == "no")
    assert row.why.startswith(says)
