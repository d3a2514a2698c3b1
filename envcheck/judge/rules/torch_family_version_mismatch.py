"""torch, torchvision, torchaudio and xformers do not belong together."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.version import Version, dotted
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
    if (
        audio
        and torch.release < (2, 11)
        and torch.release >= (2, 0)
        and audio[:2] != torch.release[:2]
        and not _development(case, "torchaudio")
    ):
        yield _finding(case, "torchaudio", audio, torch.release[:2])


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
