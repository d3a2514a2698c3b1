"""`rocminfo`, `rocm-smi`, `rocm_agent_enumerator`: gfx targets and product names of AMD GPUs."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer, after
from envcheck.schema.paste import Paste

_AGENT = re.compile(r"^\s*Name:\s+(gfx[0-9a-f]{3,5})\s*$")
_BARE = re.compile(r"^\s*(gfx(?!000)[0-9a-f]{3,5})(?::\S{1,40})?\s*$")
"""What `amdgpu-arch` and `rocm_agent_enumerator` print, which calls the CPU gfx000."""
_MARKETING = re.compile(r"^\s*Marketing Name:\s+(\S.{1,60}?)\s*$")
_SERIES = re.compile(r"GPU\[(\d{1,2})\]\s*:\s*(?:Card series|Card Series|Device Name|Card model):\s*(\S.{1,60})$")
_GFX_VERSION = re.compile(r"GPU\[(\d{1,2})\]\s*:\s*GFX Version:\s*(gfx[0-9a-f]{3,5})")


def read(paste: Paste, draft: Draft) -> bool:
    """Take the GPU agents in their order; CPU agents have a marketing name but no gfx target."""
    found = _agents(paste, draft) or _enumerated(paste, draft)
    for line, match in paste.matching("gpu[", _SERIES.pattern):
        draft.gpu("amd", int(match.group(1)), "name", match.group(2).strip(), line)
        found = True
    for line, match in paste.matching("gfx version", _GFX_VERSION.pattern):
        draft.gpu("amd", int(match.group(1)), "gfx", match.group(2), line)
        found = True
    for line in paste.having("rocm version"):
        value = after(line.text)
        if value[:1].isdigit():
            draft.put("amd.rocm", value.split()[0], line)
    return found


def _agents(paste: Paste, draft: Draft) -> bool:
    names = {line.number: match.group(1) for line, match in paste.matching("marketing name:", _MARKETING.pattern)}
    index = 0
    for line, match in paste.matching("gfx", _AGENT.pattern):
        draft.gpu("amd", index, "gfx", match.group(1), line)
        near = [number for number in names if 0 < number - line.number <= 3]
        if near:
            draft.gpu("amd", index, "name", names[near[0]], line._replace(number=near[0]))
        index += 1
    return index > 0


def _enumerated(paste: Paste, draft: Draft) -> bool:
    lines = list(paste.matching("gfx", _BARE.pattern))
    for index, (line, match) in enumerate(lines):
        draft.gpu("amd", index, "gfx", match.group(1), line)
    return bool(lines)


IMPORTER = Importer("rocm_reports", read)
