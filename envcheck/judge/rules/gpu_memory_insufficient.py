"""Weights and work space exceed GPU memory, or one buffer exceeds the driver's allocation limit."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.rules._sizes import weights_mib
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "gpu_memory_insufficient"
REMEDY = Remedy(says="Use a smaller or more strongly quantized model, offload fewer layers, or spread it over more GPUs.", commands=("vllm serve MODEL --tensor-parallel-size N", "llama-server -m MODEL -ngl N"))
SIGNS = (
    Sign("cuda out of memory", "A GPU allocation failed.", confidence="likely"),
    Sign("hip out of memory", "A GPU allocation failed.", confidence="likely"),
    Sign("outofmemoryerror", "A GPU allocation failed.", confidence="likely", unless=("java",)),
    Sign("cudamalloc failed", "A GPU allocation failed.", r"out of memory|fail"),
    Sign("cuda error: out of memory", "A GPU allocation failed.", confidence="likely"),
    Sign("cuda error 2", "A GPU allocation failed.", r"cuda error 2\b.{0,60}out of memory"),
    Sign("cuda_error_out_of_memory", "A GPU allocation failed.", confidence="likely"),
    Sign("cudaerrormemoryallocation", "A GPU allocation failed.", confidence="likely"),
    Sign("hiperroroutofmemory", "A GPU allocation failed.", confidence="likely"),
    Sign("rocm error: out of memory", "A GPU allocation failed.", confidence="likely"),
    Sign("cublas_status_alloc_failed", "cuBLAS found no GPU memory for its work space.", confidence="likely"),
    Sign("cublas_status_not_initialized", "cuBLAS could not start; usually no GPU memory is left.", confidence="possible"),
    Sign("cudnn_status_alloc_failed", "cuDNN found no GPU memory for its work space.", confidence="likely"),
    Sign("erroroutofdevicememory", "A Vulkan allocation failed."),
    Sign("error_out_of_device_memory", "A Vulkan allocation failed."),
    Sign("device memory allocation of size", "A Vulkan allocation failed.", r"fail"),
    Sign("requested buffer size exceeds device memory allocation limit", "One buffer is larger than the driver allows."),
    Sign("requested buffer size exceeds device buffer size limit", "One buffer is larger than the driver allows."),
    Sign("exceeds device memory allocation limit", "One buffer is larger than the driver allows."),
    Sign("requested buffer size", "One buffer is larger than the driver allows.", r"exceeds"),
    Sign("failed to allocate vulkan", "A Vulkan allocation failed.", confidence="likely"),
    Sign("unable to allocate vulkan", "A Vulkan allocation failed.", confidence="likely"),
    Sign("unable to allocate cuda", "A GPU allocation failed.", confidence="certain"),
    Sign("unable to allocate rocm", "A GPU allocation failed.", confidence="certain"),
    Sign("unable to allocate sycl", "A GPU allocation failed.", confidence="certain"),
    Sign("unable to allocate metal", "A GPU allocation failed.", confidence="certain"),
    Sign("failed to allocate cuda", "A GPU allocation failed.", confidence="certain"),
    Sign("failed to allocate rocm", "A GPU allocation failed.", confidence="certain"),
    Sign("failed to allocate compute buffers", "No GPU memory is left for the work space.", confidence="likely"),
    Sign("failed to allocate compute pp buffers", "No GPU memory is left for the work space.", confidence="likely"),
    Sign("unable to allocate backend buffer", "The weights do not fit.", confidence="likely"),
    Sign("failed to allocate buffer", "A buffer could not be allocated.", r"failed to allocate buffer of size|failed to allocate buffer,? size|backend buffer|metal|cuda|rocm|vulkan|sycl", confidence="likely", unless=("kv", "cpu_buffer")),
    Sign("mtlcommandbufferstatuserror", "Metal ran out of memory.", r"insufficient memory|status", severity="blocker", confidence="possible"),
    Sign("kiogpucommandbuffercallbackerroroutofmemory", "Metal ran out of memory."),
    Sign("insufficient memory (00000008", "Metal ran out of memory."),
    Sign("mps backend out of memory", "Metal ran out of memory."),
    Sign("cl_mem_object_allocation_failure", "An OpenCL allocation failed."),
    Sign("ur_result_error_out_of_device_memory", "A SYCL allocation failed.", confidence="likely"),
    Sign("ur_result_error_out_of_resources", "A SYCL allocation failed.", confidence="likely"),
    Sign("zerresult_error_out_of_device_memory", "A Level Zero allocation failed.", confidence="likely"),
    Sign("cannot allocate memory in static tls", "A library was loaded too late.", severity="info", confidence="possible"),
    Sign("not enough gpu memory", "The GPU memory is too small.", confidence="likely"),
    Sign("not enough vram", "The GPU memory is too small.", confidence="likely"),
    Sign("insufficient vram", "The GPU memory is too small.", confidence="likely"),
    Sign("insufficient gpu memory", "The GPU memory is too small.", confidence="likely"),
    Sign("gpu has too little memory", "The GPU memory is too small.", confidence="likely"),
    Sign("not enough memory", "The memory is too small.", r"gpu|device|cuda|vram|mem_fraction|mem-fraction", confidence="likely", unless=("kv", "cache", "cpu")),
    Sign("model requires more system memory", "The model needs more memory than there is.", severity="info", confidence="possible"),
    Sign("some modules are dispatched on the cpu or the disk", "The quantized model does not fit into GPU memory."),
    Sign("do not have enough gpu ram to fit", "The quantized model does not fit into GPU memory."),
    Sign("cannot meet free memory target", "The model does not fit into free GPU memory.", severity="warning", confidence="likely"),
    Sign("layers.requested", "Ollama offloads only some of the layers.", r"layers\.requested=-1 layers\.model=\d+ layers\.offload=0\b", severity="warning", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the weights that the model's name promises against the memory of all GPUs used."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    weights = weights_mib(case)
    memory = [device.memory_mib for device in (case.nvidia or case.amd) if device.memory_mib]
    if not weights or not memory or case.backend not in ("vllm", "sglang", "tensorrt-llm"):
        return
    size = case.option("tensor_parallel_size") or "1"
    stages = case.option("pipeline_parallel_size") or "1"
    used = min(len(memory), max(1, int(size) * int(stages))) if size.isdigit() and stages.isdigit() else 1
    available = sum(sorted(memory, reverse=True)[:used])
    several_nodes = (case.option("nnodes") or "1") != "1" or (size.isdigit() and stages.isdigit() and int(size) * int(stages) > len(memory))
    offload = case.option("cpu_offload_gb") is not None
    if weights > available and not several_nodes and not offload:
        yield Finding(
            cause=CAUSE,
            severity="blocker" if weights > available * _CLEARLY else "warning",
            says=f"The weights take about {weights / 1024:.0f} GiB; {used} GPU{'s' if used > 1 else ''} with {available / 1024:.0f} GiB {'are' if used > 1 else 'is'} used.",
            evidence=quotes(case.quote("GPU", (case.nvidia or case.amd)[0].fact)),
            remedy=REMEDY,
            confidence="likely",
        )


_CLEARLY = 1.15
"""How far the estimate from a name must lie above the memory before it blocks: names round their sizes."""

RULE = Rule(cause=CAUSE, link="model", judge=judge)
