"""Which builds of PyTorch run on this GPU and driver, and what models need of its memory."""

from __future__ import annotations

from typing import Literal

from envcheck.compose._cells import FIT_WORDS, code, number, row, table
from envcheck.schema.blocks import Bar, Bars, Block, Cell, Fold, Mark, Note, Part, Section, Table
from envcheck.schema.describe import backend_title, driver_text, gpus_text, listed
from envcheck.schema.facts import is_known
from envcheck.schema.fit import FitRow
from envcheck.schema.report import AcceleratorBuild, Subject

_KERNELS: dict[str, tuple[Mark, str]] = {
    "native": ("good", "yes"),
    "ptx": ("caution", "as PTX: the driver compiles it at first start"),
    "none": ("bad", "no"),
    "unknown": ("unknown", "unknown"),
}
_YES_NO: dict[str, tuple[Mark, str]] = {"yes": ("good", "yes"), "no": ("bad", "no"), "unknown": ("unknown", "unknown")}
_RUNS: dict[str, tuple[Mark, str]] = {**_YES_NO, "slow_start": ("caution", "yes, slow first start")}
_TERMS = (
    ("weights", "Weights"),
    ("kv", "KV cache"),
    ("recurrent_state", "Recurrent state"),
    ("compute", "Compute"),
    ("overhead", "Overhead"),
    ("total", "Total"),
)


def acceleration_section(subject: Subject) -> Section | None:
    """Builds for the accelerator that is there, then memory per model; a part without data is left out."""
    parts: list[Block] = []
    builds = _builds_part(subject)
    if builds:
        parts.append(builds)
    if subject.fits:
        parts.append(memory_part(subject.fits))
    if not parts:
        return None
    has_gpu = is_known(subject.snapshot.gpus)
    return Section(id="acceleration", title="GPU acceleration and memory" if has_gpu else "Memory", blocks=tuple(parts))


def _builds_part(subject: Subject) -> Part | None:
    builds = subject.tables.builds
    if not builds:
        return None
    kind = _stack(builds)
    heads = ["PyTorch", "Build", "Code for this GPU", "This driver", "This Python", "Runs here"]
    heads += ["Note"] if any(build.says for build in builds) else []
    rows = [
        row(build.torch, code(build.variant), _cell(_KERNELS[build.kernels]), _cell(_YES_NO[build.driver]),
            _cell(_YES_NO[build.python]), _cell(_RUNS[runs(build)]), *([build.says] if len(heads) > 6 else []))
        for build in builds
    ]  # fmt: skip
    checked = sorted({build.checked for build in builds})
    basis = f"Table (wheel metadata and build scripts, checked {checked[0]}); the join with this machine is calculated."
    driver = driver_text(subject.snapshot) or "no GPU driver known"
    says = f"{gpus_text(subject.snapshot)}; driver: {driver}."
    if kind == "CUDA":
        says += " A driver that serves a CUDA version is not enough: the wheel must also carry code for the card."
    mark: Mark = "good" if any(runs(build) == "yes" for build in builds) else "bad"
    blocks: tuple[Block, ...] = (Note(text=says, mark=mark), table(f"{kind} support matrix", heads, rows, basis))
    return Part(id="support-matrix", title=f"{kind} support matrix", blocks=blocks)


def _cell(words: tuple[Mark, str]) -> Cell:
    return Cell(text=words[1], mark=words[0])


def runs(build: AcceleratorBuild) -> Literal["yes", "slow_start", "no", "unknown"]:
    """Whether a build runs here: code for the GPU, the driver and the interpreter taken together."""
    facts = (build.driver, build.python)
    if build.kernels == "none" or "no" in facts:
        return "no"
    if build.kernels == "unknown" or "unknown" in facts:
        return "unknown"
    return "yes" if build.kernels == "native" else "slow_start"


def _stack(builds: tuple[AcceleratorBuild, ...]) -> str:
    tags = {build.variant[:2] for build in builds}
    return "CUDA" if "cu" in tags else "ROCm" if "ro" in tags else "PyTorch build"


def memory_part(fits: tuple[FitRow, ...]) -> Part:
    """Per model and backend: needed with its interval, against what is available; terms folded; a chart."""
    rows = [_memory_row(fit) for fit in fits]
    heads = ["Model", "Backend", "Weights as", "#Needed", "#Interval", "#Available", "Fits", "#Longest context"]
    blocks: list[Block] = [
        table("Memory requirements per model", heads, rows, _memory_basis(fits)),
        *_unknown(fits),
        _bars(fits),
        Fold(title="The terms of each sum, and what was assumed", blocks=(_terms(fits), _assumptions(fits))),
    ]
    return Part(id="memory", title="Memory requirements", blocks=tuple(blocks))


