"""What is loaded beside a model: a smaller model that drafts tokens for it, LoRA adapters.

Both take their place first and the model is fitted into what is left, so every rule for the model itself holds.
Sources: ggml-org/llama.cpp `tools/server/server-context.cpp` (the draft model has a context of its own),
vllm-project/vllm `v1/spec_decode/draft_model.py` (one cache for both) and `lora/layers/` (buffers for `max_loras`
adapters of `max_lora_rank` beside every linear layer), checked 2026-11-21.
"""

from __future__ import annotations

import json
import re
import shlex

import msgspec

from envcheck.fit import commands
from envcheck.fit.fitting import GGUF_BACKENDS, fit
from envcheck.fit.memory_types import MIB
from envcheck.fit.row_speed import with_speed
from envcheck.fit.tensors import Part, tensors
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.fit import Device, FitRow, MemoryTerms, Room
from envcheck.schema.model import ModelFacts, StoredTensor

ADAPTED: frozenset[Part] = frozenset({"attention", "mlp", "shared_experts"})
"""Parts whose projections adapters change; experts and the head are left alone."""
DRAFTED_TOKENS = 5
_UTILIZATION = re.compile(r"(--gpu-memory-utilization )([0-9.]+)")
"""vLLM's share of the card covers what is beside the model too."""


class Beside(Record):
    """What was asked for beside the model; neither: nothing."""

    draft: ModelFacts | None = None
    draft_quant: str | None = None
    lora_rank: int = 0
    loras: int = 1
    """Adapters held at once."""


def fit_beside(
    model: ModelFacts, backend: str, quant: str | None, context: int, concurrency: int, room: Room,
    assumptions: tuple[str, ...], listed: tuple[StoredTensor, ...], beside: Beside,
) -> FitRow:  # fmt: skip
    """The row of a model with what is beside it counted into its terms. Raises InputError as `fit` does."""
    taken, said = _taken(model, backend, quant, context, concurrency, room, beside)
    if isinstance(taken, str):
        row = fit(model, backend, quant, context, concurrency, room, assumptions, listed)
        return msgspec.structs.replace(row, status="unknown", why=taken, memory_mib=None, command=None)
    left = _less(room, taken.total)
    row = with_speed(fit(model, backend, quant, context, concurrency, left, assumptions + said, listed), model, left)
    names = _names(beside, backend)
    if row.memory_mib is None or not names:
        return row
    low, high = (row.interval_mib or {})["total"]
    return msgspec.structs.replace(
        row,
        memory_mib=_sum(row.memory_mib, taken),
        interval_mib={"total": (round(low + taken.total, 1), round(high + taken.total, 1))},
        why=f"{row.why}, beside {taken.total / 1024:.1f} GiB for {' and '.join(names)}",
        command=_command(row, beside, _share(room, taken.total)) if row.command else None,
    )


def lora_bytes(model: ModelFacts, rank: int, count: int) -> float:
    """Bytes of `count` adapters: two thin matrices in 16 bit beside every projection of attention and feed-forward."""
    linear = [t for t in tensors(model) if t.kind == "linear" and t.part in ADAPTED and t.copies == 1]
    return 2.0 * count * rank * sum(tensor.rows + tensor.cols for tensor in linear)


