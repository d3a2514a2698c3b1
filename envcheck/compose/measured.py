"""What was really run, prompt by prompt, with the answers and what was predicted."""

from __future__ import annotations

from envcheck.compose._cells import code, number, row, table
from envcheck.compose.overview import slug
from envcheck.compose.repeats import grouped, repeats_part
from envcheck.schema.blocks import (
    Block,
    Cell,
    Commands,
    Fold,
    Mark,
    Note,
    Paragraph,
    Part,
    Points,
    Section,
    Span,
    Timeline,
)
from envcheck.schema.describe import backend_title, sentence
from envcheck.schema.report import Subject
from envcheck.schema.run import Answer, ComputeRun, PromptRun, Reconciled, Run, RunStatus

_STATUS: dict[RunStatus, Mark] = {"passed": "good", "degraded": "caution", "failed": "bad", "skipped": "skipped"}
_ANSWER: dict[Answer, tuple[Mark, str]] = {
    "right": ("good", "right"),
    "wrong": ("caution", "answered, wrong"),
    "refused": ("caution", "answered, refused"),
    "empty": ("bad", "empty"),
    "looping": ("caution", "answered, looping"),
    "not_judged": ("skipped", "not judged"),
}


_LONGEST = 2000
"""Characters of an answer that a report shows; its hash is of the whole."""


def measured_section(subject: Subject) -> Section:
    """One part per run, then the arithmetic. Where nothing was run, what is unknown and how to find it out."""
    validation = subject.validation
    if validation is None or not (validation.runs or validation.compute):
        where = "on that machine" if subject.snapshot.origin != "machine" else "on this machine"
        text = (
            "Nothing was run. Unknown are: whether a backend answers, on which device its layers run, how fast and in "
            f"how much memory. envcheck run {where} finds out."
        )
        return Section(id="measured", title="Measured results", blocks=(Note(text=text, mark="unknown"),))
    blocks: list[Block] = []
    if validation.interrupted:
        blocks.append(Note(text="The validation was interrupted: what follows is what had finished.", mark="caution"))
    groups = grouped(validation.runs)
    repeats = repeats_part(groups)
    if repeats:
        blocks.append(repeats)
    blocks += [_run(group[0], number, len(group)) for number, group in enumerate(groups, start=1)]
    if validation.unready:
        says = (Cell(text=f"{backend_title(name)}: {sentence(why)}") for name, why in validation.unready.items())
        blocks.append(Fold(title="Backends that could not be asked", blocks=(Points(items=tuple(says)),)))
    if validation.compute:
        blocks.append(_compute(validation.compute))
    return Section(id="measured", title="Measured results", blocks=tuple(blocks))


def _run(run: Run, position: int, often: int) -> Part:
    """One run; where it was repeated, the first, which the table of repeats stands beside."""
    device = f"on {run.device_used}"
    if run.device_used != run.device_expected:
        device += f" (expected: {run.device_expected})"
    engine = f" by {run.engine}" if run.engine else ""
    blocks: list[Block] = [
        Note(text=f"{run.status}: {sentence(run.why)} Ran{engine} {device}.", mark=_STATUS[run.status])
    ]
    if run.is_fallback:
        text = "This is envcheck's embedded default: it proves the way of measuring and this CPU, not another backend."
        blocks.append(Paragraph(text=text))
    if run.prompts:
        blocks.append(_prompts(run))
        blocks += _answers(run)
        timeline = _timeline(run)
        if timeline:
            blocks.append(timeline)
    if run.reconciled:
        blocks.append(_reconciled(run.reconciled))
    blocks += [*_speed(run), *_parity(run), *_details(run)]
    title = backend_title(run.backend) + (f" with {run.model}" if run.model else "")
    if often > 1:
        title += f": the first of {often} runs"
    return Part(id=f"run-{position}-{slug(run.backend)}", title=title, blocks=tuple(blocks))


def _prompts(run: Run) -> Block:
    vram = any(prompt.vram_mib is not None for prompt in run.prompts)
    heads = [
        "Workload",
        "Answer",
        "#Tokens in",
        "#Tokens out",
        "#TTFT, ms",
        "#TPOT, ms",
        "#E2E, ms",
        "#Decode, tokens/s",
        "#RAM, MiB",
    ]
    rows = [_prompt(prompt, vram=vram) for prompt in run.prompts]
    return table(
        "Prompts",
        [*heads, *(["#VRAM, MiB"] if vram else [])],
        rows,
        "Measured on the client's clock, one request at a time.",
    )


def _prompt(prompt: PromptRun, *, vram: bool) -> tuple[Cell, ...]:
    mark, word = _ANSWER[prompt.answer]
    if prompt.error:
        mark, word = "bad", "no answer"
    if prompt.skipped_because:
        mark, word = "skipped", "not sent"
    cells: list[Cell | str] = [
        prompt.kind.replace("_", " "),
        Cell(text=word, mark=mark),
        number(prompt.prompt_tokens, 0),
        number(prompt.output_tokens, 0),
        number(prompt.ttft_ms, 0),
        number(prompt.tpot_ms),
        number(prompt.e2e_ms, 0),
        number(prompt.decode_tps),
        number(prompt.ram_mib, 0),
    ]
    return row(*cells, *([number(prompt.vram_mib, 0)] if vram else []))


