"""Whether NVIDIA's stack can be used, and if not, what stands in the way: its own reading, never a missing GPU."""

from __future__ import annotations

from typing import Any

from envcheck.probes._values import flag, table, tables, text, texts, whole
from envcheck.schema.facts import Absent, Known, TextFact, Unknown

_INIT = {
    # nvmlReturn_t of nvmlInit: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html
    4: ("permission", "NVML was refused access to the device nodes"),
    9: ("module_not_loaded", "NVML says that the NVIDIA kernel driver is not loaded"),
    12: ("library_missing", "libnvidia-ml.so.1 could not be loaded"),
    15: ("failed", "NVML says that a GPU is lost: it fell off the bus or is otherwise inaccessible"),
    17: ("failed", "the operating system refused NVML's request"),
    18: ("version_mismatch", "the NVIDIA libraries and the loaded kernel module have different versions"),
    999: ("failed", "NVML failed with an unknown error"),
}
_SMI = {
    "version_mismatch": "nvidia-smi: driver and library versions differ",
    "module_not_loaded": "nvidia-smi could not reach the NVIDIA driver",
    "no_devices": "nvidia-smi found no device",
    "permission": "nvidia-smi was refused access",
    "library_missing": "nvidia-smi could not find libnvidia-ml",
    "timeout": "nvidia-smi did not answer within the limit",
}
_FABRIC_DONE = 3
"""nvmlGpuFabricState: 0 not supported, 1 not started, 2 in progress, 3 completed."""

State = tuple[TextFact, TextFact]


def parse_state(seen: dict[str, Any], nvml: dict[str, Any]) -> State:
    """(`state`, `state_detail`) of the schema's words; absent where nothing of NVIDIA's is on this machine."""
    code = whole(nvml.get("init"))
    for judged in (_hung_or_crashed(nvml), _initialised(seen, nvml, code), _refused(seen, nvml, code), _from_smi(seen)):
        if judged:
            return judged
    return _without_nvml(seen)


def _hung_or_crashed(nvml: dict[str, Any]) -> State | None:
    failure, code = nvml.get("failure"), nvml.get("code")
    place = "after it had named the GPUs" if nvml["gpus"] else "before it named a GPU"
    if failure == "timeout":
        return _state("hung", f"NVML did not answer within the limit, {place}")
    if isinstance(code, int) and code < 0:
        return _state("crashed", f"the program that asked NVML died of signal {-code}, {place}")
    return None


def _initialised(seen: dict[str, Any], nvml: dict[str, Any], code: int | None) -> State | None:
    if code != 0:
        return None
    if not nvml["gpus"]:
        return _state("no_devices", "NVML works and shows no GPU")
    fabric = [
        state for gpu in nvml["gpus"].values() if (state := whole(table(gpu.get("fabric")).get("state"))) is not None
    ]
    if any(0 < state < _FABRIC_DONE for state in fabric):
        return _state(
            "fabric_manager", "the NVLink fabric is not up: the fabric manager has not finished or does not run"
        )
    if closed := texts(seen.get("closed")):
        return _state("permission", f"this user may not open {', '.join('/dev/' + name for name in closed[:4])}")
    kernel, nodes = table(seen.get("kernel")), texts(seen.get("nodes"))
    # In a container the module's folder is the host's; without the node CUDA fails with 999 although NVML works.
    if "nvidiactl" in nodes and "nvidia-uvm" not in nodes:
        loaded = "is loaded, but /dev/nvidia-uvm is missing" if flag(kernel.get("uvm")) else "is not loaded"
        return _state("uvm_missing", f"the kernel module nvidia_uvm {loaded}")
    lost = [index for index, gpu in nvml["gpus"].items() if whole(gpu.get("error")) is not None]
    if lost:
        return _state("failed", f"NVML cannot reach GPU {', '.join(map(str, lost))}")
    return Known(value="ready", source="nvml"), Absent(source="nvml")


def _refused(seen: dict[str, Any], nvml: dict[str, Any], code: int | None) -> State | None:
    if text(nvml.get("binding")):
        return None
    if code == 9 and not _hardware(seen) and not flag(table(seen.get("kernel")).get("module")):
        # The library is there and the hardware is not: a CUDA image on a machine without a GPU.
        return _state(
            "no_devices", "the NVIDIA libraries are installed; neither a GPU nor the kernel module is visible"
        )
    if code is None or code == 0:
        return None
    state, says = _INIT.get(code, ("failed", f"NVML could not start (nvmlReturn_t {code})"))
    return _state(state, says)


def _from_smi(seen: dict[str, Any]) -> State | None:
    smi = table(seen.get("smi"))
    if not smi:
        return None
    failure = text(smi.get("failure"))
    if not failure:
        return Known(value="ready", source="nvidia-smi"), Absent(source="nvidia-smi")
    state = {"timeout": "hung"}.get(failure, failure if failure in _SMI else "failed")
    return _state(state, _SMI.get(failure, "nvidia-smi failed"), "nvidia-smi")


def _without_nvml(seen: dict[str, Any]) -> State:
    kernel = table(seen.get("kernel"))
    source = "/sys/bus/pci/devices, /proc/driver/nvidia"
    loaded = bool(flag(kernel.get("module")) or text(kernel.get("proc_version")))
    if "wsl" in table(seen.get("libraries")).values():
        # No bus and no module under WSL: Windows' driver is behind /dev/dxg, and only NVML can tell.
        why = "Windows' NVIDIA driver is mounted; NVML was not asked at this level"
        return Unknown(why=why), Unknown(why=why)
    if not loaded and not _hardware(seen):
        return Absent(source=source), Absent(source=source)
    if not loaded:
        other = "nouveau drives the GPU instead" if flag(kernel.get("nouveau")) else "no NVIDIA kernel module is loaded"
        return _state("module_not_loaded", f"an NVIDIA GPU is on the bus and {other}", source)
    if "libnvidia-ml.so.1" not in table(seen.get("libraries")):
        return _state("library_missing", "the kernel module is loaded and libnvidia-ml.so.1 is not to be found", source)
    why = "the kernel module is loaded; NVML was not asked at this level"
    return Unknown(why=why), Unknown(why=why)


def _hardware(seen: dict[str, Any]) -> bool:
    return bool(tables(seen.get("pci")) or texts(table(seen.get("kernel")).get("models")))


def _state(state: str, detail: str, source: str = "nvml") -> State:
    return Known(value=state, source=source), Known(value=detail, source=source)
