"""RAM, swap or disk are too small."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding

CAUSE = "host_resources_insufficient"
_LISTED = re.compile(r"^\s*([\w./:-]{2,100})\s{1,60}[0-9a-f]{12}\s{1,60}(\d{1,4}(?:\.\d)?) (GB|TB)\b")
"""A row of `ollama list`: name, digest, size in powers of ten."""
_MIB_PER_GB = 1e9 / 2**20


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the size of a stored model against all memory; a full estimate is `fit`'s."""
    yield from spoken(case, CAUSE)
    ram = case.snapshot.memory.ram_total_mib
    total = value_of(ram)
    if total is None or case.backend not in ("ollama", ""):
        return
    memory = total + sum(device.memory_mib or 0 for device in case.nvidia + case.amd)
    wanted = case.model.partition(":")[0]
    for line in case.paste.having(wanted) if wanted else ():
        row = _LISTED.match(line.text)
        size = float(row.group(2)) * (1000 if row.group(3) == "TB" else 1) if row else 0.0
        if row and row.group(1).lower().startswith(wanted) and size * _MIB_PER_GB > memory:
            says = f"The model has {size:g} GB, RAM and GPUs together {memory / 1024:.0f} GiB."
            yield finding(CAUSE, "warning", says, quoted(line), case.quote("RAM", ram), confidence="likely")
            return
    if case.need and case.need.scheme.startswith("gguf:") and case.need.weights_mib > memory:
        says = (
            f"{case.need.model} takes {case.need.weights_mib / 1024:.0f} GiB in {case.need.scheme[5:]}; RAM and GPUs "
            f"together have {memory / 1024:.0f} GiB."
        )
        yield finding(CAUSE, "warning", says, case.quote("RAM", ram), confidence="likely")


RULE = Rule(cause=CAUSE, link="model", judge=judge)
