"""The host's GPU works, the container has no access to it, or lost it."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Absent, Known
from envcheck.schema.verdict import Finding

CAUSE = "container_gpu_not_exposed"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then `docker info` without an nvidia runtime beside a working driver, then a container without devices."""
    yield from spoken(case, CAUSE)
    containers = case.snapshot.containers
    driver = case.snapshot.nvidia.driver
    if isinstance(containers.nvidia_container_toolkit, Absent) and (case.nvidia or isinstance(driver, Known)):
        yield finding(
            CAUSE,
            "warning",
            "Docker knows no nvidia runtime, so no container can use the GPU.",
            case.quote("runtimes", containers.nvidia_container_toolkit),
            confidence="likely",
        )


RULE = Rule(
    cause=CAUSE,
    link="device",
    judge=judge,
    explains=("cpu_only_build", "shared_library_missing", "driver_stack_not_ready"),
)
