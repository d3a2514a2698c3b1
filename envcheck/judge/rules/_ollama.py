"""What Ollama's log says about the GPUs it looked for."""

from __future__ import annotations

from envcheck.judge import tables, versions
from envcheck.judge.device import Device
from envcheck.judge.rows import load
from envcheck.judge.rule import Case
from envcheck.judge.versions import version
from envcheck.schema.facts import value_of
from envcheck.schema.paste import Line
from envcheck.schema.requirement import BackendMatrix, Requirement

_FOUND = ("library=cuda", "library=rocm", "library=vulkan", "library=metal", "library=oneapi", "library=hip")


def nothing_found(case: Case) -> list[Line]:
    """The lines with which Ollama says that it will use the CPU; empty where it found a GPU or said neither.

    gpu.go and types.go of https://github.com/ollama/ollama/tree/main/discover
    """
    if any(name in line.text.lower() for line in case.paste.having("inference compute") for name in _FOUND):
        return []
    said = list(case.paste.having("no compatible gpus were discovered"))
    return said + [line for line in case.paste.having("inference compute") if "library=cpu" in line.text.lower()]


def driver_floor(case: Case, device: Device | None) -> str | None:
    """The oldest driver with which this Ollama uses `device`, or any GPU (the newest Ollama where none is told)."""
    presence = case.snapshot.backend("ollama")
    have = value_of(presence.binary) if presence else None
    stated = [
        row.value
        for row in load("ollama", BackendMatrix).requirement
        if row.fact == "nvidia.driver" and isinstance(row.value, str) and _concerns(row, device)
        if not row.versions or (versions.within(have, row.versions) if have else "<" not in row.versions)
    ]
    return max(stated, key=lambda text: version(text) or (), default=None)


def _concerns(row: Requirement, device: Device | None) -> bool:
    for when in row.when:
        if when.fact == "gpu.compute_capability":
            limit = version(when.value) if isinstance(when.value, str) else None
            have = device.capability if device else None
            if when.op != "version_below" or limit is None or have is None or have >= limit:
                return False
    return True


def cuda_level(driver: str) -> str | None:
    """The newest CUDA that `driver` (a floor such as "570") serves, which Ollama's log prints as the driver."""
    return tables.newest_cuda(driver, windows=False)