def _answers(run: Run) -> list[Block]:
    """The answers folded, then why other prompts were not sent."""
    answers = tuple(_answer(prompt) for prompt in run.prompts if not prompt.skipped_because)
    left_out = tuple(
        Cell(text=f"{prompt.kind.replace('_', ' ')}: {sentence(prompt.skipped_because)}", mark="skipped")
        for prompt in run.prompts
        if prompt.skipped_because
    )
    blocks: list[Block] = [Fold(title="The answers, and how they were judged", blocks=answers)] if answers else []
    return [*blocks, Fold(title="Prompts that were not sent", blocks=(Points(items=left_out),))] if left_out else blocks


def _answer(prompt: PromptRun) -> Commands:
    lines = tuple(prompt.answer_text[:_LONGEST].splitlines()) or ("(no text)",)
    more = ("[…]",) if len(prompt.answer_text) > _LONGEST else ()
    judged = prompt.error or prompt.why or _ANSWER[prompt.answer][1]
    return Commands(says=f"{prompt.kind.replace('_', ' ')}: {sentence(judged)}", lines=lines + more, language="text")


def _timeline(run: Run) -> Timeline | None:
    spans, clock = [], 0.0
    if run.load_ms:
        spans.append(Span(label="load", start=0.0, end=run.load_ms / 1000))
        clock = run.load_ms / 1000
    for prompt in run.prompts:
        if prompt.e2e_ms is None:
            continue
        first = clock + (prompt.ttft_ms or 0.0) / 1000
        end = clock + prompt.e2e_ms / 1000
        spans += [
            Span(label=f"{prompt.kind.replace('_', ' ')}: first token", start=clock, end=first, mark="caution"),
            Span(label=f"{prompt.kind.replace('_', ' ')}: decode", start=first, end=end, mark="good"),
        ]
        clock = end
    if not spans:
        return None
    asked = sum(prompt.e2e_ms is not None for prompt in run.prompts)
    says = f"Loading and {asked} prompts took {clock:.1f} s of measured time, pauses between prompts left out."
    return Timeline(title="Timeline of the run", says=says, spans=tuple(spans))


def _reconciled(found: tuple[Reconciled, ...]) -> Block:
    rows = [
        row(
            f"{item.quantity}, {item.unit}",
            _predicted(item),
            number(item.backend_says),
            number(item.measured),
            item.says or "–",
        )
        for item in found
    ]
    heads = ["Quantity", "Predicted", "#The engine says", "#Measured", "Reading"]
    return table(
        "Prediction against measurement",
        heads,
        rows,
        "Predicted: calculated. The engine's own figure and ours: measured.",
    )


def _speed(run: Run) -> list[Block]:
    """The verdict on speed with likely reasons in order, or why there was no prediction."""
    if run.slow is None:
        return [Paragraph(text=sentence(run.prediction_says))] if run.prediction_says and not run.predicted else []
    note = Note(text=sentence(run.slow.says), mark="caution" if run.slow.slow else "good")
    rows = [
        row(reason.says, "seen" if reason.proved else "not looked at", reason.remedy) for reason in run.slow.reasons
    ]
    return [note, *([table("Likely reasons", ["Reason", "Evidence", "What to do"], rows)] if rows else [])]


def _parity(run: Run) -> list[Block]:
    """Greedy tokens of GPU and processor side by side, where they were compared."""
    if run.parity is None or run.parity.status == "skipped":
        return []
    text = f"GPU against processor: {sentence(run.parity.says)}"
    return [Note(text=text, mark=_STATUS[run.parity.status])]


def _predicted(item: Reconciled) -> Cell:
    if item.predicted is None:
        return Cell(text="–")
    if item.predicted_low is None or item.predicted_high is None:
        return number(item.predicted)
    return Cell(text=f"{item.predicted:.1f} ({item.predicted_low:.1f}–{item.predicted_high:.1f})", sort=item.predicted)


def _details(run: Run) -> list[Block]:
    rows = [
        row(name.replace("_", " "), f"{value:,.0f} MiB".replace(",", " ")) for name, value in run.memory_mib.items()
    ]
    rows += [
        row(name, f"{ms / 1000:.2f} s")
        for name, ms in (("load", run.load_ms), ("unload", run.unload_ms))
        if ms is not None
    ]
    rows += [row(name.replace("_", " "), value) for name, value in run.settings.items()]
    return (
        [Fold(title="Memory, times and settings", blocks=(table("Settings", ["What", "Value"], rows),))] if rows else []
    )


def _compute(found: tuple[ComputeRun, ...]) -> Part:
    rows = [
        row(
            code(item.id), item.device or "–", Cell(text=item.status, mark=_STATUS[item.status]), _error(item),
            number(item.tflops), number(item.bandwidth_gbs), item.says or "–",
        )
        for item in found
    ]  # fmt: skip
    heads = ["Computation", "Device", "Status", "Error against bound", "#TFLOP/s", "#GB/s", "Reading"]
    return Part(id="compute", title="Arithmetic", blocks=(table("Arithmetic", heads, rows, "Measured."),))


def _error(item: ComputeRun) -> str:
    if item.error is None:
        return "–"
    return f"{item.error:.2g}" + (f" ≤ {item.bound:.2g}" if item.bound is not None and item.error <= item.bound else "")
