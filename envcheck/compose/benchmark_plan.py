"""A plan that can refute the predictions: four phases, exact commands, what each figure would have to be."""

from __future__ import annotations

import re
import shlex

from envcheck.compose._cells import number, row, spaced, table
from envcheck.compose.choices import chosen_fit, usable_backends
from envcheck.compose.installation import shell_of
from envcheck.compose.installs import interpreter
from envcheck.compose.profiles import COMPANIONS, profiles, target_of
from envcheck.compose.service_probes import PORTS, service_phase
from envcheck.compose.statistics import ASSUMED_SPREAD, half_width, repeats_for
from envcheck.compose.workloads import workloads
from envcheck.schema.blocks import Block, Cell, Commands, Note, Paragraph, Part, Points, Section
from envcheck.schema.describe import backend_title, gib
from envcheck.schema.facts import value_of
from envcheck.schema.fit import Band, FitRow
from envcheck.schema.report import Subject
from envcheck.schema.shell import command_line

_BY_ADDRESS = {"tensorrt-llm": "http://127.0.0.1:8000/v1"}
"""Backends that are asked as any OpenAI-compatible server, at their default address."""

_VARIABLES = re.compile(r"(?:[A-Z_]+=\S+ )*")
"""What may stand before a program: assignments to variables."""
_STARTED_BY_HAND = ("vllm", "sglang", "llama.cpp", "ollama", "tensorrt-llm")
"""Servers, which keep their model loaded between the repeats; Transformers is started anew for each of them."""

_START_S = 60.0
"""Assumed seconds from start to ready, until the first start has been timed."""


_MEMORY = "peak memory, MiB"


def plan_section(subject: Subject) -> Section | None:
    """Four phases for the backends that can run here; None where every backend is blocked or unknown."""
    backends = usable_backends(subject)
    if not backends:
        return None
    chosen = {name: fit for name in backends if (fit := chosen_fit(subject, name)) is not None}
    parts: list[Part | None] = [
        _setup(subject, backends),
        _deployment(subject, backends, chosen),
        _measurement(subject, backends, chosen),
        service_phase(subject, backends),
    ]
    found = [part for part in parts if part is not None]
    numbered = tuple(
        Part(id=part.id, title=f"Phase {i}: {part.title}", blocks=part.blocks) for i, part in enumerate(found, start=1)
    )
    return Section(id="plan", title="Benchmark plan", blocks=numbered)


def _setup(subject: Subject, backends: list[str]) -> Part:
    lines = [["envcheck", "snapshot", "-o", "before.json"]]
    companions = [name for name in COMPANIONS if name in profiles()]
    if companions and subject.tables.packages:
        lines.append(["envcheck", "install", *companions, "--target", target_of("services"), "--yes"])
    for name in backends:
        python = interpreter(name, subject)
        lines.append(["envcheck", "check", "--backend", name, *(["--python", python] if python != "python3" else [])])
    lines.append(["envcheck", "snapshot", "-o", "after.json"])
    says = (
        "A snapshot first; then the installs of the section Installation; then the packages around the engines, and "
        "each backend judged where it was installed."
    )
    done = (
        "Done when each check leaves with exit code 0, and envcheck report --from after.json --diff before.json shows "
        "the changes that were meant. Stop where a driver or system package must change."
    )
    commands = Commands(says=says, lines=_lines(lines, subject), language=shell_of(subject))
    return Part(id="plan-setup", title="environment setup", blocks=(commands, Paragraph(text=done)))


def _lines(lines: list[list[str]], subject: Subject) -> tuple[str, ...]:
    return tuple(command_line(line, value_of(subject.snapshot.os.family)) for line in lines)


def _deployment(subject: Subject, backends: list[str], chosen: dict[str, FitRow]) -> Part:
    text = (
        "One backend at a time: they share the memory. Each with the largest model that fits with room; the server "
        "keeps running in a terminal of its own, and the fixed workloads (under Metrics) are sent to it."
    )
    blocks: list[Block] = [Paragraph(text=text)]
    blocks += [_one_backend(name, chosen.get(name), subject) for name in backends]
    done = "Done when each run is passed."
    if value_of(subject.snapshot.gpus):
        done = (
            "Done when each run is passed and on the expected device. Stop where the device is another one: a figure "
            "from a silent fall-back to the CPU says nothing about the GPU."
        )
    return Part(id="plan-deployment", title="backend deployment", blocks=(*blocks, Paragraph(text=done)))


