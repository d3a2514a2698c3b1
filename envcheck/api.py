"""The stages in a row: what the command line calls and what a library user imports.

    from envcheck.api import check, this_machine
    document = check(this_machine(), backends=["vllm"])
    print(document.worst, document.backends["vllm"].why)

Each function takes and returns frozen records; only the ones that say so look at the machine or act on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent, Judgement

if TYPE_CHECKING:
    from envcheck.host import Host
    from envcheck.judge.policy import Policy
    from envcheck.schema.fit import FitRow
    from envcheck.schema.report import CheckDocument, Subject

EXIT_CODE = {"met": 0, "warning": 0, "not_met": 1, "unknown": 3}
"""Exit code of a judgement by its worst verdict; `--strict` turns warnings into 1."""


def exit_code(worst: str, strict: bool = False) -> int:
    """The one place where a judgement becomes an exit code."""
    return 1 if strict and worst == "warning" else EXIT_CODE[worst]


def warm_up() -> None:
    """Load the judge and the matrix: what a check does while drivers are slow to answer."""
    from envcheck.judge import evaluate, rows

    for name in rows.backend_names():
        rows.backend(name)
    rows.matrix_of(evaluate.MACHINE)


def rehearse() -> None:
    """Judge a machine that has a GPU and torch, for what it loads: the rules and tables that the real one will need.

    Worth its 30 ms only while a driver is being asked, which takes longer and shows that there is a GPU to judge.
    """
    from envcheck.schema.facts import Known
    from envcheck.schema.snapshot import Gpu, Nvidia, Package, Python

    gpu = Gpu(
        index=0,
        vendor="nvidia",
        name=Known(value="NVIDIA L4", source=""),
        kind="discrete",
        memory_total_mib=Known(value=23034, source=""),
        compute_capability=Known(value="8.9", source=""),
    )
    nvidia = Nvidia(
        driver=Known(value="580.95.05", source=""),
        cuda_driver=Known(value="13.0", source=""),
        state=Known(value="ready", source=""),
        gpus=Known(value=(gpu,), source=""),
    )
    packages: tuple[Package, ...] = (Package(name="torch", version="2.13.0"),)
    judge(Snapshot(nvidia=nvidia, python=Python(packages=Known(value=packages, source=""))))


def this_machine(host: Host | None = None) -> Snapshot:
    """Look at this machine (files, programs and, at level 2 and above, the target interpreter)."""
    from envcheck.host import Host as RealHost
    from envcheck.look import collect, parse

    return parse(collect(host or RealHost())[0])


def judge(
    snapshot: Snapshot,
    intent: Intent | None = None,
    backends: Sequence[str] | None = None,
    policy: Policy | None = None,
) -> Judgement:
    """Judge a machine against the requirements matrix (pure)."""
    from envcheck.judge.evaluate import evaluate

    return evaluate(snapshot, intent or Intent(), backends, policy)


def check(
    snapshot: Snapshot,
    intent: Intent | None = None,
    backends: Sequence[str] | None = None,
    policy: Policy | None = None,
    models: Sequence[str] = (),
    earlier: tuple[Subject, str] | None = None,
) -> CheckDocument:
    """Judge a machine, and say of each named model (or size, "7B") whether it fits (pure).

    `earlier` is an earlier look and its date (`report_files.read_earlier`): the document then says what changed since.
    """
    from envcheck.compose.checked import check_document

    wanted = intent or Intent()
    judgement = judge(snapshot, wanted, backends, policy)
    changes = None
    if earlier is not None:
        from envcheck.compose.changes import changes_since

        changes = changes_since(*earlier, snapshot, judgement)
    fit = fits(snapshot, wanted, backends, models) if models else ()
    return check_document(snapshot, judgement, fit, changes)


def policy_of(path: Path | None) -> Policy | None:
    """The project policy at `path`, or the `envcheck.toml` of the working folder where there is one."""
    chosen = path or Path("envcheck.toml")
    if path is None and not chosen.is_file():
        return None
    from envcheck.judge.policy import load_policy

    return load_policy(chosen)


def fits(
    snapshot: Snapshot, intent: Intent, backends: Sequence[str] | None = None, models: Sequence[str] = ()
) -> tuple[FitRow, ...]:
    """Whether each model fits and how fast it will be, a row per model and backend (pure)."""
    from envcheck.api_fit import DEFAULT_CONTEXT, Question, fit_rows
    from envcheck.fit.fitting import BACKENDS
    from envcheck.schema.backend import spelled

    question = Question(
        models=tuple(models),
        backends=tuple(name for name in map(spelled, backends or ()) if name in BACKENDS),
        quants=(intent.quantization,) if intent.quantization else (),
        context=intent.context or DEFAULT_CONTEXT,
        context_asked=intent.context is not None,
        concurrency=intent.concurrency or 1,
    )
    return fit_rows(question, snapshot)
