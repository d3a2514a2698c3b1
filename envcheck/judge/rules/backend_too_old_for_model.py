"""The backend, or the transformers under it, does not know the model's architecture."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._arrivals import first_release
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import dotted
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "backend_too_old_for_model"
REMEDY = Remedy(says="Update the backend, and with it transformers, to a release that knows the model's architecture.", commands=("uv pip install --upgrade vllm transformers",))
SIGNS = (
    Sign("does not recognize this architecture", "transformers does not know the model's architecture."),
    Sign("model architectures", "The backend does not know the model's architecture.", r"model architectures .{0,120}(?:not supported|are not supported|failed to be inspected)"),
    Sign("unknown model architecture", "llama.cpp does not know the model's architecture."),
    Sign("unknown architecture", "The backend does not know the model's architecture.", confidence="likely"),
    Sign("unsupported model architecture", "The backend does not know the model's architecture."),
    Sign("unsupported architecture", "The backend does not know the model's architecture.", r"unsupported architecture(?! gfx| sm)", confidence="likely", unless=("gpu", "cpu", "device")),
    Sign("unrecognized model in", "transformers does not know the model's type."),
    Sign("unrecognized configuration class", "transformers does not know the model's type.", confidence="likely"),
    Sign("model type", "The backend does not know the model's type.", r"model type [`'\"]?\w+[`'\"]? (?:is )?not (?:supported|recognized|found)|unsupported model type|unknown model type", confidence="likely"),
    Sign("keyerror: '", "The backend does not know the model's type.", r"keyerror: '(?:qwen|llama|gemma|mistral|mixtral|phi|deepseek|glm|chatglm|granite|falcon|mamba|starcoder|cohere|olmo|gpt_oss|minicpm|internlm|baichuan|dbrx|nemotron|exaone|kimi|ernie|hunyuan|smollm|bamba|jamba|seed_oss|llava|pixtral|ministral)\w*'", confidence="likely"),
    Sign("transformers does not recognize", "transformers does not know the model's architecture."),
    Sign("has no vllm implementation", "vLLM does not know the model's architecture."),
    Sign("no vllm implementation and the transformers implementation is not compatible", "vLLM does not know the model's architecture."),
    Sign("unknown pre-tokenizer type", "llama.cpp does not know the model's tokenizer."),
    Sign("unknown tokenizer", "The backend does not know the model's tokenizer.", confidence="likely"),
    Sign("unknown (magic, version) combination", "The model file is of a format that this llama.cpp does not know."),
    Sign("invalid model file", "The model file is of a format that the backend does not know.", severity="warning", confidence="possible", unless=("too short", "truncat")),
    Sign("unsupported file version", "The model file is of a format that the backend does not know.", confidence="likely"),
    Sign("invalid ggml type", "The model file uses a tensor type that this llama.cpp does not know.", confidence="likely"),
    Sign("has invalid ggml type", "The model file uses a tensor type that this llama.cpp does not know.", confidence="likely"),
    Sign("wrong number of tensors", "The model file is newer than this llama.cpp.", confidence="likely"),
    Sign("wrong shape", "The model file is newer than this llama.cpp.", r"tensor .{1,60}has wrong shape|wrong shape; expected", severity="blocker", confidence="likely"),
    Sign("missing tensor", "The model file is newer than this llama.cpp.", r"(?:error loading model|done_getting_tensors|missing tensor '(?!.*mmproj))", severity="warning", confidence="likely"),
    Sign("requires a newer version of ollama", "The model needs a newer Ollama."),
    Sign("may require a newer version", "The model needs a newer backend.", confidence="likely"),
    Sign("please upgrade to the latest version of", "The model needs a newer backend.", confidence="possible", severity="warning"),
    Sign("is not supported yet", "The backend does not know the model.", r"(?:model|architecture).{0,40}is not supported yet", confidence="likely"),
    Sign("cannot find model class", "The backend does not know the model's architecture.", confidence="likely"),
    Sign("cannot find the config file for", "The backend does not know the model's architecture.", severity="warning", confidence="possible"),
    Sign("'rope_scaling' must be a dictionary", "transformers does not know the model's position encoding."),
    Sign("`rope_scaling` must be a dictionary", "transformers does not know the model's position encoding."),
    Sign("unknown rope scaling type", "The backend does not know the model's position encoding."),
    Sign("rope_scaling", "The backend does not know the model's position encoding.", r"(?:unknown|unsupported|unrecognized).{0,40}rope", confidence="likely"),
    Sign("unknown projector type", "llama.cpp does not know the model's vision part.", confidence="likely"),
    Sign("unknown quantization method", "The backend does not know the model's quantization.", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the release in which the model's family arrived."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    for owner, since in first_release(case.model):
        have = case.package(owner)
        if have and have < since and "dev" not in (getattr(case.snapshot.python.package(owner), "value", "")):
            relevant = owner == "transformers" or case.backend in ("", owner)
            yield Finding(
                cause=CAUSE,
                severity="blocker" if relevant and owner == case.backend else "warning",
                says=f"{owner} {dotted(have)} is older than {dotted(since)}, the first release that knows this model.",
                evidence=quotes(case.package_quote(owner)),
                remedy=REMEDY,
                confidence="likely",
            )


RULE = Rule(cause=CAUSE, link="model", judge=judge, explains=("dependency_version_conflict",))