def _one_backend(name: str, fit: FitRow | None, subject: Subject) -> Commands:
    """Fetch the model, start the server, ask it once."""
    output = f"run-{name}-1.json"
    if fit is None:
        says = f"{backend_title(name)}, with a model that is there:"
        return Commands(says=says, lines=(probe(name, output, subject),), language=shell_of(subject))
    size = f", {gib(fit.memory_mib.weights + fit.host_mib)} of weights" if fit.memory_mib else ""
    says = f"{backend_title(name)}: {fit.model} in {fit.quant}{size}, {fit.context} tokens of context."
    lines = [line for line in (fetch_line(fit),) if line]
    if name == "ollama" and fit.command:
        # Its server fetches, so it runs first. `ollama run` would ask at the keyboard; the probe loads the model.
        says += (
            " An Ollama that runs already, mostly as a service, has to be stopped before: settings are read at start."
        )
        lines = [*_in_background(fit.command.partition(" & ")[0], shell_of(subject)), *lines]
    elif name in _STARTED_BY_HAND and fit.command:
        # Its program is in the environment it was installed into. Which release of llama.cpp moves its default port is
        # not settled: https://github.com/ggml-org/llama.cpp/pull/26508.
        lines.append(_placed(fit.command, name, subject) + (f" --port {PORTS[name]}" if name == "llama.cpp" else ""))
    lines.append(probe(name, output, subject))
    if name == "llama.cpp":
        says += " The GGUF file has to be there: a published one, or one made with llama.cpp's convert_hf_to_gguf.py."
    return Commands(says=says, lines=tuple(lines), language=shell_of(subject))


def _in_background(command: str, shell: str) -> list[str]:
    """A server with variables before it, started so that the same shell goes on, and the seconds until it listens."""
    if shell != "powershell":
        return [f"{command} &", "sleep 3"]
    words = command.split(" ")
    variables = [f"$env:{name} = '{value}'" for name, _, value in (word.partition("=") for word in words) if value]
    program, *arguments = [word for word in words if "=" not in word]
    return [*variables, f"Start-Process {program} {' '.join(arguments)}", "Start-Sleep 3"]


def _placed(command: str, backend: str, subject: Subject) -> str:
    """The command with the path of the environment that has, or will have, its program."""
    python = interpreter(backend, subject)
    before, program, after = command.partition(f"{backend} ")
    if python == "python3" or not program or not _VARIABLES.fullmatch(before):
        return command
    return f"{before}{python.removesuffix('.exe').removesuffix('python')}{program}{after}"


def fetch_line(fit: FitRow) -> str:
    """The command that fetches the weights; empty where the fit names no place to fetch them from."""
    words = _words(fit.command or "")
    if fit.backend == "ollama":
        return f"envcheck models pull {words[-1]} --from ollama" if words else ""
    named = next((word for word in words if word.count("/") == 1 and word[0].isalnum() and " " not in word), "")
    if not named:
        found = re.search(r'model="([\w.-]+/[\w.-]+)"', fit.command or "")
        named = found[1] if found else ""
    return f"envcheck models pull {named} --from hf" if named else ""


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def probe(backend: str, output: str, subject: Subject) -> str:
    """The command that proves a backend with real prompts and keeps the result."""
    if backend in _BY_ADDRESS:
        words = ["--backend", "openai", "--url", _BY_ADDRESS[backend]]
    else:
        python = interpreter(backend, subject)
        words = ["--backend", backend, *(["--python", python] if python != "python3" else [])]
    argv = ["envcheck", "validate", *words, "--format", "json", "-o", output]
    return command_line(argv, value_of(subject.snapshot.os.family))


def _measurement(subject: Subject, backends: list[str], chosen: dict[str, FitRow]) -> Part:
    repeats = repeats_for()
    device = "GPU" if value_of(subject.snapshot.gpus) else "processor"
    rows = [cells for fit in chosen.values() for cells in _predictions(fit, repeats)]
    blocks: list[Block] = []
    if rows:
        heads = ["Prediction", "Backend, model", "#Predicted", "Confirmed inside", "#Refuted below", "#Refuted above"]
        basis = (
            "Predicted: calculated; the band covers 8 of 10 measured figures of like machines. Confirmed: the mean of "
            f"the repeats lies in it. Refuted: even the mean's 95 % interval (± {_percent(half_width(repeats))}) lies "
            "outside; of memory, one figure. Between the two nothing is decided: repeat more often."
        )
        blocks.append(table("Predictions to confirm or refute", heads, rows, basis))
    else:
        blocks.append(Note(text="No prediction was made: this phase only measures.", mark="unknown"))
    says = f"{repeats} repeats, the first of which is the one of phase 2; nothing else on the device."
    loop = tuple(_repeat(name, repeats, subject) for name in list(chosen) or backends)
    blocks.append(Commands(says=says, lines=loop, language=shell_of(subject)))
    says = "What came out, beside what was predicted:"
    line = ["envcheck", "report", "--from", "after.json"]
    blocks.append(Commands(says=says, lines=(f"{command_line(line)} run-*.json -o measured.md",)))
    blocks.append(Points(items=tuple(Cell(text=text) for text in _sizing(repeats, chosen, device))))
    return Part(id="plan-measurement", title="performance measurement", blocks=tuple(blocks))


