"""The ways to run a model here side by side: backends, presets, and memory as the context grows."""

from __future__ import annotations

from envcheck.compose._cells import FIT_WORDS, STATE_WORDS, code, number, row, table
from envcheck.schema.blocks import Bar, Bars, Block, Cell, Note, Part, Section
from envcheck.schema.describe import backend_title, gib
from envcheck.schema.fit import FitRow
from envcheck.schema.report import Subject

_DRAFT_TOKENS = 256
"""Length of an answer in the comparison of a single query with several (assumed)."""


def options_section(subject: Subject) -> Section | None:
    """Comparison with a recommendation, presets, memory against context; None where nothing fits."""
    parts = [_comparison(subject), _presets(subject), _curves(subject)]
    found = tuple(part for part in parts if part is not None)
    return Section(id="options", title="Options compared", blocks=found) if found else None


def _single(subject: Subject, many: FitRow) -> FitRow | None:
    return next(
        (f for f in subject.fits if (f.backend, f.model, f.quant) == (many.backend, many.model, many.quant)), None
    )


def _seconds(fit: FitRow, *, slow: bool = False) -> float | None:
    """Time of one answer, seconds: first token, then the rest at decode speed."""
    speed = fit.speed
    if speed is None or speed.decode_tps is None or speed.ttft_ms is None:
        return None
    first, pace = (speed.ttft_ms.high, speed.decode_tps.low) if slow else (speed.ttft_ms.value, speed.decode_tps.value)
    return first / 1000 + (_DRAFT_TOKENS - 1) / pace if pace > 0 else None


def _comparison(subject: Subject) -> Part | None:
    pairs = [(one, many) for many in subject.parallel if (one := _single(subject, many)) is not None]
    if not pairs:
        return None
    heads = ["Backend", "State", "Model", "Weights as", "#Memory", "#Decode, tokens/s", "#One query, s"]
    heads += ["#Three at a time: memory", "#Until all three, s"]
    rows = [_pair(one, many, subject) for one, many in pairs]
    basis = (
        f"Calculated; seconds for an answer of {_DRAFT_TOKENS} tokens (assumed) at the middle of the bands. Three at a "
        "time: each sequence with the same context."
    )
    blocks: list[Block] = [table("Backends compared", heads, rows, basis)]
    advice = _advice(subject, pairs)
    if advice:
        blocks.insert(0, Note(text=advice, mark="good"))
    return Part(
        id="options-backends", title="Backends: a single query, and three drafts in parallel", blocks=tuple(blocks)
    )


def _pair(one: FitRow, many: FitRow, subject: Subject) -> tuple[Cell, ...]:
    mark, words = STATE_WORDS[subject.judgement.backends[one.backend].status]
    runs = many.status in ("fits", "tight")
    decode = one.speed.decode_tps if one.speed else None
    return row(
        backend_title(one.backend),
        Cell(text=words, mark=mark),
        one.model,
        code(one.quant),
        _memory(one),
        number(decode.value if decode else None),
        number(_seconds(one)),
        _memory(many) if runs else Cell(text=FIT_WORDS[many.status][1], mark=FIT_WORDS[many.status][0]),
        number(_seconds(many)) if runs else Cell(text="–"),
    )


def _memory(fit: FitRow) -> Cell:
    terms = fit.memory_mib
    return Cell(text="–") if terms is None else Cell(text=gib(terms.total), sort=terms.total)


