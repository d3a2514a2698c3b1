"""Prove backends with real prompts: open one, ask, measure, judge, close, and say what came of it.

candidates = discover(host)
validation = validate(host, backends=["llama_cpp"], progress=print)
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from envcheck.discover import load, load_all
from envcheck.schema.backend import Backend, Candidate, Engine, Exchange, Progress
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Record
from envcheck.schema.run import PromptRun, Run, Validation
from envcheck.validate import compute, conclude, measure, memory, prompts
from envcheck.validate.answers import Judged, judge
from envcheck.validate.prompts import PromptSet, Row

if TYPE_CHECKING:
    from envcheck.host import Host

PLUGINS = "envcheck.backends"
EMBEDDED = "embedded"
NAMED = "openai_compatible"
ALIASES = {"openai": NAMED, "openai-compatible": NAMED, "llama_cpp": "llama.cpp", "llamacpp": "llama.cpp"}
"""Names people type, to the file that answers to them."""
PREFERENCE = ("vllm", "sglang", "llama.cpp", "ollama", "transformers", NAMED, EMBEDDED)
"""Which ready backend `envcheck run` proves first: servers made for many users before single-user ones."""
PROMPT_LIMIT_S = 180.0
STALL_LIMIT_S = 30.0


class Limits(Record):
    """How long to wait: for one whole answer and for the next sign of life in it, seconds."""

    prompt_s: float = PROMPT_LIMIT_S
    stall_s: float = STALL_LIMIT_S


def silent(line: str) -> None:
    """The default progress: says nothing."""


def discover(host: Host) -> list[Candidate]:
    """Every model on every backend that could be asked now, best first; the embedded default is last."""
    found = [c for c in all_candidates(host) if c.state != "missing"]
    order = {name: rank for rank, name in enumerate(PREFERENCE)}
    return sorted(found, key=lambda c: (c.backend == EMBEDDED, c.state != "running", order.get(c.backend, len(order))))


def all_candidates(host: Host) -> list[Candidate]:
    """What every backend found, and the reasons of those that found nothing."""
    return [c for backend in _backends().values() for c in backend.discover(host)]


def validate(
    host: Host,
    *,
    backends: Sequence[str] | None = None,
    url: str | None = None,
    model: str | None = None,
    progress: Progress = silent,
    limits: Limits | None = None,
    prompt_set: PromptSet | None = None,
    predicted: Callable[[Run], Run] | None = None,
    with_compute: bool = False,
) -> Validation:
    """Prove the backends named (None: the best that is ready, else the embedded default) with the shipped prompts.

    `url` names one server; `model` picks a model where a backend has several. `predicted` may add a prediction to a
    finished run; `with_compute` measures the arithmetic of every device first, in the target interpreter.
    Never raises for what a backend does: that is a `Run` that failed or was skipped, with the reason. Ctrl-C keeps what
    was measured and marks it. Raises InputError for names and addresses that mean nothing.
    """
    wanted = prompt_set or prompts.load()
    measured = compute.compute(host, progress) if with_compute else ()
    if any("interrupted" in line.says for line in measured):
        return Validation(compute=measured, interrupted=True)
    runs: list[Run] = []
    for target in _targets(host, backends, url, model):
        if isinstance(target, Run):
            runs.append(target)
            continue
        run = _prove(host, target, wanted, progress, limits or Limits())
        runs.append(predicted(run) if predicted else run)
        if run.interrupted:
            break
    return Validation(runs=tuple(runs), compute=measured, interrupted=any(run.interrupted for run in runs))


def _backends() -> dict[str, Backend]:
    return cast("dict[str, Backend]", load_all(PLUGINS, "BACKEND"))


def _targets(host: Host, names: Sequence[str] | None, url: str | None, model: str | None) -> list[Candidate | Run]:
    """What to prove, in order; a Run stands for a backend that is skipped, with the reason."""
    if url is not None:
        return [_named_server(host, names, url, model)]
    if not names:
        ready = [c for c in discover(host) if model is None or _is_model(c, model)]
        if ready:
            return [ready[0]]
        if model is not None:
            raise InputError(
                f"No ready backend has a model {model!r}: name its server with --url, or see `envcheck models list`."
            )
        return [_skipped(c) for c in all_candidates(host) if c.backend == EMBEDDED]
    return [_chosen(host, name, model) for name in dict.fromkeys(ALIASES.get(n, n) for n in names)]


def _named_server(host: Host, names: Sequence[str] | None, url: str, model: str | None) -> Candidate | Run:
    if names and len(names) > 1:
        raise InputError("--url names one server: give one --backend with it.")
    name = ALIASES.get(names[0], names[0]) if names else NAMED
    backend = load(PLUGINS, name, "BACKEND")
    at = getattr(backend, "at", None)
    if at is None:
        raise InputError(f"The backend {name!r} cannot be given by an address: leave out --url.")
    try:
        return cast("Candidate", at(host, url, model))
    except InputError:
        raise
    except EnvcheckError as error:
        return Run(backend=name, model=model or "", status="skipped", why=str(error), url=url)


def _chosen(host: Host, name: str, model: str | None) -> Candidate | Run:
    found = cast("Backend", load(PLUGINS, name, "BACKEND")).discover(host)
    ready = [c for c in found if c.state != "missing"]
    fitting = [c for c in ready if model is None or _is_model(c, model)]
    if fitting:
        return min(fitting, key=lambda c: c.state != "running")
    if ready:
        raise InputError(f"{name} has no model {model!r}: choose one of {', '.join(c.model for c in ready[:20])}.")
    return _skipped(found[0])


def _is_model(candidate: Candidate, model: str) -> bool:
    return model in (candidate.model, candidate.path) or candidate.model.lower() == model.lower()


def _skipped(candidate: Candidate) -> Run:
    return Run(backend=candidate.backend, model=candidate.model, status="skipped", why=candidate.why)


def _prove(host: Host, candidate: Candidate, prompt_set: PromptSet, progress: Progress, limits: Limits) -> Run:
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    base = Run(
        backend=candidate.backend,
        model=candidate.model,
        status="failed",
        why="",
        device_expected=candidate.device_expected,
        url=candidate.url,
        is_fallback=candidate.backend == EMBEDDED,
        started_at=started_at,
    )
    try:
        engine = cast("Backend", load(PLUGINS, candidate.backend, "BACKEND")).open(host, candidate, progress)
    except KeyboardInterrupt:
        return msgspec.structs.replace(
            base, status="skipped", why="interrupted while it was starting", interrupted=True
        )
    except EnvcheckError as error:
        return msgspec.structs.replace(base, why=str(error))
    done: list[PromptRun] = []
    try:
        return _proved(engine, base, prompt_set, progress, limits, done)
    except KeyboardInterrupt:
        return conclude.conclude(base, engine, done, len(prompt_set.row), interrupted=True)
    finally:
        engine.close()


def _proved(
    engine: Engine, base: Run, prompt_set: PromptSet, progress: Progress, limits: Limits, done: list[PromptRun]
) -> Run:
    """Ask every prompt in order; `done` keeps what is finished should an interrupt end this early."""
    read_vram = memory.nvml_reader() if engine.pids() else None
    after_load, basis = memory.ram_mib(memory.tree(engine.pids()))
    for number, row in enumerate(prompt_set.row, start=1):
        progress(f"prompt {number} of {len(prompt_set.row)}: {row.kind.replace('_', ' ')}")
        with memory.Watch(engine.pids(), read_vram) as watch:
            exchange = engine.ask(prompt_set.request(row), limits.prompt_s, limits.stall_s)
        done.append(measure.prompt_run(exchange, row, _judged(exchange, row, prompt_set), watch.peak, cold=number == 1))
        if exchange.ended in ("interrupted", "unreachable"):
            break
    interrupted = any(prompt.interrupted for prompt in done)
    run = conclude.conclude(base, engine, done, len(prompt_set.row), interrupted=interrupted)
    sizes = {
        "ram_after_load": after_load,
        "ram_peak": _peak(p.ram_mib for p in done),
        "vram_peak": _peak(p.vram_mib for p in done),
    }
    return msgspec.structs.replace(
        run,
        memory_mib={name: round(mib, 1) for name, mib in sizes.items() if mib is not None},
        settings={**_sampling(prompt_set), **run.settings, **({"ram_basis": basis} if basis else {})},
    )


def _judged(exchange: Exchange, row: Row, prompt_set: PromptSet) -> Judged:
    text = measure.answer_text(exchange)
    if exchange.ended != "complete":
        return Judged(answer="not_judged" if text.strip() else "empty", why=exchange.error)
    return judge(text, row, prompt_set)


def _peak(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _sampling(prompt_set: PromptSet) -> dict[str, str]:
    longest = ", ".join(f"{row.id} {row.max_tokens}" for row in prompt_set.row)
    return {
        "temperature": f"{prompt_set.settings.temperature:g}",
        "seed": str(prompt_set.settings.seed),
        "max_tokens": longest,
    }
