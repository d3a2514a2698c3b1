"""The device node exists and the user or service account may not open it."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding

CAUSE = "device_permission_denied"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then device nodes that a probe could not open."""
    yield from spoken(case, CAUSE)
    access = case.snapshot.os.device_access
    if isinstance(access, Known):
        closed = sorted(node for node, may_open in access.value.items() if not may_open)
        if closed:
            yield finding(
                CAUSE,
                "blocker",
                f"This user may not open {', '.join(closed[:4])}.",
                case.quote("device access", access),
                confidence="certain",
            )
    if getattr(case.snapshot.nvidia.state, "value", "") == "permission":
        yield finding(
            CAUSE,
            "blocker",
            "The driver refuses this user.",
            case.quote("driver state", case.snapshot.nvidia.state),
            confidence="certain",
        )


RULE = Rule(
    cause=CAUSE,
    link="device",
    judge=judge,
    explains=("cpu_only_build", "driver_stack_not_ready", "rocm_gfx_not_supported"),
)
