"""Asks NVML everything and prints it, one JSON object a line, flushed: what was said before a hang or a crash is kept.

Run by path as a program of its own (`python -I -S _nvml_child.py FOLDER_OF_PYNVML`): a driver that hangs,
crashes or takes a lock cannot take envcheck with it. It imports nothing of envcheck and prints no UUID, serial number
or bus address.

Lines: {"init": code} (0 is success, the others are nvmlReturn_t), then {"system": {…}}, then {"gpu": i, …}, twice a
device (identity and memory first, then slower or rarer figures), then {"links": {"0-1": "NV12"}}, then {"done": true}.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINK_DEVICES = 16
"""Pairs grow with the square of the devices; a matrix beyond 16 is not printed."""

_THROTTLE = {
    # nvml.h, nvmlClocksEventReasons; idle (1) and application clocks (2) are states, not complaints, and stay out.
    0x4: "sw_power_cap", 0x8: "hw_slowdown", 0x10: "sync_boost", 0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown", 0x80: "hw_power_brake_slowdown", 0x100: "display_clocks",
}  # fmt: skip
_TOPOLOGY = {0: "same board", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
"""nvmlGpuTopologyLevel_t in the words of `nvidia-smi topo -m`."""
_COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}


def say(line: dict[str, Any]) -> None:
    """Print one line and make sure that it is out before the next question."""
    print(encoded(line), flush=True)  # noqa: T201  the answer of this program


def encoded(value: Any) -> str:
    """JSON of what NVML answers. The `json` module costs a fifth of this program's start, and everyone waits for it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{encoded(str(key))}:{encoded(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(encoded, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else escaped(c) for c in value) + '"'
    known = {None: "null", True: "true", False: "false"}
    return known[value] if value is None or isinstance(value, bool) else repr(value)


def escaped(character: str) -> str:
    """A character in JSON's notation of UTF-16 units."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def ask(nvml: Any, name: str, *arguments: Any) -> Any:
    """The answer of one NVML function; None where this GPU, driver or library has none."""
    try:
        return getattr(nvml, name)(*arguments)
    except Exception:  # noqa: BLE001  the binding raises several unrelated classes, and each of them means "no answer"
        return None


def words(value: Any) -> str | None:
    """Text of an answer that older bindings give as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def start_lean() -> None:
    """Put light stand-ins where the binding imports modules that it hardly uses, and look for no garbage meanwhile.

    Importing `ctypes.util` and `string` for real costs more than starting Python and loading the binding's own
    functions. Whatever else somebody asks of a stand-in comes from the real module.
    """
    gc.disable()
    stand_in("ctypes.util", find_library=lambda name: real("ctypes.util", "find_library")(name))
    stand_in("string", capwords=lambda words, sep: sep.join(word.capitalize() for word in words.split(sep)))


def stand_in(module: str, **have: Any) -> None:
    """A module that has `have`, and takes everything else from the one whose name it bears."""
    light = type(sys)(module)
    light.__dict__.update(have, __getattr__=lambda name: real(module, name))
    sys.modules[module] = light


def real(module: str, name: str) -> Any:
    """What the module itself calls `name`. The import system looks for its own names (`__path__`) on every module."""
    if name.startswith("__"):
        raise AttributeError(name)
    sys.modules.pop(module, None)
    return getattr(__import__(module, fromlist=[name]), name)


def main() -> int:
    """Ask and print; the exit code says only whether the binding itself could be used."""
    sys.path[:0] = sys.argv[1:2]
    start_lean()
    try:
        import pynvml as nvml
    except Exception as error:  # noqa: BLE001  a broken binding may raise anything, and this line is its report
        say({"binding": type(error).__name__})
        return 1
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        say({"init": getattr(error, "value", -1)})
        return 0
    say({"init": 0})
    say({"system": system(nvml)})
    handles = devices(nvml)
    for index, handle in handles:
        say({"gpu": index, **identity(nvml, handle)})
    for index, handle in handles:
        say({"gpu": index, **figures(nvml, handle)})
    say({"links": links(nvml, handles)})
    say({"done": True})
    return 0


