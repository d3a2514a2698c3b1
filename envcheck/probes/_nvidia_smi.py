"""`nvidia-smi --query-gpu`: the second source of the NVIDIA probe.

Its banner is never read: the words changed at driver 610 (https://github.com/sgl-project/sglang/issues/27487).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envcheck.probes._values import rows, text

if TYPE_CHECKING:
    from envcheck.host import Host

FIELDS = (
    "index", "name", "driver_version", "memory.total", "memory.free", "memory.reserved", "compute_cap",
    "pcie.link.gen.current", "pcie.link.gen.max", "pcie.link.width.current", "pcie.link.width.max",
    "power.draw", "power.limit", "power.max_limit", "clocks.sm", "clocks.max.sm", "clocks.max.memory",
    "temperature.gpu", "utilization.gpu", "ecc.errors.uncorrected.volatile.total", "mig.mode.current",
    "persistence_mode", "compute_mode",
)  # fmt: skip
_MOST_UNKNOWN_FIELDS = 8
_REFUSED = re.compile(r'Field "([\w.]+)" is not a valid field')

# What nvidia-smi says when it cannot work, and the state of the stack that it means.
FAILURES = (
    ("version mismatch", "version_mismatch"),
    ("couldn't communicate with the nvidia driver", "module_not_loaded"),
    ("driver not loaded", "module_not_loaded"),
    ("no devices were found", "no_devices"),
    ("insufficient permissions", "permission"),
    ("couldn't find libnvidia-ml", "library_missing"),
)


def collect(host: Host) -> dict[str, Any]:
    """The query's lines, its fields, and how it ended; a field that the driver refuses is left out."""
    fields = list(FIELDS)
    for _ in range(_MOST_UNKNOWN_FIELDS):
        done = host.run(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"])
        refused = _REFUSED.search(done.out + done.err)
        if refused is None or refused.group(1) not in fields:
            break
        fields.remove(refused.group(1))
    said = (done.out + done.err).lower()
    # Error texts name bus addresses, so only what they mean is kept.
    failure = next((state for words, state in FAILURES if words in said), "failed")
    return {
        "fields": fields,
        "lines": done.out.splitlines()[:256] if done.ok else [],
        "failure": "" if done.ok and "no devices were found" not in said else done.failure or failure,
    }


def gpus(evidence: dict[str, Any]) -> list[dict[str, str]]:
    """One {field: value} per line whose columns fit the fields; values such as "[N/A]" are left out."""
    fields, found = rows(evidence.get("fields")), []
    for line in rows(evidence.get("lines")):
        columns = line.split(",") if isinstance(line, str) else []
        if len(columns) == len(fields) > 1:
            shown = {str(field): text(column) for field, column in zip(fields, columns, strict=True)}
            found.append({field: value for field, value in shown.items() if value and not value.startswith("[")})
    return found