def _unknown(fits: tuple[FitRow, ...]) -> list[Block]:
    """Why nothing can be said of a row, each reason once."""
    reasons = dict.fromkeys(fit.why for fit in fits if fit.status == "unknown")
    return [Note(text=f"Unknown because {why}", mark="unknown") for why in reasons]


def _memory_row(fit: FitRow) -> tuple[Cell, ...]:
    memory, (low, high) = fit.memory_mib, _interval(fit)
    mark, word = FIT_WORDS[fit.status]
    if fit.status == "offload":
        layers = f", {fit.gpu_layers} layers on the GPU" if fit.gpu_layers is not None else ""
        word = f"{_gib(fit.host_mib)} GiB of it in main memory{layers}"
    if low is None or high is None:
        interval = Cell(text="–")
    else:
        low, high = low + fit.host_mib, high + fit.host_mib
        interval = Cell(text=f"{_gib(low)}–{_gib(high)} GiB", sort=high)
    return row(
        fit.model,
        backend_title(fit.backend),
        code(fit.quant),
        _gib_cell(memory.total + fit.host_mib if memory else None),
        interval,
        _gib_cell(memory.available if memory else None),
        Cell(text=word, mark=mark),
        number(fit.max_context, 0),
    )


def _interval(fit: FitRow) -> tuple[float | None, float | None]:
    bounds = (fit.interval_mib or {}).get("total")
    return (bounds[0], bounds[1]) if bounds else (None, None)


def _gib(mib: float | None) -> str:
    return "–" if mib is None else f"{mib / 1024:.1f}"


def _gib_cell(mib: float | None) -> Cell:
    return Cell(text="–") if mib is None else Cell(text=f"{_gib(mib)} GiB", sort=mib)


def _memory_basis(fits: tuple[FitRow, ...]) -> str:
    contexts, users = {fit.context for fit in fits}, {fit.concurrency for fit in fits}
    less = ", less where a model was trained for less" if len(contexts) > 1 else ""
    stated = f" Context {max(contexts)} tokens{less}; {max(users)} at a time."
    bases = sorted({fit.basis for fit in fits})
    return f"Needed: {' and '.join(bases)}, with its interval. Available: read or stated.{stated}"


def _terms(fits: tuple[FitRow, ...]) -> Table:
    summed = [(fit, fit.memory_mib) for fit in fits if fit.memory_mib is not None]
    used = [(name, title) for name, title in _TERMS if any(getattr(terms, name) for _, terms in summed)]
    heads = ["Model", "Backend", "#Context", "#At a time", *(f"#{title}" for _, title in used)]
    rows = [
        row(
            f"{fit.model} {fit.quant}",
            backend_title(fit.backend),
            number(fit.context, 0),
            number(fit.concurrency, 0),
            *(number(getattr(terms, name), 0) for name, _ in used),
        )
        for fit, terms in summed
    ]
    return table("Terms in MiB", heads, rows, "Calculated.")


def _assumptions(fits: tuple[FitRow, ...]) -> Table:
    grouped: dict[str, list[FitRow]] = {}
    for fit in fits:
        for text in dict.fromkeys(fit.assumptions):
            grouped.setdefault(text, []).append(fit)
    rows = [row(text, _where(found, fits)) for text, found in grouped.items()]
    return table("Assumed", ["Assumption", "Where"], rows or [row("nothing beyond the settings above", "all rows")])


def _where(found: list[FitRow], fits: tuple[FitRow, ...]) -> str:
    """Which rows an assumption holds for, in as few words as say it exactly."""
    if len(found) == len(fits):
        return "all rows"
    backends, models = {fit.backend for fit in found}, {fit.model for fit in found}
    if len(found) == sum(fit.backend in backends for fit in fits):
        return f"all rows of {listed([backend_title(name) for name in dict.fromkeys(f.backend for f in found)])}"
    if len(found) == sum(fit.model in models for fit in fits):
        return f"all rows of {listed(list(dict.fromkeys(fit.model for fit in found)))}"
    return listed([f"{fit.model} {fit.quant} in {backend_title(fit.backend)}" for fit in found])


def _bars(fits: tuple[FitRow, ...]) -> Bars:
    bars = []
    for fit in fits:
        terms, (low, high) = fit.memory_mib, _interval(fit)
        if terms is None:
            continue
        bars.append(
            Bar(
                label=f"{fit.model} · {backend_title(fit.backend)} {fit.quant}",
                value=round(terms.total / 1024, 2),
                low=round((terms.total if low is None else low) / 1024, 2),
                high=round((terms.total if high is None else high) / 1024, 2),
                limit=round(terms.available / 1024, 2),
                mark=FIT_WORDS[fit.status][0],
            )
        )
    fitting = sum(fit.status in ("fits", "tight") for fit in fits)
    return Bars(
        title="Memory needed, per model and backend",
        unit="GiB",
        says=f"{fitting} of {len(fits)} combinations fit.",
        bars=tuple(bars),
    )
