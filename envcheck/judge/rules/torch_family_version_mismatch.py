"""torch, torchvision, torchaudio and xformers do not belong together."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._pins import TORCH_FAMILY, BrokenPin, broken_pins
from envcheck.judge.versions import version
from envcheck.schema.verdict import Finding

CAUSE = "torch_family_version_mismatch"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the torch that the other packages of its family ask for."""
    yield from spoken(case, CAUSE)
    for pin in broken_pins(case):
        if pin.owner in TORCH_FAMILY and pin.name == "torch":
            yield _finding(case, pin)
    yield from _local_tags(case)


def _local_tags(case: Case) -> Iterator[Finding]:
    """torch's CPU wheel beside a torchvision that is none: its operators are registered for another library."""
    vision = getattr(case.snapshot.python.package("torchvision"), "value", "")
    arm = getattr(case.snapshot.os.arch, "value", "") in ("aarch64", "arm64")
    if case.torch.label.endswith("+cpu") and vision and "+cpu" not in vision and not arm and not _self_made(vision):
        yield finding(
            CAUSE,
            "warning",
            f"torch {case.torch.label} is a CPU wheel and torchvision {vision} is not.",
            case.package_quote("torchvision"),
            case.quote("torch", case.torch.fact),
            confidence="possible",
        )


def _self_made(label: str) -> bool:
    return "dev" in label or "git" in label or "a0" in label


def _finding(case: Case, pin: BrokenPin) -> Finding:
    wanted = version(pin.expected.lstrip("=<>~!"))
    # A patch release away works more often than not.
    near = wanted is not None and case.torch.release is not None and wanted[:2] == case.torch.release[:2]
    return finding(
        CAUSE,
        "warning",
        f"{pin.owner} {pin.have} goes with torch {pin.expected.replace('==', '')}; installed is {case.torch.label}.",
        case.package_quote(pin.owner),
        case.quote("torch", case.torch.fact),
        confidence="possible" if near else "likely",
    )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge, explains=("torch_extension_abi_mismatch",))
