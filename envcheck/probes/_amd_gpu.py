"""One record per AMD GPU from the compute topology, the display driver's figures and what `rocminfo` names."""

from __future__ import annotations

from typing import Any, Literal

from envcheck.probes import _pci
from envcheck.probes._values import mib, pick, present, table, tables, text, whole
from envcheck.schema.facts import IntFact, Known, TextFact, Unknown
from envcheck.schema.snapshot import Gpu

_IN_PROCESSORS = """
    gfx801 gfx902 gfx909 gfx90c gfx1013 gfx1033 gfx1035 gfx1036 gfx1037 gfx1103 gfx1150 gfx1151 gfx1152 gfx1153
"""
INTEGRATED = frozenset(_IN_PROCESSORS.split())
"""Targets that exist only inside processors; https://llvm.org/docs/AMDGPUUsage.html#processors ("APU")."""
_WHY = "neither the kernel nor rocminfo gave it"

Fields = dict[str, Any]


def target(number: int | None) -> str | None:
    """The compiler's name of the kernel's target number: 110000 is gfx1100, 90010 is gfx90a."""
    if number is None or not 30000 <= number < 1000000:
        return None
    major, minor, stepping = number // 10000, number // 100 % 100, number % 100
    return f"gfx{major}{minor:x}{stepping:x}"


def parse_gpus(seen: Fields) -> tuple[Gpu, ...]:
    """Compute devices in the topology's order; without a topology, the display devices on the bus."""
    nodes, cards, pci = tables(seen.get("nodes")), tables(seen.get("cards")), tables(seen.get("pci"))
    agents, smi = tables(seen.get("rocminfo")), tables(seen.get("rocm_smi"))
    count = len(nodes) or len(agents) or len(cards) or len(pci)
    return tuple(
        _gpu(
            n,
            _fit(nodes, n, count),
            _fit(cards, n, count),
            _fit(pci, n, count),
            _fit(agents, n, count) or _smi(_fit(smi, n, count)),
        )
        for n in range(min(count, 64))
    )


def _fit(listed: list[Fields], place: int, count: int) -> Fields:
    """Sources list devices in the same order; one that lists another number of them cannot be paired."""
    return listed[place] if len(listed) == count else {}


def _smi(row: Fields) -> Fields:
    return {
        "Marketing Name": row.get("Card series") or row.get("Card Series"),
        "Name": row.get("GFX Version"),
        "vram": row.get("VRAM Total Memory (B)"),
    }


def _gpu(index: int, node: Fields, card: Fields, pci: Fields, agent: Fields) -> Gpu:
    gfx = pick(
        [("/sys/class/kfd", target(whole(node.get("gfx_target_version")))), ("rocminfo", _gfx(agent.get("Name")))], _WHY
    )
    bank = _local_bank(node)
    vram, used = whole(card.get("vram_total")), whole(card.get("vram_used"))
    kind = _kind(gfx, node)
    return Gpu(
        index=index,
        vendor="amd",
        name=pick(
            [
                ("rocminfo", text(agent.get("Marketing Name"), 80)),
                ("amdgpu", text(card.get("name"), 80)),
                ("pci.ids", text(pci.get("name"), 80)),
            ],
            "only its PCI number is known",
        ),
        kind=kind,
        gfx=gfx,
        pci_id=pick(
            [
                ("/sys/bus/pci/devices", text(card.get("id"), 12) or text(pci.get("id"), 12)),
                ("/sys/class/kfd", _kfd_id(node)),
            ],
            _WHY,
        ),
        memory_total_mib=pick(
            [
                ("amdgpu", mib(vram) or None),
                ("/sys/class/kfd", mib(whole(bank.get("size_in_bytes"))) or None),
                ("rocm-smi", mib(whole(agent.get("vram"))) or None),
            ],
            _WHY,
        ),
        memory_free_mib=_free(vram, used),
        memory_shared_mib=present("amdgpu", mib(whole(card.get("gtt_total"))), _WHY)
        if kind == "integrated"
        else Unknown(why="not an integrated GPU"),
        memory_bus_bits=pick([("/sys/class/kfd", whole(bank.get("width")) or None)], _WHY),
        memory_clock_max_mhz=pick([("/sys/class/kfd", whole(bank.get("mem_clk_max")) or None)], _WHY),
        sm_clock_max_mhz=pick([("/sys/class/kfd", whole(node.get("max_engine_clk_fcompute")) or None)], _WHY),
        utilization_percent=pick([("amdgpu", whole(card.get("busy")))], _WHY),
        pcie_generation=pick([("/sys/bus/pci/devices", _pci.generation(pci, "speed"))], _WHY),
        pcie_generation_max=pick([("/sys/bus/pci/devices", _pci.generation(pci, "speed_max"))], _WHY),
        pcie_width=pick([("/sys/bus/pci/devices", _pci.width(pci, "width"))], _WHY),
        pcie_width_max=pick([("/sys/bus/pci/devices", _pci.width(pci, "width_max"))], _WHY),
    )


def _gfx(value: object) -> str | None:
    shown = text(value, 20)
    return shown.split(":")[0] if shown and shown.startswith("gfx") else None


def _kfd_id(node: Fields) -> str | None:
    number = whole(node.get("device_id"))
    return f"1002:{number:04x}" if number and 0 < number < 65536 else None


def _local_bank(node: Fields) -> Fields:
    """The bank of the device's own memory: heap 1 (public) or 2 (private) of `kfd_topology`."""
    banks = [bank for bank in tables(node.get("banks")) if whole(bank.get("heap_type")) in (1, 2)]
    return max(banks, key=lambda bank: whole(bank.get("size_in_bytes")) or 0, default=table(None))


def _free(total: int | None, used: int | None) -> IntFact:
    free = mib(total - used) if total and used is not None and 0 <= used <= total else None
    return pick([("amdgpu", free)], _WHY)


def _kind(gfx: TextFact, node: Fields) -> Literal["discrete", "integrated", "unknown"]:
    if (whole(node.get("cpu_cores_count")) or 0) > 0:
        return "integrated"
    if isinstance(gfx, Known):
        return "integrated" if gfx.value in INTEGRATED else "discrete"
    return "unknown"
