"""Prove backends with real prompts: open one, ask, measure, judge, close, and say what came of it.

candidates = discover(host)
validation = validate(host, backends=["llama.cpp"], progress=print)
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from envcheck.discover import load
from envcheck.schema.backend import Ability, Backend, Candidate, Claim, Engine, Progress
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.run import Expected, PromptRun, Run, Validation
from envcheck.validate import (
    asking,
    choose,
    compute,
    conclude,
    contention,
    measure,
    memory,
    parity,
    prompts,
    reconcile,
    switching,
)
from envcheck.validate.prompts import PromptSet

if TYPE_CHECKING:
    from envcheck.host import Host

discover = choose.discover
all_candidates = choose.all_candidates
Predict = Callable[[Candidate, Run], Expected]
"""What was expected of a candidate, or why nothing was."""
PROMPT_LIMIT_S = 180.0
STALL_LIMIT_S = 30.0


class Limits(Record):
    """How long to wait: for one whole answer and for the next sign of life in it, seconds."""

    prompt_s: float = PROMPT_LIMIT_S
    stall_s: float = STALL_LIMIT_S


def silent(line: str) -> None:
    """The default progress: says nothing."""


def validate(
    host: Host,
    *,
    backends: Sequence[str] | None = None,
    url: str | None = None,
    model: str | None = None,
    progress: Progress = silent,
    limits: Limits | None = None,
    prompt_set: PromptSet | None = None,
    predict: Predict | None = None,
    with_compute: bool = False,
    cycles: int = 0,
    with_parity: bool = True,
) -> Validation:
    """Prove the backends named (None: the best that is ready, else the embedded default) with the shipped prompts.

    A backend may be named with its server, "vllm=http://127.0.0.1:8000" or "ollama=http://…#model", so that one call
    proves several; `url` names the server of a single one; `model` picks a model where a backend has several.
    `predict` gives what was expected of a candidate, to be set against what was measured; `with_compute` measures the
    arithmetic of every device first, in the target interpreter; `cycles` loads and unloads a proved model that often,
    and `with_parity` repeats a run on a GPU on the processor to compare tokens. Without names, a backend that fails
    is kept as a run and the next one is proved instead.
    Never raises for what a backend does: that is a `Run` that failed or was skipped, with the reason. Ctrl-C keeps what
    was measured and marks it. Raises InputError for names and addresses that mean nothing.
    """
    wanted = prompt_set or prompts.load()
    measured = compute.compute(host, progress) if with_compute else ()
    if any("interrupted" in line.says for line in measured):
        return Validation(compute=measured, interrupted=True)
    runs: list[Run] = []
    targets = choose.targets(host, backends, url, model)
    for target in targets.chosen:
        if isinstance(target, Run):
            runs.append(target)
            continue
        if runs and not backends:
            progress(f"falling back on {target.backend}")
        run = _prove(host, target, wanted, progress, limits or Limits(), with_parity=with_parity)
        run = _switched(host, target, run, wanted, cycles, progress)
        expected = predict(target, run) if predict and run.prompts else Expected()
        runs.append(reconcile.reconciled(run, expected))
        if run.interrupted or (not backends and run.status != "failed"):
            break
    interrupted = any(run.interrupted for run in runs)
    return Validation(runs=tuple(runs), compute=measured, interrupted=interrupted, unready=targets.unready)


def _prove(
    host: Host, candidate: Candidate, prompt_set: PromptSet, progress: Progress, limits: Limits, *, with_parity: bool
) -> Run:
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    base = Run(
        backend=candidate.backend,
        model=candidate.model,
        status="failed",
        why="",
        device_expected=candidate.device_expected,
        url=candidate.url,
        is_fallback=candidate.backend == choose.EMBEDDED,
        started_at=started_at,
    )
    try:
        backend = cast("Backend", load(choose.PLUGINS, candidate.backend, "BACKEND"))
        engine = backend.open(host, candidate, progress)
    except KeyboardInterrupt:
        return msgspec.structs.replace(
            base, status="skipped", why="interrupted while it was starting", interrupted=True
        )
    except EnvcheckError as error:
        return msgspec.structs.replace(base, why=str(error))
    done: list[PromptRun] = []
    try:
        run = _proved(engine, base, prompt_set, progress, limits, done)
        seen = parity.sampled(engine, candidate, run) if with_parity else None
        run = _closed(engine, run)
        return run if seen is None else parity.held(host, backend, candidate, run, seen, progress)
    except KeyboardInterrupt:
        return conclude.conclude(base, engine, done, len(prompt_set.row), interrupted=True)
    finally:
        engine.close()


def _switched(host: Host, target: Candidate, run: Run, wanted: PromptSet, count: int, progress: Progress) -> Run:
    """The run with `count` further cycles of loading and unloading, for a run that ended well."""
    if not count or run.status not in ("passed", "degraded"):
        return run
    backend = cast("Backend", load(choose.PLUGINS, target.backend, "BACKEND"))
    try:
        found = switching.cycles(host, backend, target, wanted.request(wanted.row[0]), count, progress)
    except KeyboardInterrupt:
        return msgspec.structs.replace(run, leak_says="interrupted", interrupted=True)
    leaked, says = switching.leak(found)
    broken = next((cycle.error for cycle in found if cycle.error), "")
    if leaked or broken:
        why = f"{broken or says}; {run.why}"
        run = msgspec.structs.replace(run, status="failed" if broken else "degraded", why=why)
    return msgspec.structs.replace(run, cycles=found, leak_says=says)


def _closed(engine: Engine, run: Run) -> Run:
    """The run with the time it took to unload and stop; a server that stays running is only let go."""
    began = time.monotonic()
    engine.close()
    took = (time.monotonic() - began) * 1e3
    return run if run.load_ms is None else msgspec.structs.replace(run, unload_ms=round(took, 1))


def _proved(
    engine: Engine, base: Run, prompt_set: PromptSet, progress: Progress, limits: Limits, done: list[PromptRun]
) -> Run:
    """Ask every prompt in order; `done` keeps what is finished should an interrupt end this early."""
    read_vram = memory.nvml_reader() if engine.pids() else None
    after_load, basis = memory.ram_mib(memory.tree(engine.pids()))
    before = contention.reading(engine.pids())
    claims: dict[Ability, Claim] = {}
    for number, row in enumerate(prompt_set.row, start=1):
        if row.needs not in claims:
            claims[row.needs] = engine.claims(row.needs)
        if (left_out := asking.skipped(claims[row.needs], row)) is not None:
            done.append(left_out)
            continue
        progress(f"prompt {number} of {len(prompt_set.row)}: {row.kind.replace('_', ' ')}")
        with memory.Watch(engine.pids(), read_vram) as watch:
            exchange, judged = asking.put(engine, row, prompt_set, limits)
        done.append(measure.prompt_run(exchange, row, judged, watch.peak, cold=number == 1))
        if exchange.ended in ("interrupted", "unreachable"):
            break
    others = contention.others_share(before, contention.reading(engine.pids()))
    interrupted = any(prompt.interrupted for prompt in done)
    run = conclude.conclude(base, engine, done, len(prompt_set.row), interrupted=interrupted)
    sizes = {
        "ram_after_load": after_load,
        "ram_peak": _peak(p.ram_mib for p in done),
        "vram_peak": _peak(p.vram_mib for p in done),
    }
    return msgspec.structs.replace(
        run,
        memory_mib={**run.memory_mib, **{name: round(mib, 1) for name, mib in sizes.items() if mib is not None}},
        settings={**_sampling(prompt_set), **run.settings, **({"ram_basis": basis} if basis else {})},
        others_cpu_share=None if others is None else round(others, 3),
    )


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
