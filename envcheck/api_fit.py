"""The chain behind `envcheck fit`: names to models, a snapshot to room, rows to an exit code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from envcheck.fit import fitting, memory_room, search
from envcheck.fit.beside import Beside, fit_beside
from envcheck.fit.local_models import Stores
from envcheck.fit.model_names import quantization_in
from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record
from envcheck.schema.fit import Calibration, FitRow, Room
from envcheck.schema.model import Ambiguous, ModelFacts, NotInCatalog, ResolvedModel
from envcheck.schema.snapshot import Snapshot

UNKNOWN_EXIT = 3
OLLAMA_TAG = "ollama:"
"""Before a name that is an Ollama tag on this machine."""
DEFAULT_CONTEXT = 8192
"""Tokens of one sequence where nobody says: what a chat with a document needs."""


class Question(Record):
    """What was asked; empty tuples mean the usual choice."""

    models: tuple[str, ...]
    backends: tuple[str, ...] = ()
    quants: tuple[str, ...] = ()
    context: int = DEFAULT_CONTEXT
    context_asked: bool = False
    """Whether the context was named; an unnamed one is cut to what a model was trained for."""
    concurrency: int = 1
    gpus: int | None = None
    search: str | None = None
    preset: str | None = None
    calibrations: tuple[Calibration, ...] = ()
    """What this machine's own runs taught about its speed (`envcheck.calibration`)."""
    stores: Stores | None = None
    """Where downloaded models may lie; None: names are looked up in the catalog alone."""
    draft: str | None = None
    """A smaller model that drafts tokens: name, size or file."""
    lora_rank: int = 0
    loras: int = 1


def fit_rows(question: Question, snapshot: Snapshot) -> tuple[FitRow, ...]:
    """Answer the question. Raises InputError for names that are unknown or ambiguous, and for impossible wishes."""
    from envcheck.fit.row_speed import with_speed

    room = limited(memory_room.of_snapshot(snapshot), question.gpus)
    found = [_meanings(name, question.stores) for name in question.models]
    asked = [several[-1].facts for several in found] or _catalog(question)
    by_name = {facts.name: facts for facts in [*asked, *(one.facts for several in found for one in several)]}
    rows = _memory_rows(question, found, asked, room)
    if question.draft or question.lora_rank:
        return tuple(rows)  # their speed is that of the model alone
    return tuple(with_speed(row, by_name[row.model], room, question.calibrations) for row in rows)


def _memory_rows(
    question: Question, found: list[tuple[ResolvedModel, ...]], asked: list[ModelFacts], room: Room
) -> Iterable[FitRow]:
    backends, context, concurrency = question.backends, question.context, question.concurrency
    if question.search == "largest":
        return search.largest(asked, backends, question.quants, context, concurrency, room)
    if question.search == "best_quant":
        return search.best_quant(asked, backends, context, concurrency, room)
    if question.search == "max_context":
        return search.longest_context(asked, backends, question.quants, concurrency, room)
    return [row for several in found for row in _rows_of(several, question, room)]


def _catalog(question: Question) -> list[ModelFacts]:
    """Every model there is, for a search that names none."""
    from envcheck.fit.models import catalog

    return list(catalog()) if question.search else []


def _loading(one: ResolvedModel) -> tuple[str, ...]:
    """The backends that load the files at hand; all of them for a model that is only named."""
    if one.tensors and one.origin in ("gguf", "ollama"):
        return tuple(name for name in fitting.BACKENDS if name in fitting.GGUF_BACKENDS)
    if one.tensors:
        return tuple(name for name in fitting.BACKENDS if name not in fitting.GGUF_BACKENDS)
    return fitting.BACKENDS


def _rows_of(several: tuple[ResolvedModel, ...], question: Question, room: Room) -> list[FitRow]:
    """Rows in every backend: from the local copy where that backend loads it, else from the catalog."""
    rows = [
        row
        for backend in question.backends or fitting.BACKENDS
        if (one := _loaded_by(several, backend, bool(question.backends))) is not None
        for row in _rows_in(one, question, backend, room)
    ]
    if not rows:
        raise InputError(f"None of the backends asked for loads {' or '.join(_quants(several[0], question))}.")
    return rows


def _loaded_by(several: tuple[ResolvedModel, ...], backend: str, asked: bool) -> ResolvedModel | None:
    """The first meaning of a name that the backend loads; a backend that was asked for is held to the files at hand."""
    loads = next((one for one in several if backend in _loading(one)), None)
    return several[0] if loads is None and asked else loads


def _quants(one: ResolvedModel, question: Question) -> tuple[str, ...]:
    return question.quants or ((one.quantization,) if one.quantization else ())


def _rows_in(one: ResolvedModel, question: Question, backend: str, room: Room) -> list[FitRow]:
    facts, context = one.facts, question.context
    if not question.context_asked and facts.max_context:
        context = min(context, facts.max_context)
    # Of several models one may have been trained for less: the others are still worth an answer.
    beyond = (
        len(question.models) > 1 and not question.preset and bool(facts.max_context) and context > facts.max_context
    )
    return [
        fitting.beyond_training(facts, backend, quant, context, question.concurrency, one.assumptions)
        if beyond
        else _row_of(one, question, backend, quant, context, room)
        for quant in fitting.loadable(backend, _quants(one, question))
    ]


