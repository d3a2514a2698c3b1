"""Names of GPU products inside other words, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from envcheck.hardware import find
from envcheck.importers._draft import vendor_of

_COUNT = r"(?:(?<![\w.])(?P<count>[1-9]\d?)(?:\s?(?:x|\*|\u00d7|\u5f20|\u5757|\u5361)\s{0,2}|-|\s{1,2}))?"
_MAKER = r"(?:nvidia[ -]{1,2})?(?:geforce |tesla |quadro |amd |radeon |instinct ){0,3}"
_CONSUMER = (
    r"(?:(?:rtx|gtx|rx)[ -]?(?:pro )?a?\d{3,4}(?: ?(?:ti|super|xtx|xt|gre|laptop|max-q|ada)){0,2}|wx ?\d{4}"
    r"|radeon vii|vega ?\d{2}|(?<=nvidia )[2-5]0[5-9]0(?: ?(?:ti|super)){0,2})"
)
_DATA_CENTER = (
    r"(?:a100|a800|h100|h800|h200|b200|b300|gh200|v100s?|mi\d{2,3}x?|(?-i:GB10|H20|A10G?|A30|A40|L40S?|L20))"
    r"(?:[ -](?:sxm\d?|pcie|nvl))?"
)
"""Short product codes count in capitals only: "a10" and "l20" are also ordinary words."""
_SHORT = r"(?:(?:tesla|nvidia)[ -](?:[tpmk]\d{1,3}|l4|a2|a16))"
_NAME = re.compile(
    rf"{_COUNT}(?<!\w)(?P<name>{_MAKER}(?:{_CONSUMER}|{_DATA_CENTER}|{_SHORT}))"
    r"(?:(?: - |[ -])(?P<memory>\d{2,3}) ?gi?b?)?(?![\w])",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"(?:(?<![\w.])(?P<count>[1-9]\d?)\s?(?:x|\*|\u00d7)\s?|\bgpus?[ :\uff1a]{0,3}|\u663e\u5361[ :\uff1a]{0,3})"
    r"(?P<name>[2-5]0[5-9]0(?: ?(?:ti|super)){0,2})(?P<memory>(?!))?(?![\w.%]| ?(?:[mgk]i?b|mhz|w|tokens)\b)",
    re.IGNORECASE,
)
"""A number alone is a product only behind a count or the word for a graphics card: "3x3090", "GPU 4090"."""


class Named(NamedTuple):
    """One mention of a product."""

    product: str
    """As the hardware table calls it."""
    text: str
    """As it was written, with its memory where that was said."""
    number: int | None


def products(text: str) -> Iterator[Named]:
    """Every discrete product of the hardware table that `text` names."""
    for match in (*_NAME.finditer(text), *_BARE.finditer(text)):
        row = find(match["name"], int(match["memory"]) * 1024 if match["memory"] else None)
        if row is not None and row.kind != "integrated":
            size = f" {match['memory']}GB" if match["memory"] else ""
            yield Named(row.name, match["name"] + size, int(match["count"]) if match["count"] else None)


def maker_of(name: str) -> str:
    """The maker of a product: as the hardware table has it, else by the words of the name."""
    row = find(name)
    maker = row.vendor.lower() if row else ""
    return maker if maker in ("nvidia", "amd", "intel", "apple") else vendor_of(name)


def product_in(text: str) -> str | None:
    """The one product that `text` names, or None where it names none or several."""
    found = {named.product: named.text for named in products(text)}
    return next(iter(found.values())) if len(found) == 1 else None
