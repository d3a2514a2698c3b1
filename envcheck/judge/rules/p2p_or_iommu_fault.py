"""The path from GPU to GPU is absent or broken: IOMMU, ACS, a virtual machine, consumer GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "p2p_or_iommu_fault"
REMEDY = Remedy(says="Rule the direct path out (NCCL_P2P_DISABLE=1, no custom all-reduce); then turn the IOMMU or ACS off, or fix the link.", commands=("export NCCL_P2P_DISABLE=1", "vllm serve MODEL --disable-custom-all-reduce", "nvidia-smi topo -p2p r"))
SIGNS = (
    Sign("peer access is not supported between these two devices", "The GPUs cannot reach each other's memory (error 217)."),
    Sign("cudaerrorpeeraccessunsupported", "The GPUs cannot reach each other's memory (error 217)."),
    Sign("peer-to-peer", "The GPUs cannot reach each other's memory.", r"not supported|unsupported|fail|disabled|not available|unavailable", confidence="likely", severity="blocker"),
    Sign("p2p", "The path between the GPUs is absent or broken.", r"p2p.{0,80}(?:fail|not (?:supported|work|available|function)|unsupported|broken|corrupt|mismatch|hang|incorrect)|(?:fail|broken|corrupt).{0,40}p2p", confidence="likely", unless=("nccl_p2p_disable=", "custom allreduce is disabled", "[v] ")),
    Sign("custom allreduce is disabled because your platform lacks gpu p2p capability", "The GPUs cannot reach each other's memory.", severity="info"),
    Sign("iommu", "The IOMMU stands between the GPUs.", r"iommu.{0,60}(?:fault|enabled|hang|disable|fail|on\b|page)|amd-vi|dmar", severity="warning", confidence="likely"),
    Sign("io_page_fault", "The IOMMU refused an access of a GPU."),
    Sign("amd-vi", "The IOMMU refused an access of a GPU.", r"fault|event"),
    Sign("dmar:", "The IOMMU refused an access of a GPU.", r"fault|fail", confidence="likely"),
    Sign("acs", "Access control on the PCIe switches stands between the GPUs.", r"\bacs\b.{0,60}(?:enabled|disable|redirect|srcvalid)", severity="warning", confidence="likely"),
    Sign("nccl warn cuda failure", "NCCL failed on a GPU call.", r"peer|p2p|ipc|mapping of buffer|invalid (?:device|argument)", confidence="likely"),
    Sign("cuda ipc", "GPU memory cannot be shared between processes.", r"fail|error|not supported|unable", confidence="likely"),
    Sign("cudaipcopenmemhandle", "GPU memory cannot be shared between processes.", confidence="likely"),
    Sign("mapping of buffer object failed", "GPU memory cannot be shared between processes (error 205)."),
    Sign("custom_all_reduce.cuh", "vLLM's direct all-reduce failed between the GPUs.", r"invalid argument|fail|error|peer", confidence="likely"),
    Sign("custom_all_reduce", "vLLM's direct all-reduce failed between the GPUs.", r"invalid argument|invalid resource|peer|cuda error|failed cuda", confidence="likely"),
    Sign("nccl_p2p_disable", "Somebody had to turn the direct path between the GPUs off.", r"works?|fix|solv|help|after|with nccl_p2p_disable", severity="warning", confidence="likely", unless=("set to", "environment variable set")),
    Sign("nccl_p2p_disable set by environment to 1", "The direct path between the GPUs was turned off by hand.", severity="warning", confidence="possible"),
    Sign("invalid resource handle", "A handle from another GPU was refused.", severity="warning", confidence="possible"),
    Sign("nccl", "NCCL found data that was changed on the way.", r"data corruption|wrong result|out of bounds values : [1-9]", confidence="likely"),
    Sign("out of bounds values", "NCCL's test received wrong values.", r"out of bounds values\s*:?\s*[1-9]\d* failed|failed", confidence="certain"),
    Sign("# out of bounds values", "NCCL's test received wrong values.", r"values : [1-9]"),
    Sign("p2p is disabled between connected gpus", "The driver turned the direct path between the GPUs off.", severity="warning", confidence="likely"),
    Sign("cannot enable peer access", "The GPUs cannot reach each other's memory."),
    Sign("cudadeviceenablepeeraccess", "The GPUs cannot reach each other's memory.", r"fail|error|not supported|unsupported", confidence="likely"),
    Sign("unhandled cuda error", "NCCL failed on a GPU call.", r"nccl|unhandled cuda error", severity="warning", confidence="possible"),
    Sign("ncclunhandledcudaerror", "NCCL failed on a GPU call.", severity="warning", confidence="possible"),
    Sign("watchdog caught collective operation timeout", "A collective operation of the GPUs hung.", severity="warning", confidence="possible"),
    Sign("connected all rings", "NCCL connected its rings.", severity="info", confidence="possible"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then several GPUs that are asked to work together in a virtual machine or across sockets."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    size = case.option("tensor_parallel_size") or "1"
    several = size.isdigit() and int(size) > 1 and len(case.devices) > 1
    hypervisor = case.snapshot.cpu.hypervisor
    if several and isinstance(hypervisor, Known) and not _linked(case):
        yield Finding(cause=CAUSE, severity="warning", says=f"{size} GPUs work together inside a virtual machine ({value_of(hypervisor)}), where direct paths between them often do not work.", evidence=quotes(case.quote("hypervisor", hypervisor), case.quote("GPU", case.devices[0].fact)), remedy=REMEDY, confidence="possible")


def _linked(case: Case) -> bool:
    return any(line for line in case.paste.having("gpu0") if any(f" {link}" in line.text for link in ("NV1", "NV2", "NV4", "NV6", "NV8", "XGMI")))


RULE = Rule(cause=CAUSE, link="device", judge=judge)
