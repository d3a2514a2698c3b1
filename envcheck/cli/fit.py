"""`envcheck fit`: does a model fit this machine, in which backend, how, and what is the most that fits?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from envcheck.cli._machine import machine_options, snapshot_of
from envcheck.cli._output import deliver, terminal_width
from envcheck.schema.backend import spelled
from envcheck.schema.fit import Calibration, FitRow
from envcheck.schema.snapshot import Snapshot

DEFAULT_SIZES = ("3B", "7B", "8B", "13B", "14B", "30B", "32B")


@click.command("fit", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", nargs=-1, metavar="[MODEL]…")
@click.option("--backend", "backends", multiple=True, help="llama.cpp, ollama, vllm or transformers (repeatable).")
@click.option("--quant", "quants", multiple=True, help="Q4_K_M, Q8_0, bf16, fp8, awq … (repeatable).")
@click.option("--context", type=click.IntRange(1), help="Tokens of one sequence  [default: 8192]")
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Sequences at once.")
@click.option("--gpus", type=click.IntRange(0), help="Use at most so many GPUs; 0 is the processor alone.")
@click.option("--largest", "search", flag_value="largest", help="The largest models that fit.")
@click.option("--best-quant", "search", flag_value="best_quant", help="The most faithful quantization that fits.")
@click.option("--max-context", "search", flag_value="max_context", help="The longest context that fits.")
@click.option("--preset", type=click.Choice(["balanced", "performance", "memory_optimized"]))
@click.option(
    "--draft", metavar="MODEL", help="Count a smaller model that drafts tokens (llama.cpp, vLLM, Transformers)."
)
@click.option("--lora-rank", type=click.IntRange(1), help="Count LoRA adapters of this rank.")
@click.option("--loras", type=click.IntRange(1), default=1, show_default=True, help="So many adapters at once.")
@click.option("--calibrate", is_flag=True, help="Scale the speed by what runs under reports/ measured on this machine.")
@click.option(
    "--calibrate-from",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The same, from this report or validation (repeatable).",
)
@click.option("--format", "form", type=click.Choice(["console", "json", "markdown"]), default="console")
@click.option("--strict", is_flag=True, help="Leave with 1 where nothing fits with room to spare.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
@machine_options
def COMMAND(  # noqa: N802  every verb exports this name; one parameter an option
    models: tuple[str, ...],
    backends: tuple[str, ...],
    quants: tuple[str, ...],
    context: int | None,
    concurrency: int,
    gpus: int | None,
    search: str | None,
    preset: str | None,
    draft: str | None,
    lora_rank: int | None,
    loras: int,
    calibrate: bool,
    runs: tuple[Path, ...],
    form: str,
    strict: bool,
    output: Path | None,
    from_file: Path | None,
    assume_file: Path | None,
    target_python: str | None,
    level: int,
    limit_s: float,
    no_ports: bool,
) -> int:
    """Memory of MODEL term by term against this machine: a name, a size (13B), a GGUF file, a folder, an Ollama tag."""
    from envcheck import api_fit

    snapshot = snapshot_of(from_file, assume_file, target_python, level, limit_s, no_ports)
    question = api_fit.Question(
        models=models or (() if search == "largest" else DEFAULT_SIZES),
        backends=tuple(map(spelled, backends)),
        quants=quants,
        context=context or api_fit.DEFAULT_CONTEXT,
        context_asked=context is not None,
        concurrency=concurrency,
        gpus=gpus,
        search=search,
        preset=preset,
        calibrations=_calibrations(calibrate, runs, snapshot),
        draft=draft,
        lora_rank=lora_rank or 0,
        loras=loras,
        stores=None if from_file or assume_file else api_fit.stores_of(os.environ),
    )
    rows = api_fit.fit_rows(question, snapshot)
    deliver(_rendered(rows, form, None if output else terminal_width()), output)
    return api_fit.exit_code(rows, strict)


def _calibrations(wanted: bool, runs: tuple[Path, ...], snapshot: Snapshot) -> tuple[Calibration, ...]:
    if not (wanted or runs):
        return ()
    from envcheck.calibration import learned

    return learned(runs, snapshot)


def _rendered(rows: tuple[FitRow, ...], form: str, width: int | None) -> str:
    import msgspec

    from envcheck.cli import _fit_table

    if form == "json":
        return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"
    if form == "markdown":
        return _fit_table.markdown(rows)
    return _fit_table.console(rows, width)
