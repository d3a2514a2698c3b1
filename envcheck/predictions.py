"""What `fit` expects of a model on this machine, in the form validation compares with. Joins two stages, so it is not
part of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from envcheck.backends import _stores
from envcheck.explanations import explained
from envcheck.fit.fitting import BACKENDS, GGUF_BACKENDS
from envcheck.schema.backend import Candidate
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Unknown, is_known
from envcheck.schema.fit import FitRow
from envcheck.schema.run import Expected, Run, Validation
from envcheck.schema.snapshot import Snapshot

if TYPE_CHECKING:
    from envcheck.host import Host
    from envcheck.schema.model import ResolvedModel

ENGINE_OF = {"embedded": "llama.cpp"}
"""Backends whose memory and speed follow another one's rules."""
OCCUPIED = Unknown(why="the engine under test holds part of it")
_QUANT_OF_DTYPE = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
_LEAST_CONTEXT = 64


class Expectations:
    """What is expected of runs on one machine. The machine is looked at once, when it is first needed."""

    def __init__(self, host: Host, snapshot: Snapshot | None = None) -> None:
        self._host = host
        self._given = snapshot
        self._seen: Snapshot | None = None
        self._models: list[_stores.LocalModel] | None = None

    def of(self, candidate: Candidate, run: Run) -> Expected:
        """Memory (MiB) and speed (tokens/s) with their intervals, or why there is no prediction."""
        if (why := unpredictable(candidate, run)) is not None:
            return Expected(says=f"no prediction: {why}")
        if self._models is None:
            self._models = _stores.local_models(self._host)
        return expected(self._machine(), _model_of(candidate, run, self._models), run)

    def explained(self, validation: Validation) -> Validation:
        """The validation with what the machine's own state says about slow runs and about GPUs left unused."""
        return explained(validation, self._machine) if validation.runs else validation

    def _machine(self) -> Snapshot:
        if self._seen is None:
            from envcheck import api

            self._seen = with_bandwidth(self._host, self._given or api.this_machine(self._host))
        return self._seen


def unpredictable(candidate: Candidate, run: Run) -> str | None:
    """Why nothing can be expected of a run before its model is even looked at; None where something can."""
    if run.url and not _is_loopback(run.url):
        return "the server runs on another machine"
    backend = ENGINE_OF.get(candidate.backend, candidate.backend)
    if backend == "openai_compatible":
        return "which engine answers at the address is not known"
    if backend not in BACKENDS:
        return f"there are no memory rules for {candidate.backend}"
    if backend == "ollama" and run.device_used == "unknown":
        return "the server does not list the model as loaded, so another engine may answer behind it"
    return None


def _is_loopback(url: str) -> bool:
    from envcheck.backends import _http

    return _http.address(url).is_loopback


def _model_of(candidate: Candidate, run: Run, models: Sequence[_stores.LocalModel]) -> str:
    """The path of the model where it lies on this machine, else its name, which the catalog may know."""
    if candidate.path:
        return candidate.path
    backend = ENGINE_OF.get(candidate.backend, candidate.backend)
    kinds = ("gguf", "ollama") if backend in GGUF_BACKENDS else ("safetensors",)
    names = (run.model, f"{run.model}:latest")
    return next((m.path for m in models if m.kind in kinds and m.name in names), run.model)


def expected(snapshot: Snapshot, model: str, run: Run) -> Expected:
    """The prediction of `fit` for the settings a run had."""
    backend = ENGINE_OF.get(run.backend, run.backend)
    try:
        row = _row(snapshot, model, backend, run)
    except (
        EnvcheckError
    ) as error:  # a name or file that `fit` cannot read: there is no prediction, and that is no fault
        return Expected(says=f"no prediction: {str(error).rstrip('.')}")
    if row.memory_mib is None:
        return Expected(says=f"no prediction: {row.why}")
    return Expected(figures=_figures(row), says="; ".join([f"by envcheck fit, {row.quant}", *row.assumptions]))


