"""The NVIDIA driver is older than what the binaries, their PTX or the container image need.

Minor-version compatibility: a CUDA 12 runtime starts on every driver from 525.60.13 on, so a lower *minor* is not a
fault by
itself; PTX is the exception, because the driver's own compiler must know it. A driver below the floor of its CUDA
major is
a fault unless CUDA is seen to work, which means that a forward-compatibility library is in use.
"""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import below, finding, quotes, windows
from envcheck.judge.rules._floors import OLLAMA_DRIVER_FLOOR, cuda_of_driver, driver_floor
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "driver_too_old"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then driver against the CUDA runtime of torch, then against what Ollama needs."""
    yield from spoken(case, CAUSE)
    driver = version(value_of(case.snapshot.nvidia.driver))
    level = version(value_of(case.snapshot.nvidia.cuda_driver)) or (cuda_of_driver(driver) if driver else None)
    torch = case.torch
    if torch.cuda and torch.accelerator == "cuda" and (driver or level):
        yield from _runtime(case, driver, level)
    if driver and case.backend == "ollama" and driver < OLLAMA_DRIVER_FLOOR:
        yield finding(
            CAUSE,
            "warning",
            f"Driver {dotted(driver)} is older than {dotted(OLLAMA_DRIVER_FLOOR)}, which Ollama's CUDA 12 "
            "runner needs.",
            case.quote("driver", case.snapshot.nvidia.driver),
            confidence="likely",
        )


def _runtime(case: Case, driver: tuple[int, ...] | None, level: tuple[int, ...] | None) -> Iterator[Finding]:
    torch, nvidia = case.torch, case.snapshot.nvidia
    assert torch.cuda is not None
    floor = driver_floor(torch.cuda, windows(case))
    evidence = quotes(
        case.quote("driver", nvidia.driver if driver else nvidia.cuda_driver), case.quote("torch CUDA", torch.cuda_fact)
    )
    runtime = dotted(torch.cuda[:2])
    too_old = below(driver, floor) if driver else level is not None and level[0] < torch.cuda[0]
    if too_old and torch.available is not True:
        yield finding(
            CAUSE,
            "blocker",
            f"The torch build needs CUDA {runtime} and so a driver of at least {dotted(floor)}; here it is "
            f"{dotted(driver or level or ())}.",
            *evidence,
            confidence="certain",
        )
    elif too_old:
        yield finding(
            CAUSE,
            "info",
            f"The driver is below the floor of CUDA {runtime} and CUDA still starts: a forward-compatibility "
            "library is in use.",
            *evidence,
            confidence="possible",
        )
    elif level and level < torch.cuda[:2]:
        yield finding(
            CAUSE,
            "warning" if torch.cuda >= _PTX_SHIPPED_FROM else "info",
            f"The driver offers CUDA {dotted(level)}, the build was made with {runtime}: kernels shipped as "
            "PTX will be refused.",
            *evidence,
            confidence="possible",
        )


_PTX_SHIPPED_FROM = (12, 8)
"""From CUDA 12.8 on torch wheels carry PTX of their newest target (build_cuda.sh of pytorch: "12.0+PTX")."""

RULE = Rule(
    cause=CAUSE,
    link="driver",
    judge=judge,
    explains=("driver_stack_not_ready", "cpu_only_build", "shared_library_missing", "gpu_arch_not_in_build"),
)
