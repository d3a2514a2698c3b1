"""NVIDIA's driver stack and GPUs.

Order of trust: NVML in a killable child, then `nvidia-smi --query-gpu`, then `/proc/driver/nvidia`,
`/sys/module/nvidia` and the PCI bus. Every source that answered is in the evidence; where two disagree,
the reading keeps both.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.probes import _nvidia_smi, _pci
from envcheck.probes._json_lines import decoded
from envcheck.probes._libraries import Loader
from envcheck.probes._nvidia_gpu import parse_gpus
from envcheck.probes._nvidia_state import parse_state
from envcheck.probes._values import pick, table, text, whole
from envcheck.probes._versions import first_version
from envcheck.schema.facts import Absent, Known, TextFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Nvidia

if TYPE_CHECKING:
    from collections.abc import Callable

    from envcheck.host import Host

VENDOR = "10de"
_GPUS = "/proc/driver/nvidia/gpus"
_MODEL = re.compile(r"^Model:\s*(.{1,80})$", re.MULTILINE)
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})[0-9.]*\): (\d{1,3}),")


def collect(host: Host) -> Evidence:
    """NVML where its library is found, files meanwhile; nvidia-smi only where NVML gave no GPU and did not hang."""
    loader = Loader(host)
    asked = _start_nvml(host, loader) if host.level >= 1 else None
    evidence: Evidence = {
        "kernel": _kernel(host),
        "pci": _pci.devices(host, VENDOR, named=True),
        "nodes": [name for name in host.names("/dev") if re.fullmatch(r"nvidia(\d{1,3}|ctl|-uvm)|dxg", name)],
        "closed": _closed_nodes(host),
        "libraries": _libraries(loader),
        "compat": _compat(host, loader),
    }
    if host.level >= 1:
        if asked:
            evidence["nvml"] = asked()
        nvml = table(evidence.get("nvml"))
        if not _has_gpus(nvml) and nvml.get("failure") != "timeout" and host.which("nvidia-smi"):
            evidence["smi"] = _nvidia_smi.collect(host)
        if evidence["kernel"]["module"] or evidence["pci"]:
            evidence["xid"] = _xid_codes(host)
    return evidence


def _kernel(host: Host) -> dict[str, Any]:
    proc = host.read("/proc/driver/nvidia/version", 2000) or ""
    named = re.search(r"Kernel Module(?: for \w+)?\s+(\d[\d.]{2,20})", proc)
    described = (host.read(f"{_GPUS}/{folder}/information", 4096) or "" for folder in host.names(_GPUS))
    models = [found.group(1).strip() for words in described if (found := _MODEL.search(words))]
    sys_version = (host.read("/sys/module/nvidia/version", 60) or "").strip()
    return {
        "module": host.is_dir("/sys/module/nvidia"),
        "uvm": host.is_dir("/sys/module/nvidia_uvm"),
        "nouveau": host.is_dir("/sys/module/nouveau"),
        "sys_version": sys_version if re.fullmatch(r"\d[\d.]{2,20}", sys_version) else "",
        "proc_version": named.group(1) if named else "",
        "open": "Open Kernel Module" in proc,
        "models": models,
    }


def _closed_nodes(host: Host) -> list[str]:
    """Control and device nodes that are there and that this user may not open."""
    names = [name for name in host.names("/dev") if re.fullmatch(r"nvidia(\d{1,3}|ctl|-uvm)", name)]
    return [name for name in names if host.may_open(f"/dev/{name}") is False]


def _libraries(loader: Loader) -> dict[str, str]:
    found = {}
    for soname in ("libcuda.so.1", "libnvidia-ml.so.1"):
        path = loader.find(soname)
        if path:
            found[soname] = "wsl" if path.startswith("/usr/lib/wsl/") else loader.version(path, soname)
    return found


def _compat(host: Host, loader: Loader) -> str:
    """Version of a forward-compatibility libcuda, if that is the one the loader takes; "" if it is not."""
    path = loader.find("libcuda.so.1") or ""
    if "/compat/" not in path and "/compat/" not in host.real_path(path or "/"):
        return ""
    return loader.version(path, "libcuda.so.1")


def _start_nvml(host: Host, loader: Loader) -> Callable[[], dict[str, Any]] | None:
    """Start the child that asks NVML, and give what waits for its answer; None where there is no library to ask."""
    library = loader.find("libnvidia-ml.so.1")
    if not library and host.platform != "win32":
        return None
    import threading

    said: dict[str, Any] = {}

    def ask() -> None:
        try:
            said.update(_ask_nvml(host, library))
        except Exception as error:  # noqa: BLE001  what goes wrong here is a reading, and no thread may print it
            said.update(lines=[], failure=f"NVML could not be asked ({type(error).__name__})", code=126)

    waiting = threading.Thread(target=ask, daemon=True)
    waiting.start()

    def answer() -> dict[str, Any]:
        waiting.join()
        return said

    return answer


def _ask_nvml(host: Host, library: str | None) -> dict[str, Any]:
    from importlib.util import find_spec

    binding = find_spec("pynvml")
    folder = str(Path(binding.origin).parent) if binding and binding.origin else ""
    env = None
    if library:
        # The binding asks the loader by name; a folder that is not in the cache (WSL) has to be in its path.
        search = [part for part in host.env.get("LD_LIBRARY_PATH", "").split(":") if part]
        place = library.rsplit("/", 1)[0]
        env = {"LD_LIBRARY_PATH": ":".join([*search, place] if place not in search else search)}
    child = str(Path(__file__).with_name("_nvml_child.py"))
    done = host.run([sys.executable, "-I", "-S", child, folder], env=env)
    return {"lines": decoded(done.out), "failure": done.failure, "code": done.code}


def _has_gpus(nvml: dict[str, Any]) -> bool:
    return any(isinstance(line, dict) and "gpu" in line for line in nvml.get("lines") or ())


def _xid_codes(host: Host) -> dict[str, dict[str, int]] | None:
    """Index of a GPU to the codes of its Xid lines in the kernel log and how often each stands there; None where this
    user may not read the log.

    GPUs are counted by bus address, as NVML counts them; the address itself is dropped here.
    """
    done = host.run(["dmesg"], timeout=min(host.limit_s, 1.0))
    if not done.ok:
        return None
    order = [address.lower().rpartition(".")[0] for address in host.names(_GPUS)]
    found: dict[str, dict[str, int]] = {}
    for address, code in _XID.findall(done.out):
        if address.lower() in order:
            codes = found.setdefault(str(order.index(address.lower())), {})
            if code in codes or len(codes) < 20:
                codes[code] = codes.get(code, 0) + 1
    return found


def parse(evidence: Evidence) -> Nvidia:
    """The stack's versions, what stands between it and use, and its GPUs."""
    seen = table(evidence)
    kernel, smi = table(seen.get("kernel")), table(seen.get("smi"))
    nvml = _merge(seen)
    system = table(nvml.get("system"))
    libraries = table(seen.get("libraries"))
    state, detail = parse_state(seen, nvml)
    found = [row.get("driver_version") for row in _nvidia_smi.gpus(smi)]
    driver = pick(
        [
            ("nvml", _version(system.get("driver"))),
            ("nvidia-smi", _version(found[0] if found else None)),
            ("/sys/module/nvidia/version", _version(kernel.get("sys_version"))),
            ("/proc/driver/nvidia/version", _version(kernel.get("proc_version"))),
        ],
        "no source gave the version of the driver",
    )
    absent = Absent(source=state.source) if isinstance(state, Absent) else None
    user_mode = pick(
        [(n, _version(libraries.get(n))) for n in ("libcuda.so.1", "libnvidia-ml.so.1")], "no file name tells it"
    )
    return Nvidia(
        driver=absent if absent and isinstance(driver, Unknown) else driver,
        user_mode_driver=absent if absent and isinstance(user_mode, Unknown) else user_mode,
        cuda_driver=absent or _cuda(system.get("cuda")),
        state=state,
        state_detail=detail,
        compat_library=_parse_compat(seen),
        gpus=parse_gpus(seen, nvml, state),
    )


