"""A Transformers run from its page's row: the peak that PyTorch allocates."""

from __future__ import annotations

from typing import Any

from envcheck.fit.memory_autoawq import peak_bytes
from envcheck.fit.memory_checkpoint import largest_linear, stored_bytes
from envcheck.fit.memory_interval import Situation, interval
from envcheck.fit.memory_scheme import release, transformers_scheme
from envcheck.fit.memory_transformers import WITHOUT_PREFILL_PEAK, Generation, memory
from envcheck.fit.memory_types import MIB
from envcheck.fit.models import find
from envcheck.schema.model import ModelFacts, ResolvedModel

DEFAULT_TOKENS = 2048


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The peak and its interval, or why there is none."""
    name = str(request.get("model") or "")
    if not name:
        return {"unknown": "the row names no model"}
    found = find(name)
    if not isinstance(found, ResolvedModel):
        return {"unknown": f"{name!r} is not a model of the catalog"}
    facts, settings = found.facts, request.get("settings") or {}
    kind = transformers_scheme(settings.get("quantization") or request.get("quant"))
    stored = stored_bytes(facts, kind)
    if stored is None:
        return {"unknown": f"the size of {facts.name} in {kind} is not known"}
    call = _call(settings, release(request.get("engine_version")), kind)
    stored += _second_head(facts, kind)
    found_peak = memory(facts, stored, call, scratch_bytes(facts, kind, call)).total
    peak = max(found_peak, _load_peak(facts, stored, kind)) / MIB
    situation = _situation(kind, str(request.get("engine_version")))
    if situation == "transformers with AutoAWQ":
        peak = peak_bytes(facts, stored, call, settings.get("n_gpus") or 1) / MIB
    return {
        "situation": situation,
        "memory_mib": {"torch_max_allocated": peak},
        "interval_mib": {"torch_max_allocated": list(interval(peak, situation))},
    }


def _situation(kind: str, version: str) -> Situation:
    """AutoAWQ's own loader fuses layers and lays its caches out ahead (`memory_autoawq`)."""
    if "autoawq" in version.lower():
        return "transformers with AutoAWQ"
    return "transformers as published" if kind in ("bf16", "fp16", "fp32") else "transformers quantized"


def _call(settings: dict[str, Any], version: tuple[int, ...], kind: str) -> Generation:
    prompt, generated = settings.get("input_tokens"), settings.get("generated_tokens")
    return Generation(
        prompt=1 if prompt is None else prompt,
        generated=0 if generated is None else generated,
        batch=settings.get("batch") or 1,
        version=version,
        element=4.0 if kind == "fp32" else 2.0,
        prompt_activations=not version or version < WITHOUT_PREFILL_PEAK,
    )


def _second_head(facts: ModelFacts, kind: str) -> float:
    """FP8 files of tied models store the head by itself, and it is loaded so."""
    return facts.vocab * facts.hidden * 2.0 if kind == "fp8" and facts.tied else 0.0


def scratch_bytes(facts: ModelFacts, kind: str, call: Generation) -> float:
    """Space that quantized kernels work in: GPTQ's dequantizes its largest matrix, AWQ's copies its inputs to f16.

    Those copies are smaller than the prompt's activations, so they show only where the peak leaves these out.
    """
    if kind.startswith("gptq"):
        return 2.0 * largest_linear(facts)
    if kind == "awq" and not call.prompt_activations:
        return call.prompt * call.batch * 2 * 2.25 * facts.hidden
    return 0.0


def _load_peak(facts: ModelFacts, stored: float, kind: str) -> float:
    """A tied AWQ checkpoint is loaded with the head as a second embedding, until it is tied."""
    if kind == "awq" and facts.tied:
        return stored + facts.vocab * facts.hidden * 2
    return stored
