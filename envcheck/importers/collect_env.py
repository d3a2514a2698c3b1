"""`python -m torch.utils.collect_env` and vLLM's `collect_env.py`: "Key: value", or "Key   : value" since 2025."""

from __future__ import annotations

import re
from collections.abc import Callable

from envcheck.importers._draft import Draft, Importer, after, vendor_of
from envcheck.importers._platform import read_platform
from envcheck.schema.paste import Line, Paste

_GPU = re.compile(r"GPU (\d{1,3}): (.{1,120})$")
_GFX = re.compile(r"\((gfx[0-9a-f]{3,5})")
_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,6}){1,3}")
_MIG = re.compile(r"^\s*MIG (\S{3,20})\s+Device")
_PIP = re.compile(r"\[pip3?\]\s*([A-Za-z0-9][\w.-]{0,80})==(\S{1,80})")
_CONDA = re.compile(r"\[conda\]\s*([A-Za-z0-9][\w.-]{0,80})\s+(\d\S{0,60})(?:\s+(\S{1,60}))?(?:\s+(\S{1,60}))?")


def read(paste: Paste, draft: Draft) -> bool:
    """Take the facts of one or several reports."""
    found = False
    for literal, take in _KEYS.items():
        for line in paste.having(literal):
            key, separator, value = line.text.partition(":")
            if separator and key.strip(" -*|>`#").lower() == literal:
                take(draft, value.strip(), line)
                found = True
    for line in paste.having("gpu models and configuration"):
        _devices(paste, draft, line)
    return _packages(paste, draft) or found


def _torch(draft: Draft, value: str, line: Line) -> None:
    draft.put("python.torch.version", value.split(" ")[0], line)
    if "+cpu" in value:
        draft.absent("python.torch.cuda", line)


def _built_with_cuda(draft: Draft, value: str, line: Line) -> None:
    if value.lower() in ("none", "n/a", "could not collect"):
        draft.absent("python.torch.cuda", line)
    else:
        draft.put("python.torch.cuda", value, line)


def _built_with_rocm(draft: Draft, value: str, line: Line) -> None:
    if value.lower() in ("none", "n/a", "could not collect"):
        draft.absent("python.torch.hip", line)
    else:
        draft.put("python.torch.hip", value, line)


def _system(draft: Draft, value: str, line: Line) -> None:
    draft.put("os.distro", value, line)
    lower = value.lower()
    family = "windows" if "windows" in lower else "macos" if lower.startswith(("mac", "darwin")) else "linux"
    draft.put("os.family", family, line)


def _libc(draft: Draft, value: str, line: Line) -> None:
    match = _VERSION.search(value)
    if match:
        draft.put("os.glibc", match.group(), line)


def _python(draft: Draft, value: str, line: Line) -> None:
    match = _VERSION.search(value)
    if match:
        draft.put("python.version", match.group(), line)


def _available(draft: Draft, value: str, line: Line) -> None:
    if value in ("True", "False"):
        draft.put("python.torch.cuda_available", value == "True", line)


def _driver(draft: Draft, value: str, line: Line) -> None:
    match = _VERSION.match(value)
    if match:
        draft.put("nvidia.driver", match.group(), line)


def _nvcc(draft: Draft, value: str, line: Line) -> None:
    match = _VERSION.match(value)
    if match:
        draft.put("toolchain.nvcc", match.group(), line)


def _gcc(draft: Draft, value: str, line: Line) -> None:
    found = _VERSION.findall(value)
    if found:
        draft.put("toolchain.gcc", found[-1], line)


def _rocm(draft: Draft, value: str, line: Line) -> None:
    match = _VERSION.match(value)
    if match:
        draft.put("amd.rocm", match.group(), line)


def _vllm(draft: Draft, value: str, line: Line) -> None:
    match = _VERSION.match(value)
    if match:
        draft.package("vllm", value.split()[0], line)


_KEYS: dict[str, Callable[[Draft, str, Line], None]] = {
    "pytorch version": _torch,
    "cuda used to build pytorch": _built_with_cuda,
    "rocm used to build pytorch": _built_with_rocm,
    "os": _system,
    "gcc version": _gcc,
    "libc version": _libc,
    "python version": _python,
    "python platform": read_platform,
    "is cuda available": _available,
    "cuda runtime version": _nvcc,
    "nvidia driver version": _driver,
    "hip runtime version": _rocm,
    "rocm version": _rocm,
    "vllm version": _vllm,
}


def _devices(paste: Paste, draft: Draft, line: Line) -> None:
    """The list after "GPU models and configuration": on its line, on the following lines, or one bare name (ROCm)."""
    index, owner = line.number - 1, 0
    first = after(line.text)
    texts = [first] if first else []
    texts += list(paste.lines[index + 1 : index + 200])
    for offset, text in enumerate(texts):
        match, mig = _GPU.search(text), _MIG.match(text)
        here = Line(line.number + offset + (0 if first else 1), text)
        if match:
            owner = int(match.group(1))
            name = match.group(2).split(" (UUID")[0].strip()
            draft.gpu(vendor_of(name), owner, "name", name, here)
        elif mig:
            draft.gpu("nvidia", owner, "mig_mode", True, here)
        elif offset == 0 and first and first.lower() not in ("no cuda", "could not collect"):
            _bare(draft, first, here)
        elif offset or not first:
            break


def _bare(draft: Draft, text: str, line: Line) -> None:
    vendor = vendor_of(text)
    name = text.split(" (gfx")[0].removesuffix("NoGCNArchNameOnOldPyTorch")
    draft.gpu(vendor, 0, "name", name, line)
    gfx = _GFX.search(text)
    if gfx:
        draft.gpu(vendor, 0, "gfx", gfx.group(1), line)


def _packages(paste: Paste, draft: Draft) -> bool:
    found = False
    for literal, pattern in (("[pip3]", _PIP), ("[pip]", _PIP), ("[conda]", _CONDA)):
        for line in paste.having(literal):
            match = pattern.search(line.text)
            if match:
                draft.package(match.group(1), match.group(2), line, "conda" if literal == "[conda]" else "")
                found = True
    if found:
        draft.lists.append("collect_env")
    return found


IMPORTER = Importer("collect_env", read)
