"""A validation as lines for a terminal and as Markdown tables."""

from __future__ import annotations

from envcheck.schema.run import ComputeRun, PromptRun, Reconciled, Run, Validation


def console(validation: Validation) -> str:
    """Every measurement and run, one line each, and what was predicted, said and measured."""
    lines = [line for run in validation.runs for line in _run_lines(run)]
    return "\n".join([*map(_compute_line, validation.compute), *lines]) + "\n"


def markdown(validation: Validation) -> str:
    """One table of runs, and one that sets predictions, the engines' own words and measurements side by side."""
    runs = [
        [run.backend, run.model, run.engine or "–", run.device_used, run.status, run.why] for run in validation.runs
    ]
    rows = [
        [run.backend, f"{item.quantity}, {item.unit}", *map(_figure, _three(item)), item.says]
        for run in validation.runs
        for item in run.reconciled
    ]
    lines = _table(["Backend", "Model", "Engine", "Device", "Status", "Why"], runs)
    if rows:
        lines += ["", *_table(["Backend", "Quantity", "Predicted", "Backend says", "Measured", "Note"], rows)]
    speeds = [[run.backend, " ".join(line.strip() for line in _speed_lines(run))] for run in validation.runs]
    if said := [row for row in speeds if row[1]]:
        lines += ["", *_table(["Backend", "Speed for this hardware"], said)]
    return "\n".join(lines) + "\n"


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [_cells(heads), _cells(["---"] * len(heads)), *map(_cells, rows)]


def _cells(cells: list[str]) -> str:
    """One row; what came from outside can neither end a cell nor become markup."""
    return "| " + " | ".join(_inert(cell) for cell in cells) + " |"


def _inert(text: str) -> str:
    flat = printable(text)
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in flat).replace("&", "&amp;")


def _three(item: Reconciled) -> tuple[float | None, float | None, float | None]:
    return item.predicted, item.backend_says, item.measured


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _compute_line(run: ComputeRun) -> str:
    figures = [(run.tflops, "TFLOP/s"), (run.bandwidth_gbs, "GB/s")]
    known = ", ".join(f"{value:.4g} {unit}" for value, unit in figures if value is not None)
    return printable(f"{run.device} {run.id:<22} {run.status.upper():<9} {known:<16} {run.says}")


def _run_lines(run: Run) -> list[str]:
    share = "" if run.gpu_share is None else f", {run.gpu_share:.0%} on GPU"
    where = "" if run.device_used == "unknown" else f" on {run.device_used}{share}"
    lines = [printable(f"{run.backend}: {run.status.upper()}{where}: {run.why}")]
    if run.model:
        lines.append(printable(f"  {run.model}, {run.engine or 'not started'}"))
    if run.leak_says:
        lines.append(printable(f"  {len(run.cycles)} load cycles: {run.leak_says}"))
    lines += [_prompt_line(prompt) for prompt in run.prompts]
    if run.parity is not None:
        lines.append(printable(f"  GPU against processor {run.parity.status}: {run.parity.says}"))
    if run.reconciled:
        lines.append(f"  {'':<24}{'predicted':>10} {'backend':>10} {'measured':>10}")
    return lines + [_reconciled_line(item) for item in run.reconciled] + _speed_lines(run)


def _speed_lines(run: Run) -> list[str]:
    """The verdict on speed with what it is likely due to, or why there was nothing to hold it against."""
    if run.slow is None:
        return [printable(f"  {run.prediction_says}")] if run.prediction_says and not run.predicted else []
    known = {True: "", False: " (not looked at)"}
    reasons = [f"    {reason.says}{known[reason.proved]}: {reason.remedy}" for reason in run.slow.reasons]
    return [printable(f"  {run.slow.says}"), *map(printable, reasons)]


def _reconciled_line(item: Reconciled) -> str:
    figures = " ".join(f"{_figure(value):>10}" for value in _three(item))
    return printable(f"  {f'{item.quantity}, {item.unit}':<24}{figures}  {item.says}")


def _prompt_line(prompt: PromptRun) -> str:
    if prompt.skipped_because:
        return f"  {prompt.id:<19} {'skipped':<11} {printable(prompt.skipped_because)}"
    figures = [
        ("TTFT", prompt.ttft_ms, "ms"),
        ("TPOT", prompt.tpot_ms, "ms"),
        ("end to end", prompt.e2e_ms, "ms"),
        ("decode", prompt.decode_tps, "tok/s"),
        ("RAM", prompt.ram_mib, "MiB"),
        ("VRAM", prompt.vram_mib, "MiB"),
    ]
    known = ", ".join(f"{name} {value:.4g} {unit}" for name, value, unit in figures if value is not None)
    mark = "interrupted" if prompt.interrupted else prompt.answer.replace("_", " ")
    return f"  {prompt.id:<19} {mark:<11} {known}"


def printable(text: str) -> str:
    """Text from outside, without characters that steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
