"""Options with which a backend was started: a shell command, vLLM's `Namespace(...)`, SGLang's `ServerArgs(...)`."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer
from envcheck.schema.paste import Paste

_NAMES = (
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "data-parallel-size",
    "tp-size",
    "max-model-len",
    "context-length",
    "gpu-memory-utilization",
    "mem-fraction-static",
    "dtype",
    "quantization",
    "kv-cache-dtype",
    "attention-backend",
    "load-format",
    "nnodes",
    "ctx-size",
    "n-gpu-layers",
    "model",
    "model-path",
    "enable-lora",
    "device",
    "num-gpu-blocks-override",
    "max-num-batched-tokens",
)
_SHORT = {
    "tp": "tensor-parallel-size",
    "pp": "pipeline-parallel-size",
    "ngl": "n-gpu-layers",
    "c": "ctx-size",
    "tp-size": "tensor-parallel-size",
    "q": "quantization",
    "max-seq-len": "max-model-len",
}
_LONG = re.compile(r"--([a-z][a-z0-9-]{1,40})(?:[= ]\s?[\"']?([^\s\"'`\\-][^\s\"'`\\]{0,120}))?")
_ARGUMENT = re.compile(r"\b([a-z][a-z0-9_]{3,40})=('[^']{0,160}'|\"[^\"]{0,160}\"|[\w./-]{1,80})")
_ENTRY = re.compile(r"'([a-z][a-z0-9_]{3,40})': ('[^']{0,160}'|[\w./-]{1,80})")
_ENGINE = re.compile(r"LLM engine \(v?(\d{1,3}\.\d{1,3}[\w.+]{0,40})\)")
_OLLAMA = re.compile(r"ollama (?:run|pull) (?:--\S{1,40} ){0,3}([a-z0-9][\w./:-]{1,100})", re.IGNORECASE)
_LAUNCHERS = (
    "vllm serve",
    "vllm.entrypoints",
    ".openai.api_server",
    "sglang.launch_server",
    "llama-server",
    "llama-cli",
    "./main",
    "ollama run",
    "docker run",
)


def read(paste: Paste, draft: Draft) -> bool:
    """Take the options of the first command; this is intent, not a fact of the machine."""
    found = False
    for launcher in _LAUNCHERS:
        for line in paste.having(launcher):
            for name, value in _LONG.findall(line.text)[:60]:
                name = _SHORT.get(name, name)
                if name in _NAMES:
                    draft.option(name, value)
                    found = True
    for literal in ("ollama run", "ollama pull"):
        for _, match in paste.matching(literal, _OLLAMA.pattern):
            draft.option("model", match.group(1))
            found = True
    return _echoed(paste, draft) or found


def _echoed(paste: Paste, draft: Draft) -> bool:
    """The options as an engine prints them when it starts, and the version that it prints beside them."""
    found = False
    for literal in ("namespace(", "serverargs(", "server_args=", "engine args", "llm engine ", "non-default args"):
        for line in paste.having(literal):
            pattern = _ENTRY if literal == "non-default args" else _ARGUMENT
            for name, value in pattern.findall(line.text)[:120]:
                name = name.replace("_", "-")
                name = _SHORT.get(name, name)
                if name in _NAMES and value not in ("None", "False"):
                    draft.option(name, value.strip("'\"").removeprefix("torch."))
                    found = True
    for line, match in paste.matching("llm engine (", _ENGINE.pattern):
        draft.package("vllm", match.group(1), line)
        found = True
    return found


IMPORTER = Importer("command_lines", read)