def _repeat(backend: str, repeats: int, subject: Subject) -> str:
    if shell_of(subject) == "powershell":
        call = probe(backend, "OUTPUT", subject).replace("OUTPUT", f"run-{backend}-$_.json")
        return f"2..{repeats} | % {{ {call} }}"
    call = probe(backend, "OUTPUT", subject).replace("OUTPUT", f"run-{backend}-$i.json")
    return f"for i in $(seq 2 {repeats}); do {call}; done"


def _predictions(fit: FitRow, repeats: int) -> list[tuple[Cell, ...]]:
    """Of vLLM and SGLang no memory: what they take is the share they are given, whatever the model needs."""
    label = f"{backend_title(fit.backend)}, {fit.model} {fit.quant}"
    rows = []
    if fit.memory_mib and fit.interval_mib and "total" in fit.interval_mib and fit.reserved_mib is None:
        low, high = fit.interval_mib["total"]
        band = Band(value=fit.memory_mib.total, low=low, high=high)
        rows.append(_prediction(_MEMORY, label, band, 0, repeats))
    speed = fit.speed
    for name, found, digits in (
        ("decode, tokens/s", speed.decode_tps if speed else None, 1),
        ("prefill, tokens/s", speed.prefill_tps if speed else None, 0),
    ):
        if found is not None:
            rows.append(_prediction(name, label, found, digits, repeats))
    return rows


def _prediction(name: str, label: str, band: Band, digits: int, repeats: int) -> tuple[Cell, ...]:
    """The mean of n repeats is known to ± w of itself: the band is left below low/(1+w) or above high/(1-w).

    Memory hardly differs between repeats, so there its band itself is the bound.
    """
    width = half_width(repeats) if name != _MEMORY else 0.0
    return row(
        name,
        label,
        number(band.value, digits),
        Cell(text=f"{spaced(band.low, digits)}–{spaced(band.high, digits)}", sort=band.value),
        number(band.low / (1 + width), digits),
        number(band.high / (1 - width), digits),
    )


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %".replace(".0 %", " %")


def _sizing(repeats: int, chosen: dict[str, FitRow], device: str) -> list[str]:
    texts = [
        f"{repeats} repeats: with a spread between runs of {_percent(ASSUMED_SPREAD)} (assumed) the mean is known to "
        f"± {_percent(half_width(repeats))} at 95 % (calculated, Student's t). Where the first repeats spread more, "
        "add repeats until the interval is that narrow.",
        "A run whose first prompt is cold (just loaded) marks it so; its TTFT counts apart.",
        f"Stop when two repeats in a row fail, when the {device} throttles or when another process takes its memory.",
    ]
    if any(fit.reserved_mib for fit in chosen.values()):
        share = next(fit.reserved_mib / max(fit.devices, 1) for fit in chosen.values() if fit.reserved_mib)
        text = f"No memory is predicted for a server that takes its share of a card ({gib(share)}) whatever it needs."
        texts.append(text)
    duration = _duration_minutes(repeats, chosen)
    if duration is not None:
        texts.insert(
            1,
            f"About {duration:.0f} minutes in all, downloads left out (calculated from the slow end of the bands; "
            f"{_START_S:.0f} s a start, assumed).",
        )
    return texts


def _duration_minutes(repeats: int, chosen: dict[str, FitRow]) -> float | None:
    """Starts, and per repeat every workload to its last token at the slow end of the band, minutes."""
    tokens, prompts = (sum(getattr(w, name) for w in workloads()) for name in ("max_tokens", "prompt_tokens"))
    seconds = 0.0
    for fit in chosen.values():
        speed = fit.speed
        if speed is None or speed.decode_tps is None or speed.decode_tps.low <= 0:
            return None
        reading = prompts / speed.prefill_tps.low if speed.prefill_tps and speed.prefill_tps.low > 0 else 0.0
        starts = 1 if fit.backend in _STARTED_BY_HAND else repeats
        seconds += starts * _START_S + repeats * (reading + tokens / speed.decode_tps.low)
    return max(seconds / 60, 1.0) if chosen else None
