"""The torch build as rules see it, whichever of its several mentions was found."""

from __future__ import annotations

import re
from typing import NamedTuple

from envcheck.judge.tables import torch_release
from envcheck.judge.versions import Version, version
from envcheck.schema.facts import Absent, Known, TextFact, Unknown, value_of
from envcheck.schema.snapshot import Snapshot

_CUDA_TAG = re.compile(r"\+?cu(\d{2,3})\b")
_PLAIN = re.compile(r"\d+\.\d+(?:\.\d+)?")
_ROCM_TAG = re.compile(r"rocm[-_]?(\d+(?:\.\d+){0,2})")


class Torch(NamedTuple):
    """What is known of the torch build. `accelerator` is "" where nothing says."""

    release: Version | None
    label: str
    accelerator: str
    """"cuda", "rocm", "cpu", "xpu" or ""."""
    cuda: Version | None
    rocm: Version | None
    available: bool | None
    """What `torch.cuda.is_available()` returned."""
    fact: TextFact
    cuda_fact: TextFact


def torch_of(snapshot: Snapshot) -> Torch:
    """Read the build from `torch.version`, its local version tag and the libraries installed beside it."""
    build = snapshot.python.torch
    listed = snapshot.python.package("torch")
    fact = build.version if isinstance(build.version, Known) else listed
    label = value_of(fact) or ""
    tagged = label if "+" in label else (value_of(listed) or label)
    local = tagged.partition("+")[2].lower()
    cuda = version(value_of(build.cuda)) or cuda_of_tag(local) or _default_cuda(snapshot, label)
    hip = version(value_of(build.hip))
    rocm = hip or _rocm_of_tag(local)
    return Torch(
        release=version(label),
        label=tagged or label,
        accelerator=_accelerator(local, cuda, rocm, build.cuda, build.hip),
        cuda=cuda,
        rocm=rocm,
        available=value_of(build.cuda_available),
        fact=fact,
        cuda_fact=build.cuda if isinstance(build.cuda, Known) else fact,
    )


def _default_cuda(snapshot: Snapshot, label: str) -> Version | None:
    """The CUDA inside the wheel that the Python Package Index serves, where a plain release is all that is known.

    Nothing is assumed where the report states the build, where conda installed it, or off Linux on x86_64.
    """
    build = snapshot.python.torch
    stated = not isinstance(build.cuda, Unknown) or not isinstance(build.hip, Unknown)
    listed = value_of(snapshot.python.packages) or ()
    conda = any(package.name in ("torch", "pytorch") and package.origin == "conda" for package in listed)
    elsewhere = value_of(snapshot.os.family) not in (None, "linux") or value_of(snapshot.os.arch) not in (
        None,
        "x86_64",
    )
    amd = isinstance(snapshot.amd.gpus, Known)
    if stated or conda or elsewhere or amd or not _PLAIN.fullmatch(label):
        return None
    row = torch_release(label)
    return version(row.pypi_cuda) if row else None


def cuda_of_tag(tag: str) -> Version | None:
    """CUDA 12.4 from "cu124", 11.8 from "cu118", 9.2 from "cu92"."""
    match = _CUDA_TAG.search(tag)
    if not match:
        return None
    digits = match.group(1)
    return int(digits[:-1]), int(digits[-1])


def _rocm_of_tag(tag: str) -> Version | None:
    match = _ROCM_TAG.search(tag)
    return version(match.group(1)) if match else None


def _accelerator(
    local: str, cuda: Version | None, rocm: Version | None, said_cuda: TextFact, said_hip: TextFact
) -> str:
    if local.startswith("cpu"):
        return "cpu"
    if rocm:
        return "rocm"
    if cuda:
        return "cuda"
    if local.startswith("xpu"):
        return "xpu"
    neither = isinstance(said_cuda, Absent) and not isinstance(said_hip, Known)
    return "cpu" if neither and not isinstance(said_hip, Unknown) else ""
