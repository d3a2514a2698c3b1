"""Does this model fit that machine in that backend, and how: one row per question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec

from envcheck.fit import commands, kernels, memory_room, plan_llama, plan_transformers, plan_vllm
from envcheck.fit.checkpoints import native_scheme
from envcheck.fit.memory_checkpoint import gguf_weights, known_quant, stored_bytes, weights_of_file
from envcheck.fit.memory_hparams import from_facts
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_need import Need, concurrency_limit, context_limit, interval, terms, verdict
from envcheck.fit.plan_llama import ExpertsOnHost, LlamaModel, Split, Whole
from envcheck.fit.plan_transformers import Spread, TransformersModel
from envcheck.fit.plan_vllm import Parallel, VllmModel
from envcheck.fit.tensors import parameter_count
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.fit import FitRow, Room, Status
from envcheck.schema.model import ModelFacts, StoredTensor
from envcheck.schema.snapshot import Snapshot

BACKENDS = ("llama.cpp", "ollama", "vllm", "transformers")
GGUF_BACKENDS = frozenset({"llama.cpp", "ollama"})
CURRENT_LLAMA = LlamaSettings(context=0, flash_attention=True, latent_cache=True, limited_outputs=True)
"""Today's llama.cpp: flash attention where the backend can, windows cached apart, logits for one row per sequence."""

Loaded = LlamaModel | VllmModel | TransformersModel
Chosen = Whole | Split | ExpertsOnHost | Parallel | Spread
LLAMA_PLACINGS = (Whole, Split, ExpertsOnHost)


class Choice(Record, gc=False):
    """One placing held against the room."""

    placing: Chosen
    need: Need
    status: Status
    low: float
    high: float


def fit(
    model: ModelFacts,
    backend: str,
    quant: str | None,
    context: int,
    concurrency: int,
    machine: Snapshot | Room,
    assumptions: tuple[str, ...] = (),
    tensors: tuple[StoredTensor, ...] = (),
) -> FitRow:
    """Judge one model × backend × quantization on one machine; `tensors` are the very file's, where one was read.

    `quant` None is the usual one (`usual_quant`). Raises InputError for an unknown backend or
    quantization, for a context beyond what the model was trained for, and for counts below one.
    """
    room = memory_room.of_snapshot(machine) if isinstance(machine, Snapshot) else machine
    wanted = quant or usual_quant(model, backend, on_gpu=bool(room.devices))
    _refuse(model, backend, wanted, context, concurrency)
    blank = _blank(model, backend, wanted, context, concurrency, assumptions + room.assumptions)
    loaded = _loaded(model, backend, wanted, tensors)
    reason = room.gpus_unknown or (loaded if isinstance(loaded, str) else None)
    if reason is not None or isinstance(loaded, str):
        return msgspec.structs.replace(blank, why=f"unknown: {reason}")
    # Ollama cannot place experts, so but for mixtures of experts it is placed as llama.cpp is.
    experts_away = backend == "llama.cpp" and isinstance(loaded, LlamaModel) and bool(loaded.weights.experts)
    choice = _choose(loaded, experts_away, context, concurrency, room)
    if choice is None:
        return msgspec.structs.replace(blank, why="unknown: neither a GPU nor the size of host memory is known")
    row = _row(blank, choice, model, room)
    why = kernels.lacking(backend, wanted, choice.placing.devices)
    return row if why is None else msgspec.structs.replace(row, status="no", why=why, command=None)


def usual_quant(model: ModelFacts, backend: str, *, on_gpu: bool = True) -> str:
    """What a backend loads of a model unless told otherwise: Q4_K_M of GGUF files, else what its publisher's own hold.

    16 bit on the processor, for which Transformers widens FP8 and MXFP4 (`quantizer_mxfp4.py` and
    `quantizer_finegrained_fp8.py` of huggingface/transformers).
    """
    if backend in GGUF_BACKENDS:
        return "Q4_K_M"
    published = native_scheme(model)
    return "bf16" if published in commands.UNQUANTIZED or not on_gpu else published


def beyond_training(
    model: ModelFacts,
    backend: str,
    quant: str | None,
    context: int,
    concurrency: int,
    assumptions: tuple[str, ...] = (),
) -> FitRow:
    """The row of a model that was trained for less context than asked, where other models were asked for too."""
    if backend not in BACKENDS:
        raise InputError(_no_rules(backend))
    blank = _blank(model, backend, quant or usual_quant(model, backend), context, concurrency, assumptions)
    return msgspec.structs.replace(
        blank, status="no", why=f"trained for {model.max_context} tokens of context, {context} were asked"
    )


def _no_rules(backend: str) -> str:
    return f"No memory rules for the backend {backend!r}: choose one of {', '.join(BACKENDS)}."


