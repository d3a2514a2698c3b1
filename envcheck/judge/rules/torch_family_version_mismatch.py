"""torch, torchvision, torchaudio and xformers do not belong together."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.versions import Version, dotted
from envcheck.schema.verdict import Finding

CAUSE = "torch_family_version_mismatch"
# https://github.com/pytorch/vision#installation
_VISION: dict[Version, Version] = {
    (1, 11): (0, 12),
    (1, 12): (0, 13),
    (1, 13): (0, 14),
    (2, 0): (0, 15),
    (2, 1): (0, 16),
    (2, 2): (0, 17),
    (2, 3): (0, 18),
}


# The torch that every build of an xformers release pins (PyPI metadata of xformers); releases of which
# one build goes with an older and another with a newer torch (0.0.22, 0.0.27 to 0.0.29) have no row.
_XFORMERS: dict[Version, Version] = {
    (0, 0, 16): (1, 13),
    (0, 0, 17): (2, 0),
    (0, 0, 18): (2, 0),
    (0, 0, 19): (2, 0),
    (0, 0, 20): (2, 0),
    (0, 0, 21): (2, 0),
    (0, 0, 23): (2, 1),
    (0, 0, 24): (2, 2),
    (0, 0, 25): (2, 2),
    (0, 0, 26): (2, 3),
    (0, 0, 30): (2, 7),
    (0, 0, 31): (2, 7),
    (0, 0, 32): (2, 8),
    (0, 0, 33): (2, 9),
}


_SAME_PATCH_SINCE = (2, 1)
"""From here on torchvision's patch number is that of the one torch it pins. PyPI metadata of torchvision."""


def _vision_for(torch: Version) -> Version | None:
    if torch >= (2, 4):
        return 0, torch[1] + 15
    return _VISION.get(torch[:2])


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then torchvision's and torchaudio's minor against torch's."""
    yield from spoken(case, CAUSE)
    torch = case.torch
    if torch.release is None or _self_made(torch.label):
        return
    vision, audio = case.package("torchvision"), case.package("torchaudio")
    expected = _vision_for(torch.release)
    if vision and expected and vision[:2] != expected and not _development(case, "torchvision"):
        yield _finding(case, "torchvision", vision, expected)
    elif vision and expected and torch.release >= _SAME_PATCH_SINCE and vision[2:3] != torch.release[2:3]:
        says = f"torchvision {dotted(vision)} pins another patch release of torch than {torch.label}."
        evidence = (case.package_quote("torchvision"), case.quote("torch", torch.fact))
        yield finding(CAUSE, "warning", says, *evidence, confidence="possible")
    if (
        audio
        and torch.release < (2, 11)
        and torch.release >= (2, 0)
        and audio[:2] != torch.release[:2]
        and not _development(case, "torchaudio")
    ):
        yield _finding(case, "torchaudio", audio, torch.release[:2])
    yield from _xformers(case)
    yield from _local_tags(case)


def _xformers(case: Case) -> Iterator[Finding]:
    """xformers is made for one torch release."""
    have, torch = case.package("xformers"), case.torch.release
    if not have or torch is None or _development(case, "xformers"):
        return
    expected = _XFORMERS.get(have[:3])
    if expected and torch[:2] != expected:
        yield _finding(case, "xformers", have, expected)


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


def _development(case: Case, name: str) -> bool:
    return _self_made(getattr(case.snapshot.python.package(name), "value", ""))


def _finding(case: Case, name: str, have: Version, expected: Version) -> Finding:
    return finding(
        CAUSE,
        "warning",
        f"{name} {dotted(have)} does not belong to torch {case.torch.label}, which goes with {dotted(expected)}.",
        case.package_quote(name),
        case.quote("torch", case.torch.fact),
        confidence="likely",
    )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge, explains=("torch_extension_abi_mismatch",))