def _merge(seen: Evidence) -> dict[str, Any]:
    """The child's lines as one record: init, system, gpus (index to fields), links, done, failure and code."""
    nvml = table(seen.get("nvml"))
    merged: dict[str, Any] = {"gpus": {}, "failure": text(nvml.get("failure")), "code": whole(nvml.get("code"))}
    lines = nvml.get("lines")
    for line in lines if isinstance(lines, list) else ():
        fields = table(line)
        index = whole(fields.get("gpu"))
        if index is not None and 0 <= index < 256:
            merged["gpus"].setdefault(index, {}).update(fields)
        elif "gpu" not in fields:
            merged.update({key: value for key, value in fields.items() if key not in ("gpus", "failure", "code")})
    return merged


def _version(value: object) -> str | None:
    shown = text(value, 40)
    return shown if shown and re.fullmatch(r"\d{1,4}(?:\.\d{1,4}){1,3}", shown) else None


def _cuda(value: object) -> TextFact:
    number = whole(value)
    if number is None or not 1000 <= number < 100000:
        return Unknown(why="NVML did not give the CUDA version of the driver")
    return Known(value=f"{number // 1000}.{number % 1000 // 10}", source="nvml")


def _parse_compat(seen: Evidence) -> TextFact:
    shown = text(seen.get("compat"), 40)
    if shown:
        return Known(value=first_version(shown) or "present", source="loader path")
    return Absent(source="loader path")


PROBE = Probe(section="nvidia", collect=collect, parse=parse, waits=True)