def system(nvml: Any) -> dict[str, Any]:
    """Driver and CUDA versions and how many devices there are."""
    cuda = ask(nvml, "nvmlSystemGetCudaDriverVersion_v2")
    return {
        "driver": words(ask(nvml, "nvmlSystemGetDriverVersion")),
        # The number that cuDriverGetVersion gives: 13030 is 13.3.
        "cuda": cuda if isinstance(cuda, int) else ask(nvml, "nvmlSystemGetCudaDriverVersion"),
        "nvml": words(ask(nvml, "nvmlSystemGetNVMLVersion")),
        "count": ask(nvml, "nvmlDeviceGetCount"),
    }


def devices(nvml: Any) -> list[tuple[int, Any]]:
    """(index, handle) of every device; of one that is lost only the error is said."""
    handles = []
    for index in range(min(ask(nvml, "nvmlDeviceGetCount") or 0, 256)):
        try:
            handles.append((index, nvml.nvmlDeviceGetHandleByIndex(index)))
        except nvml.NVMLError as error:
            say({"gpu": index, "error": getattr(error, "value", -1)})
    return handles


def identity(nvml: Any, handle: Any) -> dict[str, Any]:
    """What must be known of a device before anything else may go wrong."""
    memory = ask(nvml, "nvmlDeviceGetMemoryInfo", handle, getattr(nvml, "nvmlMemory_v2", None))
    plain = memory if memory is not None else ask(nvml, "nvmlDeviceGetMemoryInfo", handle)
    capability = ask(nvml, "nvmlDeviceGetCudaComputeCapability", handle)
    pci = ask(nvml, "nvmlDeviceGetPciInfo", handle)
    return {
        "name": words(ask(nvml, "nvmlDeviceGetName", handle)),
        "total": getattr(plain, "total", None),
        "free": getattr(plain, "free", None),
        "used": getattr(plain, "used", None),
        "reserved": getattr(memory, "reserved", None),
        "capability": list(capability) if capability else None,
        # Device number in the high half, vendor number in the low half.
        "pci": getattr(pci, "pciDeviceId", None),
        "mig": ask(nvml, "nvmlDeviceGetMigMode", handle),
    }


