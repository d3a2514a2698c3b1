"""How a machine reads in a few words, from its snapshot: used by every document that is about a machine."""

from __future__ import annotations

from envcheck.schema.facts import Absent, Known, Unknown, is_known, text_of, value_of
from envcheck.schema.snapshot import Gpu, Snapshot


def gib(mib: float) -> str:
    """Memory for a person: MiB to GiB, one decimal below 10, none above ("3.9 GiB", "12 GiB")."""
    value = mib / 1024
    return f"{value:.0f} GiB" if value >= 9.95 else f"{value:.1f} GiB"


def gpu_text(gpu: Gpu) -> str:
    """One GPU: "NVIDIA TITAN V, 12 GiB"."""
    name = gpu.name.value if is_known(gpu.name) else f"{gpu.vendor} GPU of unknown name"
    return f"{name}, {gib(gpu.memory_total_mib.value)}" if is_known(gpu.memory_total_mib) else name


def gpus_text(snapshot: Snapshot) -> str:
    """All GPUs, equal ones counted: "2 × NVIDIA H100 80GB HBM3, 80 GiB"; "none" or "unknown (why)" otherwise."""
    gpus = snapshot.gpus
    if isinstance(gpus, Unknown):
        return f"unknown ({gpus.why})"
    if isinstance(gpus, Absent) or not gpus.value:
        return "none"
    texts = [gpu_text(gpu) for gpu in gpus.value]
    counted = dict.fromkeys(texts)
    return " + ".join(f"{texts.count(t)} × {t}" if texts.count(t) > 1 else t for t in counted)


def driver_text(snapshot: Snapshot) -> str | None:
    """The accelerator's driver with the CUDA level it serves, or None where there is no vendor driver to speak of."""
    nvidia, amd = snapshot.nvidia, snapshot.amd
    if is_known(nvidia.driver):
        level = f" (serves CUDA up to {nvidia.cuda_driver.value})" if is_known(nvidia.cuda_driver) else ""
        return f"NVIDIA {nvidia.driver.value}{level}"
    if is_known(nvidia.cuda_driver):
        return f"NVIDIA, version not stated (serves CUDA up to {nvidia.cuda_driver.value})"
    if is_known(amd.rocm):
        return f"ROCm {amd.rocm.value}"
    if is_known(amd.driver):
        return f"AMD {amd.driver.value}"
    return None


def os_text(snapshot: Snapshot) -> str:
    """The operating system with what surrounds it: "Ubuntu 22.04 (WSL2)"."""
    system = snapshot.os
    name = system.distro if is_known(system.distro) else system.family
    around = []
    if value_of(system.wsl):
        around.append("WSL2")
    if is_known(system.container):
        around.append(f"inside {system.container.value}")
    return text_of(name) + (f" ({', '.join(around)})" if around else "")


def cpu_text(snapshot: Snapshot) -> str:
    """Processor and logical cores: "AMD EPYC 7763, 2 cores"."""
    cpu = snapshot.cpu
    if isinstance(cpu.name, Known):
        return f"{cpu.name.value}, {cpu.cores.value} cores" if is_known(cpu.cores) else cpu.name.value
    return f"{cpu.cores.value} cores" if is_known(cpu.cores) else text_of(cpu.name)


def ram_text(snapshot: Snapshot) -> str:
    """Main memory, with the part that is available and the limit of a control group where they are known."""
    memory = snapshot.memory
    if not isinstance(memory.ram_total_mib, Known):
        return text_of(memory.ram_total_mib)
    parts = [gib(memory.ram_total_mib.value)]
    if is_known(memory.ram_available_mib):
        parts.append(f"{gib(memory.ram_available_mib.value)} available")
    if is_known(memory.cgroup_limit_mib) and memory.cgroup_limit_mib.value < memory.ram_total_mib.value:
        parts.append(f"limited to {gib(memory.cgroup_limit_mib.value)} by its control group")
    return ", ".join(parts)


def machine_line(snapshot: Snapshot) -> str:
    """The machine in one line, known facts only: GPU, driver, CPU, RAM, OS, Python."""
    gpus = gpus_text(snapshot)
    parts = [gpus if is_known(snapshot.gpus) else "no GPU" if gpus == "none" else f"GPU {gpus}"]
    driver = driver_text(snapshot)
    if driver:
        parts.append(driver)
    if is_known(snapshot.cpu.name) or is_known(snapshot.cpu.cores):
        parts.append(cpu_text(snapshot))
    if is_known(snapshot.memory.ram_total_mib):
        parts.append(f"{gib(snapshot.memory.ram_total_mib.value)} RAM")
    if is_known(snapshot.os.distro) or is_known(snapshot.os.family):
        parts.append(os_text(snapshot))
    if is_known(snapshot.python.version):
        parts.append(f"Python {snapshot.python.version.value}")
    return " · ".join(parts)


_BACKENDS = {
    "llamacpp": "llama.cpp",
    "llama_cpp": "llama.cpp",
    "llama.cpp": "llama.cpp",
    "vllm": "vLLM",
    "ollama": "Ollama",
    "transformers": "Transformers",
    "sglang": "SGLang",
    "tensorrt_llm": "TensorRT-LLM",
    "tensorrt-llm": "TensorRT-LLM",
    "openai": "OpenAI-compatible server",
    "openai_compatible": "OpenAI-compatible server",
    "embedded": "embedded default",
    "machine": "All backends",
}


def backend_title(name: str) -> str:
    """A backend's name as its makers write it; other names unchanged."""
    return _BACKENDS.get(name, name)


def listed(words: list[str]) -> str:
    """Words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def sentence(text: str) -> str:
    """Text with a full stop at its end, where it has no such sign yet."""
    return text if not text or text[-1] in ".!?" else f"{text}."


def plural(count: int, one: str, many: str | None = None) -> str:
    """A counted noun: "1 requirement", "3 requirements"."""
    return f"{count} {one if count == 1 else many or one + 's'}"
