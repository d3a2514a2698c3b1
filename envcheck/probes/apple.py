"""Apple silicon: the chip, and how much of the unified memory Metal may wire down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envcheck.probes._values import mib, pick, table, text, whole
from envcheck.schema.facts import Absent, IntFact, Known, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Apple, Gpu

if TYPE_CHECKING:
    from envcheck.host import Host

_KEYS = (
    "machdep.cpu.brand_string",
    "hw.memsize",
    "iogpu.wired_limit_mb",
    "hw.optional.arm64",
    "hw.perflevel0.gpucount",
)
_SMALL_MIB = 36 * 1024
"""Up to this much memory the default working set is about two thirds of it, above it three quarters.

Observed, not documented: https://stencel.io/posts/apple-silicon-limitations-with-usage-on-local-llm%20.html
"""


def collect(host: Host) -> Evidence:
    """One call of sysctl on a Mac, nothing elsewhere."""
    if host.platform != "darwin":
        return {"platform": "other"}
    if host.level < 1:
        return {"platform": "darwin"}
    printed = host.run(["sysctl", *_KEYS]).out
    pairs = re.findall(r"^([\w.]+): (.{1,100})$", printed, re.MULTILINE)
    return {"platform": "darwin", "sysctl": {key: value for key, value in pairs if key in _KEYS}}


def parse(evidence: Evidence) -> Apple:
    """A Mac with Apple silicon has one integrated GPU; elsewhere everything is absent."""
    seen = table(evidence)
    platform, said = text(seen.get("platform")), table(seen.get("sysctl"))
    if platform is None:
        return Apple()
    chip = text(said.get("machdep.cpu.brand_string"), 80)
    if platform == "darwin" and not said:
        why = Unknown(why="sysctl was not asked at this level")
        return Apple(chip=why, metal_working_set_mib=why, gpus=why)
    if platform != "darwin" or chip is None or not chip.startswith("Apple"):
        none = Absent(source="platform")
        return Apple(chip=none, metal_working_set_mib=none, gpus=none)
    limit = _working_set(said)
    gpu = Gpu(
        index=0, vendor="apple", kind="integrated", name=Known(value=chip, source="sysctl"), memory_total_mib=limit
    )
    return Apple(
        chip=Known(value=chip, source="sysctl"), metal_working_set_mib=limit, gpus=Known(value=(gpu,), source="sysctl")
    )


def _working_set(said: Evidence) -> IntFact:
    """The limit that somebody set (`iogpu.wired_limit_mb`, 0 means the default policy), else the observed default."""
    stated, memory = whole(said.get("iogpu.wired_limit_mb")), mib(whole(said.get("hw.memsize")))
    share = None if memory is None else memory * 2 // 3 if memory <= _SMALL_MIB else memory * 3 // 4
    return pick(
        [
            ("iogpu.wired_limit_mb", stated or None),
            ("calculated from the memory size: 2/3 up to 36 GiB, 3/4 above", share),
        ],
        "sysctl gave no memory size",
    )


PROBE = Probe(section="apple", collect=collect, parse=parse)