def _refuse(model: ModelFacts, backend: str, quant: str, context: int, concurrency: int) -> None:
    if backend not in BACKENDS:
        raise InputError(_no_rules(backend))
    if context < 1 or concurrency < 1:
        raise InputError("Context and concurrency must be at least 1.")
    if model.max_context and context > model.max_context:
        raise InputError(
            f"{model.name} was trained for {model.max_context} tokens of context, {context} were asked: ask for less."
        )
    if not known_quant(quant, gguf=backend in GGUF_BACKENDS):
        kind = "a GGUF quantization such as Q4_K_M" if backend in GGUF_BACKENDS else "a scheme such as bf16, awq or fp8"
        raise InputError(f"{backend} does not load {quant!r}: name {kind}.")


def _loaded(model: ModelFacts, backend: str, quant: str, tensors: tuple[StoredTensor, ...]) -> Loaded | str:
    """The model as a backend holds it, or why its size is not known."""
    if backend in GGUF_BACKENDS:
        found = _gguf_of_file(model, tensors) if tensors else _gguf(model, quant)
        return found or f"the layout of {model.architecture} in a GGUF file is not known"
    stored = float(sum(tensor.nbytes for tensor in tensors)) if tensors else stored_bytes(model, quant)
    if stored is None:
        return f"the size of {model.architecture} in {quant} is not known"
    element = 4.0 if quant == "fp32" else 2.0
    if backend == "vllm":
        return VllmModel(facts=model, quant=quant, stored=stored if tensors else None, cache_bytes=element)
    widened = quant == "fp32" and model.precision != "float32" and not tensors
    return TransformersModel(
        facts=model,
        checkpoint=stored,
        element=element,
        quantized=quant not in commands.UNQUANTIZED,
        on_gpu_only=quant in plan_transformers.ON_GPU_ONLY,
        converted_from=(stored_bytes(model, "bf16") or 0.0) if widened else 0.0,
    )


@lru_cache(maxsize=4096)
def _gguf(model: ModelFacts, quant: str) -> LlamaModel | None:
    weights = gguf_weights(model, quant)
    return None if weights is None else plan_llama.ready(from_facts(model), weights, CURRENT_LLAMA, _projector(model))


def _projector(model: ModelFacts) -> float:
    return 2.0 * model.vision.parameters if model.vision else 0.0


def _gguf_of_file(model: ModelFacts, tensors: tuple[StoredTensor, ...]) -> LlamaModel:
    return plan_llama.ready(from_facts(model), weights_of_file(tensors, model.layer_count), CURRENT_LLAMA)


def _placings(loaded: Loaded, room: Room) -> Iterable[Chosen]:
    if isinstance(loaded, LlamaModel):
        return plan_llama.whole(loaded, room)
    if isinstance(loaded, VllmModel):
        return plan_vllm.parallel(loaded, room)
    return plan_transformers.placings(loaded, room)


@lru_cache(maxsize=256)
def _choose(loaded: Loaded, experts_away: bool, context: int, concurrency: int, room: Room) -> Choice | None:
    """The first placing that fits, else the first that is tight, else one with a part on the host, else the last."""
    best: Choice | None = None
    for placing in _placings(loaded, room):
        choice = _held(placing, context, concurrency)
        if choice.status == "fits":
            return choice
        if best is None or best.status == "no":
            best = choice
    if best is None or best.status != "no":
        return best
    for partial in _partial(loaded, experts_away, context, concurrency, room):
        choice = _held(partial, context, concurrency)
        if choice.need.host <= (room.ram_mib or 0.0):
            return msgspec.structs.replace(choice, status="offload")
    return best


def _held(placing: Chosen, context: int, concurrency: int) -> Choice:
    need = placing.need(context, concurrency)
    low, high = interval(need, placing.situation, len(placing.devices))
    return Choice(placing=placing, need=need, status=verdict(need, placing.available, high), low=low, high=high)


def _partial(
    loaded: Loaded, experts_away: bool, context: int, concurrency: int, room: Room
) -> Iterator[Split | ExpertsOnHost | Spread]:
    """Placings with a part on the host, whether or not it has room for that: the faster first."""
    if isinstance(loaded, LlamaModel):
        # Experts on the host cost less speed than whole layers there.
        experts = plan_llama.experts_on_host(loaded, room, context, concurrency) if experts_away else None
        if experts is not None:
            yield experts
        layers = plan_llama.split(loaded, room, context, concurrency)
        if layers is not None:
            yield layers
    elif isinstance(loaded, TransformersModel):
        spread = plan_transformers.offloaded(loaded, room, context, concurrency)
        if spread is not None:
            yield spread


@lru_cache(maxsize=1024)
def _billions(model: ModelFacts) -> float:
    return round(parameter_count(model) / 1e9, 3)


def _blank(
    model: ModelFacts, backend: str, quant: str, context: int, concurrency: int, assumptions: tuple[str, ...]
) -> FitRow:
    return FitRow(
        model=model.name,
        params_b=_billions(model),
        backend=backend,
        quant=quant,
        context=context,
        concurrency=concurrency,
        status="unknown",
        why="",
        memory_mib=None,
        interval_mib=None,
        max_context=None,
        max_concurrency=None,
        gpu_layers=None,
        speed=None,
        command=None,
        assumptions=assumptions,
        basis="calculated",
    )


