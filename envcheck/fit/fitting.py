"""Does this model fit that machine in that backend, and how: one row per question."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from envcheck.fit import commands, kernels, memory_room, plan_llama, plan_transformers, row_words
from envcheck.fit.checkpoints import native_scheme
from envcheck.fit.choosing import LLAMA_PLACINGS, Choice, Loaded, choose
from envcheck.fit.memory_checkpoint import gguf_weights, known_quant, stored_bytes, weights_of_file
from envcheck.fit.memory_hparams import absent, from_facts
from envcheck.fit.memory_llama_settings import LlamaSettings
from envcheck.fit.memory_need import concurrency_limit, context_limit, terms
from envcheck.fit.plan_llama import LlamaModel
from envcheck.fit.plan_transformers import TransformersModel
from envcheck.fit.plan_vllm import Parallel, VllmModel
from envcheck.fit.row_words import Question
from envcheck.fit.tensors import parameter_count
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.fit import FitRow, MemoryTerms, Room, Status
from envcheck.schema.model import ModelFacts, StoredTensor
from envcheck.schema.snapshot import Snapshot

BACKENDS = ("llama.cpp", "ollama", "vllm", "transformers")
GGUF_BACKENDS = frozenset({"llama.cpp", "ollama"})
CURRENT_LLAMA = LlamaSettings(
    context=0, flash_attention=True, latent_cache=True, limited_outputs=True, half_mask=True, gated_unit=True
)
"""Today's llama.cpp: flash attention where the backend can, windows cached apart, logits for one row per sequence."""


class Answer(Record, gc=False):
    """What rows of llama.cpp and Ollama share: the placing chosen, rounded for a row, and how far it reaches."""

    choice: Choice
    memory: MemoryTerms
    interval: tuple[float, float]
    max_context: int | None
    max_concurrency: int | None
    host: float


LINUX_ONLY = frozenset({"vllm"})
"""As `vllm.os.family` in `requirements_matrix/vllm.toml` judges it."""


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
    asked = Question(
        model=model,
        backend=backend,
        quant=wanted,
        context=context,
        concurrency=concurrency,
        assumptions=assumptions + room.assumptions,
    )
    if backend in GGUF_BACKENDS and model.architecture in absent(backend):
        return _blank(asked, "no", f"{backend} has no code for {model.architecture} models")
    if backend in LINUX_ONLY and room.os_family not in (None, "linux"):
        return _blank(asked, "no", f"{backend} has wheels for Linux only; this is {room.os_family}")
    loaded = _loaded(model, backend, wanted, tensors)
    reason = room.gpus_unknown or (loaded if isinstance(loaded, str) else None)
    if reason is not None or isinstance(loaded, str):
        return _blank(asked, "unknown", f"unknown: {reason}")
    # Ollama cannot place experts, so but for mixtures of experts it is placed as llama.cpp is.
    experts_away = backend == "llama.cpp" and isinstance(loaded, LlamaModel) and bool(loaded.weights.experts)
    answer = _answer(loaded, experts_away, context, concurrency, room, model.max_context)
    if answer is None:
        return _blank(asked, "unknown", "unknown: neither a GPU nor the size of host memory is known")
    return _row(asked, answer, room)


def usual_quant(model: ModelFacts, backend: str, *, on_gpu: bool = True) -> str:
    """What a backend loads of a model unless told otherwise: what its publisher's files hold, Q4_K_M in GGUF files.

    MXFP4 stays what it is in GGUF files (ggml-org/gpt-oss-20b-GGUF, and Ollama's gpt-oss). 16 bit on the processor, for
    which Transformers widens FP8 and MXFP4 (`quantizer_mxfp4.py`, `quantizer_finegrained_fp8.py` of its quantizers).
    """
    published = native_scheme(model)
    if backend in GGUF_BACKENDS:
        return "MXFP4_MOE" if published == "mxfp4" else "Q4_K_M"
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
    asked = Question(
        model=model,
        backend=backend,
        quant=quant or usual_quant(model, backend),
        context=context,
        concurrency=concurrency,
        assumptions=assumptions,
    )
    return _blank(asked, "no", f"trained for {model.max_context} tokens of context, {context} were asked")


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
    return _checkpoint(model, backend, quant, tensors)


