"""One record per NVIDIA GPU from what NVML, nvidia-smi, `/proc` and the PCI bus said of it."""

from __future__ import annotations

import re
from typing import Any, Literal

from msgspec import structs

from envcheck.probes import _nvidia_smi, _pci
from envcheck.probes._product import complete
from envcheck.probes._values import MIB, mib, pick, real, rows, table, tables, text, texts, whole
from envcheck.schema.facts import (
    Absent,
    BoolFact,
    FloatFact,
    IntFact,
    Known,
    TextFact,
    TextsFact,
    Unknown,
)
from envcheck.schema.snapshot import Gpu, GpuProcess, GpusFact

_MOST = 256
_MEASURED_NO = "neither NVML nor nvidia-smi gave it"
_UNIFIED = re.compile(r"\bGB10\b|\bThor\b|\bOrin\b|\bXavier\b|\bTegra\b", re.IGNORECASE)
"""Chips whose GPU shares main memory: NVML gives no memory size for them, or the whole machine's."""

Fields = dict[str, Any]


def parse_gpus(seen: Fields, nvml: Fields, state: TextFact) -> GpusFact:
    """GPUs in NVML's order; where NVML and nvidia-smi are silent, those that `/proc` or the bus show, less exactly."""
    by_nvml: dict[int, Fields] = nvml["gpus"]
    by_smi = _nvidia_smi.gpus(table(seen.get("smi")))
    models = texts(table(seen.get("kernel")).get("models"))
    on_bus = tables(seen.get("pci"))
    links = {
        k: v for k, value in table(nvml.get("links")).items() if (v := text(value, 40)) and re.fullmatch(r"\d+-\d+", k)
    }
    if by_nvml:
        named = _by_nvml(nvml, by_smi, on_bus, models, links)
        return Known(value=with_xid(named, seen.get("xid")), source="nvml")
    for source, name_source, given in (
        ("nvidia-smi", "nvidia-smi", by_smi),
        ("/proc/driver/nvidia", "/proc", [{"name": model} for model in models]),
        ("/sys/bus/pci/devices", "/sys", [{} for _ in on_bus]),
    ):
        if given:
            count = len(given)
            gpus = (_gpu(n, {}, row, _at(on_bus, n, count), {}, name_source) for n, row in enumerate(given[:_MOST]))
            return Known(value=with_xid(tuple(map(complete, gpus)), seen.get("xid")), source=source)
    if isinstance(state, Absent) or (isinstance(state, Known) and state.value == "no_devices"):
        return Absent(source=state.source)
    return Unknown(why=state.why if isinstance(state, Unknown) else f"the NVIDIA driver is not usable: {state.value}")


def _by_nvml(
    nvml: Fields, by_smi: list[Fields], on_bus: list[Fields], models: list[str], links: Fields
) -> tuple[Gpu, ...]:
    """Every device that NVML counted; one it never came to (it hung before) keeps its place and what others say."""
    gpus: dict[int, Fields] = nvml["gpus"]
    counted = whole(table(nvml.get("system")).get("count")) or 0
    indices = sorted({*gpus, *range(min(counted, _MOST))})
    found = []
    for place, index in enumerate(indices):
        other = _row(by_smi, place) or ({"name": models[place]} if len(models) == len(indices) else {})
        source = "nvidia-smi" if by_smi else "/proc/driver/nvidia"
        found.append(complete(_gpu(index, gpus.get(index, {}), other, _at(on_bus, place, len(indices)), links, source)))
    return tuple(found)


def with_xid(gpus: tuple[Gpu, ...], xid: object) -> tuple[Gpu, ...]:
    """The same GPUs with the codes that the kernel log holds for each since it was started."""
    if not isinstance(xid, dict):
        return gpus
    counts = {index: _xid_counts(value) for index, value in xid.items()}
    found = []
    for gpu in gpus:
        mine = counts.get(str(gpu.index), {})
        codes, seen = Known(value=tuple(mine), source="kernel log"), Known(value=mine, source="kernel log")
        found.append(structs.replace(gpu, xid_errors=codes, xid_counts=seen))
    return tuple(found)


def _xid_counts(value: object) -> dict[str, int]:
    """Code to how often it was logged; older snapshots list the codes alone."""
    counted = table(value) if isinstance(value, dict) else dict.fromkeys(texts(value), 1)
    named = {code: whole(count) for code, count in counted.items() if code.isdigit() and len(code) < 5}
    return {code: count for code, count in named.items() if count is not None and count > 0}


