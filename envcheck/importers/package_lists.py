"""`pip list`, `pip freeze`, `conda list`, `uv pip list`, and packages named with their version in passing."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Line, Paste

_FROZEN = re.compile(r"(?<![\w.\]/-])([A-Za-z][\w.-]{1,60})(?:\[[\w, -]{1,60}\])?==(\d[\w.+!-]{0,60})")
_ROW = re.compile(r"^[\s|>*-]{0,8}([A-Za-z][\w.-]{1,60})(?:\s{2,60}|\s*\|\s*|\s)(\d[\w.+!-]{0,60})\s*(?:\||$|\s{2})")
_CONDA_ROW = re.compile(r"^\s*([a-z_][\w.-]{1,60})\s+(\d[\w.!]{0,40})\s+(\S{1,60})(?:\s+(\S{1,80}))?\s*$")
_DIST = re.compile(
    r"([A-Za-z][\w.]{1,60})-(\d[\w.+!]{0,60}?)(?:\.dist-info|\.egg-info|-(?:cp|py)\d[\w.]*-\w+-[\w.]+\.whl"
    r"|-(?:cp|py)\d[\w.]{0,20}-\w{2,20}-(?:win_amd64|(?:many)?linux\w{0,20}_(?:x86_64|aarch64)))"
)
_MENTION = re.compile(
    r"(?<![\w./+-])`?(torch|pytorch|vllm|transformers|sglang|xformers|flash[-_]attn|bitsandbytes|numpy|triton|torchvision"
    r"|torchaudio|accelerate)`?(?: (?:api )?(?:server )?version| ver\.?)?(?:\s*[:=]\s*|\s+(?:is |v)?|@)[`'\"]?"
    r"v?(\d{1,4}\.\d{1,4}(?:\.\w{1,12}){0,3}(?:\+[\w.]{1,30})?)",
    re.IGNORECASE,
)
_COLON = re.compile(
    r"^[\s>*|-]{0,8}`?([A-Za-z][\w.-]{1,40})`?\s{0,4}[:=]\s{0,4}`?v?(\d{1,4}\.[\w.+]{1,40}?)`?[,;]?\s{0,8}$", re.ASCII
)
_HEADER = re.compile(r"^[\s|>]{0,6}Package\s{1,60}\|?\s*Version", re.IGNORECASE)
KNOWN = frozenset(
    [
        "torch",
        "torchvision",
        "torchaudio",
        "triton",
        "xformers",
        "numpy",
        "vllm",
        "transformers",
        "tokenizers",
        "bitsandbytes",
        "flash-attn",
        "flash_attn",
        "sglang",
        "flashinfer",
        "flashinfer-python",
        "auto-gptq",
        "auto_gptq",
        "autoawq",
        "accelerate",
        "peft",
        "deepspeed",
        "nvidia-nccl-cu12",
        "nvidia-cuda-runtime-cu12",
        "nvidia-cuda-runtime-cu11",
        "nvidia-cublas-cu12",
        "nvidia-cublas-cu11",
        "nvidia-cudnn-cu12",
        "onnxruntime",
        "onnxruntime-gpu",
        "pydantic",
        "outlines",
        "ray",
        "llama-cpp-python",
        "llama_cpp_python",
        "nvidia-cuda-cupti-cu12",
        "nvidia-cuda-nvrtc-cu12",
        "sgl-kernel",
        "sgl_kernel",
        "sglang-kernel",
        "kernels",
        "torchcodec",
        "liger-kernel",
        "mistral-common",
        "sentence-transformers",
        "huggingface-hub",
        "huggingface_hub",
        "unsloth",
        "unsloth-zoo",
        "unsloth_zoo",
        "llamafactory",
        "trl",
        "datasets",
        "optimum",
        "gptqmodel",
        "flashinfer_python",
        "xgrammar",
        "compressed-tensors",
        "torchao",
        "triton-windows",
        "triton_windows",
        "sageattention",
        "exllamav2",
        "nunchaku",
        "autoawq-kernels",
        "autoawq_kernels",
    ]
)
"""Names that count wherever a version stands beside them, lists or none."""


def read(paste: Paste, draft: Draft) -> bool:
    """Take whole lists where a header or many rows announce one, known names elsewhere."""
    found = _tables(paste, draft)
    found = _conda(paste, draft) or found
    found = _frozen(paste, draft) or found
    for literal in (".dist-info", ".egg-info", ".whl", "-win_amd64", "linux"):
        for line in paste.having(literal):
            for name, release in _DIST.findall(line.text):
                # A wheel's file name in an install command is what somebody installed.
                draft.package(name, release, line)
                found = True
    return _mentions(paste, draft) or found


def _tables(paste: Paste, draft: Draft) -> bool:
    found = False
    for line in paste.having("package"):
        if _HEADER.match(line.text):
            rows = _rows(paste, draft, line)
            if rows:
                draft.lists.append("pip list" if rows >= _WHOLE else "pip list part")
                found = True
    if found:
        return True
    found = _bare_rows(paste, draft)
    for name in _NAMED_IN_ROWS:
        for line in paste.having(name):
            match = _ROW.match(line.text)
            match = match or _COLON.match(line.text)
            if match and match.group(1).lower() in KNOWN:
                draft.package(match.group(1), match.group(2), line)
                found = True
    return found


def _bare_rows(paste: Paste, draft: Draft) -> bool:
    """Part of a list without its header: neighbouring rows of name and version, one of them of a known package."""
    found = False
    for name in _NAMED_IN_ROWS:
        for line in paste.having(name):
            match = _ROW.match(line.text)
            if match is None or match.group(1).lower() not in KNOWN:
                continue
            block = [*_run(paste, line.number, -1), *_run(paste, line.number, 1)]
            if len(block) >= _BLOCK:
                for row in block:
                    taken = _ROW.match(row.text)
                    if taken:
                        draft.package(taken.group(1), taken.group(2), row)
                return True
    return found


def _run(paste: Paste, number: int, step: int) -> list[Line]:
    """The rows that follow line `number` without a gap, up or down."""
    rows: list[Line] = []
    here = number + step
    while 0 < here <= len(paste.lines) and len(rows) < _MOST_ROWS:
        match = _ROW.match(paste.lines[here - 1])
        if match is None or "." not in match.group(2):
            break
        rows.append(Line(here, paste.lines[here - 1]))
        here += step
    return rows


_BLOCK = 4
"""Neighbouring rows from which on they are a list and no coincidence."""
_MOST_ROWS = 1_000
_NAMED_IN_ROWS = (
    "torch",
    "xformers",
    "vllm",
    "transformers",
    "triton",
    "nvidia-",
    "numpy",
    "bitsandbytes",
    "flash",
    "llama",
    "sglang",
    "auto",
    "unsloth",
    "tokenizers",
    "huggingface",
    "accelerate",
    "peft",
    "deepspeed",
    "kernels",
    "mistral",
    "liger",
)
"""Parts of `KNOWN` names with which a row of a list without its header is found."""
_WHOLE = 15


def _rows(paste: Paste, draft: Draft, header: Line) -> int:
    count = misses = 0
    for number in range(header.number + 1, min(len(paste.lines), header.number + 2000) + 1):
        text = paste.lines[number - 1]
        match = _ROW.match(text)
        if match:
            draft.package(match.group(1), match.group(2), Line(number, text))
            count, misses = count + 1, 0
        elif text.strip(" -=|+"):
            misses += 1
            if misses > 2:
                break
    return count


def _conda(paste: Paste, draft: Draft) -> bool:
    for header in paste.having("# packages in environment"):
        for number in range(header.number + 1, min(len(paste.lines), header.number + 2000) + 1):
            text = paste.lines[number - 1]
            match = _CONDA_ROW.match(text)
            if match:
                origin = "" if match.group(3).startswith("pypi") else "conda"
                draft.package(match.group(1), match.group(2), Line(number, text), origin)
            elif text.strip() and not text.lstrip().startswith("#"):
                break
        draft.lists.append("conda list")
        return True
    return False


def _frozen(paste: Paste, draft: Draft) -> bool:
    count, found = 0, False
    for line in paste.having("=="):
        text = line.text
        if (
            "[pip" in text
            or "requires" in text.lower()
            or "depends on" in text.lower()
            or "incompatible" in text.lower()
        ):
            continue
        for name, release in _FROZEN.findall(text)[:40]:
            whole_line = text.strip() == f"{name}=={release}"
            if whole_line or name.lower() in KNOWN:
                draft.package(name, release, line)
                count, found = count + whole_line, True
    if count >= _WHOLE:
        draft.lists.append("pip list")
    return found


def _mentions(paste: Paste, draft: Draft) -> bool:
    found = False
    for name in ("torch", "vllm", "transformers", "sglang", "xformers", "bitsandbytes", "numpy", "triton", "flash"):
        for line in paste.having(name):
            if len(line.text) > 300 or ">=" in line.text or "<" in line.text or "requires" in line.text.lower():
                continue
            for match in _MENTION.finditer(line.text):
                wanted = match.group(1).lower().replace("_", "-")
                if wanted in ("torch", "pytorch"):
                    draft.put("python.torch.version", match.group(2), line)
                else:
                    draft.package(wanted, match.group(2), line)
                found = True
    return found


IMPORTER = Importer("package_lists", read)
