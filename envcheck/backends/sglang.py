"""SGLang: a running server on port 30000, or one started from the target environment."""

from __future__ import annotations

from envcheck.backends._served import Kind, ServedBackend

BACKEND = ServedBackend(
    Kind(
        name="sglang",
        module="sglang",
        distributions=("sglang",),
        entry="sglang.launch_server",
        port=30000,
        version_route="/get_server_info",
        owner="sglang",
        model_flag="--model-path",
        length_flag="--context-length",
        env={},
        model_route="/get_model_info",
    )
)