def _row(snapshot: Snapshot, model: str, backend: str, run: Run) -> FitRow:
    from envcheck.api_fit import limited, resolved
    from envcheck.fit import fitting, memory_room
    from envcheck.fit.row_speed import with_speed

    one = resolved(model)
    room = memory_room.of_snapshot(unoccupied(snapshot))
    if run.is_fallback and run.device_used == "cpu":
        room = limited(room, 0)
    quant, tensors = _loaded_as(one, backend, run)
    context = _context(run, one.facts.max_context)
    row = fitting.fit(one.facts, backend, quant, context, 1, room, one.assumptions, tensors)
    return with_speed(row, one.facts, room)


def _loaded_as(one: ResolvedModel, backend: str, run: Run) -> tuple[str | None, tuple[Any, ...]]:
    """The quantization in memory, and the file's own tensors where they stay as they are: Transformers widens them."""
    widened = _QUANT_OF_DTYPE.get(run.settings.get("dtype", "")) if backend == "transformers" else None
    stored = "fp32" if one.facts.precision == "float32" else one.quantization
    if widened and (one.origin in ("gguf", "ollama") or widened != (stored or "bf16")):
        return widened, ()
    return one.quantization, one.tensors


def _context(run: Run, most: int | None) -> int:
    """The context the engine reserves; an engine without a setting grows its cache to the longest prompt and answer."""
    said = run.settings.get("context", "")
    longest = max(((p.prompt_tokens or 0) + (p.output_tokens or 0) for p in run.prompts), default=0)
    context = int(said) if said.isdigit() and int(said) > 0 else max(longest, _LEAST_CONTEXT)
    return min(context, most) if most else context


def _figures(row: FitRow) -> dict[str, float]:
    found: dict[str, float] = {}
    if row.reserved_mib is not None:
        found["total_mib"] = row.reserved_mib
    elif row.memory_mib is not None:
        found["total_mib"] = row.memory_mib.total
        if (interval := (row.interval_mib or {}).get("total")) is not None:
            found |= {"total_mib_low": interval[0], "total_mib_high": interval[1]}
    for name in ("decode_tps", "prefill_tps"):
        band = getattr(row.speed, name) if row.speed is not None else None
        if band is not None:
            found |= {
                name: round(band.value, 2),
                f"{name}_low": round(band.low, 2),
                f"{name}_high": round(band.high, 2),
            }
    return found


def unoccupied(snapshot: Snapshot) -> Snapshot:
    """The machine as it was before the engine under test took its memory: totals count, not what is free now."""
    memory = msgspec.structs.replace(snapshot.memory, ram_available_mib=OCCUPIED)
    vendors = {name: _freed(getattr(snapshot, name)) for name in ("nvidia", "amd", "intel", "apple")}
    return msgspec.structs.replace(snapshot, memory=memory, **vendors)


def _freed(vendor: Any) -> Any:
    if not is_known(vendor.gpus):
        return vendor
    free = tuple(msgspec.structs.replace(gpu, memory_free_mib=OCCUPIED) for gpu in vendor.gpus.value)
    return msgspec.structs.replace(vendor, gpus=msgspec.structs.replace(vendor.gpus, value=free))


def with_bandwidth(host: Host, snapshot: Snapshot) -> Snapshot:
    """The snapshot with the memory bandwidth of the processors, measured now (half a second) where nobody did."""
    if not host.is_real or snapshot.origin != "machine" or is_known(snapshot.cpu.memory_bandwidth_gbs):
        return snapshot
    from envcheck.probes import cpu

    deep = type(host)(limit_s=host.limit_s, level=3, ports=False, target_python=host.target_python)
    found = cpu.PROBE.parse(cpu.PROBE.collect(deep)).memory_bandwidth_gbs
    return msgspec.structs.replace(snapshot, cpu=msgspec.structs.replace(snapshot.cpu, memory_bandwidth_gbs=found))
