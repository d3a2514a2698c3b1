"""llama.cpp's server, whoever started it: its extra routes, its timings and what its log says of devices."""

from __future__ import annotations

import hashlib
import http.client
import re
from typing import Any

from envcheck.backends import _abilities, _exchange, _http, _openai
from envcheck.backends._exchange import count as whole_number
from envcheck.schema.backend import Ability, Claim, DeviceWords, Exchange, Request
from envcheck.schema.errors import EnvcheckError


class LlamaServer:
    """A llama.cpp server that answers on HTTP (server README of ggml-org/llama.cpp)."""

    load_ms: float | None = None

    def __init__(self, to: _http.Address, model: str) -> None:
        self._to = to
        self.model = model
        self.url = to.url
        self._props: dict[str, Any] = {}

    @property
    def version(self) -> str:
        """Name and build as `/props` gives it."""
        build = self.props().get("build_info")
        return f"llama.cpp {build}" if build else "llama.cpp"

    def props(self) -> dict[str, Any]:
        """What `/props` says, asked once; empty when the server does not tell."""
        if not self._props:
            try:
                found = _http.get(self._to, "/props")
            except (OSError, http.client.HTTPException, _http.Refused):
                found = None
            self._props = found if isinstance(found, dict) else {}
        return self._props

    def pids(self) -> tuple[int, ...]:
        """Unknown unless a subclass knows the process."""
        return ()

    def settings(self) -> dict[str, str]:
        """Context and chat template of this server."""
        props = self.props()
        found = {}
        if isinstance(template := props.get("chat_template"), str):
            found["chat_template_sha256"] = hashlib.sha256(template.encode()).hexdigest()
        if (context := (props.get("default_generation_settings") or {}).get("n_ctx")) is not None:
            found["context"] = str(context)
        return found

    def device(self) -> DeviceWords:
        """llama.cpp's HTTP routes do not tell where the layers are."""
        return DeviceWords(device="unknown", says="llama.cpp's server does not say over HTTP where its layers are")

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        """One streamed answer; its prompt cache is off so that no prompt profits from another."""
        route, payload = _openai.body(request, self.model, {"cache_prompt": False})
        return _exchange.ask(self._to, "/v1" + route, payload, limit_s, stall_s, None, _openai.events)

    def claims(self, ability: Ability) -> Claim:
        """Tools by the template (`chat_template_caps`), pictures by `modalities`, embeddings by their route."""
        if ability == "text":
            return _abilities.claims_text(self._to, "/v1", self.model)
        if ability == "embedding":
            return _abilities.claims_embedding(self._to, "/v1/embeddings", self.model, {})
        table, key = ("chat_template_caps", "supports_tools") if ability == "tools" else ("modalities", "vision")
        found = _abilities.flag(self.props().get(table), key, f"/props: {table}")
        return found or _abilities.unsaid(f"it offers {ability} (/props has no {table}.{key})")

    def embed(self, texts: tuple[str, ...], limit_s: float) -> _abilities.Vectors:
        """By OpenAI's route."""
        return _abilities.embed(self._to, "/v1/embeddings", self.model, texts, limit_s, {})

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:
        """By llama.cpp's own route, which gives ids (server README, `return_tokens`)."""
        order = {"prompt": text, "n_predict": count, "temperature": 0, "return_tokens": True, "cache_prompt": False}
        try:
            found = _http.post(self._to, "/completion", order, limit_s)
        except (OSError, http.client.HTTPException, _http.Refused) as fault:
            raise EnvcheckError(f"llama.cpp gave no tokens ({fault})") from fault
        ids = found.get("tokens") if isinstance(found, dict) else None
        known = [whole_number(token) for token in ids] if isinstance(ids, list) else []
        if not known or None in known:
            raise EnvcheckError("llama.cpp gave no token ids")
        return tuple(token for token in known if token is not None)

    def close(self) -> None:
        """Nothing to stop: it was running before."""


_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|compute|output) buffer size\s*=\s*([\d.]+) MiB")
_DEVICES = {
    "CUDA": "cuda",
    "ROCm": "rocm",
    "HIP": "rocm",
    "Metal": "metal",
    "MTL": "metal",
    "Vulkan": "vulkan",
    "SYCL": "xpu",
}


def device_words(log: str) -> DeviceWords:
    """Where the layers went, from the lines llama.cpp logs while loading (src/llama-model.cpp, src/llama-kv-cache.cpp).

    The share is bytes of weights in GPU buffers over all of them; layers where the buffers were not logged.
    """
    sizes: dict[str, float] = {}
    by_device: dict[str, float] = {}
    lines = []
    for match in _BUFFER.finditer(log):
        buffer, kind, mib = match[1], match[2], float(match[3])
        sizes[kind.lower()] = sizes.get(kind.lower(), 0.0) + mib
        if kind == "model":
            by_device[_device(buffer)] = by_device.get(_device(buffer), 0.0) + mib
            lines.append(match[0])
    layers = _OFFLOADED.search(log)
    if layers:
        lines.insert(0, layers[0])
    on_gpu = {name: mib for name, mib in by_device.items() if name != "cpu"}
    total = sum(by_device.values())
    share: float | None = None
    if total > 0:
        share = sum(on_gpu.values()) / total
    elif layers and int(layers[2]):
        share = int(layers[1]) / int(layers[2])
    device = max(on_gpu, key=lambda name: on_gpu[name]) if on_gpu else "cpu" if share == 0 else "unknown"
    memory = {"weights": sizes.get("model", 0.0), "kv": sizes.get("kv", 0.0), "compute": sizes.get("compute", 0.0)}
    return DeviceWords(
        device=device,
        gpu_share=share,
        says="; ".join(" ".join(line.split()) for line in lines),
        memory_mib={name: round(mib, 2) for name, mib in memory.items() if mib},
    )


def _device(buffer: str) -> str:
    if buffer.endswith("_Host"):  # pinned memory of the host, not of the device
        return "cpu"
    return next((device for prefix, device in _DEVICES.items() if buffer.startswith(prefix)), "cpu")
