"""A package that the chosen option needs is not installed."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.rules._models import method
from envcheck.schema.facts import Known
from envcheck.schema.verdict import Finding, Quote, Remedy

CAUSE = "dependency_missing"
REMEDY = Remedy(says="Install the missing package into the environment that runs the backend.", commands=("uv pip install PACKAGE",))
_OWN = ("vllm._c", "vllm._moe_c", "vllm.commit_id", "vllm._version", "vllm.vllm_flash_attn", "vllm._flash", "torch._c", "'_ctypes'", "'_lzma'", "'_bz2'", "'_sqlite3'")
SIGNS = (
    Sign("no module named '", "A module is not installed.", r"no module named '(?!(?:outlines|transformers|vllm|torch|triton|huggingface_hub|pydantic|flashinfer|ray|numpy|torchvision)\.)[\w.]+'", confidence="likely", unless=_OWN),
    Sign("no module named \"", "A module is not installed.", confidence="likely", unless=_OWN),
    Sign("please install", "The program asks for a package that is not installed.", r"please (?:first )?install .{0,20}(?:[`'\"]?(?:pip|uv|conda) install|[\w-]+ ?(?:>=|==|package|library|via|by|with|first|to use|before))", confidence="likely", unless=("please install a new version", "nvidia driver", "cuda toolkit", "build tools", "compiler", "drivers", "cmake")),
    Sign("requires the following packages that were not found in your environment", "The model's code imports packages that are not installed."),
    Sign("is not installed", "A package is not installed.", r"(?:package|module|library|dependency|`?(?:bitsandbytes|accelerate|flash[-_ ]?attn|flash[-_ ]?attention|sentencepiece|tiktoken|auto-?gptq|optimum|ray|xformers|flashinfer|triton|einops|peft|timm|deepspeed|librosa|decord|protobuf|torch|vllm|blobfile|xgrammar|outlines|autoawq|gptqmodel|mamba[-_]ssm|compressed[-_]tensors|torchao|qwen[-_]vl[-_]utils|pillow|soundfile|av|cv2|opencv)[`'\"]*).{0,40}(?:is|are|was) not installed", confidence="likely"),
    Sign("has not been installed", "A package is not installed.", confidence="likely"),
    Sign("pip install", "The program asks for a package that is not installed.", r"(?:try|run|using|via|with|use|can be installed|install it|please|you (?:can|need|must)|`)\W{0,4}.{0,12}`?pip install (?!-e|-r|--upgrade pip|\.|-v\b)", severity="warning", confidence="possible", unless=("collecting", "successfully", "$ ", "# ", "user@", "run pip", "[notice]")),
    Sign("importerror", "A package is missing.", r"importerror:.{0,120}(?:requires? .{0,60}(?:package|library|installed|install|pip)|not found in your environment|needs? .{0,40}(?:installed|package))", confidence="likely"),
    Sign("needs to be installed", "A package is not installed.", confidence="likely"),
    Sign("need to be installed", "A package is not installed.", confidence="likely", severity="warning"),
    Sign("package is not found", "A package is not installed.", severity="warning", confidence="possible"),
    Sign("packagenotfounderror", "A package's metadata is not installed.", r"no package metadata was found for|packagenotfounderror", confidence="likely"),
    Sign("no package metadata was found for", "A package is not installed."),
    Sign("distribution was not found and is required", "A package is not installed."),
    Sign("backend is not installed", "A part of the backend is not installed.", confidence="likely"),
    Sign("flash_attn", "flash-attn is not installed.", r"flash_attn.{0,60}(?:not installed|seems to be not installed|not available|not found)", confidence="likely"),
    Sign("flash attention 2", "flash-attn is not installed.", r"not (?:been )?installed|seems to be not installed|not available"),
    Sign("flashattention2 has been toggled on, but it cannot be used", "flash-attn is not installed."),
    Sign("flash_attn seems to be not installed", "flash-attn is not installed."),
    Sign("using `bitsandbytes`", "bitsandbytes is not installed.", r"requires|latest version"),
    Sign("requires accelerate", "accelerate is not installed."),
    Sign("using a `device_map`", "accelerate is not installed.", r"requires `?accelerate"),
    Sign("cannot use `device_map`", "accelerate is not installed.", confidence="likely"),
    Sign("couldn't instantiate the backend tokenizer", "sentencepiece or tiktoken is not installed.", confidence="likely"),
    Sign("ray is not installed", "Ray is not installed."),
    Sign("failed to import ray", "Ray is not installed.", confidence="likely"),
    Sign("loading an awq quantized model requires", "autoawq is not installed."),
    Sign("loading a gptq quantized model requires", "optimum or a GPTQ package is not installed."),
)  # fmt: skip
_CHOSEN = {"FLASHINFER": ("flashinfer", "flashinfer-python"), "XFORMERS": ("xformers",), "FLASH_ATTN": ()}
_LISTED_BY_COLLECT_ENV = ("flashinfer", "flashinfer-python", "triton", "torch", "transformers", "numpy")
_LISTED_BY_SGLANG = ("flashinfer", "flashinfer-python", "vllm", "triton", "torchao", "xgrammar", "outlines", "sgl-kernel", "transformers")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the packages that the chosen attention backend or quantization needs against the list."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    chosen = (case.option("attention_backend") or case.variable("VLLM_ATTENTION_BACKEND") or "").upper()
    names = _CHOSEN.get(chosen, ())
    if names and all(_missing(case, name) for name in names):
        yield _finding("blocker", f"The attention backend {chosen} is chosen and {names[0]} is not installed.", "likely", _setting(case))
    if method(case) == "bitsandbytes" and case.backend in ("vllm", "sglang", "transformers") and not case.package("bitsandbytes"):
        certain = case.packages_listed()
        yield _finding("blocker" if certain else "warning", "Quantization bitsandbytes needs the package bitsandbytes, which is not listed.", "likely" if certain else "possible", None)


def _missing(case: Case, name: str) -> bool:
    """True only where the list that was read would show the package."""
    fact = case.snapshot.python.packages
    if not isinstance(fact, Known) or case.package(name) is not None:
        return False
    if case.packages_listed() and case.snapshot.origin == "machine":
        return True
    return ("collect_env" in fact.source and name in _LISTED_BY_COLLECT_ENV) or ("sglang_check_env" in fact.source and name in _LISTED_BY_SGLANG) or "pip list" in fact.source


def _setting(case: Case) -> Quote | None:
    for line in case.paste.having("attention_backend"):
        return Quote(line=line.number, text=line.text.strip()[:200])
    return None


def _finding(severity: str, says: str, confidence: str, where: Quote | None) -> Finding:
    return Finding(cause=CAUSE, severity=severity, says=says, evidence=quotes(where), remedy=REMEDY, confidence=confidence)  # type: ignore[arg-type]


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
