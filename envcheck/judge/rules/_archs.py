"""Which GPUs the official torch wheels have kernels for, until the rules read them from the tables of the matrix."""

from __future__ import annotations

import re

from envcheck.judge.stack import Torch
from envcheck.judge.version import Version

_SM = re.compile(r"(?:sm|compute)_(\d{2,3})")
_MAXWELL_TO_HOPPER = ((5, 0), (6, 0), (7, 0), (7, 5), (8, 0), (8, 6), (9, 0))
_VOLTA_TO_BLACKWELL = ((7, 0), (7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0))
_TURING_TO_BLACKWELL = ((7, 5), (8, 0), (8, 6), (9, 0), (10, 0), (12, 0))


def compiled_for(torch: Torch, stated: tuple[str, ...] | None) -> tuple[Version, ...]:
    """The compute capabilities of a torch build: what it stated itself, else what its release and CUDA variant were built with.

    Linux x86_64 and Windows wheels; https://github.com/pytorch/pytorch/blob/main/.ci/manywheel/build_cuda.sh and its
    history.
    """
    if stated:
        found = sorted({_capability(number) for text in stated for number in _SM.findall(text)})
        return tuple(found)
    if (
        torch.cuda is None
        or torch.release is None
        or torch.release < (2, 0)
        or "dev" in torch.label
        or "git" in torch.label
        or "a0" in torch.label
    ):
        return ()
    if torch.cuda < (12, 8):
        return ((3, 7), *_MAXWELL_TO_HOPPER) if torch.cuda < (12, 0) else _MAXWELL_TO_HOPPER
    if torch.cuda >= (13, 0):
        return _TURING_TO_BLACKWELL
    return _VOLTA_TO_BLACKWELL if (2, 8) <= torch.release < (2, 11) else _TURING_TO_BLACKWELL


def _capability(digits: str) -> Version:
    return int(digits[:-1]), int(digits[-1])


def runs_on(archs: tuple[Version, ...], capability: Version) -> bool:
    """True where one of `archs` runs on `capability`: machine code runs on the same major with an equal or higher minor.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#binary-compatibility . PTX is left out on
    purpose: the
    wheels carry it for their newest target only, which the same-major rule already covers for every GPU on the market.
    """
    return any(arch[0] == capability[0] and arch[1] <= capability[1] for arch in archs)
