"""A GPU named in passing ("gpu V100 32G", "on 2x A100-80GB"), where no program and no list of facts names one.

Only a product of the hardware table counts, and only where the whole text names a single one: people compare.
"""

from __future__ import annotations

import re

from envcheck.hardware import find
from envcheck.importers._draft import Draft, Importer, vendor_of
from envcheck.schema.paste import Line, Paste

_COUNT = r"(?:(?<![\w.])(?P<count>[1-9]\d?)\s?(?:x|\*|\u00d7|\u5f20|\u5757|\u5361)?\s{0,2})?"
_MAKER = r"(?:nvidia[ -]{1,2})?(?:geforce |tesla |quadro |amd |radeon |instinct )?"
_CONSUMER = r"(?:(?:rtx|gtx|rx) ?(?:pro )?a?\d{3,4}(?: ?(?:ti|super|xtx|xt|gre|laptop|max-q|ada)){0,2})"
_DATA_CENTER = (
    r"(?:a100|a800|h100|h800|h200|b200|b300|gh200|v100s?|mi\d{3}x?|(?-i:GB10|H20|A10G?|A30|A40|L40S?|L20))"
    r"(?:[ -](?:sxm\d?|pcie|nvl))?"
)
"""Short product codes count in capitals only: "a10" and "l20" are also ordinary words."""
_SHORT = r"(?:(?:tesla|nvidia)[ -](?:[tpmk]\d{1,3}|l4|a2|a16))"
_NAME = re.compile(
    rf"{_COUNT}(?<![\w-])(?P<name>{_MAKER}(?:{_CONSUMER}|{_DATA_CENTER}|{_SHORT}))"
    r"(?:[ -](?P<memory>\d{2,3}) ?gi?b?)?(?![\w])",
    re.IGNORECASE,
)
_WORDS = ("rtx", "gtx", "rx ", "tesla", "nvidia", "v100", "a100", "h100", "h20", "a800", "h800", "l40", "l20", "a10",
          "a30", "a40", "b200", "b300", "gh200", "gb10", "mi2", "mi3")  # fmt: skip
_LONGEST_LINE = 300


def read(paste: Paste, draft: Draft) -> bool:
    """Take the one product that the text names."""
    if any(draft.gpus(vendor) for vendor in ("nvidia", "amd", "intel")):
        return False
    found: dict[str, tuple[int, str, int, Line]] = {}
    for word in _WORDS:
        for line in paste.having(word):
            if len(line.text) > _LONGEST_LINE:
                continue
            for match in _NAME.finditer(line.text):
                row = find(match["name"], int(match["memory"]) * 1024 if match["memory"] else None)
                if row is not None and row.kind != "integrated":
                    size = f" {match['memory']}GB" if match["memory"] else ""
                    known = found.get(row.name)
                    count = max(int(match["count"] or 1), known[0] if known else 1)
                    found[row.name] = (count, match["name"] + size, known[2] if known else line.number, line)
    if len(found) != 1:
        return False
    count, name, _, line = next(iter(found.values()))
    for index in range(min(count, 16)):
        draft.gpu(vendor_of(name), index, "name", name, line)
    return True


IMPORTER = Importer("named_gpus", read)
