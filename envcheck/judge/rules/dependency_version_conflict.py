"""Another package is older or newer than the backend expects."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.rules._pins import broken_pins
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "dependency_version_conflict"
REMEDY = Remedy(says="Install the versions that the backend's release asks for, in a fresh environment.", commands=("uv pip check", "uv pip install --reinstall vllm"))
SIGNS = (
    Sign("pip's dependency resolver does not currently take into account", "pip left packages that contradict each other.", severity="warning", confidence="likely"),
    Sign("which is incompatible", "pip left packages that contradict each other.", r"requires .{1,80}, but (?:you(?:'ll)? have|.{0,40}is installed)", confidence="likely"),
    Sign("but you have", "pip left packages that contradict each other.", r"requires .{1,80}but you(?:'ll)? have", confidence="likely"),
    Sign("resolutionimpossible", "No set of versions satisfies all requirements."),
    Sign("no solution found when resolving", "No set of versions satisfies all requirements.", confidence="likely"),
    Sign("conflicting dependencies", "No set of versions satisfies all requirements."),
    Sign("versionconflict", "An installed package has a version that another refuses."),
    Sign("contextualversionconflict", "An installed package has a version that another refuses."),
    Sign("is required for a normal functioning of this module", "transformers refuses the installed version of a package.", r"but found"),
    Sign("cannot import name", "A package does not have a name that another imports from it: their versions do not fit.", r"cannot import name .{1,80} from (?:partially initialized module )?['\"](?:transformers|tokenizers|huggingface_hub|pydantic|outlines|vllm|xgrammar|flashinfer|triton|ray|accelerate|peft|datasets|numpy|scipy|torch|typing_extensions|lmformatenforcer|openai|fastapi|starlette|sgl_kernel|bitsandbytes|diffusers|safetensors|sentence_transformers|jinja2|markupsafe|urllib3|charset_normalizer|cv2|PIL|google|protobuf|compressed_tensors|mistral_common|llguidance|timm|trl)", confidence="likely"),
    Sign("unexpected keyword argument", "A function does not know an argument: two packages do not fit.", r"__init__\(\) got an unexpected|got an unexpected keyword argument", severity="warning", confidence="possible"),
    Sign("please install a new version of", "The program asks for another version of a package."),
    Sign("please upgrade", "The program asks for a newer version of a package.", r"please upgrade .{0,40}(?:version|to|>=|by|package|transformers|flashinfer|vllm|triton|accelerate|peft)", confidence="likely", unless=("driver", "cuda version", "pip")),
    Sign("is too old", "The program says that a package is too old.", r"(?:package|version|flashinfer|transformers|triton|vllm|torch|xformers|accelerate).{0,40}is too old", severity="warning", confidence="likely", unless=("driver", "gpu")),
    Sign("requires the following pip packages", "A package is missing or too old.", severity="warning", confidence="likely"),
    Sign("please use the version of", "The program asks for another version of a package.", confidence="likely"),
    Sign("is not compatible with", "The program says that versions do not fit.", r"(?:version|package|v?\d+\.\d+).{0,60}is not compatible with.{0,60}(?:version|\d+\.\d+)", severity="warning", confidence="possible", unless=("capability", "pytorch installation")),
    Sign("flashinfer version", "FlashInfer's version does not fit.", r"required|mismatch|does not match|must", confidence="likely"),
    Sign("flashinfer-cubin version", "FlashInfer's packages have different versions.", r"does not match|mismatch", confidence="certain"),
    Sign("does not match flashinfer version", "FlashInfer's packages have different versions."),
    Sign("version mismatch", "Versions of packages do not fit.", r"(?:package|python|module|protobuf|ray|pydantic).{0,60}version mismatch", severity="warning", confidence="possible", unless=("driver", "nvml")),
    Sign("descriptors cannot be created directly", "protobuf is newer than the generated code."),
    Sign("has no attribute", "A package lacks a name that another uses: their versions do not fit.", r"module '(?:transformers|triton|vllm|torch|outlines|pydantic|xgrammar|flashinfer|tokenizers|huggingface_hub|accelerate|cv2|ray|openai|peft|lib)[\w.]*' has no attribute", confidence="likely", severity="warning"),
    Sign("no module named 'outlines.", "outlines is of another version than the backend expects."),
    Sign("no module named 'transformers.", "transformers is of another version than the package expects.", r"no module named 'transformers\.(?!_C)", confidence="likely"),
    Sign("no module named 'vllm.", "vLLM is of another version than the package expects.", r"no module named 'vllm\.(?!_c\b|_moe_C|commit_id|_version|vllm_flash_attn|third_party|cumem|_flash)", confidence="likely"),
    Sign("no module named 'torch.", "torch is of another version than the package expects.", r"no module named 'torch\.\w", confidence="likely"),
    Sign("no module named 'triton.", "triton is of another version than the package expects.", r"no module named 'triton\.\w", confidence="likely"),
    Sign("no module named 'huggingface_hub.", "huggingface_hub is of another version than the package expects.", confidence="likely"),
    Sign("no module named 'pydantic.", "pydantic is of another version than the package expects.", confidence="likely"),
    Sign("no module named 'pydantic_core", "pydantic and pydantic-core do not fit.", confidence="likely"),
    Sign("no module named 'flashinfer.", "FlashInfer is of another version than the backend expects.", confidence="likely"),
    Sign("no module named 'ray.", "Ray is of another version than the backend expects.", confidence="likely"),
    Sign("if you have updated the package versions", "pip's environment changed under a package.", severity="warning", confidence="possible"),
    Sign("pydantic.errors.pydanticusererror", "Code for pydantic 1 runs under pydantic 2.", severity="warning", confidence="likely"),
    Sign("`basesettings` has been moved", "Code for pydantic 1 runs under pydantic 2."),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then what is installed against the pins of the backend's release."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    for pin in broken_pins(case):
        yield Finding(
            cause=CAUSE,
            severity="blocker" if pin.certain else "warning",
            says=f"{pin.owner} expects {pin.name} {pin.expected}; installed is {pin.have}.",
            evidence=quotes(case.package_quote(pin.owner.split(" ")[0]), case.package_quote(pin.name)),
            remedy=REMEDY,
            confidence="likely" if pin.certain else "possible",
        )


RULE = Rule(cause=CAUSE, link="wheel", judge=judge)
