"""`python -m sglang.check_env`: one fact a line, packages by module name, "Module Not Found" for the missing ones."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer, after, vendor_of
from envcheck.schema.paste import Line, Paste

_DEVICES = re.compile(r"GPU ([\d,]{1,200}): (.{1,120})$")
_CAPABILITY = re.compile(r"GPU ([\d,]{1,200}) Compute Capability: (\d{1,2}\.\d)")
_RELEASE = re.compile(r"release (\d{1,2}\.\d{1,2})")
_HIP = re.compile(r"HIP version: (\d{1,2}\.\d{1,2})")
_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,4}){1,3}")
_LISTED = (
    "sglang",
    "sgl_kernel",
    "flashinfer",
    "flashinfer_python",
    "triton",
    "transformers",
    "torchao",
    "numpy",
    "vllm",
    "xgrammar",
    "outlines",
    "huggingface_hub",
    "fastapi",
    "pydantic",
    "tiktoken",
    "openai",
    "anthropic",
    "litellm",
    "aiohttp",
    "uvicorn",
    "orjson",
    "pil",
)


def read(paste: Paste, draft: Draft) -> bool:
    """Take the facts; the layout is told by its driver line or by its packages."""
    ours = (
        "cuda driver version:",
        "rocm driver version:",
        "sglang.check_env",
        "\nsglang: ",
        "sgl_kernel: ",
        "flashinfer: ",
    )
    if not any(mark in paste for mark in ours):
        return _listed_by_mmengine(paste, draft)
    _accelerator(paste, draft)
    _gpus(paste, draft)
    found = _packages(paste, draft)
    for line in paste.having("pytorch: "):
        draft.put("python.torch.version", after(line.text).split(" ")[0], line)
    for line in paste.having("python: "):
        if line.text.strip(" -*>`").lower().startswith("python: "):
            match = _VERSION.search(line.text)
            if match:
                draft.put("python.version", match.group(), line)
    return found


def _listed_by_mmengine(paste: Paste, draft: Draft) -> bool:
    """mmengine's report, which lmdeploy prints as well: the same list of GPUs, equal ones on one line."""
    found = False
    for line, match in paste.matching("gpu 0,", _DEVICES.pattern):
        name = match.group(2).strip()
        for index in _indices(match.group(1)):
            draft.gpu(vendor_of(name), index, "name", name, line)
            found = True
    return found


def _accelerator(paste: Paste, draft: Draft) -> None:
    for word in ("cuda available:", "rocm available:"):
        for line in paste.having(word):
            value = after(line.text)
            if value in ("True", "False"):
                draft.put("python.torch.cuda_available", value == "True", line)
            if word.startswith("rocm") and value == "True":
                draft.absent("python.torch.cuda", line)
    for line in paste.having("cuda driver version:"):
        match = _VERSION.search(after(line.text))
        if match:
            draft.put("nvidia.driver", match.group(), line)
    for line in paste.having("nvcc:"):
        match = _RELEASE.search(line.text)
        if match:
            draft.put("toolchain.nvcc", match.group(1), line)
    for line in paste.having("hipcc:"):
        match = _HIP.search(line.text)
        if match:
            draft.put("amd.rocm", match.group(1), line)
            draft.put("python.torch.hip", match.group(1), line)


def _gpus(paste: Paste, draft: Draft) -> None:
    rocm = any(after(line.text) == "True" for line in paste.having("rocm available:"))
    for line, match in paste.matching("gpu ", _CAPABILITY.pattern):
        for index in _indices(match.group(1)):
            draft.gpu("amd" if rocm else "nvidia", index, "compute_capability", match.group(2), line)
    for line, match in paste.matching("gpu ", _DEVICES.pattern):
        name = match.group(2).strip()
        for index in _indices(match.group(1)):
            draft.gpu("amd" if rocm else vendor_of(name), index, "name", name.split(" (UUID")[0], line)


def _indices(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.isdigit()][:64]


def _packages(paste: Paste, draft: Draft) -> bool:
    found = False
    for name in _LISTED:
        for line in paste.having(f"{name}: "):
            key, _, value = line.text.strip(" -*>`|").partition(": ")
            if key.lower() != name:
                continue
            found = True
            if value[:1].isdigit():
                draft.package(name, value.split()[0], line)
                _note_cuda(draft, name, value, line)
    if found:
        draft.lists.append("sglang_check_env")
    return found


def _note_cuda(draft: Draft, name: str, value: str, line: Line) -> None:
    if name == "flashinfer_python":
        draft.package("flashinfer", value.split()[0], line)


IMPORTER = Importer("sglang_check_env", read)
