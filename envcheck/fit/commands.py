"""The command that starts a model the way a fit row assumes, as text to copy."""

from __future__ import annotations

import json
import shlex
from functools import lru_cache

from envcheck.fit.checkpoints import native_scheme
from envcheck.fit.model_names import quantization_in
from envcheck.fit.published import quantized
from envcheck.schema.fit import Device
from envcheck.schema.model import ModelFacts

FLY_QUANTIZATION = {"fp8": "fp8", "bnb-4bit": "bitsandbytes", "bnb-int8": "bitsandbytes"}
"""Schemes that vLLM applies to an unquantized checkpoint while loading."""
_ON_LOADING = {
    "fp8": ("FineGrainedFP8Config, ", "FineGrainedFP8Config()"),
    "bnb-4bit": ("BitsAndBytesConfig, ", "BitsAndBytesConfig(load_in_4bit=True)"),
    "bnb-int8": ("BitsAndBytesConfig, ", "BitsAndBytesConfig(load_in_8bit=True)"),
}
"""The same for Transformers: what to import and to pass."""
_SUFFIX = {"gptq-int4": "GPTQ-Int4", "gptq-int8": "GPTQ-Int8"}
UNQUANTIZED = frozenset({"bf16", "fp16", "fp32"})


def llama(facts: ModelFacts, quant: str, context: int, concurrency: int, gpu_layers: int, experts_away: int = 0) -> str:
    """`llama-server` with one slot per sequence, and the experts of so many layers in host memory."""
    own = facts.repo if (facts.repo or "").lower().endswith(".gguf") else None
    file = shlex.quote(own or f"{facts.name}-{quant}.gguf")
    words = f"llama-server -m {file} -c {context * concurrency} -np {concurrency} -ngl {gpu_layers} -fa on"
    if facts.role == "encoder":
        words += " --embedding"
    if facts.vision and own is None:
        words += f" --mmproj {shlex.quote(f'mmproj-{facts.name}-f16.gguf')}"
    return f"{words} --n-cpu-moe {experts_away}" if experts_away else words


def ollama(facts: ModelFacts, quant: str, context: int, concurrency: int) -> str:
    """The server with its context and parallelism, and the model to ask for (an encoder answers no prompt)."""
    tag = _ollama_tag(facts)
    pulled = facts.repo == f"ollama:{tag}"
    if not pulled and quant.upper() not in ("Q4_K_M", "MXFP4_MOE"):
        tag += f"-{quant}" if ":" in tag else f":{quant}"
    server = f"OLLAMA_CONTEXT_LENGTH={context} OLLAMA_NUM_PARALLEL={concurrency} ollama serve"
    return f"{server} & ollama {'pull' if facts.role == 'encoder' else 'run'} {shlex.quote(tag)}"


def _ollama_tag(facts: ModelFacts) -> str:
    """Of the tags with this architecture the one that is named like the model; the first where none is."""
    if not facts.ollama:
        return facts.name.lower()
    name = _letters(facts.name)
    alike = [tag for tag in facts.ollama if _letters(tag.partition(":")[0]) in name]
    return max(alike or facts.ollama[:1], key=lambda tag: len(_letters(tag.partition(":")[0])))


def _letters(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum() or char == ".")


def vllm(
    facts: ModelFacts, quant: str, context: int, concurrency: int, devices: tuple[Device, ...], tensor: int,
    pipeline: int, utilization: float, cache_gib: int = 0,
) -> str:  # fmt: skip
    """`vllm serve` with the parallelism, context and share of the card, or cache in host memory, counted with."""
    words = f"vllm serve {shlex.quote(checkpoint(facts, quant))} --max-model-len {context}"
    words += f" --max-num-seqs {max(concurrency, 1)}"
    if tensor > 1:
        words += f" --tensor-parallel-size {tensor}"
    if pipeline > 1:
        words += f" --pipeline-parallel-size {pipeline}"
    if facts.role == "encoder":
        words += " --runner pooling"
    if devices:
        words += f" --gpu-memory-utilization {int(utilization * 100) / 100:.2f}"
    if quant in FLY_QUANTIZATION:
        words += f" --quantization {FLY_QUANTIZATION[quant]}"
    if quant == "fp16" or (quant == "bf16" and _without_bfloat16(devices)):
        words += " --dtype half"
    return f"VLLM_CPU_KVCACHE_SPACE={cache_gib} {words}" if cache_gib else words


@lru_cache(maxsize=64)
def transformers(facts: ModelFacts, quant: str, devices: tuple[Device, ...]) -> str:
    """Python that loads the model where it was counted; on the processor where no device was."""
    kind = {"fp16": "float16", "fp32": "float32"}.get(quant, "bfloat16")
    if kind == "bfloat16" and _without_bfloat16(devices):
        kind = "float16"
    place = "auto" if devices else "cpu"
    # Python takes the text between double quotes, so the shell's single quotes go around it without any escapes.
    model, dtype, where = (json.dumps(word) for word in (checkpoint(facts, quant), kind, place))
    name, made = _ON_LOADING.get(quant, ("", ""))
    shrunk = f', model_kwargs={{"quantization_config": {made}}}' if made else ""
    code = (
        f"from transformers import {name}pipeline; "
        f'pipeline("{_task(facts)}", model={model}, dtype={dtype}, device_map={where}{shrunk})'
    )
    return f"python -c {shlex.quote(code)}"


@lru_cache(maxsize=64)
def checkpoint(facts: ModelFacts, quant: str) -> str:
    """What to load: the model's own repository, one of its variants quantized that way, or a folder to put one in."""
    repo = facts.repo or facts.name
    if not _needs_variant(facts, quant):
        return repo
    suffix = _SUFFIX.get(quant, quant.split("-")[0].upper())
    return variant(facts, quant) or f"./{repo.rpartition('/')[2]}-{suffix}"


def _task(facts: ModelFacts) -> str:
    """The task of `transformers.pipeline` (https://huggingface.co/docs/transformers/main_classes/pipelines)."""
    if facts.architecture == "whisper":
        return "automatic-speech-recognition"
    if facts.role == "encoder":
        return "feature-extraction"
    return "image-text-to-text" if facts.vision else "text-generation"


def variant(facts: ModelFacts, quant: str) -> str | None:
    """The published repository of the model quantized that way, where the catalog knows one."""
    return _own_variants(facts).get(quant) or quantized(facts.repo or facts.name, quant)


@lru_cache(maxsize=64)
def _own_variants(facts: ModelFacts) -> dict[str | None, str]:
    """The catalog's own repositories of a model by quantization, the first of each."""
    return {quantization_in(name): name for name in reversed(facts.variants)}


@lru_cache(maxsize=64)
def names_a_folder(facts: ModelFacts, quant: str) -> bool:
    """Whether the command loads from a folder because no repository of that kind is known."""
    return _needs_variant(facts, quant) and variant(facts, quant) is None


def _needs_variant(facts: ModelFacts, quant: str) -> bool:
    return quant not in UNQUANTIZED and quant not in FLY_QUANTIZATION and quant != native_scheme(facts)


def _without_bfloat16(devices: tuple[Device, ...]) -> bool:
    """NVIDIA cards before compute capability 8.0 have no bfloat16."""
    return any(
        device.vendor == "nvidia" and device.compute_capability and float(device.compute_capability) < 8.0
        for device in devices
    )
