"""vLLM and SGLang have the same shape: an OpenAI wire, `/metrics`, and a server started from the target environment."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, Any

import msgspec

from envcheck.backends import _abilities, _exchange, _http, _metrics, _openai, _server, _stores, _target
from envcheck.backends._picture import plain_png
from envcheck.schema.backend import Ability, Candidate, Claim, DeviceWords, Exchange, Progress, Request
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

CONTEXT = 4096
CHAT = "/v1/chat/completions"

_FAULTS = (OSError, http.client.HTTPException, _http.Refused)


class Kind(Record):
    """What sets one such server apart from the other."""

    name: str
    module: str
    distributions: tuple[str, ...]
    entry: str
    """What `python -m` starts."""
    port: int
    version_route: str
    owner: str
    """`owned_by` in its model list."""
    model_flag: str
    length_flag: str
    env: dict[str, str]
    ready_limit_s: float = 600.0
    model_route: str = ""
    """Where the server tells of its model ("model_path", "has_image_understanding"), if it has such a route."""
    cpu_flags: tuple[str, ...] = ()
    """Given at the start on a machine without a GPU."""
    parser_flags: tuple[str, ...] = ()
    """What turns on tool calls at the start, before the parser's name; empty: a server started here gets none."""


class ServedEngine:
    """A server that is ready, ours or not."""

    def __init__(
        self,
        kind: Kind,
        to: _http.Address,
        candidate: Candidate,
        started: _server.Started | None,
        here: _target.ModelFolder | None = None,
    ) -> None:
        self._kind = kind
        self._to = to
        self._started = started
        self._here = here or _target.ModelFolder()
        self._device_expected = candidate.device_expected
        self.model = candidate.model
        self.url = to.url
        self.load_ms = None if started is None else started.load_ms

    @property
    def version(self) -> str:
        found = _quiet_get(self._to, self._kind.version_route)
        words = found.get("version") if isinstance(found, dict) else None
        return f"{self._kind.name} {words}" if words else self._kind.name

    def pids(self) -> tuple[int, ...]:
        if self._started is not None:
            return (self._started.child.pid,)
        return _server.listening_pids(self._to.port) if self._to.is_loopback else ()

    def device(self) -> DeviceWords:
        if self._started is None and self._device_expected == "cpu":
            return DeviceWords(device="cpu", gpu_share=0.0, says=_target.NO_GPU)
        log = self._started.child.log(4 * 1024 * 1024) if self._started else ""
        return device_words(log)

    def settings(self) -> dict[str, str]:
        models = _quiet_get(self._to, "/v1/models")
        rows = models.get("data") if isinstance(models, dict) else None
        lengths = [row["max_model_len"] for row in rows or [] if isinstance(row, dict) and row.get("max_model_len")]
        found = {"context": str(lengths[0])} if lengths else {}
        template = self._here.template
        return found if template is None else {**found, "chat_template_sha256": _target.sha256(template)}

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        before = self._metrics()
        route, payload = _openai.body(request, self.model)
        exchange = _exchange.ask(self._to, "/v1" + route, payload, limit_s, stall_s, None, _openai.events)
        if exchange.ended == "complete" and before is not None:
            after = self._metrics() or {}
            own = _metrics.timings(before, after, f"{self._kind.module}:")
            exchange = msgspec.structs.replace(exchange, timings=own)
        return self._started.explained(exchange) if self._started else exchange

    def claims(self, ability: Ability) -> Claim:
        """By what the server says of itself and the model's own files; else by whether it takes such a prompt."""
        if ability == "text":
            return _abilities.claims_text(self._to, "/v1", self.model)
        if ability == "embedding":
            return _abilities.claims_embedding(self._to, "/v1/embeddings", self.model, {})
        if ability == "tools":
            return self._takes_tools()
        return self._takes_pictures()

    def _takes_tools(self) -> Claim:
        if (template := self._here.template) is not None and not _target.names_tools(template):
            return Claim(claimed=False, says="the model's chat template has no place for tools")
        info = _quiet_get(self._to, self._kind.version_route)
        if isinstance(info, dict) and info.get("tool_call_parser", "") is None:
            return Claim(claimed=False, says=f"{self._kind.version_route}: it was started without a tool_call_parser")
        return _abilities.takes_tools(self._to, CHAT, self.model)

    def _takes_pictures(self) -> Claim:
        info = _quiet_get(self._to, self._kind.model_route) if self._kind.model_route else None
        found = _abilities.flag(info, "has_image_understanding", self._kind.model_route)
        if found is not None:
            return found
        if self._here.sees is False:
            return Claim(claimed=False, says="the model's config.json has no encoder for pictures")
        return _abilities.takes_pictures(self._to, CHAT, self.model, plain_png(128, 128, 128))

    def embed(self, texts: tuple[str, ...], limit_s: float) -> _abilities.Vectors:
        return _abilities.embed(self._to, "/v1/embeddings", self.model, texts, limit_s, {})

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:  # noqa: ARG002
        raise EnvcheckError(f"{self._kind.name} is not asked for token ids")

    def close(self) -> None:
        if self._started is not None:
            self._started.child.stop()

    def _metrics(self) -> dict[str, float] | None:
        page = _quiet_get(self._to, "/metrics")
        return _metrics.parse(page) if isinstance(page, str) else None


_PARSERS = (("[TOOL_CALLS]", "mistral"), ("<|python_tag|>", "llama3_json"), ("<tool_call>", "hermes"))
"""What a chat template writes before a call, to vLLM's parser for it (docs.vllm.ai, "Tool Calling", 2026-11-21)."""


