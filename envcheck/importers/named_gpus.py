"""A GPU named in passing ("gpu V100 32G", "on 2x A100-80GB"), where no program and no list of facts names one.

Only a product of the hardware table counts, and only where the whole text names a single one: people compare.
"""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.importers._products import maker_of, products
from envcheck.schema.paste import Line, Paste

_WORDS = (
    *("rtx", "gtx", "tesla", "nvidia", "rx ", "rx5", "rx6", "rx7", "wx", "vega", "radeon vii", "mi2", "mi3", "mi50"),
    *("mi60", "mi100", "v100", "a100", "h100", "h20", "a800", "h800", "l40", "l20", "a10", "a30", "a40", "b200"),
    *("b300", "gh200", "gb10", "2080", "3060", "3070", "3080", "3090", "4060", "4070", "4080", "4090", "5060"),
    *("5070", "5080", "5090"),
)
_COUNT = re.compile(
    r"(?:gpus?|graphics cards?|video cards?) (?:count|number|num)\W{1,6}(\d{1,2})\b"
    r"|(?:number|count|num) of gpus?\W{1,6}(\d{1,2})\b",
    re.IGNORECASE,
)
_LONGEST_LINE = 300
_MOST = 16


def read(paste: Paste, draft: Draft) -> bool:
    """Take the one product that the text names, and the number of GPUs where somebody states it."""
    found = not any(draft.gpus(vendor) for vendor in ("nvidia", "amd", "intel")) and _one_product(paste, draft)
    for line, match in paste.matching("gpu", _COUNT.pattern):
        draft.count(int(match.group(1) or match.group(2)), line)
    return found


def _introduced(text: str) -> str | None:
    """The name that follows "GPU" or "graphics card" in a line, whatever else the line compares it with."""
    match = _INTRODUCED.search(text)
    named = next(iter(products(match.group(1))), None) if match else None
    return named.text if named else None


_INTRODUCED = re.compile(r"(?:\bgpus?\b|graphics card|video card|\u663e\u5361)\W{0,4}(.{3,60})", re.IGNORECASE)


def _one_product(paste: Paste, draft: Draft) -> bool:
    found: dict[str, tuple[str, int, Line]] = {}
    for word in _WORDS:
        for line in paste.having(word):
            if len(line.text) > _LONGEST_LINE:
                continue
            for named in products(line.text):
                before = found.get(named.product, (named.text, 0, line))
                found[named.product] = (named.text, max(named.number or 0, before[1]), line)
    if len(found) > 1:
        introduced = {text: line for _, _, line in found.values() if (text := _introduced(line.text))}
        found = {text: (text, 0, line) for text, line in introduced.items()}
    if len(found) != 1:
        return False
    name, count, line = next(iter(found.values()))
    vendor = maker_of(name)
    for index in range(min(max(count, 1), _MOST)):
        draft.gpu(vendor, index, "name", name, line)
    if not count:
        draft.named(vendor)
    return True


IMPORTER = Importer("named_gpus", read)
