"""The AMD gfx target is outside the list of the ROCm build."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._matrix import gfx_targets
from envcheck.schema.verdict import Finding

CAUSE = "rocm_gfx_not_supported"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each discrete AMD GPU against the targets of the build or of the backend."""
    yield from spoken(case, CAUSE)
    if case.torch.accelerator not in ("rocm", "") or not case.amd:
        return
    supported = gfx_targets(case)
    for device in case.amd:
        if device.gfx and supported and device.gfx not in supported.targets:
            yield finding(
                CAUSE,
                "blocker" if supported.certain else "warning",
                f"{device.name} is {device.gfx}; {supported.what} is made for {', '.join(sorted(supported.targets))}.",
                case.quote("GPU", device.fact),
                case.quote("torch", case.torch.fact),
                confidence="likely" if supported.certain else "possible",
            )
            return


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
