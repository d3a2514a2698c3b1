"""AMD GPUs: AMD SMI in a killable child, the kernel's compute topology (`/sys/class/kfd`), the display driver's files,
then `rocminfo` or `rocm-smi`.

Serial numbers (`unique_id`, UUID) and places on the bus stand in the same files; they are not among the fields read.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from envcheck.probes import _amdsmi, _pci
from envcheck.probes._amd_gpu import parse_gpus
from envcheck.probes._product import complete
from envcheck.probes._together import together
from envcheck.probes._values import flag, pick, present, table, tables, text, texts
from envcheck.schema.facts import Absent, Known, TextFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Amd

if TYPE_CHECKING:
    from collections.abc import Callable

    from envcheck.host import Host

VENDOR = "1002"
_NODES = "/sys/class/kfd/kfd/topology/nodes"
_NODE_FIELDS = (
    "gfx_target_version",
    "simd_count",
    "cpu_cores_count",
    "vendor_id",
    "device_id",
    "max_engine_clk_fcompute",
)
_BANK_FIELDS = ("heap_type", "size_in_bytes", "width", "mem_clk_max")
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
_NAMES = ("/usr/share/libdrm/amdgpu.ids", "/opt/amdgpu/share/libdrm/amdgpu.ids")


def collect(host: Host) -> Evidence:
    """Files; AMD SMI and programs only where they are installed and a device is there to be named."""
    pci = _pci.devices(host, VENDOR, named=True)
    cards = _cards(host) if pci else []
    evidence: Evidence = {
        "module": host.is_dir("/sys/module/amdgpu"),
        "module_version": _only_version(host.read("/sys/module/amdgpu/version", 60)),
        "rocm": _rocm(host),
        "kfd": host.exists("/dev/kfd"),
        "closed": [name for name in ("kfd", *_render_nodes(host)) if host.may_open(f"/dev/{name}") is False]
        if pci
        else [],
        "nodes": _nodes(host),
        "cards": cards,
        "pci": pci,
    }
    if host.level >= 1 and (evidence["nodes"] or cards or pci):
        evidence.update(together(_questions(host)))
    return evidence


def _questions(host: Host) -> dict[str, Callable[[], Any]]:
    """What is asked of libraries and programs, all at once: each may hang in the driver for itself."""
    questions: dict[str, Callable[[], Any]] = {}
    if place := _amdsmi.folder(host):
        questions["amdsmi"] = partial(_amdsmi.ask, host, place)
    if program := host.which("rocminfo") or _program(host, "/opt/rocm/bin/rocminfo"):
        questions["rocminfo"] = partial(_printed, host, [program], _rocminfo)
    elif program := host.which("rocm-smi") or _program(host, "/opt/rocm/bin/rocm-smi"):
        asked = ["--showproductname", "--showmeminfo", "vram", "--csv"]
        questions["rocm_smi"] = partial(_printed, host, [program, *asked], _rocm_smi)
    return questions


def _printed(host: Host, argv: list[str], read: Callable[[str], list[dict[str, str]]]) -> list[dict[str, str]]:
    return read(host.run(argv).out)


def _program(host: Host, path: str) -> str | None:
    return path if host.is_real and host.exists(path) else None


def _only_version(content: str | None) -> str:
    found = _VERSION.search(content or "")
    return found.group(0) if found else ""


def _rocm(host: Host) -> str:
    """The release of ROCm's user space, from the file that its packages write."""
    roots = [host.env.get("ROCM_PATH") or "", "/opt/rocm"]
    roots += [f"/opt/{name}" for name in sorted(host.names("/opt"), reverse=True) if name.startswith("rocm-")]
    for root in filter(None, roots):
        for name in (".info/version", ".info/version-dev"):
            if version := _only_version(host.read(f"{root}/{name}", 60)):
                return version
    return ""


def _render_nodes(host: Host) -> list[str]:
    return [f"dri/{name}" for name in host.names("/dev/dri") if re.fullmatch(r"renderD\d{1,3}", name)]


def _nodes(host: Host) -> list[dict[str, Any]]:
    """Compute devices: nodes with SIMD units. A node without them is a processor."""
    found = []
    for name in sorted((n for n in host.names(_NODES) if n.isdigit()), key=int):
        node: dict[str, Any] = {"node": int(name)}
        node |= _properties(host, f"{_NODES}/{name}/properties", _NODE_FIELDS)
        if node.get("simd_count") and node.get("gfx_target_version"):
            banks = (
                f"{_NODES}/{name}/mem_banks/{bank}/properties" for bank in host.names(f"{_NODES}/{name}/mem_banks")
            )
            node["banks"] = [_properties(host, bank, _BANK_FIELDS) for bank in banks]
            found.append(node)
    return found


def _properties(host: Host, path: str, wanted: tuple[str, ...]) -> dict[str, int]:
    pairs = re.findall(r"^(\w+) (\d{1,19})$", host.read(path, 16384) or "", re.MULTILINE)
    return {name: int(number) for name, number in pairs if name in wanted}


