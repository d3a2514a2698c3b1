"""The path from GPU to GPU is absent or broken: IOMMU, ACS, a virtual machine, consumer GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Known
from envcheck.schema.gaps import GpuFeatures
from envcheck.schema.paste import compiled
from envcheck.schema.verdict import Finding

CAUSE = "p2p_or_iommu_fault"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then several GPUs that are asked to work together in a virtual machine or across sockets."""
    yield from spoken(case, CAUSE)
    yield from _nccl_log(case)
    yield from _consumer(case)
    size = case.option("tensor_parallel_size") or "1"
    several = size.isdigit() and int(size) > 1 and len(case.devices) > 1
    hypervisor = case.snapshot.cpu.hypervisor
    if several and isinstance(hypervisor, Known) and not _linked(case):
        yield finding(
            CAUSE,
            "warning",
            f"{size} GPUs work together inside a virtual machine ({hypervisor.value}), where direct paths "
            "between them often do not work.",
            case.quote("hypervisor", hypervisor),
            case.quote("GPU", case.devices[0].fact),
            confidence="possible",
        )


def _consumer(case: Case) -> Iterator[Finding]:
    """GeForce cards from the 40 series on have no direct path between them.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#peer-to-peer-memory-access
    """
    size = case.option("tensor_parallel_size") or "1"
    cards = [d for d in case.nvidia if "geforce" in d.name.lower() and (d.capability or ()) >= (8, 9)]
    alone = [row.match for row in load("gpu_features", GpuFeatures).pcie_only]
    bridged = [d for d in case.nvidia + case.amd if any(compiled(match).search(d.name) for match in alone)]
    several = size.isdigit() and int(size) > 1
    if several and len(cards) > 1:
        says = f"{cards[0].name} cards have no direct path between them."
        yield finding(CAUSE, "warning", says, case.quote("GPU", cards[0].fact), confidence="possible")
    elif several and len(bridged) > 1 and not _linked(case):
        cards = bridged
        says = f"{cards[0].name} cards reach each other over PCIe only, a path that IOMMU and ACS can break."
        yield finding(CAUSE, "warning", says, case.quote("GPU", cards[0].fact), confidence="possible")


def _nccl_log(case: Case) -> Iterator[Finding]:
    """NCCL's own log with no error in it: people paste it where collectives hang, and the usual reason is this path."""
    lines = case.paste.having("nccl info") or case.paste.having("nccl call")
    if lines and "nccl warn" not in case.paste:
        direct = any("via p2p" in line.text.lower() for line in lines)
        says = "NCCL starts and reports no error: where it then hangs, the path between the GPUs is the usual reason."
        yield finding(CAUSE, "info" if direct else "warning", says, *map(quoted, lines[:3]), confidence="possible")


def _linked(case: Case) -> bool:
    return any(
        line
        for line in case.paste.having("gpu0")
        if any(f" {link}" in line.text for link in ("NV1", "NV2", "NV4", "NV6", "NV8", "XGMI"))
    )


RULE = Rule(cause=CAUSE, link="device", judge=judge)