def _advice(subject: Subject, pairs: list[tuple[FitRow, FitRow]]) -> str:
    """What the figures above speak for: the fastest for one, and for three; never more than they say."""
    timed = [(seconds, one) for one, _ in pairs if (seconds := _seconds(one)) is not None]
    three = [(s, many) for _, many in pairs if many.status in ("fits", "tight") and (s := _seconds(many)) is not None]
    if len(timed) < 2:
        return ""
    best = min(timed, key=lambda pair: pair[0])
    says = f"Expected to be fastest for one query: {backend_title(best[1].backend)} ({best[1].quant}, {best[0]:.1f} s)"
    if three:
        drafts = min(three, key=lambda pair: pair[0])
        says += f"; for three at a time: {backend_title(drafts[1].backend)} ({drafts[1].quant}, {drafts[0]:.1f} s)"
    if len({one.quant for one, _ in pairs}) > 1:
        says += ". The rows differ in their weights' precision, so in answer quality too, which no figure here measures"
    ready = [
        backend_title(one.backend) for one, _ in pairs if subject.judgement.backends[one.backend].status == "ready"
    ]
    return says + (f". Ready now: {', '.join(ready)}." if ready else ". None of them is known to be installed.")


def _presets(subject: Subject) -> Part | None:
    if not subject.presets:
        return None
    heads = [
        "Backend",
        "Preset",
        "Model",
        "#Context",
        "#At a time",
        "#Memory",
        "#Left free",
        "#Decode each, tokens/s",
        "Fits",
    ]
    rows = [_preset(item.name, item.row) for item in subject.presets]
    basis = (
        "Calculated. balanced: up to four sequences; performance: as many as fit; memory_optimized: one short sequence."
    )
    return Part(
        id="options-presets", title="Presets compared", blocks=(table("Presets", heads, rows, basis),)
    )  # fmt: skip


def _preset(name: str, fit: FitRow) -> tuple[Cell, ...]:
    terms, (mark, word) = fit.memory_mib, FIT_WORDS[fit.status]
    decode = fit.speed.decode_tps if fit.speed else None
    return row(
        backend_title(fit.backend),
        code(name),
        f"{fit.model} {fit.quant}",
        number(fit.context, 0),
        number(fit.concurrency, 0),
        _memory(fit),
        Cell(text=gib(terms.headroom), sort=terms.headroom) if terms and terms.headroom >= 0 else Cell(text="–"),
        number(decode.value if decode else None),
        Cell(text=word, mark=mark),
    )


def _curves(subject: Subject) -> Part | None:
    rows = [fit for fit in subject.curves if fit.memory_mib is not None]
    if not rows:
        return None
    cells = [
        row(
            backend_title(fit.backend),
            f"{fit.model} {fit.quant}",
            number(fit.context, 0),
            _memory(fit),
            Cell(text=FIT_WORDS[fit.status][1], mark=FIT_WORDS[fit.status][0]),
        )
        for fit in rows
    ]
    names = list(dict.fromkeys(fit.backend for fit in rows))
    charts = [_chart([fit for fit in rows if fit.backend == name]) for name in names]
    basis = (
        "Calculated, one sequence; the last row of each backend is the longest context that fits or was trained for."
    )
    heads = ["Backend", "Model", "#Context", "#Memory", "Fits"]
    return Part(
        id="options-context",
        title="Memory against context",
        blocks=(table("Memory against context", heads, cells, basis), *charts),
    )


def _chart(rows: list[FitRow]) -> Bars:
    bars = []
    for fit in rows:
        if (terms := fit.memory_mib) is None:
            continue
        low, high = (fit.interval_mib or {}).get("total", (terms.total, terms.total))
        bars.append(
            Bar(
                label=f"{fit.context} tokens",
                value=round(terms.total / 1024, 2),
                low=round(low / 1024, 2),
                high=round(high / 1024, 2),
                limit=round(terms.available / 1024, 2),
                mark=FIT_WORDS[fit.status][0],
            )
        )
    first, last = rows[0], rows[-1]
    says = (
        f"From {first.context} to {last.context} tokens it grows from {bars[0].value:.1f} to {bars[-1].value:.1f} GiB."
    )
    title = f"{first.model} {first.quant} in {backend_title(first.backend)}, by context"
    return Bars(title=title, unit="GiB", says=says, bars=tuple(bars))
