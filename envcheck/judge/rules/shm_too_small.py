"""`/dev/shm` is too small for NCCL or worker processes."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "shm_too_small"
_PLACE = "/dev/shm"  # noqa: S108  (named, never written)
_DOCKER_DEFAULT_MIB = 64
_WANTED_MIB = 1024


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the size that was read, where several processes will share it."""
    yield from spoken(case, CAUSE)
    fact = case.snapshot.memory.shm_total_mib
    size = value_of(fact)
    parallel = case.option("tensor_parallel_size") or "1"
    several = parallel.isdigit() and int(parallel) > 1
    if size is not None and size < _WANTED_MIB and case.backend in ("vllm", "sglang", "tensorrt-llm", ""):
        tight = size <= _DOCKER_DEFAULT_MIB and several
        yield finding(
            CAUSE,
            "blocker" if tight else "warning",
            f"{_PLACE} has {size} MiB; worker processes and NCCL want at least {_WANTED_MIB}.",
            case.quote(_PLACE, fact),
            confidence="likely",
        )


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("host_resources_insufficient",))
