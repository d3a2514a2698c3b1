"""`envcheck validate`: real prompts on real backends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from envcheck.schema.run import ComputeRun, PromptRun, Run, Validation

INTERRUPTED = 130


@click.command(name="validate", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--backend", "backends", multiple=True, help="Backend to prove; may be given several times.")
@click.option("--url", help="Address of a running server, for example http://127.0.0.1:8080/v1.")
@click.option("--model", help="Model to ask, where a backend has several.")
@click.option("--python", "target", help="Interpreter of the target environment (default: the active one).")
@click.option("--format", "form", type=click.Choice(["console", "json"]), default="console", show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to FILE instead.")
@click.option("--compute", is_flag=True, help="Measure the arithmetic and memory of every device first (torch).")
@click.option("--cycles", type=click.IntRange(0, 50), default=0, help="Load and unload N times more; is memory lost?")
@click.option("--strict", is_flag=True, help="A degraded backend counts as not met.")
@click.option(
    "--stall-limit", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Longest silence, s."
)
@click.option(
    "--prompt-limit", type=click.FloatRange(min=1), default=180.0, show_default=True, help="Longest answer, s."
)
def COMMAND(  # noqa: N802  the name every verb exports
    backends: tuple[str, ...],
    url: str | None,
    model: str | None,
    target: str | None,
    form: str,
    output: Path | None,
    compute: bool,
    cycles: int,
    strict: bool,
    stall_limit: float,
    prompt_limit: float,
) -> int:
    """Send real prompts to backends and say whether they answer, how right, how fast and in how much memory.

    Without --backend the best backend that is ready is proved, else the embedded llama.cpp.
    """
    from envcheck.cli._output import deliver
    from envcheck.host import Host
    from envcheck.predictions import predictor
    from envcheck.validate.run import Limits, validate

    host = Host(target_python=target)
    validation = validate(
        host,
        backends=backends or None,
        url=url,
        model=model,
        progress=lambda line: click.echo(f"… {_printable(line)}", err=True),
        with_compute=compute,
        cycles=cycles,
        predict=predictor(host),
        limits=Limits(prompt_s=prompt_limit, stall_s=stall_limit),
    )
    deliver(_json(validation) if form == "json" else _console(validation), output)
    return exit_code(validation, strict=strict)


def exit_code(validation: Validation, *, strict: bool) -> int:
    """0 every run passed · 1 one failed · 3 one could not be proved · 130 interrupted."""
    if validation.interrupted:
        return INTERRUPTED
    states = {run.status for run in validation.runs}
    states |= {compute.status for compute in validation.compute} - {"skipped"}
    if "failed" in states or (strict and "degraded" in states):
        return 1
    return 3 if "skipped" in states or not states else 0


def _json(validation: Validation) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(validation), indent=2).decode() + "\n"


def _console(validation: Validation) -> str:
    lines = [line for run in validation.runs for line in _run_lines(run)]
    return "\n".join([*map(_compute_line, validation.compute), *lines]) + "\n"


def _compute_line(run: ComputeRun) -> str:
    figures = [("", run.tflops, "TFLOP/s"), ("", run.bandwidth_gbs, "GB/s")]
    known = ", ".join(f"{value:.4g} {unit}" for _, value, unit in figures if value is not None)
    return _printable(f"{run.device} {run.id:<22} {run.status.upper():<9} {known:<16} {run.says}")


def _run_lines(run: Run) -> list[str]:
    share = "" if run.gpu_share is None else f", {run.gpu_share:.0%} on GPU"
    where = "" if run.device_used == "unknown" else f" on {run.device_used}{share}"
    lines = [_printable(f"{run.backend}: {run.status.upper()}{where}: {run.why}")]
    if run.model:
        lines.append(_printable(f"  {run.model}, {run.engine or 'not started'}"))
    if run.leak_says:
        lines.append(_printable(f"  {len(run.cycles)} load cycles: {run.leak_says}"))
    return lines + [_prompt_line(prompt) for prompt in run.prompts]


def _prompt_line(prompt: PromptRun) -> str:
    figures = [
        ("TTFT", prompt.ttft_ms, "ms"),
        ("TPOT", prompt.tpot_ms, "ms"),
        ("end to end", prompt.e2e_ms, "ms"),
        ("decode", prompt.decode_tps, "tok/s"),
        ("RAM", prompt.ram_mib, "MiB"),
        ("VRAM", prompt.vram_mib, "MiB"),
    ]
    known = ", ".join(f"{name} {value:.4g} {unit}" for name, value, unit in figures if value is not None)
    if prompt.skipped_because:
        return f"  {prompt.id:<19} {'skipped':<11} {_printable(prompt.skipped_because)}"
    mark = "interrupted" if prompt.interrupted else prompt.answer.replace("_", " ")
    return f"  {prompt.id:<19} {mark:<11} {known}"


def _printable(text: str) -> str:
    """Text from outside, without characters that steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
