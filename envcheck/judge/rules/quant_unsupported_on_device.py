"""A quantization method that has no kernels for this type of device."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.rules._models import method
from envcheck.judge.version import Version, dotted
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "quant_unsupported_on_device"
REMEDY = Remedy(says="Choose a quantization with kernels for this device: GPTQ on Volta, AWQ or GPTQ from Turing on, GGUF on CPUs and Apple silicon.")
_METHODS = r"awq|gptq|marlin|bitsandbytes|fp8|squeezellm|aqlm|hqq|gguf|mxfp4|nvfp4|modelopt|compressed-tensors|torchao|deepspeedfp|quark|quantization"
SIGNS = (
    Sign("quantization method", "The backend says that the quantization method does not run on this device.", r"quantization method .{0,80}(?:is )?not (?:currently )?supported (?:for|on|in|with)"),
    Sign("quantization", "The backend says that the quantization does not run on this device.", r"quantization.{0,80}(?:not (?:currently )?supported (?:for|on|in)|only supported|is not supported on).{0,60}(?:gpu|device|rocm|cpu|platform|xpu|tpu|capab|hip)", confidence="likely"),
    Sign("minimum capability", "The quantization method needs a newer GPU.", r"minimum capability:? ?\d"),
    Sign("has no attribute 'awq", "The build for this device has no AWQ kernels."),
    Sign("has no attribute 'gptq", "The build for this device has no GPTQ kernels."),
    Sign("has no attribute 'marlin", "The build for this device has no Marlin kernels."),
    Sign("has no attribute '", "The build for this device lacks a quantization kernel.", r"_OpNamespace.{0,60}has no attribute '\w*(?:awq|gptq|marlin|scaled|quant|fp8|int8|squeezellm|gguf|ggml|cutlass|dequant)\w*'"),
    Sign("_opnamespace", "The build for this device lacks a quantization kernel.", r"'_OpNamespace' '\w+' object has no attribute '\w*(?:awq|gptq|marlin|scaled|quant|fp8|int8|squeezellm|ggml)\w*'"),
    Sign("bitsandbytes", "bitsandbytes does not support this device.", r"bitsandbytes.{0,80}(?:compiled without gpu support|without gpu support|only supports? cuda|not supported on|no gpu (?:found|detected)|requires? (?:a )?(?:gpu|cuda))", confidence="likely"),
    Sign("compiled without gpu support", "bitsandbytes runs without GPU support.", confidence="likely", severity="warning"),
    Sign("found no gpu", "8-bit and 4-bit quantization by bitsandbytes need a GPU.", r"8-?bit|4-?bit|bitsandbytes|gpu is needed for quantization"),
    Sign("gpu is needed for quantization", "This quantization needs a GPU."),
    Sign("no gpu found. a gpu is needed for quantization", "This quantization needs a GPU."),
    Sign("mxfp4", "MXFP4 has no kernels for this GPU.", r"mxfp4.{0,80}(?:requires?|only|not supported|needs?|will default to dequantizing).{0,60}", confidence="likely"),
    Sign("marlin", "Marlin has no kernels for this GPU.", r"marlin.{0,80}(?:not supported|requires?|only supported|compute capability)", confidence="likely"),
    Sign("exllama", "The ExLlama kernels do not run on this device.", r"exllama.{0,60}(?:not supported|requires? .{0,30}gpu|gpu)", severity="warning", confidence="likely"),
    Sign("failed to find a kernel that can implement the", "vLLM found no quantization kernel for this device.", confidence="likely"),
    Sign("the only supported quantization", "The quantization method does not run on this device.", confidence="likely"),
    Sign("awq", "AWQ does not run on this device.", r"awq.{0,60}(?:only supports?|not supported|requires?|only available).{0,60}(?:gpu|cuda|device|capab|rocm|cpu)", confidence="likely"),
    Sign("gptq", "GPTQ does not run on this device.", r"gptq.{0,60}(?:only supports?|not supported on|requires?).{0,60}(?:gpu|cuda device|device|capab|rocm|cpu)", confidence="likely"),
)  # fmt: skip
# https://github.com/vllm-project/vllm/blob/main/docs/features/quantization/README.md
_FLOOR: dict[str, Version] = {"awq": (7, 5), "int8": (7, 5), "awq_marlin": (7, 5), "gptq_marlin": (7, 5), "marlin": (7, 5), "fp8": (7, 5), "hqq": (8, 0), "torchao": (7, 5), "mxfp4": (8, 0), "nvfp4": (7, 5)}
_CPU_WITHOUT = frozenset({"fp8", "bitsandbytes", "marlin", "awq_marlin", "gptq_marlin", "mxfp4", "nvfp4", "hqq", "squeezellm"})


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the method against the device that will be used."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    wanted = method(case)
    if not wanted or case.backend not in ("vllm", "sglang", "transformers"):
        return
    if case.torch.accelerator == "cpu" and wanted in _CPU_WITHOUT and case.backend != "transformers":
        yield Finding(cause=CAUSE, severity="blocker", says=f"{wanted} has no CPU kernels and torch is a CPU build.", evidence=quotes(case.quote("torch", case.torch.fact)), remedy=REMEDY, confidence="likely")
    floor = _FLOOR.get(wanted)
    low = [d for d in case.nvidia if floor and d.capability and d.capability < floor]
    if low and floor and case.backend != "transformers":
        yield Finding(cause=CAUSE, severity="blocker", says=f"{wanted} needs compute capability {dotted(floor)}; {low[0].name} has {dotted(low[0].capability or ())}.", evidence=quotes(case.quote("GPU", low[0].fact)), remedy=REMEDY, confidence="likely")
    if case.amd and case.torch.accelerator in ("rocm", "") and wanted in ("bitsandbytes", "awq", "marlin", "awq_marlin", "gptq_marlin", "nvfp4"):
        yield Finding(cause=CAUSE, severity="warning", says=f"{wanted} kernels are written for CUDA; many ROCm builds lack them.", evidence=quotes(case.quote("GPU", case.amd[0].fact)), remedy=REMEDY, confidence="possible")


RULE = Rule(cause=CAUSE, link="model", judge=judge)
