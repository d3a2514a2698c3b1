"""The hardware table: GPUs and SoCs by the name a driver, `lspci`, a log or a person gives them.

`find("NVIDIA GeForce RTX 3080", 12288)` gives the row of that product. Matching is by whole words, never by substring:
what makes a product its own (the number, "Ti", "SUPER", "Laptop", "Max-Q", "XTX") must agree exactly; what people leave
out (vendor, brand, memory size, SXM or PCIe) may be missing. Between rows that a name does not tell apart, the memory
does; without it, the order of the file, where the version that a bare name usually means comes first.
"""

from __future__ import annotations

import csv
import re
from functools import cache, lru_cache
from typing import NamedTuple

import msgspec

from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.hardware import HardwareRow

_FILE = "hardware.csv"

_WORDS_OF_VENDOR = {
    "NVIDIA": "nvidia geforce gtx rtx quadro tesla jetson grid",
    "AMD": "amd ati radeon rx instinct radv",
    "Intel": "intel arc iris",
    "Apple": "apple",
    "Qualcomm": "qualcomm snapdragon",
}
_VENDOR_OF = {word: vendor for vendor, words in _WORDS_OF_VENDOR.items() for word in words.split()}
# Words of one product line count as one brand: people write "GeForce 3080", "RTX 3080" and "GeForce RTX 3080".
_BRANDS = dict.fromkeys(("geforce", "gtx", "rtx", "gt"), "geforce") | dict.fromkeys(("radeon", "rx"), "radeon")
_BRANDS |= {word: word for word in ("quadro", "tesla", "jetson", "instinct", "arc", "iris")}
_SAYS_NOTHING = """
    nvidia corporation amd ati advanced micro devices inc intel qualcomm apple snapdragon radv grid r tm c rev a1
    graphics graphic gpu gpus igpu integrated generation gen adapter series card accelerator superchip edition design
    device core processor with the lite hash rate lhr oc oam
"""
_IGNORED = frozenset(_SAYS_NOTHING.split())
_FORMS = "pcie sxm sxm2 sxm3 sxm4 sxm5 hbm2 hbm2e hbm3 hbm3e gddr5 gddr5x gddr6 gddr6x gddr7 workstation server dgx"
_OPTIONAL = frozenset(_FORMS.split(" "))
_SAME_WORD = {"mobile": "laptop", "notebook": "laptop"}

_MAX_Q = re.compile(r"max[- ]?q")
_MEMORY = re.compile(r"(?<![\w.])(?:(\d{1,3})\s?(?:gb|gib)|(\d{1,2})g)(?!\w)")
_CORES = re.compile(r"(\d{1,2})[- ]core(?:s)?\b")
_PARTITION = re.compile(r"\bmig\b.*|-\d+[qcab]\b.*")
_WORDS = re.compile(r"[a-z0-9]+")
_FUSED = re.compile(r"(rtx|gtx|gt|rx)?(\d{3,4})(ti|super|xtx|xt|gre)?(super)?")
_PRO_CARD = re.compile(r"[wv]\d{3,4}x?")
_CHIP = re.compile(r"\b(gfx[0-9a-f]{3,4}|navi\s?\d\d|bmg[- ]g21)\b")


class _Name(NamedTuple):
    """A product name taken apart."""

    core: frozenset[str]
    brands: frozenset[str]
    optional: frozenset[str]
    vendors: frozenset[str]
    memory_gib: int | None
    cores: int | None


@lru_cache(maxsize=1)
def _lines() -> tuple[list[str], list[str]]:
    """The header's columns and the raw rows: a look-up parses only the rows that can match."""
    path = folder("requirements_matrix") / _FILE
    try:
        header, *rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise EnvcheckError(f"The hardware table {_FILE} cannot be read ({error}): reinstall llm-envcheck.") from None
    return header.split(","), rows


@lru_cache(maxsize=1)
def _search_text() -> list[str]:
    return [line.lower() for line in _lines()[1]]


@cache
def _row(index: int) -> HardwareRow:
    columns, rows = _lines()
    cells = next(csv.reader([rows[index]]))
    if len(cells) != len(columns):
        raise EnvcheckError(f"{_FILE} line {index + 2}: {len(cells)} cells where the header has {len(columns)}.")
    stated: dict[str, object] = {column: cell for column, cell in zip(columns, cells, strict=True) if cell}
    stated["aliases"] = tuple(cells[columns.index("aliases")].split("; ")) if stated.get("aliases") else ()
    try:
        return msgspec.convert(stated, HardwareRow, strict=False)
    except msgspec.ValidationError as error:
        raise EnvcheckError(f"{_FILE} line {index + 2}: {error}.") from None


def rows() -> tuple[HardwareRow, ...]:
    """Every row of the table, in file order. Raises EnvcheckError (file, line, key) for a row that does not fit."""
    return tuple(_row(index) for index in range(len(_lines()[1])))


def find(name: str, memory_mib: int | None = None) -> HardwareRow | None:
    """The product a name stands for, or None where the name does not say (never the nearest-sounding one).

    `memory_mib` is what the driver reports, a little below the nominal size; it decides between versions of a product.
    A name that is only a chip ("RADV GFX1201") gives a product of it: the target is right, the bandwidth may not be.
    """
    for text in _readings(name.lower()):
        choices = [match for part in text.split("/") for match in _matches(part.strip())]
        if choices:
            return _row(min(choices, key=lambda match: (match[0], _apart(match[2], memory_mib, match[3]), match[1]))[1])
    chip = _CHIP.search(name.lower())
    return _by_chip(chip[1], memory_mib) if chip else None