def _row(blank: FitRow, choice: Choice, model: ModelFacts, room: Room) -> FitRow:
    placing, need = choice.placing, choice.need
    return msgspec.structs.replace(
        blank,
        status=choice.status,
        why=_why(choice, blank.backend, room),
        memory_mib=terms(need, placing.available),
        interval_mib={"total": (round(choice.low, 1), round(choice.high, 1))},
        max_context=context_limit(placing, blank.concurrency, model.max_context),
        max_concurrency=concurrency_limit(placing, blank.context, need.total if blank.concurrency == 1 else None),
        gpu_layers=placing.gpu_layers if isinstance(placing, LLAMA_PLACINGS) else None,
        command=_command(blank, placing, need, model) if choice.status != "no" else None,
        assumptions=blank.assumptions + _assumed(blank, placing, model),
        devices=len(placing.devices),
        host_mib=round(need.host, 1),
        reserved_mib=round(placing.reserved, 1) if isinstance(placing, Parallel) and placing.reserved else None,
    )


def _why(choice: Choice, backend: str, room: Room) -> str:
    need, available = choice.need, choice.placing.available
    where = _where(choice.placing)
    needs = f"needs {need.total / 1024:.1f} of {available / 1024:.1f} GiB on {where}"
    if choice.status == "fits":
        return needs
    if choice.status == "tight":
        return f"{needs}: less left over than the prediction may err"
    if choice.status == "offload":
        return f"{need.host / 1024:.1f} GiB stay in host memory, {need.total / 1024:.1f} GiB go on {where}: slower"
    short = f"needs {need.total / 1024:.1f} GiB; {where} can give {backend} {available / 1024:.1f} GiB"
    return short + (_beside(choice.placing, room) if choice.placing.devices else "")


def _beside(placing: Chosen, room: Room) -> str:
    """Why host memory does not take the rest of a model that is too large for the GPUs."""
    if room.shares_ram or isinstance(placing, Parallel):
        return ""
    if isinstance(placing, Spread) and placing.model.on_gpu_only:
        return ", and weights of this kind cannot stay in host memory"
    if room.ram_mib is None:
        return "; whether host memory could take the rest is not known"
    return f", and the rest does not go into {room.ram_mib / 1024:.1f} GiB of host memory"


def _where(placing: Chosen) -> str:
    if not placing.devices:
        return "the host"
    if len(placing.devices) == 1:
        return placing.devices[0].name
    return f"{len(placing.devices)} GPUs"


def _command(row: FitRow, placing: Chosen, need: Need, model: ModelFacts) -> str:
    if isinstance(placing, LLAMA_PLACINGS):
        if row.backend == "ollama":
            return commands.ollama(model, row.quant, row.context, row.concurrency)
        away = placing.host_layers if isinstance(placing, ExpertsOnHost) else 0
        return commands.llama(model, row.quant, row.context, row.concurrency, placing.gpu_layers, away)
    if isinstance(placing, Parallel):
        return commands.vllm(
            model, row.quant, row.context, row.concurrency, placing.devices, placing.tensor, placing.pipeline,
            placing.utilization, 0 if placing.devices else round(need.kv / plan_vllm.CPU_CACHE_STEP_MIB),
        )  # fmt: skip
    return commands.transformers(model, row.quant, placing.devices)


def _assumed(row: FitRow, placing: Chosen, model: ModelFacts) -> tuple[str, ...]:
    said: list[str] = []
    if row.backend in GGUF_BACKENDS:
        said += ["flash attention on", "KV cache in f16", "ubatch of 512", "llama.cpp of mid 2026 or later"]
    elif row.backend == "vllm":
        said += [
            "KV cache in the model's type" if row.quant != "fp32" else "KV cache in f32",
            *(["CUDA graphs on"] if placing.devices else []),
        ]
    else:
        said += ["flash attention 2 or SDPA", "cache grown to the full context"]
    if model.vision and row.backend in GGUF_BACKENDS:
        said.append("image encoder in 16 bit, without the 0.1 to 1.1 GiB it works in while it reads an image")
    if row.backend not in GGUF_BACKENDS and commands.names_a_folder(model, row.quant):
        said.append(f"no published {row.quant} checkpoint is listed: the command loads a folder of that name")
    if len(placing.devices) > 1:
        said.append(f"spread over {len(placing.devices)} GPUs")
    return tuple(said)


def fit_all(
    models: Sequence[tuple[ModelFacts, tuple[str, ...]]],
    backends: Sequence[str],
    quants: Sequence[str],
    context: int,
    concurrency: int,
    machine: Snapshot | Room,
) -> tuple[FitRow, ...]:
    """A row for every model × backend × quantization the backend can load; no quantization means its usual one."""
    room = memory_room.of_snapshot(machine) if isinstance(machine, Snapshot) else machine
    return tuple(
        fit(model, backend, quant, context, concurrency, room, notes)
        for model, notes in models
        for backend in backends
        for quant in loadable(backend, quants)
    )


def loadable(backend: str, quants: Sequence[str]) -> list[str | None]:
    """Those of `quants` that the backend loads; one None, its usual one, where none was asked for."""
    if not quants:
        return [None]
    return [quant for quant in quants if known_quant(quant, gguf=backend in GGUF_BACKENDS)]
