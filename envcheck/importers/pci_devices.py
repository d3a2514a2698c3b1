"""`lspci`: GPUs that are on the bus, whether or not a driver answers for them."""

from __future__ import annotations

import re

from envcheck.hardware import find
from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Paste

_DEVICE = re.compile(
    r"^\W{0,6}(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] (?:VGA compatible controller|3D controller"
    r"|Display controller|Processing accelerators)(?: \[[0-9a-f]{4}\])?: (?P<name>.{4,160}?)(?: \(rev [0-9a-f]{2}\))?$",
    re.IGNORECASE,
)
_MAKERS = (("nvidia", "nvidia"), ("advanced micro", "amd"), ("amd/ati", "amd"))
_DRIVER = re.compile(r"kernel driver in use: (\S{2,40})", re.IGNORECASE)


def read(paste: Paste, draft: Draft) -> bool:
    """Take cards that no driver's own tool listed; integrated graphics and virtual adapters are left out."""
    found = False
    before = {vendor: bool(draft.gpus(vendor)) for _, vendor in _MAKERS}
    for literal in ("vga compatible", "3d controller", "display controller", "processing accelerators"):
        for line, match in paste.matching(literal, _DEVICE.pattern):
            name = match["name"]
            vendor = next((v for word, v in _MAKERS if word in name.lower()), "")
            row = find(name) if vendor else None
            if not vendor or before[vendor] or (row is None and vendor == "amd") or (row and row.kind == "integrated"):
                continue
            draft.gpu(vendor, len(draft.gpus(vendor)), "name", row.name if row else name, line)
            found = True
    return found


IMPORTER = Importer("pci_devices", read)
