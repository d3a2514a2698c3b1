"""Every file `tests/cases/probes/<section>/<case>.json`: this evidence gives this reading.

A case holds `about` (one sentence; where it was captured, or that it is synthetic), `evidence`, and `reading`: the part
of the reading that the case is about, written as the snapshot file writes it. Fields that it does not name are not
compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from envcheck import discover

CASES = sorted((Path(__file__).parent.parent / "cases" / "probes").glob("*/*.json"))


def within(wanted: Any, got: Any, where: str = "reading") -> list[str]:
    """Differences between what a case names and what was read; a list must agree in length and order."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [line for key, part in wanted.items() for line in within(part, got.get(key), f"{where}.{key}")]
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        return [line for n, part in enumerate(wanted) for line in within(part, got[n], f"{where}[{n}]")]
    return [] if wanted == got else [f"{where}: wanted {wanted!r}, read {got!r}"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path) -> None:
    case = json.loads(path.read_text("utf-8"))
    probe = discover.load("envcheck.probes", path.parent.name, "PROBE")
    reading = json.loads(msgspec.json.encode(probe.parse(case["evidence"])))
    assert within(case["reading"], reading) == []
    assert case["about"]


def test_every_probe_has_a_case() -> None:
    covered = {path.parent.name for path in CASES}
    assert set(discover.names("envcheck.probes")) == covered
