"""In which release a model family became known, for families that arrived after a backend was already in wide use."""

from __future__ import annotations

import re

from envcheck.judge.versions import Version

# Family -> (transformers, vLLM): release notes of both projects.
# https://github.com/huggingface/transformers/releases , https://github.com/vllm-project/vllm/releases
_ARRIVALS: tuple[tuple[str, Version | None, Version | None], ...] = (
    (r"qwen3[-_ ]?next|qwen3_next", (4, 57), (0, 10, 2)),
    (r"qwen3[-_ ]?vl", (4, 57), (0, 11)),
    (r"qwen3[-_ ]?omni", (4, 57), (0, 11)),
    (r"qwen3[-_.](?:5|6)|qwen3_5", (5, 2), (0, 16)),
    (r"qwen3(?![\w.-]*embed)", (4, 51), (0, 8, 4)),
    (r"qwen2[._]5[-_ ]?vl|qwen2_5_vl", (4, 49), (0, 7, 2)),
    (r"qwen2[._]5[-_ ]?omni", (4, 52), (0, 8, 5)),
    (r"qwen2[-_ ]?vl", (4, 45), (0, 6, 1)),
    (r"qwen2[-_ ]?moe|qwen1\.5-moe", (4, 40), (0, 4)),
    (r"qwen2(?!\.?\w*vl)", (4, 37), (0, 3)),
    (r"llama-?4", (4, 51), (0, 8, 3)),
    (r"llama-?3\.2-(?:11|90)b|mllama", (4, 45), (0, 6, 2)),
    (r"llama-?3\.1|llama-?3\.3", (4, 43), (0, 5, 3)),
    (r"gemma-?4", (5, 5), (0, 19)),
    (r"gemma-?3n", (4, 53), (0, 10)),
    (r"gemma-?3", (4, 50), (0, 8)),
    (r"gemma-?2", (4, 42), (0, 5, 1)),
    (r"deepseek[-_]?v3\.2", None, (0, 11)),
    (r"deepseek[-_]?(?:v3|r1)(?!.*distill)", None, (0, 6, 6)),
    (r"deepseek[-_]?v2", None, (0, 5, 1)),
    (r"gpt[-_]oss", (4, 55), (0, 10, 1)),
    (r"glm-?4\.(?:5|6)|glm4_moe", (4, 54), (0, 10)),
    (r"phi-?4[-_]?(?:mini|multimodal)", (4, 48), (0, 7, 3)),
    (r"phi-?3\.5-moe|phimoe", (4, 46), (0, 6)),
    (r"mistral[-_]small-3\.1", (4, 50), (0, 8)),
    (r"pixtral", (4, 45), (0, 6, 1)),
    (r"granite-?4", (4, 56), (0, 11)),
    (r"olmo-?2", (4, 47), (0, 6, 5)),
    (r"smollm3", (4, 53), (0, 10)),
    (r"mixtral", (4, 36), (0, 2, 5)),
    (r"qwen1\.5", (4, 37), (0, 3)),
    (r"phi-?3(?![.\d]*b)", (4, 41), (0, 4, 2)),
    (r"command-r(?!7b|-7b)", (4, 39), (0, 4)),
    (r"starcoder2", (4, 39), (0, 3, 3)),
    (r"dbrx", (4, 40), (0, 4)),
    (r"gemma(?!-?[234]|\w)", (4, 38), (0, 3, 2)),
    (r"seed[-_]oss", (4, 56), (0, 10, 2)),
    (r"exaone-4", (4, 54), (0, 10)),
    (r"ernie-4\.5", (4, 54), (0, 10)),
    (r"glm-4\.1v", (4, 53), (0, 9, 2)),
    (r"falcon-h1", (4, 53), (0, 9)),
)  # fmt: skip


def first_release(model: str) -> list[tuple[str, Version]]:
    """(package, first release that knows the model's family) for the first family that the name shows."""
    for pattern, transformers, vllm in _ARRIVALS:
        if re.search(pattern, model, re.IGNORECASE):
            return [(name, since) for name, since in (("vllm", vllm), ("transformers", transformers)) if since]
    return []
