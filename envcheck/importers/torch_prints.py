"""What torch prints about itself: its architecture list, device names, whether CUDA is available."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Paste

_SM = re.compile(r"\b(?:sm|compute)_(\d{2,3})[af]?\b")
_INCOMPATIBLE = re.compile(
    r"((?:NVIDIA|Tesla|Quadro|GeForce|AMD)?.{2,60}?) with CUDA capability sm_(\d{2,3}) is not compatible"
)
_AVAILABLE = re.compile(
    r"(?:torch\.)?cuda\.is_available\(\)[\"'`)\s]*(?:[:=]|is|->|returns)*\s*[:：]?\s*(True|False)\b"
)
_STATED = re.compile(r"torch\.version\.cuda\W{0,12}(\d{1,2}\.\d)")


def read(paste: Paste, draft: Draft) -> bool:
    """Take the compiled architectures, the incompatible GPU's name and capability, and availability."""
    found = False
    for literal in ("supports cuda capabilities", "get_arch_list", "'sm_"):
        for line in paste.having(literal):
            archs = tuple(dict.fromkeys(f"sm_{number}" for number in _SM.findall(line.text)))
            if len(archs) > 1 or (archs and literal != "'sm_"):
                draft.put("python.torch.arch_list", archs, line)
                found = True
    for line, match in paste.matching("with cuda capability", _INCOMPATIBLE.pattern):
        digits = match.group(2)
        name = match.group(1).split("|")[-1].split(": ")[-1].strip()
        draft.gpu("nvidia", 0, "name", name, line)
        draft.gpu("nvidia", 0, "compute_capability", f"{digits[:-1]}.{digits[-1]}", line)
        found = True
    for line, match in paste.matching("is_available()", _AVAILABLE.pattern):
        draft.put("python.torch.cuda_available", match.group(1).lower() == "true", line)
        found = True
    for line, match in paste.matching("torch.version.cuda", _STATED.pattern):
        draft.put("python.torch.cuda", match.group(1), line)
        found = True
    return found


IMPORTER = Importer("torch_prints", read)
