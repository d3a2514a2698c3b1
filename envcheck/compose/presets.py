"""One model per backend under the presets, and its memory as the context grows."""

from __future__ import annotations

from envcheck.compose._cells import FIT_WORDS, code, memory_cell, number, row, table
from envcheck.compose.installation import shell_of
from envcheck.schema.blocks import Bar, Bars, Block, Cell, Commands, Fold, Paragraph, Part
from envcheck.schema.describe import backend_title, gib, listed
from envcheck.schema.fit import FitRow
from envcheck.schema.report import PresetRow, Subject


def presets_part(subject: Subject) -> Part | None:
    """Each preset's settings with what they need; the commands folded."""
    if not subject.presets:
        return None
    heads = ["Backend", "Preset", "Model", "#Context", "#At a time", "#Memory", "#Left free", "#Decode each, tokens/s"]
    rows = [_preset(item) for item in subject.presets]
    basis = (
        "Calculated. balanced: up to four sequences; performance: as many as fit, up to what such a server is commonly "
        "run with; memory_optimized: one short sequence."
    )
    text = (
        "No preset gets a score: settings alone say nothing about speed. Start each with its command, measure it as in "
        "the benchmark plan, and compare."
    )
    lines = tuple(dict.fromkeys(item.row.command for item in subject.presets if item.row.command))
    blocks: list[Block] = [table("Presets", [*heads, "Fits"], rows, basis), Paragraph(text=text)]
    if lines:
        says = "In the order of the table"
        if any(" ./" in line for line in lines):
            says += "; ./ is a folder for a quantized copy of your own, where no published one is listed"
        commands = Commands(says=f"{says}:", lines=lines, language=shell_of(subject))
        blocks.append(Fold(title="The commands of the presets", blocks=(commands,)))
    return Part(id="options-presets", title="Presets compared", blocks=tuple(blocks))


def _preset(item: PresetRow) -> tuple[Cell, ...]:
    fit = item.row
    terms, (mark, word) = fit.memory_mib, FIT_WORDS[fit.status]
    decode = fit.speed.decode_tps if fit.speed else None
    return row(
        backend_title(fit.backend),
        code(item.name),
        f"{fit.model} {fit.quant}",
        number(fit.context, 0),
        number(fit.concurrency, 0),
        memory_cell(fit),
        Cell(text=gib(terms.headroom), sort=terms.headroom) if terms and terms.headroom >= 0 else Cell(text="–"),
        number(decode.value if decode else None),
        Cell(text=word, mark=mark),
    )


def curves_part(subject: Subject) -> Part | None:
    """Memory at growing contexts: a chart per backend, backends with the same figures together, the table folded."""
    grouped: dict[tuple[object, ...], list[list[FitRow]]] = {}
    for name in dict.fromkeys(fit.backend for fit in subject.curves):
        rows = [fit for fit in subject.curves if fit.backend == name and fit.memory_mib is not None]
        if rows:
            same = (rows[0].model, rows[0].quant, *((fit.context, fit.status, _total(fit)) for fit in rows))
            grouped.setdefault(same, []).append(rows)
    if not grouped:
        return None
    charts = [_chart(found) for found in grouped.values()]
    cells = [_point(found, fit) for found in grouped.values() for fit in found[0]]
    basis = (
        "Calculated, one sequence; the last row of each is the longest context that fits or that the model was trained "
        "for."
    )
    heads = ["Backend", "Model", "#Context", "#Memory", "Fits"]
    figures = table("Memory against context", heads, cells, basis)
    blocks: tuple[Block, ...] = (*charts, Fold(title="Memory against context, the figures", blocks=(figures,)))
    return Part(id="options-context", title="Memory against context", blocks=blocks)


def _total(fit: FitRow) -> float:
    return round(fit.memory_mib.total, 1) if fit.memory_mib else 0.0


def _names(found: list[list[FitRow]]) -> str:
    return listed([backend_title(rows[0].backend) for rows in found])


def _point(found: list[list[FitRow]], fit: FitRow) -> tuple[Cell, ...]:
    mark, word = FIT_WORDS[fit.status]
    return row(
        _names(found),
        f"{fit.model} {fit.quant}",
        number(fit.context, 0),
        memory_cell(fit),
        Cell(text=word, mark=mark),
    )


def _chart(found: list[list[FitRow]]) -> Bars:
    rows, bars = found[0], []
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
    title = f"{first.model} {first.quant} in {_names(found)}, by context"
    return Bars(title=title, unit="GiB", says=says, bars=tuple(bars))
