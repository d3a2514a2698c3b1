"""The ways to run a model here side by side: backends with a recommendation, and other models."""

from __future__ import annotations

from typing import Literal

from envcheck.compose._cells import FIT_WORDS, STATE_WORDS, code, memory_cell, number, row, table
from envcheck.compose.presets import curves_part, presets_part
from envcheck.schema.blocks import Block, Cell, Note, Paragraph, Part, Points, Section
from envcheck.schema.describe import backend_title, gib, listed
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Subject

_DRAFT_TOKENS = 256
"""Length of an answer in the comparison of a single query with several (assumed)."""


def options_section(subject: Subject) -> Section | None:
    """Comparison with a recommendation, presets, memory against context; None where nothing fits."""
    parts = [_comparison(subject), _alternatives(subject), presets_part(subject), curves_part(subject)]
    found = tuple(part for part in parts if part is not None)
    return Section(id="options", title="Options compared", blocks=found) if found else None


def _single(subject: Subject, many: FitRow) -> FitRow | None:
    wanted = (many.backend, many.model, many.quant)
    return next((f for f in (*subject.singles, *subject.fits) if (f.backend, f.model, f.quant) == wanted), None)


def _seconds(fit: FitRow, bound: Literal["middle", "slow", "fast"] = "middle") -> float | None:
    """Time of one answer, seconds: first token, then the rest at decode speed."""
    speed = fit.speed
    if speed is None or speed.decode_tps is None or speed.ttft_ms is None:
        return None
    first, pace = {
        "middle": (speed.ttft_ms.value, speed.decode_tps.value),
        "slow": (speed.ttft_ms.high, speed.decode_tps.low),
        "fast": (speed.ttft_ms.low, speed.decode_tps.high),
    }[bound]
    return first / 1000 + (_DRAFT_TOKENS - 1) / pace if pace > 0 else None


def _comparison(subject: Subject) -> Part | None:
    pairs = [(one, many) for many in subject.parallel if (one := _single(subject, many)) is not None]
    if not pairs:
        return None
    heads = ["Backend", "State", "Model", "Weights as", "#Memory", "#Decode, tokens/s", "#One query, s"]
    heads += ["#Three at a time: memory", "#Until all three, s"]
    rows = [_pair(one, many, subject) for one, many in pairs]
    basis = (
        f"Calculated; seconds for a prompt of 512 and an answer of {_DRAFT_TOKENS} tokens (assumed) at the middle of "
        "the bands. Three at a time: each sequence with the same context."
    )
    blocks: list[Block] = [*advice(subject, pairs), table("Backends compared", heads, rows, basis)]
    title = "Backends: a single query, and three drafts in parallel"
    return Part(id="options-backends", title=title, blocks=tuple(blocks))


def _pair(one: FitRow, many: FitRow, subject: Subject) -> tuple[Cell, ...]:
    mark, words = STATE_WORDS[subject.judgement.backends[one.backend].status]
    runs = many.status in ("fits", "tight")
    decode = one.speed.decode_tps if one.speed else None
    return row(
        backend_title(one.backend),
        Cell(text=words, mark=mark),
        one.model,
        code(one.quant),
        memory_cell(one),
        number(decode.value if decode else None),
        number(_seconds(one)),
        memory_cell(many) if runs else Cell(text=FIT_WORDS[many.status][1], mark=FIT_WORDS[many.status][0]),
        number(_seconds(many)) if runs else Cell(text="–"),
    )


def advice(subject: Subject, pairs: list[tuple[FitRow, FitRow]]) -> list[Block]:
    """What the figures speak for, never more than they say: where bands overlap, only a measurement decides."""
    singles = _ranked([one for one, _ in pairs])
    if len(singles) < 2:
        return []
    threes = _ranked([many for _, many in pairs if many.status in ("fits", "tight")])
    blocks: list[Block] = [Note(text=f"Expected to be fastest for one query: {_winner(singles)}.", mark="good")]
    items = []
    if threes:
        items.append(f"Three drafts at a time: {_winner(threes)}.")
    items += _four_bits(pairs)
    if len({one.quant for one, _ in pairs}) > 1:
        items.append("The rows differ in the precision of their weights, so in the quality of answers.")
    states = subject.judgement.backends
    ready = dict.fromkeys(backend_title(one.backend) for one, _ in pairs if states[one.backend].status == "ready")
    if ready:
        best = _ranked([one for one, _ in pairs if states[one.backend].status == "ready"])[:1]
        of_these = f"; the fastest of these: {_named(best[0][1])}, {best[0][0]:.1f} s" if best else ""
        items.append(f"Ready now: {listed(list(ready))}{of_these}.")
    else:
        items.append("None of them is known to be installed.")
    return [*blocks, Points(items=tuple(Cell(text=text) for text in items))]


