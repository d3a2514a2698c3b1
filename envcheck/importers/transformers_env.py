"""`transformers env`, `accelerate env`, `llamafactory-cli env`: a Markdown list of "- Name version: value"."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer, after, vendor_of
from envcheck.importers._platform import read_platform
from envcheck.schema.paste import Paste

_ITEM = re.compile(
    r"^[\s>*-]*`?([A-Za-z][\w. -]{1,40}?)`? versions?(?: \([^)]{1,30}\))?:\s*`?(\d[\w.+!-]{0,60}|not installed)",
    re.IGNORECASE,
)
_PYTHON = re.compile(r"(\d\.\d{1,2}(?:\.\d{1,3})?)")
_GPU = re.compile(r"(?:^\s*[-*]\s*|\b)GPU (?:type|number|model)s?\s*:\s*(.{2,80})$", re.IGNORECASE)
_NAMES = frozenset(
    [
        "transformers",
        "datasets",
        "accelerate",
        "peft",
        "trl",
        "deepspeed",
        "bitsandbytes",
        "vllm",
        "huggingface-hub",
        "huggingface_hub",
        "safetensors",
        "tokenizers",
        "llamafactory",
        "torchvision",
        "torchaudio",
        "xformers",
        "triton",
        "flash-attn",
        "numpy",
        "gradio",
        "sentence-transformers",
        "optimum",
        "auto-gptq",
        "autoawq",
        "sglang",
    ]
)


def read(paste: Paste, draft: Draft) -> bool:
    """Take versions of known packages, torch with its GPU mark, Python, platform and the GPU's name."""
    found = False
    for line, match in paste.matching("version", _ITEM.pattern):
        name, value = match.group(1).strip().lower(), match.group(2)
        if value[:1].isdigit() and name in _NAMES:
            draft.package(name, value, line)
            found = found or line.text.lstrip(" >").startswith(("-", "*"))
        elif name in ("pytorch", "torch") and value[:1].isdigit():
            draft.put("python.torch.version", value, line)
            for word, available in (("(true)", True), ("(gpu)", True), ("(false)", False), ("(cpu)", False)):
                if word in line.text.lower():
                    draft.put("python.torch.cuda_available", available, line)
        elif name == "python" and _PYTHON.match(value):
            draft.put("python.version", value, line)
    for line in paste.having("platform: "):
        read_platform(draft, after(line.text), line)
    for line, match in paste.matching("gpu ", _GPU.pattern):
        name = match.group(1).strip()
        if not name.isdigit():
            draft.gpu(vendor_of(name), 0, "name", name, line)
            draft.named(vendor_of(name))
    if found:
        draft.lists.append("transformers_env")
    return found


IMPORTER = Importer("transformers_env", read)
