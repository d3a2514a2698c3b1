"""bitsandbytes' setup report: the CUDA version torch has, the highest compute capability it saw."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Paste

_CUDA = re.compile(
    r"CUDA_VERSION=(\d{2,3})\b|PyTorch settings found: CUDA_VERSION=(\d{2,3})|Detected CUDA version:? (\d{2,3})",
    re.IGNORECASE,
)
_CAPABILITY = re.compile(r"(?:highest compute capability(?: among gpus detected)?\D{0,4})(\d{1,2}\.\d)", re.IGNORECASE)


def read(paste: Paste, draft: Draft) -> bool:
    """Take torch's CUDA version and the GPU's capability."""
    if "cuda setup" not in paste and "cuda_setup" not in paste and "bitsandbytes" not in paste:
        return False
    found = "cuda setup" in paste or "cuda_setup" in paste
    for literal in ("cuda_version=", "detected cuda version"):
        for line, match in paste.matching(literal, _CUDA.pattern):
            digits = next(group for group in match.groups() if group)
            draft.put("python.torch.cuda", f"{digits[:-1]}.{digits[-1]}", line)
            found = True
    for line, match in paste.matching("compute capability", _CAPABILITY.pattern):
        draft.gpu("nvidia", 0, "compute_capability", match.group(1), line)
        found = True
    return found


IMPORTER = Importer("bitsandbytes", read)
