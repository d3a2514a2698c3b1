"""`/dev/shm` is too small for NCCL or worker processes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "shm_too_small"
_IMAGE = re.compile(r"vllm|sglang|tritonserver|text-generation-inference", re.IGNORECASE)
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
    elif size is None and several:
        yield from _container(case)


def _container(case: Case) -> Iterator[Finding]:
    """A container started for several processes with Docker's default, which is 64 MiB.

    https://docs.docker.com/reference/cli/docker/container/run/ (`--shm-size`); Docker may be told another default.
    """
    started = [line for line in case.paste.having("docker run") if _IMAGE.search(line.text)]
    if started and "--shm-size" not in case.paste and "--ipc" not in case.paste:
        says = f"Several processes share {_PLACE}, and the container starts with Docker's {_DOCKER_DEFAULT_MIB} MiB."
        yield finding(CAUSE, "warning", says, *(quoted(line) for line in started[:1]), confidence="possible")


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("host_resources_insufficient",))