def figures(nvml: Any, handle: Any) -> dict[str, Any]:
    """Everything else, each asked for itself: half of it is "not supported" on many boards."""
    utilization = ask(nvml, "nvmlDeviceGetUtilizationRates", handle)
    reasons = ask(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return {
        "pcie_generation": ask(nvml, "nvmlDeviceGetCurrPcieLinkGeneration", handle),
        "pcie_generation_max": ask(nvml, "nvmlDeviceGetMaxPcieLinkGeneration", handle),
        "pcie_width": ask(nvml, "nvmlDeviceGetCurrPcieLinkWidth", handle),
        "pcie_width_max": ask(nvml, "nvmlDeviceGetMaxPcieLinkWidth", handle),
        "bus_bits": ask(nvml, "nvmlDeviceGetMemoryBusWidth", handle),
        "sm_clock": ask(nvml, "nvmlDeviceGetClockInfo", handle, 1),
        "sm_clock_max": ask(nvml, "nvmlDeviceGetMaxClockInfo", handle, 1),
        "memory_clock_max": ask(nvml, "nvmlDeviceGetMaxClockInfo", handle, 2),
        "power_mw": ask(nvml, "nvmlDeviceGetPowerUsage", handle),
        "power_limit_mw": ask(nvml, "nvmlDeviceGetEnforcedPowerLimit", handle),
        "power_limits_mw": ask(nvml, "nvmlDeviceGetPowerManagementLimitConstraints", handle),
        "temperature": ask(nvml, "nvmlDeviceGetTemperature", handle, 0),
        "utilization": getattr(utilization, "gpu", None),
        "throttle": [name for bit, name in _THROTTLE.items() if reasons & bit] if isinstance(reasons, int) else None,
        "ecc": ask(nvml, "nvmlDeviceGetTotalEccErrors", handle, 1, 0),
        "ecc_mode": ask(nvml, "nvmlDeviceGetEccMode", handle),
        "persistence": ask(nvml, "nvmlDeviceGetPersistenceMode", handle),
        "compute_mode": _COMPUTE_MODES.get(ask(nvml, "nvmlDeviceGetComputeMode", handle)),
        "fabric": fabric(nvml, handle),
        "slices": slices(nvml, handle),
        "processes": processes(nvml, handle),
    }


def fabric(nvml: Any, handle: Any) -> dict[str, Any] | None:
    """State of the NVLink fabric: 3 is complete; a device outside a fabric answers "not supported" or 0."""
    try:
        answer = nvml.c_nvmlGpuFabricInfo_t()
    except AttributeError:
        return None
    if ask(nvml, "nvmlDeviceGetGpuFabricInfo", handle, nvml.byref(answer)) is None:
        return None
    return {"state": answer.state, "status": answer.status}


def slices(nvml: Any, handle: Any) -> list[dict[str, Any]] | None:
    """MIG devices by name ("NVIDIA A100-SXM4-40GB MIG 1g.5gb") and memory."""
    mode = ask(nvml, "nvmlDeviceGetMigMode", handle)
    if not mode or mode[0] != 1:
        return None
    found = []
    for index in range(min(ask(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0, 16)):
        child = ask(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if child is not None:
            memory = ask(nvml, "nvmlDeviceGetMemoryInfo", child)
            name = words(ask(nvml, "nvmlDeviceGetName", child))
            found.append({"name": name, "total": getattr(memory, "total", None), "free": getattr(memory, "free", None)})
    return found


def processes(nvml: Any, handle: Any) -> list[dict[str, Any]] | None:
    """Programs that hold memory: the last part of their path, never arguments, owner or number."""
    running = ask(nvml, "nvmlDeviceGetComputeRunningProcesses", handle)
    if running is None:
        running = ask(nvml, "nvmlDeviceGetComputeRunningProcesses_v2", handle)
    if running is None:
        return None
    found = []
    for process in running[:64]:
        path = words(ask(nvml, "nvmlSystemGetProcessName", process.pid)) or ""
        program = path.split(" ")[0].replace("\\", "/").rsplit("/", 1)[-1]
        found.append({"name": program or "unknown", "used": getattr(process, "usedGpuMemory", None)})
    return found


def links(nvml: Any, handles: list[tuple[int, Any]]) -> dict[str, str]:
    """How each pair of devices is joined: count of NVLinks, else the PCIe path, and where peer access is refused."""
    found = {}
    named = handles[:LINK_DEVICES]
    places = addresses(nvml, named) if len(named) > 1 else {}
    joined = {index: nvlinks(nvml, handle, places) for index, handle in named} if len(named) > 1 else {}
    for place, (first, one) in enumerate(named):
        for second, other in named[place + 1 :]:
            count = joined[first].get(second, 0)
            level = ask(nvml, "nvmlDeviceGetTopologyCommonAncestor", one, other)
            peer = ask(nvml, "nvmlDeviceGetP2PStatus", one, other, 0)
            shown = f"NV{count}" if count else _TOPOLOGY.get(level) if isinstance(level, int) else None
            if isinstance(peer, int) and peer != 0:
                shown = f"{shown or 'unknown'}, no P2P"
            if shown:
                found[f"{first}-{second}"] = shown
    return found


def addresses(nvml: Any, handles: list[tuple[int, Any]]) -> dict[str, int]:
    """Bus address to index: how peers are told apart inside this process; addresses are not printed."""
    found = {}
    for index, handle in handles:
        pci = ask(nvml, "nvmlDeviceGetPciInfo", handle)
        if pci is not None:
            found[str(words(pci.busId)).upper()[-12:]] = index
    return found


def nvlinks(nvml: Any, handle: Any, places: dict[str, int]) -> dict[int, int]:
    """Index of a peer to the number of active NVLinks to it; links to a switch count for every peer."""
    counts: dict[int, int] = {}
    to_switch = 0
    for link in range(getattr(nvml, "NVML_NVLINK_MAX_LINKS", 18)):
        state = ask(nvml, "nvmlDeviceGetNvLinkState", handle, link)
        if state is None:
            break
        remote = ask(nvml, "nvmlDeviceGetNvLinkRemotePciInfo", handle, link) if state == 1 else None
        if remote is None:
            continue
        peer = places.get(str(words(remote.busId)).upper()[-12:])
        if peer is None:
            to_switch += 1
        else:
            counts[peer] = counts.get(peer, 0) + 1
    return {index: counts.get(index, 0) or to_switch for index in places.values()}


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Taking the binding's thousand classes apart again takes as long as asking eight GPUs.
    os._exit(code)