def tool_parser(template: str) -> str | None:
    """vLLM's parser for the calls of a template; None where it names no tools or writes calls in another way."""
    if not _target.names_tools(template) or "<function=" in template:
        return None
    return next((name for mark, name in _PARSERS if mark in template), None)


_DEVICE_LINE = re.compile(r"(?:device_config=|device_type=|Automatically detected platform )\"?(cuda|rocm|cpu|xpu|tpu)")
_WEIGHTS_LINE = re.compile(r"Model loading took ([\d.]+) (GiB|GB)|mem usage=([\d.]+) GB")


def device_words(log: str) -> DeviceWords:
    """From the lines vLLM ("device_config=cuda", "Model loading took …") and SGLang log at start."""
    device = _DEVICE_LINE.search(log)
    if device is None:
        return DeviceWords(device="unknown", says="the server does not say where it runs")
    weights = _WEIGHTS_LINE.search(log)
    gib = float(weights[1] or weights[3]) if weights else None
    return DeviceWords(
        device=device[1],
        gpu_share=0.0 if device[1] == "cpu" else 1.0,
        says="; ".join(match[0] for match in (device, weights) if match),
        memory_mib={} if gib is None else {"weights": round(gib * 1024, 1)},
    )


class ServedBackend:
    """Found running on its usual port, or started with a safetensors model that is on this machine."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name = kind.name

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        kind = self.kind
        running = self._listed(host, f"http://127.0.0.1:{kind.port}") if host.ports else []
        found = _target.modules(host, {kind.module: list(kind.distributions)})
        if isinstance(found, str) or kind.module not in found:
            why = found if isinstance(found, str) else f"{kind.name} is not in the target environment"
            why += f", and no server answers on port {kind.port}"
            return tuple(running) or (Candidate(backend=kind.name, state="missing", why=why),)
        models = [m for m in _stores.local_models(host) if m.kind == "safetensors"]
        models = [m for m in models if _target.generates_text(host, m.path)]
        if not models and not running:
            why = f"{kind.name} {found[kind.module]} is installed, but no safetensors model was found on this machine"
            return (Candidate(backend=kind.name, state="missing", why=why),)
        startable = [
            Candidate(
                backend=kind.name,
                state="startable",
                why=f"{kind.name} is in the target environment and {m.name} in the {m.origin} folder",
                model=m.name,
                path=m.path,
                version=found[kind.module],
                device_expected=_target.device_expected(host),
            )
            for m in models
        ]
        return (*running, *startable)

    def at(self, host: Host, url: str, model: str | None) -> Candidate:
        """The candidate for a named server. Raises EnvcheckError when none of this kind answers there."""
        to = _http.address(url.removesuffix("/").removesuffix("/v1"))
        found = self._listed(host, to.url)
        if not found:
            raise EnvcheckError(f"No {self.name} server answers at {to.url}: start it, or use --backend openai.")
        fitting = [c for c in found if model in (None, c.model)]
        if not fitting:
            raise InputError(f"{to.url} has no model {model!r}: it lists {', '.join(c.model for c in found)}.")
        return fitting[0]

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> ServedEngine:
        kind = self.kind
        if candidate.state == "running":
            return ServedEngine(
                kind, _http.address(candidate.url), candidate, None, _target.model_folder(host, candidate.path)
            )
        progress(f"starting {kind.name} with {candidate.model} (this may take minutes)")
        context = _target.context_of(host, candidate.path, CONTEXT)
        here = _target.model_folder(host, candidate.path)
        slow = kind.cpu_flags if candidate.device_expected == "cpu" else ()
        parser = [*kind.parser_flags, name] if kind.parser_flags and (name := tool_parser(here.template or "")) else []

        def command(port: int) -> list[str]:
            where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", candidate.model]
            model = [kind.model_flag, candidate.path, kind.length_flag, str(context)]
            return [host.target_python, "-m", kind.entry, *model, *where, *parser, *slow]

        started = _server.start(
            command,
            {**kind.env, **host.env},
            label=kind.name,
            ready_path="/health",
            limit_s=kind.ready_limit_s,
            progress=progress,
        )
        return ServedEngine(kind, started.to, candidate, started, here)

    def _listed(self, host: Host, url: str) -> list[Candidate]:
        to = _http.address(url)
        found: Any = _quiet_get(to, "/v1/models")
        rows = found.get("data") if isinstance(found, dict) else None
        own = [row for row in rows or [] if isinstance(row, dict) and row.get("owned_by") == self.kind.owner]
        expected = _target.device_expected(host) if to.is_loopback else "unknown"
        return [
            Candidate(
                backend=self.name,
                state="running",
                why=f"answers at {to.url}",
                model=row["id"],
                url=to.url,
                path=self._path(host, to, row) if to.is_loopback else "",
                device_expected=expected,
            )
            for row in own
            if isinstance(row.get("id"), str)
        ]

    def _path(self, host: Host, to: _http.Address, row: dict[str, Any]) -> str:
        """The model's folder on this machine: as the server names it, else the copy in a store of that name."""
        info = _quiet_get(to, self.kind.model_route) if self.kind.model_route else None
        named = info.get("model_path") if isinstance(info, dict) else row.get("root")
        if path := _target.path_here(host, named):
            return path
        models = _stores.local_models(host)
        return next((m.path for m in models if m.kind == "safetensors" and m.name in (named, row["id"])), "")


def _quiet_get(to: _http.Address, route: str) -> Any:
    """What a route answers, or None where it does not."""
    try:
        return _http.get(to, route, limit_s=2.0)
    except _FAULTS:
        return None