def most_memory_mib(name: str) -> int | None:
    """The memory of the largest version of a product that `name` does not tell from the others."""
    for text in _readings(name.lower()):
        choices = [match for part in text.split("/") for match in _matches(part.strip())]
        if choices:
            nearest = min(choices)[0]
            return max((mib for differences, _, mib, _ in choices if differences == nearest and mib), default=None)
    return None


def _readings(text: str) -> list[str]:
    """Where a product may stand in a printed name: `lspci` puts it in brackets, Vulkan puts the chip in parentheses."""
    text = text.replace("(r)", " ").replace("(tm)", " ").replace("(c)", " ")
    brackets = re.findall(r"\[([^\]]+)\]", text)
    plain = re.sub(r"\[[^\]]*\]|\([^)]*\)", " ", text)
    everything = re.sub(r"[()\[\]]", " ", text)
    return [*reversed(brackets), everything.strip(), plain.strip()]


@lru_cache(maxsize=4096)
def _take_apart(text: str) -> _Name:
    text = _MAX_Q.sub("maxq", _PARTITION.sub("", text.lower()))
    memory, cores = _MEMORY.search(text), _CORES.search(text)
    text = _CORES.sub(" ", _MEMORY.sub(" ", text))
    words: list[str] = []
    for word in _WORDS.findall(text):
        fused = _FUSED.fullmatch(word)
        words.extend([part for part in fused.groups() if part] if fused else [_SAME_WORD.get(word, word)])
    pro_card = any(_PRO_CARD.fullmatch(word) for word in words)
    core = {word for word in words if word not in _IGNORED and word not in _BRANDS and word not in _OPTIONAL}
    optional = {word for word in words if word in _OPTIONAL}
    if "titan" in core:  # "TITAN RTX" and "GTX TITAN": here the brand word is the model
        core |= {word for word in words if word in ("gtx", "rtx")}
    return _Name(
        core=frozenset(core - {"pro"} if pro_card else core),
        brands=frozenset(_BRANDS[word] for word in words if word in _BRANDS),
        optional=frozenset(optional | ({"sxm"} if any(word.startswith("sxm") for word in optional) else set())),
        vendors=frozenset(_VENDOR_OF[word] for word in words if word in _VENDOR_OF),
        memory_gib=int(memory[1] or memory[2]) if memory else None,
        cores=int(cores[1]) if cores else None,
    )


@lru_cache(maxsize=1024)
def _matches(text: str) -> tuple[tuple[int, int, int | None, int | None], ...]:
    """(differences, row index, the row's memory in MiB, stated memory in GiB) of each row that the text can mean."""
    asked = _take_apart(text)
    if not asked.core:
        return ()
    numbers = [word for word in asked.core if any(character.isdigit() for character in word)]
    keys = numbers or [word for word in asked.core if word != "maxq"]
    found = []
    for index, line in enumerate(_search_text()):
        if all(key in line for key in keys):
            row = _row(index)
            differences = (_differences(asked, _take_apart(label), row) for label in (row.name, *row.aliases))
            least = min((each for each in differences if each is not None), default=None)
            if least is not None:
                found.append((least, index, row.memory_mib, asked.memory_gib))
    return tuple(found)


def _differences(asked: _Name, label: _Name, row: HardwareRow) -> int | None:
    """How far a label is from what was asked: 0 the same, None another product."""
    if asked.core != label.core or (asked.vendors and row.vendor not in asked.vendors):
        return None
    if asked.brands and label.brands and not asked.brands & label.brands:
        return None
    own = label.optional | ({row.memory_type.lower()} if row.memory_type else frozenset())
    contradicted = len(asked.optional - own) + (asked.cores is not None and label.cores not in (None, asked.cores))
    other_size = asked.memory_gib is not None and label.memory_gib is not None and asked.memory_gib != label.memory_gib
    # A plain name means the plain product, not its "GDDR6X" version; an unsaid form factor must not outweigh memory.
    special = any(word.startswith("gddr") for word in label.optional - asked.optional)
    return 100 * contradicted + 10 * (asked.cores != label.cores) + 10 * other_size + special


def _apart(row_mib: int | None, memory_mib: int | None, stated_gib: int | None) -> float:
    """Relative distance of a row's memory from what is known of it; 0 where either is unknown."""
    wanted = memory_mib or (stated_gib * 1024 if stated_gib else None)
    return abs(row_mib - wanted) / wanted if row_mib and wanted else 0.0


def _by_chip(chip: str, memory_mib: int | None) -> HardwareRow | None:
    wanted = re.sub(r"[\s-]", "", chip)
    same = [
        (_apart(row.memory_mib, memory_mib, None), index)
        for index, line in enumerate(_search_text())
        if wanted in line.replace(" ", "").replace("-", "")
        and (row := _row(index))
        and wanted in (row.gfx, re.sub(r"[\s-]", "", (row.chip or "").lower()))
    ]
    return _row(min(same)[1]) if same else None
