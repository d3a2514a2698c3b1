"""The GPU is older than the floor of the backend; no official build would help."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._backends import minimum_capability
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import dotted
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "gpu_below_backend_minimum"
REMEDY = Remedy(says="Use a backend that supports this GPU generation: llama.cpp or Ollama run on compute capability 5.0 and newer.")
SIGNS = (
    Sign("gpus with compute capability below", "The backend says that the GPU is below its floor."),
    Sign("compute capability", "The backend says that the GPU is below its floor.", r"(?:requires?|needs?|at least|minimum|must (?:be|have)|supported on|only supports?).{0,60}compute capability.{0,40}\d|compute capability.{0,40}(?:at least|or higher|or newer|too low|not supported|is required|>=)", confidence="likely", unless=("bfloat16", "bf16", "fp8", "float8", "awq", "gptq", "quantization", "marlin", "flashattention", "flash attention", "flash-attn", "lora", "s_size", "mxfp4", "dtype", "int8", "triton", "attention")),
    Sign("only supports cuda gpus with", "The program says that the GPU is too old.", confidence="likely"),
    Sign("gpu too old", "The program says that the GPU is too old."),
    Sign("cuda gpu is too old", "Ollama says that the GPU is too old."),
    Sign("too old. compute capability", "Ollama says that the GPU is too old."),
    Sign("too old to support the triton gpu compiler", "Triton does not support this GPU.", severity="warning", confidence="likely"),
    Sign("found gpu", "torch says that the GPU is too old.", r"cuda capability .{0,40}(?:too old|minimum cuda capability)"),
    Sign("pytorch no longer supports this gpu because it is too old", "torch says that the GPU is too old."),
    Sign("unsupported gpu architecture", "The backend does not know this GPU.", r"unsupported gpu architecture(?!.{0,6}compute_)", confidence="likely"),
    Sign("sgl-kernel", "The GPU is below the floor of sgl-kernel.", r"(?:requires|supports?|only).{0,40}(?:sm\s?_?\d\d|compute capability)", confidence="likely"),
    Sign("sm75 above", "SGLang says that it supports newer GPUs only.", confidence="likely"),
    Sign("only support sm", "The program supports newer GPUs only.", r"only supports? sm\s?_?\d\d", confidence="likely", unless=("attention", "fp8")),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then each GPU against the floor of the backend's version."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    floor = minimum_capability(case)
    if floor is None or not case.nvidia:
        return
    low = [device for device in case.nvidia if device.capability and device.capability < floor]
    if low:
        everyone = len(low) == len(case.nvidia)
        yield Finding(
            cause=CAUSE,
            severity="blocker" if everyone else "warning",
            says=f"{low[0].name} has compute capability {dotted(low[0].capability or ())}; {case.backend} needs at least {dotted(floor)}.",
            evidence=quotes(*(case.quote("GPU", device.fact) for device in low[:3])),
            remedy=REMEDY,
            confidence="certain" if everyone else "likely",
        )


RULE = Rule(cause=CAUSE, link="device", judge=judge, explains=("gpu_arch_not_in_build", "dtype_unsupported_on_gpu", "quant_unsupported_on_device", "attention_kernel_unsupported_on_gpu", "accelerator_wheel_mismatch", "shared_library_missing"))
