"""An NVIDIA driver known by its branch alone ("driver 535", "nvidia-driver-550-server"), where no program printed more.

Only where the whole text speaks of a single branch: people tell which driver they came from and which they tried.
"""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Line, Paste

_AFTER = re.compile(
    r"\b(?:nvidia[ _-]?(?:linux[ _-]?)?drivers?|nvidia-(?:headless|dkms|utils)|(?:gpu |cuda )?drivers?)"
    r"(?:[ -](?:version|branch|series|ver))?(?:\W{1,3}|\W{1,3}(?:is|was|the|r)\W{1,2})(\d{3})"
    r"(?:\.(?:x{1,3}|\*))?(?:-(?:open|server|server-open))?(?!\d|\.\d| ?(?:[mgk]i?b|mhz|w|tokens|%)\b)",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"(?<![\w.])R?(\d{3})(?:\.x{1,3})?(?:[- ](?:series|branch))? (?:nvidia )?drivers?\b", re.IGNORECASE
)
_OLDEST, _NEWEST = 384, 699
"""Branches that serve CUDA 9 and later: https://docs.nvidia.com/datacenter/tesla/drivers/index.html"""
_LONGEST_LINE = 400


def read(paste: Paste, draft: Draft) -> bool:
    """Take the branch if nothing stated the driver and the text names exactly one."""
    if draft.states("nvidia.driver"):
        return False
    found: dict[str, Line] = {}
    for line in paste.having("driver") if "driver" in paste else paste.having("nvidia-"):
        if len(line.text) > _LONGEST_LINE:
            continue
        for pattern in (_AFTER, _BEFORE):
            for match in pattern.finditer(line.text):
                if _OLDEST <= int(match.group(1)) <= _NEWEST:
                    found.setdefault(match.group(1), line)
    if len(found) != 1:
        return False
    branch, line = next(iter(found.items()))
    draft.put("nvidia.driver", branch, line)
    return True


IMPORTER = Importer("driver_mentions", read)
