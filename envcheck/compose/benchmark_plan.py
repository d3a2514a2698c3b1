"""A plan that can refute the predictions: four phases, exact commands, what each figure would have to be."""

from __future__ import annotations

from typing import Literal

from envcheck.compose._cells import code, command_line, number, row, table
from envcheck.compose.choices import chosen_fit, usable_backends
from envcheck.compose.profiles import COMPANIONS, missing, profile_of, profiles, python_of, target_of
from envcheck.compose.service_probes import service_phase
from envcheck.compose.statistics import ASSUMED_SPREAD, half_width, repeats_for
from envcheck.compose.workloads import workloads
from envcheck.schema.blocks import Block, Cell, Commands, Note, Paragraph, Part, Points, Section
from envcheck.schema.describe import backend_title, listed
from envcheck.schema.facts import value_of
from envcheck.schema.fit import Band, FitRow
from envcheck.schema.report import Subject

_BY_ADDRESS = {"tensorrt-llm": "http://127.0.0.1:8000/v1"}
"""Backends that are asked as any OpenAI-compatible server, at their default address."""

_LOAD_S = 60.0
"""Assumed seconds from start to ready, until the first start has been timed."""


def plan_section(subject: Subject) -> Section | None:
    """Four phases for the backends that can run here; None where every backend is blocked or unknown."""
    backends = usable_backends(subject)
    if not backends:
        return None
    chosen = {name: fit for name in backends if (fit := chosen_fit(subject, name)) is not None}
    parts: list[Part | None] = [
        _setup(subject, backends),
        _deployment(subject, backends, chosen),
        _measurement(subject, chosen),
        service_phase(subject, backends),
    ]
    found = [part for part in parts if part is not None]
    numbered = tuple(
        Part(id=part.id, title=f"Phase {i}: {part.title}", blocks=part.blocks) for i, part in enumerate(found, start=1)
    )
    return Section(id="plan", title="Benchmark plan", blocks=numbered)


def _setup(subject: Subject, backends: list[str]) -> Part:
    family = value_of(subject.snapshot.os.family)
    lines = [["envcheck", "snapshot", "-o", "before.json"]]
    by_hand = []
    for name in backends:
        profile = profile_of(name)
        if not missing(name, subject):
            lines.append(["envcheck", "check", "--backend", name])
        elif profile is None:
            by_hand.append(backend_title(name))
        else:
            lines.append(["envcheck", "install", profile, "--target", target_of(profile), "--yes"])
            lines.append(["envcheck", "check", "--backend", name, "--python", python_of(profile, subject)])
    companions = [name for name in COMPANIONS if name in profiles()]
    if companions and subject.tables.packages:
        lines.append(["envcheck", "install", *companions, "--target", target_of("services"), "--yes"])
    says = "A snapshot first, so that later changes can be told apart; then each backend in an environment of its own."
    commands = Commands(says=says, lines=tuple(command_line(line, family) for line in lines), language=_shell(subject))
    blocks: list[Block] = [commands]
    if by_hand:
        text = f"{listed(by_hand)}: with the installer of its makers (see Installation), then envcheck check again."
        blocks.append(Paragraph(text=text))
    done = "Done when each check leaves with exit code 0. Stop where a driver or system package must change."
    return Part(id="plan-setup", title="environment setup", blocks=(*blocks, Paragraph(text=done)))


def _shell(subject: Subject) -> Literal["bash", "powershell"]:
    return "powershell" if value_of(subject.snapshot.os.family) == "windows" else "bash"


def _deployment(subject: Subject, backends: list[str], chosen: dict[str, FitRow]) -> Part:
    lines = tuple(fit.command for fit in chosen.values() if fit.command)
    blocks: list[Block] = []
    if lines:
        says = "Start each backend with the largest model that fits with room (one at a time: they share the memory)."
        blocks.append(Commands(says=says, lines=lines, language=_shell(subject)))
    probes = tuple(probe(name, f"validate-{name}.json", subject) for name in backends)
    says = "Send each backend the fixed workloads (under Metrics); the answer says on which device the layers ran."
    blocks.append(Commands(says=says, lines=probes, language=_shell(subject)))
    done = "Done when each run is passed."
    if value_of(subject.snapshot.gpus):
        done = (
            "Done when each run is passed and on the expected device. Stop where the device is another one: a figure "
            "from a silent fall-back to the CPU says nothing about the GPU."
        )
    return Part(id="plan-deployment", title="backend deployment", blocks=(*blocks, Paragraph(text=done)))


def probe(backend: str, output: str, subject: Subject) -> str:
    """The command that proves a backend with real prompts and keeps the result."""
    if backend in _BY_ADDRESS:
        words = ["--backend", "openai", "--url", _BY_ADDRESS[backend]]
    else:
        words = ["--backend", backend]
        profile = profile_of(backend)
        if profile is not None and missing(backend, subject):
            words += ["--python", python_of(profile, subject)]
    argv = ["envcheck", "validate", *words, "--format", "json", "-o", output]
    return command_line(argv, value_of(subject.snapshot.os.family))


def _measurement(subject: Subject, chosen: dict[str, FitRow]) -> Part:
    repeats = repeats_for()
    rows = [cells for fit in chosen.values() for cells in _predictions(fit)]
    blocks: list[Block] = []
    if rows:
        heads = ["Prediction", "Backend, model", "#Predicted", "Band"]
        basis = (
            "Predicted: calculated; a band covers 8 of 10 measured figures. Confirmed: the mean is inside the band. "
            "Refuted: the mean with its whole 95 % interval is outside."
        )
        blocks.append(table("Predictions to confirm or refute", heads, rows, basis))
    else:
        blocks.append(Note(text="No prediction was made: this phase only measures.", mark="unknown"))
    says = f"{repeats} repeats of each, a restart of the engine in between, nothing else on the device."
    names = list(chosen) or usable_backends(subject)
    loop = tuple(_repeat(name, repeats, subject) for name in names)
    blocks.append(Commands(says=says, lines=loop, language=_shell(subject)))
    blocks.append(Points(items=tuple(Cell(text=text) for text in _sizing(repeats, chosen))))
    return Part(id="plan-measurement", title="performance measurement", blocks=tuple(blocks))