def _ranked(fits: list[FitRow]) -> list[tuple[float, FitRow]]:
    """Rows with a time, the fastest first."""
    return sorted(((s, fit) for fit in fits if (s := _seconds(fit)) is not None), key=lambda pair: pair[0])


def _winner(ranked: list[tuple[float, FitRow]]) -> str:
    """The fastest with its time; with it those whose best case beats its worst."""
    (best, first), rest = ranked[0], ranked[1:]
    slow = _seconds(first, "slow") or best
    near = [fit for _, fit in rest if (_seconds(fit, "fast") or slow) < slow]
    text = f"{_named(first)}, {best:.1f} s"
    if not near:
        return text
    return (
        f"{text}; the bands of {listed([_named(fit) for fit in near])} overlap with its own, so measure before choosing"
    )


def _named(fit: FitRow) -> str:
    return f"{backend_title(fit.backend)} in {fit.quant}"


def _four_bits(pairs: list[tuple[FitRow, FitRow]]) -> list[str]:
    """Ollama's four bits against vLLM's, where both can run."""
    ollama = next((pair for pair in pairs if pair[0].backend == "ollama"), None)
    vllm = next((pair for pair in pairs if pair[0].backend == "vllm" and pair[0].quant in ("awq", "gptq-int4")), None)
    if ollama is None or vllm is None or ollama[0].model != vllm[0].model:
        return []
    said = [f"one query {_time(pair[0])}, three drafts {_time(pair[1])}" for pair in (ollama, vllm)]
    return [f"{_named(ollama[0])}: {said[0]}; {_named(vllm[0])}: {said[1]}."]


def _time(fit: FitRow) -> str:
    seconds = _seconds(fit) if fit.status in ("fits", "tight") else None
    if seconds is None:
        return "not possible" if fit.status == "no" else "unknown"
    return f"{seconds:.1f} s ({_seconds(fit, 'fast'):.1f}–{_seconds(fit, 'slow'):.1f})"


def _alternatives(subject: Subject) -> Part | None:
    """Other models in four bits: what they need, and what a server takes of the card whatever they need."""
    if not subject.alternatives:
        return None
    heads = ["Model", "Backend", "Weights as", "#Weights", "#Needed", "Fits", "#Decode, tokens/s", "#One query, s"]
    rows = [_alternative(fit) for fit in subject.alternatives]
    basis = (
        f"Calculated, one sequence; Needed includes the cache of {max(f.context for f in subject.alternatives)} tokens."
    )
    blocks: list[Block] = [table("Alternatives in four bits", heads, rows, basis)]
    reserved = [fit for fit in subject.alternatives if fit.reserved_mib and fit.status in ("fits", "tight")]
    if reserved:
        least = min(reserved, key=lambda fit: (fit.reserved_mib or 0.0) / max(fit.devices, 1))
        share = gib((least.reserved_mib or 0.0) / max(least.devices, 1))
        text = (
            f"vLLM reserves {share} of each card (its --gpu-memory-utilization) however little a model needs; what the "
            "model leaves of that becomes KV cache. Needed is the least that would do."
        )
        blocks.append(Paragraph(text=text))
    return Part(id="options-models", title="Alternative models", blocks=tuple(blocks))


def _alternative(fit: FitRow) -> tuple[Cell, ...]:
    terms, (mark, word) = fit.memory_mib, FIT_WORDS[fit.status]
    decode = fit.speed.decode_tps if fit.speed else None
    where = f"{word}, on {fit.devices} GPUs" if fit.devices > 1 and fit.status in ("fits", "tight") else word
    return row(
        fit.model,
        backend_title(fit.backend),
        code(fit.quant),
        Cell(text=gib(terms.weights + fit.host_mib), sort=terms.weights + fit.host_mib) if terms else "–",
        Cell(text=gib(terms.total + fit.host_mib), sort=terms.total + fit.host_mib) if terms else "–",
        Cell(text=where, mark=mark),
        number(decode.value if decode else None),
        number(_seconds(fit)),
    )