def _row(by_smi: list[Fields], place: int) -> Fields:
    return by_smi[place] if place < len(by_smi) else {}


def _at(on_bus: list[Fields], place: int, count: int) -> Fields:
    """The bus entry of a device: both lists are in bus order, so they pair only when they are equally long."""
    return on_bus[place] if len(on_bus) == count else {}


def _gpu(index: int, gpu: Fields, smi: Fields, bus: Fields, links: Fields, name_source: str = "nvidia-smi") -> Gpu:
    said = [("nvml", text(gpu.get("name"), 80)), (name_source, text(smi.get("name"), 80))]
    # The list of PCI numbers names the chip first ("GA102 [GeForce RTX 3090]"): good only where nobody else spoke.
    listed = None if any(value for _, value in said) else text(bus.get("name"), 80)
    name = pick([*said, ("pci.ids", listed)], _no_name(gpu))
    mig = rows(gpu.get("mig"))
    return Gpu(
        index=index,
        vendor="nvidia",
        name=name,
        kind=_kind(name, bus),
        memory_total_mib=_memory(name, gpu.get("total"), smi.get("memory.total")),
        memory_free_mib=_memory(name, gpu.get("free"), smi.get("memory.free")),
        memory_reserved_mib=_memory(name, gpu.get("reserved"), smi.get("memory.reserved"), may_be_zero=True),
        compute_capability=_capability(gpu, smi),
        pci_id=pick(
            [("nvml", _pci_id(gpu.get("pci"))), ("/sys/bus/pci/devices", _pci_text(bus.get("id")))], _MEASURED_NO
        ),
        pcie_generation=_number(gpu, "pcie_generation", smi, "pcie.link.gen.current", _pci.generation(bus, "speed")),
        pcie_generation_max=_number(
            gpu, "pcie_generation_max", smi, "pcie.link.gen.max", _pci.generation(bus, "speed_max")
        ),
        pcie_width=_number(gpu, "pcie_width", smi, "pcie.link.width.current", _pci.width(bus, "width")),
        pcie_width_max=_number(gpu, "pcie_width_max", smi, "pcie.link.width.max", _pci.width(bus, "width_max")),
        memory_bus_bits=_number(gpu, "bus_bits", smi, ""),
        memory_clock_max_mhz=_number(gpu, "memory_clock_max", smi, "clocks.max.memory"),
        sm_clock_mhz=_number(gpu, "sm_clock", smi, "clocks.sm"),
        sm_clock_max_mhz=_number(gpu, "sm_clock_max", smi, "clocks.max.sm"),
        power_draw_w=_watts(gpu.get("power_mw"), smi.get("power.draw")),
        power_limit_w=_watts(gpu.get("power_limit_mw"), smi.get("power.limit")),
        power_limit_max_w=_watts((rows(gpu.get("power_limits_mw")) or [None])[-1], smi.get("power.max_limit")),
        temperature_c=_number(gpu, "temperature", smi, "temperature.gpu"),
        utilization_percent=_number(gpu, "utilization", smi, "utilization.gpu"),
        throttle_reasons=_throttle(gpu.get("throttle")),
        ecc_uncorrected=_number(gpu, "ecc", smi, "ecc.errors.uncorrected.volatile.total"),
        mig_mode=_switch((whole(mig[0]) if mig else None), smi.get("mig.mode.current")),
        mig_slices=_slices(mig, gpu.get("slices")),
        persistence=_switch(whole(gpu.get("persistence")), smi.get("persistence_mode")),
        compute_mode=pick(
            [("nvml", text(gpu.get("compute_mode"), 40)), ("nvidia-smi", _words(smi.get("compute_mode")))], _MEASURED_NO
        ),
        numa_node=pick([("/sys/bus/pci/devices", _pci.numa_node(bus))], _MEASURED_NO),
        links=_links(index, links),
        processes=_processes(gpu),
    )


def _no_name(gpu: Fields) -> str:
    lost = whole(gpu.get("error"))
    return f"NVML cannot reach this GPU (nvmlReturn_t {lost})" if lost is not None else "only its PCI number is known"


def _kind(name: TextFact, bus: Fields) -> Literal["discrete", "integrated", "unknown"]:
    if isinstance(name, Known):
        return "integrated" if _UNIFIED.search(name.value) else "discrete"
    return "discrete" if bus else "unknown"


