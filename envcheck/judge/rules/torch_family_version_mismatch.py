"""torch, torchvision, torchaudio and xformers do not belong together."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import Version, dotted
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "torch_family_version_mismatch"
REMEDY = Remedy(says="Install torch, torchvision, torchaudio and xformers in one command from one index.", commands=("uv pip install --reinstall torch torchvision torchaudio --torch-backend=auto",))
SIGNS = (
    Sign("xformers can't load c++/cuda extensions", "xFormers was made for another torch."),
    Sign("xformers was built for", "xFormers was made for another torch."),
    Sign("operator torchvision::", "torchvision was made for another torch.", r"does not exist"),
    Sign("torchvision::nms", "torchvision was made for another torch.", r"does not exist|could not run|not available|doesn't exist"),
    Sign("couldn't load custom c++ ops", "torchvision was made for another torch."),
    Sign("cannot import name 'interpolationmode' from 'torchvision", "torchvision does not fit.", confidence="likely"),
    Sign("no module named 'torchvision.transforms.functional_tensor'", "torchvision is newer than the program expects.", confidence="likely"),
    Sign("requires torch==", "pip reports that the torch family does not fit.", r"(?:torchvision|torchaudio|xformers|torchtext|torchdata|torchao|triton)\s+\S+ (?:requires|has requirement|depends on) torch==", confidence="likely"),
    Sign("failed to load image python extension", "torchvision cannot load its compiled part.", severity="warning", confidence="likely"),
    Sign("torchaudio", "torchaudio cannot load its compiled part.", r"(?:libtorchaudio|_torchaudio).{0,120}(?:undefined symbol|cannot open|could not)"),
    Sign("partially initialized module 'torchvision'", "torchvision does not fit torch.", confidence="likely"),
    Sign("cannot import name 'packaging' from 'torch.utils.cpp_extension'", "A package expects another torch.", severity="warning", confidence="possible"),
)  # fmt: skip
# https://github.com/pytorch/vision#installation
_VISION: dict[Version, Version] = {(1, 11): (0, 12), (1, 12): (0, 13), (1, 13): (0, 14), (2, 0): (0, 15), (2, 1): (0, 16), (2, 2): (0, 17), (2, 3): (0, 18)}


def _vision_for(torch: Version) -> Version | None:
    if torch >= (2, 4):
        return 0, torch[1] + 15
    return _VISION.get(torch[:2])


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then torchvision's and torchaudio's minor against torch's."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    torch = case.torch
    if torch.release is None or _self_made(torch.label):
        return
    vision, audio = case.package("torchvision"), case.package("torchaudio")
    expected = _vision_for(torch.release)
    if vision and expected and vision[:2] != expected and not _development(case, "torchvision"):
        yield _finding(case, "torchvision", vision, expected)
    if audio and torch.release < (2, 11) and torch.release >= (2, 0) and audio[:2] != torch.release[:2] and not _development(case, "torchaudio"):
        yield _finding(case, "torchaudio", audio, torch.release[:2])


def _self_made(label: str) -> bool:
    return "dev" in label or "git" in label or "a0" in label


def _development(case: Case, name: str) -> bool:
    return _self_made(getattr(case.snapshot.python.package(name), "value", ""))


def _finding(case: Case, name: str, have: Version, expected: Version) -> Finding:
    return Finding(
        cause=CAUSE,
        severity="warning",
        says=f"{name} {dotted(have)} does not belong to torch {case.torch.label}, which goes with {dotted(expected)}.",
        evidence=quotes(case.package_quote(name), case.quote("torch", case.torch.fact)),
        remedy=REMEDY,
        confidence="likely",
    )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge, explains=("torch_extension_abi_mismatch",))