def _row_of(
    one: ResolvedModel, question: Question, backend: str, quant: str | None, context: int, room: Room
) -> FitRow:
    if question.preset and not one.tensors:
        row = search.preset(question.preset, one.facts, backend, quant, room).row
        small = None if quant else _in_four_bits(row, one.facts, row.context, room)
        return row if small is None else search.preset(question.preset, one.facts, backend, small.quant, room).row
    if question.draft or question.lora_rank:
        many = question.concurrency
        return fit_beside(
            one.facts, backend, quant, context, many, room, one.assumptions, one.tensors, _beside(question)
        )
    row = fitting.fit(one.facts, backend, quant, context, question.concurrency, room, one.assumptions, one.tensors)
    small = None if quant or one.tensors else _in_four_bits(row, one.facts, context, room)
    if small is None or small.memory_mib is None:
        return row
    hint = f"; in {small.quant} it needs {small.memory_mib.total / 1024:.1f} GiB and {small.status}"
    return msgspec.structs.replace(row, why=row.why + hint.replace("tight", "just fits"))


def _beside(question: Question) -> Beside:
    if question.draft is None:
        return Beside(lora_rank=question.lora_rank, loras=question.loras)
    found = resolved(question.draft)
    return Beside(draft=found.facts, draft_quant=found.quantization, lora_rank=question.lora_rank, loras=question.loras)


def _in_four_bits(row: FitRow, facts: ModelFacts, context: int, room: Room) -> FitRow | None:
    """The same in four bits, where a model is too large for the GPUs as it is published and fits so."""
    if row.status not in ("no", "offload") or row.backend in fitting.GGUF_BACKENDS or not room.devices:
        return None
    small = search.four_bits(facts, row.backend, context, room)
    return small if small.status in search.RUNS else None


def stores_of(env: Mapping[str, str]) -> Stores:
    """Where a user's downloaded models lie by the variables that huggingface_hub and Ollama read.

    Sources: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables and
    https://github.com/ollama/ollama/blob/main/docs/faq.mdx (where are models stored).
    """
    home = env.get("HOME") or env.get("USERPROFILE") or ""
    cache = env.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")
    hub = hub or f"{env.get('HF_HOME') or f'{cache}/huggingface'}/hub"
    ollama = env.get("OLLAMA_MODELS") or f"{home}/.ollama/models"
    return Stores(hf_cache=hub if Path(hub).is_dir() else None, ollama=ollama if Path(ollama).is_dir() else None)


def _meanings(name: str, stores: Stores | None) -> tuple[ResolvedModel, ...]:
    """What a name means: the copy on disk first where there is one, then the catalog's model of that name."""
    first = resolved(name, stores)
    if first.origin not in ("hf_cache", "ollama"):
        return (first,)
    try:
        return (first, resolved(name))
    except InputError:  # the catalog does not know it: the copy alone is the answer
        return (first,)


def resolved(name: str, stores: Stores | None = None) -> ResolvedModel:
    """The one model a name means, called as it was asked for. Raises InputError where that is none or several."""
    from envcheck.fit.local_models import resolve

    found = resolve(name, stores)
    if isinstance(found, Ambiguous):
        some = ", ".join(found.candidates[:6])
        raise InputError(f"{name!r} names several models ({some}): name one of them.")
    if isinstance(found, NotInCatalog):
        raise InputError(
            f"{name!r} is not a known model ({found.why}): give a catalog name, a size, a file or a folder."
        )
    return msgspec.structs.replace(found, facts=_called(found))


def _called(found: ResolvedModel) -> ModelFacts:
    """The facts under the name that was asked for, where that is a published variant; a size means the chat variant."""
    facts = found.facts
    if found.origin in ("gguf", "safetensors", "config", "hf_cache"):
        return msgspec.structs.replace(facts, repo=found.asked)
    if found.origin == "ollama":
        return msgspec.structs.replace(facts, ollama=(found.asked,), repo=f"{OLLAMA_TAG}{found.asked}")
    asked = found.asked.lower().rpartition("/")[2]
    if asked == facts.name.lower():
        return facts
    for variant in (*((facts.repo,) if facts.repo else ()), *facts.variants):
        if quantization_in(variant):
            continue
        chat = found.origin == "size" and re.search(r"(?i)instruct|chat|-it$", variant)
        if variant.lower().rpartition("/")[2] == asked or chat:
            return msgspec.structs.replace(facts, repo=variant, name=variant.rpartition("/")[2])
    if found.quantization and "/" in found.asked:  # the repository of a quantized copy, in the user's own words
        return msgspec.structs.replace(facts, variants=(found.asked, *facts.variants))
    return facts


def limited(room: Room, gpus: int | None) -> Room:
    """The room with at most `gpus` GPUs. Raises InputError when there are fewer."""
    if gpus is None:
        return room
    if gpus > len(room.devices):
        raise InputError(
            f"{gpus} GPUs were asked for, this machine has {len(room.devices)}: ask for no more than that."
        )
    most = sorted(room.devices, key=lambda device: -device.available_mib)[:gpus]
    return msgspec.structs.replace(room, devices=tuple(most), gpus_unknown=None if gpus == 0 else room.gpus_unknown)


def exit_code(rows: Sequence[FitRow], strict: bool = False) -> int:
    """0 when something runs (a part on the host included), 1 when nothing does, 3 when nobody could tell.

    `strict` asks for more: 1 where nothing fits with room to spare.
    """
    states = {row.status for row in rows}
    if states & {"fits", "tight", "offload"}:
        return 1 if strict and "fits" not in states else 0
    return UNKNOWN_EXIT if "unknown" in states else 1