def _memory(name: TextFact, nvml: object, smi: object, may_be_zero: bool = False) -> IntFact:
    bytes_, megabytes = whole(nvml), whole(smi)
    least = 0 if may_be_zero else 1
    by_nvml = mib(bytes_) if bytes_ is not None and bytes_ >= least * MIB else None
    by_smi = megabytes if megabytes is not None and megabytes >= least else None
    unified = isinstance(name, Known) and bool(_UNIFIED.search(name.value))
    why = "unified memory: NVML gives no figure of its own" if unified else "no source gave a memory size"
    return pick([("nvml", by_nvml), ("nvidia-smi", by_smi)], why)


def _capability(gpu: Fields, smi: Fields) -> TextFact:
    pair = [whole(part) for part in rows(gpu.get("capability"))]
    by_nvml = f"{pair[0]}.{pair[1]}" if len(pair) == 2 and all(p is not None and 0 <= p < 100 for p in pair) else None
    by_smi = text(smi.get("compute_cap"), 8)
    return pick(
        [("nvml", by_nvml), ("nvidia-smi", by_smi if by_smi and re.fullmatch(r"\d{1,2}\.\d", by_smi) else None)],
        _MEASURED_NO,
    )


def _pci_id(number: object) -> str | None:
    value = whole(number)
    return f"{value & 0xFFFF:04x}:{value >> 16 & 0xFFFF:04x}" if value and 0 < value < 2**32 else None


def _pci_text(value: object) -> str | None:
    shown = text(value, 12)
    return shown if shown and re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", shown) else None


def _number(gpu: Fields, key: str, smi: Fields, field: str, bus: int | None = None) -> IntFact:
    said = [("nvml", whole(gpu.get(key))), ("nvidia-smi", whole(smi.get(field)))]
    known = [(source, value) for source, value in said if value is None or value >= 0]
    return pick([*known, ("/sys/bus/pci/devices", bus)], _MEASURED_NO)


def _watts(milliwatts: object, watts: object) -> FloatFact:
    by_nvml, by_smi = whole(milliwatts), real(watts)
    return pick(
        [("nvml", None if by_nvml is None or by_nvml < 0 else by_nvml / 1000), ("nvidia-smi", by_smi)], _MEASURED_NO
    )


def _throttle(value: object) -> TextsFact:
    return Known(value=tuple(texts(value)), source="nvml") if isinstance(value, list) else Unknown(why=_MEASURED_NO)


def _switch(nvml: int | None, smi: object) -> BoolFact:
    shown = (text(smi, 20) or "").lower()
    by_smi = {"enabled": True, "disabled": False}.get(shown)
    return pick([("nvml", None if nvml is None else nvml == 1), ("nvidia-smi", by_smi)], _MEASURED_NO)


def _slices(mode: list[Any], value: object) -> TextsFact:
    if not mode:
        return Absent(source="nvml")
    if whole(mode[0]) != 1:
        return Absent(source="nvml")
    profiles = [re.search(r"\d+g\.\d+gb[\w.+]*", text(piece.get("name")) or "") for piece in tables(value)]
    return Known(value=tuple(found.group(0) for found in profiles if found), source="nvml")


def _words(value: object) -> str | None:
    shown = text(value, 40)
    return shown.lower().replace(" ", "_") if shown else None


def _links(index: int, links: Fields) -> Known[dict[str, str]] | Unknown:
    mine = {}
    for pair, shown in links.items():
        ends = pair.split("-")
        if str(index) in ends:
            mine[ends[1] if ends[0] == str(index) else ends[0]] = shown
    return (
        Known(value=mine, source="nvml") if mine else Unknown(why="NVML named no other GPU that this one is joined to")
    )


def _processes(gpu: Fields) -> Known[tuple[GpuProcess, ...]] | Unknown:
    value = gpu.get("processes")
    if not isinstance(value, list):
        return Unknown(why="NVML did not list the processes")
    found = []
    for process in tables(value)[:64]:
        used = mib(whole(process.get("used")))
        fact: IntFact = Unknown(why="NVML did not give it") if used is None else Known(value=used, source="nvml")
        found.append(GpuProcess(name=text(process.get("name"), 60) or "unknown", memory_mib=fact))
    return Known(value=tuple(found), source="nvml")