def _taken(
    model: ModelFacts, backend: str, quant: str | None, context: int, concurrency: int, room: Room, beside: Beside
) -> tuple[MemoryTerms | str, tuple[str, ...]]:
    """Terms of what is beside the model, or why they are not known; and what is said about them."""
    terms = _nothing()
    said: tuple[str, ...] = ()
    if beside.lora_rank:
        size = round(lora_bytes(model, beside.lora_rank, beside.loras) / MIB, 2)
        terms = _sum(terms, msgspec.structs.replace(_nothing(), weights=size, total=size))
        said = (*said, f"{beside.loras} LoRA adapters of rank {beside.lora_rank} on attention and feed-forward")
    if beside.draft is None:
        return terms, said
    if backend == "ollama":
        return terms, (*said, "no draft model: Ollama has no option for one")
    if beside.draft.vocab > 1.02 * model.vocab or beside.draft.vocab < 0.98 * model.vocab:
        raise InputError(
            f"{beside.draft.name} cannot draft for {model.name}: their vocabularies differ "
            f"({beside.draft.vocab} and {model.vocab} tokens)."
        )
    own_quant = beside.draft_quant or (quant if backend in GGUF_BACKENDS else None)
    drafted = _draft_row(beside.draft, backend, own_quant, context, concurrency, room)
    if drafted.memory_mib is None:
        return f"unknown: the draft model's need is not known ({drafted.why})", said
    own = drafted.memory_mib
    compute = own.compute if backend in GGUF_BACKENDS else 0.0  # the others work in the model's own activations
    parts = msgspec.structs.replace(_nothing(), weights=own.weights, kv=own.kv, recurrent_state=own.recurrent_state)
    parts = msgspec.structs.replace(parts, compute=compute, total=own.weights + own.kv + own.recurrent_state + compute)
    note = f"{beside.draft.name} in {drafted.quant} drafts, the speed is that without it"
    return _sum(terms, parts), (*said, note)


def _draft_row(
    draft: ModelFacts, backend: str, quant: str | None, context: int, concurrency: int, room: Room
) -> FitRow:
    length = min(context, draft.max_context) if draft.max_context else context
    return fit(draft, backend, quant, length, concurrency, room)


def _nothing() -> MemoryTerms:
    return MemoryTerms(
        weights=0.0, kv=0.0, recurrent_state=0.0, compute=0.0, overhead=0.0, total=0.0, available=0.0, headroom=0.0
    )


def _sum(one: MemoryTerms, other: MemoryTerms) -> MemoryTerms:
    """Terms added up; room and headroom are those of the machine, of which the second took its share before."""
    added = {
        name: round(getattr(one, name) + getattr(other, name), 2)
        for name in ("weights", "kv", "recurrent_state", "compute", "overhead")
    }
    total, available = round(sum(added.values()), 2), round(one.available + other.total, 2)
    return MemoryTerms(**added, total=total, available=available, headroom=round(available - total, 2))


def _less(room: Room, mib: float) -> Room:
    """The room with so much taken from the device that has most, or from host memory where there is none."""
    if not room.devices:
        ram = None if room.ram_mib is None else max(room.ram_mib - mib, 0.0)
        return msgspec.structs.replace(room, ram_mib=ram)
    most = max(room.devices, key=lambda device: device.available_mib)
    return msgspec.structs.replace(room, devices=tuple(_with_less(d, mib) if d is most else d for d in room.devices))


def _with_less(device: Device, mib: float) -> Device:
    return msgspec.structs.replace(device, available_mib=max(device.available_mib - mib, 0.0))


def _names(beside: Beside, backend: str) -> list[str]:
    draft = [f"the draft model {beside.draft.name}"] if beside.draft and backend != "ollama" else []
    return draft + (["adapters"] if beside.lora_rank else [])


def _share(room: Room, mib: float) -> float:
    """What part of its card these MiB are."""
    most = max((device.total_mib for device in room.devices), default=0.0)
    return mib / most if most else 0.0


def _command(row: FitRow, beside: Beside, share: float) -> str:
    words = [_UTILIZATION.sub(lambda found: f"{found[1]}{min(float(found[2]) + share, 0.95):.2f}", row.command or "")]
    if beside.draft is not None and row.backend == "llama.cpp":
        quant = beside.draft_quant or row.quant
        words += ["-md", shlex.quote(f"{beside.draft.name}-{quant}.gguf"), "-ngld", "99"]
    if beside.draft is not None and row.backend == "vllm":
        told = {
            "method": "draft_model", "model": commands.checkpoint(beside.draft, beside.draft_quant or "bf16"),
            "num_speculative_tokens": DRAFTED_TOKENS,
        }  # fmt: skip
        words += ["--speculative-config", shlex.quote(json.dumps(told))]
    if beside.lora_rank and row.backend == "llama.cpp":
        words += ["--lora", "ADAPTER.gguf"] * beside.loras
    if beside.lora_rank and row.backend == "vllm":
        words += ["--enable-lora", "--max-loras", str(beside.loras), "--max-lora-rank", str(beside.lora_rank)]
    return " ".join(words)
