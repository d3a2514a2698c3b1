"""One record per AMD GPU from AMD SMI, the compute topology, the display driver's figures and what `rocminfo` names."""

from __future__ import annotations

from typing import Any, Literal

from envcheck.probes import _amdsmi, _pci
from envcheck.probes._values import mib, pick, present, real, table, tables, text, whole
from envcheck.schema.facts import FloatFact, IntFact, Known, TextFact, Unknown
from envcheck.schema.snapshot import Gpu, GpuProcess

_IN_PROCESSORS = """
    gfx801 gfx902 gfx909 gfx90c gfx1013 gfx1033 gfx1035 gfx1036 gfx1037 gfx1103 gfx1150 gfx1151 gfx1152 gfx1153
"""
INTEGRATED = frozenset(_IN_PROCESSORS.split())
"""Targets that exist only inside processors; https://llvm.org/docs/AMDGPUUsage.html#processors ("APU")."""
_WHY = "neither AMD SMI nor the kernel nor rocminfo gave it"
_MICRO = 1e-6
_MOST_WATTS = 20_000

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
    named, links = _amdsmi.devices(seen.get("amdsmi")), _amdsmi.links(seen.get("amdsmi"))
    count = len(nodes) or len(named) or len(agents) or len(cards) or len(pci)
    named = _in_order_of(nodes, named)
    return tuple(
        _gpu(
            n,
            _fit(nodes, n, count),
            _fit(cards, n, count),
            _fit(pci, n, count),
            _fit(agents, n, count) or _smi(_fit(smi, n, count)),
            _fit(named, n, count),
            links,
        )
        for n in range(min(count, 64))
    )


def _in_order_of(nodes: list[Fields], named: list[Fields]) -> list[Fields]:
    """AMD SMI's devices in the topology's order, by the node number that both give; as they are without numbers."""
    by_node = {number: device for device in named if (number := whole(device.get("node"))) is not None}
    numbers = [whole(node.get("node")) for node in nodes]
    if not nodes or None in numbers or len(by_node) != len(named) or not by_node.keys() >= set(numbers):
        return named
    return [by_node[number] for number in numbers if number is not None]


def _fit(listed: list[Fields], place: int, count: int) -> Fields:
    """Sources list devices in the same order; one that lists another number of them cannot be paired."""
    return listed[place] if len(listed) == count else {}


def _smi(row: Fields) -> Fields:
    return {
        "Marketing Name": row.get("Card series") or row.get("Card Series"),
        "Name": row.get("GFX Version"),
        "vram": row.get("VRAM Total Memory (B)"),
    }


def _gpu(
    index: int, node: Fields, card: Fields, pci: Fields, agent: Fields, named: Fields, links: dict[str, str]
) -> Gpu:
    gfx = pick(
        [
            ("amdsmi", _gfx(named.get("gfx"))),
            ("/sys/class/kfd", target(whole(node.get("gfx_target_version")))),
            ("rocminfo", _gfx(agent.get("Name"))),
        ],
        _WHY,
    )
    bank = _local_bank(node)
    vram, used = whole(card.get("vram_total")), whole(card.get("vram_used"))
    kind = _kind(gfx, node)
    return Gpu(
        index=index,
        vendor="amd",
        name=pick(
            [
                ("amdsmi", text(named.get("name"), 80)),
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
                ("amdsmi", _amdsmi.mib(named, "total")),
                ("amdgpu", mib(vram) or None),
                ("/sys/class/kfd", mib(whole(bank.get("size_in_bytes"))) or None),
                ("rocm-smi", mib(whole(agent.get("vram"))) or None),
            ],
            _WHY,
        ),
        memory_free_mib=_free(vram, used, _amdsmi.mib(named, "total", "used")),
        memory_shared_mib=present("amdgpu", mib(whole(card.get("gtt_total"))), _WHY)
        if kind == "integrated"
        else Unknown(why="not an integrated GPU"),
        memory_bus_bits=_number(named, "bus_bits", "/sys/class/kfd", whole(bank.get("width")) or None),
        memory_clock_max_mhz=_number(
            named, "memory_clock_max", "/sys/class/kfd", whole(bank.get("mem_clk_max")) or None
        ),
        sm_clock_mhz=_number(named, "clock"),
        sm_clock_max_mhz=_number(
            named, "clock_max", "/sys/class/kfd", whole(node.get("max_engine_clk_fcompute")) or None
        ),
        power_draw_w=_watts(named.get("power_w"), 1),
        power_limit_w=_watts(named.get("power_cap_uw"), _MICRO),
        power_limit_max_w=_watts(named.get("power_cap_max_uw"), _MICRO),
        temperature_c=_number(named, "temperature"),
        utilization_percent=_number(named, "busy", "amdgpu", whole(card.get("busy"))),
        ecc_uncorrected=_number(named, "ecc"),
        pcie_generation=_link(_pci.generation_of_speed(named.get("speed")), _pci.generation(pci, "speed")),
        pcie_generation_max=_link(_pci.generation_of_speed(named.get("speed_max")), _pci.generation(pci, "speed_max")),
        pcie_width=_link(_pci.width(named, "width"), _pci.width(pci, "width")),
        pcie_width_max=_link(_pci.width(named, "width_max"), _pci.width(pci, "width_max")),
        numa_node=pick([("/sys/bus/pci/devices", _pci.numa_node(pci))], _WHY),
        links=_links(index, links),
        processes=_processes(named),
    )


def _number(named: Fields, key: str, source: str = "", other: int | None = None) -> IntFact:
    by_library = whole(named.get(key))
    return pick([("amdsmi", by_library if by_library is None or by_library >= 0 else None), (source, other)], _WHY)


def _link(by_library: int | None, by_bus: int | None) -> IntFact:
    return pick([("amdsmi", by_library), ("/sys/bus/pci/devices", by_bus)], _WHY)


def _watts(value: object, unit: float) -> FloatFact:
    number = real(value)
    return pick([("amdsmi", number * unit if number is not None and 0 < number * unit < _MOST_WATTS else None)], _WHY)


def _links(index: int, links: dict[str, str]) -> Known[dict[str, str]] | Unknown:
    mine = {}
    for pair, shown in links.items():
        ends = pair.split("-")
        if str(index) in ends:
            mine[ends[1] if ends[0] == str(index) else ends[0]] = shown
    return Known(value=mine, source="amdsmi") if mine else Unknown(why=_WHY)


def _processes(named: Fields) -> Known[tuple[GpuProcess, ...]] | Unknown:
    value = named.get("processes")
    if not isinstance(value, list):
        return Unknown(why="AMD SMI did not list the processes")
    found = []
    for process in tables(value)[:64]:
        used = present("amdsmi", mib(whole(process.get("used"))), "AMD SMI did not give it")
        found.append(GpuProcess(name=text(process.get("name"), 60) or "unknown", memory_mib=used))
    return Known(value=tuple(found), source="amdsmi")


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


def _free(total: int | None, used: int | None, by_library: int | None) -> IntFact:
    free = mib(total - used) if total and used is not None and 0 <= used <= total else None
    return pick([("amdsmi", by_library), ("amdgpu", free)], _WHY)


def _kind(gfx: TextFact, node: Fields) -> Literal["discrete", "integrated", "unknown"]:
    if (whole(node.get("cpu_cores_count")) or 0) > 0:
        return "integrated"
    if isinstance(gfx, Known):
        return "integrated" if gfx.value in INTEGRATED else "discrete"
    return "unknown"