@lru_cache(maxsize=64)
def _checkpoint(
    model: ModelFacts, backend: str, quant: str, tensors: tuple[StoredTensor, ...]
) -> VllmModel | TransformersModel | str:
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


@lru_cache(maxsize=64)
def _gguf(model: ModelFacts, quant: str) -> LlamaModel | None:
    weights = gguf_weights(model, quant)
    return None if weights is None else plan_llama.ready(from_facts(model), weights, CURRENT_LLAMA, _projector(model))


def _projector(model: ModelFacts) -> float:
    return 2.0 * model.vision.parameters if model.vision else 0.0


def _gguf_of_file(model: ModelFacts, tensors: tuple[StoredTensor, ...]) -> LlamaModel:
    return plan_llama.ready(from_facts(model), weights_of_file(tensors, model), CURRENT_LLAMA)


@lru_cache(maxsize=256)
def _answer(
    loaded: Loaded, experts_away: bool, context: int, concurrency: int, room: Room, trained: int
) -> Answer | None:
    choice = choose(loaded, experts_away, context, concurrency, room)
    if choice is None:
        return None
    placing, need = choice.placing, choice.need
    return Answer(
        choice=choice,
        memory=terms(need, placing.available),
        interval=(round(choice.low, 1), round(choice.high, 1)),
        max_context=context_limit(placing, concurrency, trained),
        max_concurrency=concurrency_limit(placing, context, need.total if concurrency == 1 else None),
        host=round(need.host, 1),
    )


@lru_cache(maxsize=1024)
def _billions(model: ModelFacts) -> float:
    return round(parameter_count(model) / 1e9, 3)


def _blank(asked: Question, status: Status, why: str) -> FitRow:
    return FitRow(
        model=asked.model.name,
        params_b=_billions(asked.model),
        backend=asked.backend,
        quant=asked.quant,
        context=asked.context,
        concurrency=asked.concurrency,
        status=status,
        why=why,
        memory_mib=None,
        interval_mib=None,
        max_context=None,
        max_concurrency=None,
        gpu_layers=None,
        speed=None,
        command=None,
        assumptions=asked.assumptions,
        basis="calculated",
    )


def _row(asked: Question, answer: Answer, room: Room) -> FitRow:
    choice, placing = answer.choice, answer.choice.placing
    no_kernels = kernels.lacking(asked.backend, asked.quant, placing.devices)
    impossible = choice.status == "no" or no_kernels is not None
    devices = len(placing.devices)
    in_folder = asked.backend not in GGUF_BACKENDS and commands.names_a_folder(asked.model, asked.quant)
    assumed = row_words.assumed(asked.backend, asked.quant, devices, asked.model.vision is not None, in_folder)
    return FitRow(
        model=asked.model.name,
        params_b=_billions(asked.model),
        backend=asked.backend,
        quant=asked.quant,
        context=asked.context,
        concurrency=asked.concurrency,
        status="no" if impossible else choice.status,
        why=no_kernels or row_words.why(choice, asked.backend, room),
        memory_mib=answer.memory,
        interval_mib={"total": answer.interval},
        max_context=answer.max_context,
        max_concurrency=answer.max_concurrency,
        gpu_layers=placing.gpu_layers if isinstance(placing, LLAMA_PLACINGS) else None,
        speed=None,
        command=None if impossible else row_words.command(asked, placing, choice.need),
        assumptions=asked.assumptions + assumed,
        basis="calculated",
        devices=devices,
        host_mib=answer.host,
        reserved_mib=round(placing.reserved, 1) if isinstance(placing, Parallel) and placing.reserved else None,
    )


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