def _cards(host: Host) -> list[dict[str, Any]]:
    """What the display driver says of each of its cards, in bus order."""
    found = []
    for address in host.names(_pci.BUS):
        folder = f"{_pci.BUS}/{address}"
        if (host.read(f"{folder}/vendor", 20) or "").strip() != f"0x{VENDOR}" or not host.exists(
            f"{folder}/mem_info_vram_total"
        ):
            continue
        card = {
            name: (host.read(f"{folder}/mem_info_{name}", 30) or "").strip()
            for name in ("vram_total", "vram_used", "gtt_total")
        }
        device = (host.read(f"{folder}/device", 20) or "").strip().lower().removeprefix("0x")
        revision = (host.read(f"{folder}/revision", 20) or "").strip().lower().removeprefix("0x")
        name = (host.read(f"{folder}/product_name", 100) or "").strip()
        busy = (host.read(f"{folder}/gpu_busy_percent", 10) or "").strip()
        found.append(
            {**card, "id": f"{VENDOR}:{device}", "name": name or _listed(host, device, revision), "busy": busy}
        )
    return found


def _listed(host: Host, device: str, revision: str) -> str:
    """Marketing name by device and revision, from the list that libdrm ships."""
    for path in _NAMES:
        found = re.search(
            rf"^{re.escape(device)},\s*{re.escape(revision)},\s*(.{{1,80}})$",
            host.read(path, 262144) or "",
            re.MULTILINE | re.IGNORECASE,
        )
        if device and found:
            return found.group(1).strip()
    return ""


def _rocminfo(printed: str) -> list[dict[str, str]]:
    """One record per agent that is a GPU: its target, marketing name and compute units."""
    found = []
    for block in re.split(r"^\*{5,}\s*$\s*^Agent \d+\s*$", printed, flags=re.MULTILINE)[1:65]:
        fields = dict(
            re.findall(r"^ {2}(Name|Marketing Name|Device Type|Compute Unit):\s*(\S.{0,79})$", block, re.MULTILINE)
        )
        if fields.get("Device Type", "").strip() == "GPU":
            found.append({key: value.strip() for key, value in fields.items()})
    return found


def _rocm_smi(printed: str) -> list[dict[str, str]]:
    """Rows of the CSV by the columns that carry a name or a size; other columns hold serials and bus numbers."""
    lines = [line.split(",") for line in printed.splitlines() if "," in line]
    wanted = (
        "Card series",
        "Card Series",
        "Card model",
        "GFX Version",
        "VRAM Total Memory (B)",
        "VRAM Total Used Memory (B)",
    )
    header = lines[0] if lines else []
    return [
        {title: cells[place].strip() for place, title in enumerate(header) if title in wanted and place < len(cells)}
        for cells in lines[1:65]
        if cells[0].startswith("card")
    ]


def parse(evidence: Evidence) -> Amd:
    """The stack's versions, what stands between it and use, and its GPUs."""
    seen = table(evidence)
    source = "/sys/bus/pci/devices, /sys/class/kfd"
    state, detail = _state(seen, source)
    gpus = tuple(map(complete, parse_gpus(seen)))
    loaded = flag(seen.get("module"))
    named = next((v for device in _amdsmi.devices(seen.get("amdsmi")) if (v := _driver(device))), None)
    version = text(seen.get("module_version"), 40) or (None if not loaded else "in the kernel")
    said = [("/sys/module/amdgpu", version), ("amdsmi", named)]
    return Amd(
        driver=pick(said, "") if named or version else Absent(source="/sys/module/amdgpu"),
        rocm=present("/opt/rocm/.info/version", text(seen.get("rocm"), 40)),
        state=state,
        state_detail=detail,
        gpus=Known(value=gpus, source="/sys/class/kfd, /sys/bus/pci/devices") if gpus else _none(seen, source),
    )


def _driver(device: dict[str, Any]) -> str | None:
    return _only_version(text(device.get("driver"), 60)) or None


def _none(seen: Evidence, source: str) -> Absent | Unknown:
    return Unknown(why="the evidence holds no list of devices") if "pci" not in seen else Absent(source=source)


def _state(seen: Evidence, source: str) -> tuple[TextFact, TextFact]:
    if not tables(seen.get("pci")) and not tables(seen.get("nodes")):
        return Absent(source=source), Absent(source=source)
    closed = texts(seen.get("closed"))
    if not flag(seen.get("module")):
        judged = ("module_not_loaded", "an AMD GPU is on the bus and the amdgpu module is not loaded")
    elif not flag(seen.get("kfd")):
        judged = ("kfd_missing", "the amdgpu module is loaded and /dev/kfd is not there, so ROCm has no device to open")
    elif closed:
        judged = ("permission", f"this user may not open {', '.join('/dev/' + name for name in closed[:4])}")
    elif table(seen.get("amdsmi")).get("failure") == "timeout":
        judged = ("hung", "AMD SMI did not answer within the limit")
    elif not tables(seen.get("nodes")):
        judged = ("no_compute", "the kernel's compute topology lists no GPU")
    else:
        return Known(value="ready", source=source), Absent(source=source)
    return Known(value=judged[0], source=source), Known(value=judged[1], source=source)


PROBE = Probe(section="amd", collect=collect, parse=parse, waits=True)