def _repeat(backend: str, repeats: int, subject: Subject) -> str:
    if _shell(subject) == "powershell":
        return f"1..{repeats} | % {{ {probe(backend, 'OUTPUT', subject).replace('OUTPUT', f'run-{backend}-$_.json')} }}"
    call = probe(backend, "OUTPUT", subject).replace("OUTPUT", f"run-{backend}-$i.json")
    return f"for i in $(seq {repeats}); do {call}; done"


def _predictions(fit: FitRow) -> list[tuple[Cell, ...]]:
    label = f"{backend_title(fit.backend)}, {fit.model} {fit.quant}"
    rows = []
    if fit.memory_mib and fit.interval_mib and "total" in fit.interval_mib:
        low, high = fit.interval_mib["total"]
        rows.append(_prediction("peak memory, MiB", label, Band(value=fit.memory_mib.total, low=low, high=high), 0))
    speed = fit.speed
    for name, band, digits in (
        ("decode, tokens/s", speed.decode_tps if speed else None, 1),
        ("prefill, tokens/s", speed.prefill_tps if speed else None, 0),
        ("TTFT, ms", speed.ttft_ms if speed else None, 0),
    ):
        if band is not None:
            rows.append(_prediction(name, label, band, digits))
    return rows


def _prediction(name: str, label: str, band: Band, digits: int) -> tuple[Cell, ...]:
    span = f"{band.low:.{digits}f}–{band.high:.{digits}f}"
    return row(name, label, number(band.value, digits), Cell(text=span, sort=band.value))


def _sizing(repeats: int, chosen: dict[str, FitRow]) -> list[str]:
    spread, width = f"{ASSUMED_SPREAD:.0%}".replace("%", " %"), f"{half_width(repeats):.1%}".replace("%", " %")
    texts = [
        f"{repeats} repeats: with a spread between runs of {spread} (assumed) the mean is known to ± {width} at 95 % "
        "(calculated, Student's t). If the first repeats spread more, add repeats until the interval is narrow enough.",
        "The first repeat after a start is cold (caches, JIT): report it apart.",
        "Stop early when two repeats in a row fail, when the GPU throttles, or when another process takes its memory.",
    ]
    duration = _duration_minutes(repeats, chosen)
    if duration is not None:
        texts.insert(
            1,
            f"About {duration:.0f} minutes in all (calculated from the slow end of the bands; {_LOAD_S:.0f} s a start, "
            "assumed).",
        )
    return texts


def _duration_minutes(repeats: int, chosen: dict[str, FitRow]) -> float | None:
    """Repeats × (start + every workload to its last token at the slow end of the band), minutes."""
    tokens = sum(workload.max_tokens for workload in workloads())
    seconds = 0.0
    for fit in chosen.values():
        decode = fit.speed.decode_tps if fit.speed else None
        if decode is None or decode.low <= 0:
            return None
        seconds += repeats * (_LOAD_S + tokens / decode.low)
    return max(seconds / 60, 1.0) if chosen else None


def workloads_section() -> Section:
    """What is sent, and what each figure means."""
    rows = [
        row(workload.kind.replace("_", " "), code(workload.text), number(workload.max_tokens, 0), workload.tells)
        for workload in workloads()
    ]
    heads = ["Workload", "Prompt", "#Tokens at most", "What a right answer tells"]
    basis = "The prompts ship with envcheck; temperature 0, so an engine gives the same answer each time."
    metrics = [row(name, formula, unit, code_link) for name, formula, unit, code_link in _METRICS]
    return Section(
        id="metrics",
        title="Metrics and workloads",
        blocks=(
            table("Workloads", heads, rows, basis),
            table("Metrics", ["Metric", "Definition", "Unit", "Defined as in"], metrics),
        ),
    )


_VLLM = Cell(text="vLLM benchmarks", link="https://github.com/vllm-project/vllm/blob/main/vllm/benchmarks/serve.py")
_METRICS: tuple[tuple[str, str, str, Cell], ...] = (
    ("TTFT", "time to first token: from the first byte of the request to the first event with text", "ms", _VLLM),
    ("TPOT", "time per output token after the first: (end to end − TTFT) ÷ (output tokens − 1)", "ms", _VLLM),
    ("E2E", "end to end: request sent to last token", "ms", _VLLM),
    ("decode speed", "1000 ÷ TPOT, for one stream", "tokens/s", _VLLM),
    (
        "prefill speed",
        "uncached prompt tokens ÷ TTFT, with the engine's own figure beside it",
        "tokens/s",
        Cell(text="llama-benchy", link="https://github.com/eugr/llama-benchy"),
    ),
    (
        "RAM, VRAM",
        "peak of the engine's processes: proportional set size, GPU memory used",
        "MiB",
        Cell(text="optimum-benchmark", link="https://github.com/huggingface/optimum-benchmark"),
    ),
    (
        "memory efficiency",
        "output tokens per second ÷ peak GiB (“tokens/GB” alone is undefined)",
        "tokens/s/GiB",
        Cell(text="this project"),
    ),
    (
        "answer",
        "right, wrong, refused, empty or looping, judged by a rule per workload; says nothing about the environment",
        "–",
        Cell(text="this project"),
    ),
)
