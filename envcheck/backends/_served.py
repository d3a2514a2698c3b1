"""vLLM and SGLang have the same shape: an OpenAI wire, `/metrics`, and a server started from the target environment."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, Any

import msgspec

from envcheck.backends import _abilities, _exchange, _http, _metrics, _openai, _server, _stores, _target
from envcheck.schema.backend import Ability, Candidate, Claim, DeviceWords, Exchange, Progress, Request
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

CONTEXT = 4096
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


class ServedEngine:
    """A server that is ready, ours or not."""

    def __init__(
        self, kind: Kind, to: _http.Address, model: str, started: _server.Started | None, template: str | None = None
    ) -> None:
        self._kind = kind
        self._to = to
        self._started = started
        self._template = template
        self.model = model
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
        log = self._started.child.log(4 * 1024 * 1024) if self._started else ""
        return device_words(log)

    def settings(self) -> dict[str, str]:
        models = _quiet_get(self._to, "/v1/models")
        rows = models.get("data") if isinstance(models, dict) else None
        lengths = [row["max_model_len"] for row in rows or [] if isinstance(row, dict) and row.get("max_model_len")]
        found = {"context": str(lengths[0])} if lengths else {}
        return {**found, "chat_template_sha256": self._template} if self._template else found

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
        """Tools need a parser that the starter of the server chose, and no route tells of it or of pictures."""
        if ability == "text":
            return _abilities.TEXT
        if ability == "embedding":
            return _abilities.claims_embedding(self._to, "/v1/embeddings", self.model, {})
        if ability == "tools" and self._started is not None:
            return Claim(claimed=False, says="it was started here without a parser for tool calls")
        return _abilities.unsaid(f"the model offers {ability}: no route of {self._kind.name} tells")

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
        running = self._listed(f"http://127.0.0.1:{kind.port}") if host.ports else []
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

    def at(self, host: Host, url: str, model: str | None) -> Candidate:  # noqa: ARG002
        """The candidate for a named server. Raises EnvcheckError when none of this kind answers there."""
        to = _http.address(url.removesuffix("/").removesuffix("/v1"))
        found = self._listed(to.url)
        if not found:
            raise EnvcheckError(f"No {self.name} server answers at {to.url}: start it, or use --backend openai.")
        fitting = [c for c in found if model in (None, c.model)]
        if not fitting:
            raise InputError(f"{to.url} has no model {model!r}: it lists {', '.join(c.model for c in found)}.")
        return fitting[0]

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> ServedEngine:
        kind = self.kind
        if candidate.state == "running":
            return ServedEngine(kind, _http.address(candidate.url), candidate.model, None)
        progress(f"starting {kind.name} with {candidate.model} (this may take minutes)")
        context = _target.context_of(host, candidate.path, CONTEXT)

        def command(port: int) -> list[str]:
            where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", candidate.model]
            model = [kind.model_flag, candidate.path, kind.length_flag, str(context)]
            return [host.target_python, "-m", kind.entry, *model, *where]

        started = _server.start(
            command,
            {**kind.env, **host.env},
            label=kind.name,
            ready_path="/health",
            limit_s=kind.ready_limit_s,
            progress=progress,
        )
        return ServedEngine(kind, started.to, candidate.model, started, _target.template_sha256(host, candidate.path))

    def _listed(self, url: str) -> list[Candidate]:
        to = _http.address(url)
        found: Any = _quiet_get(to, "/v1/models")
        rows = found.get("data") if isinstance(found, dict) else None
        return [
            Candidate(backend=self.name, state="running", why=f"answers at {to.url}", model=row["id"], url=to.url)
            for row in rows or []
            if isinstance(row, dict) and row.get("owned_by") == self.kind.owner and isinstance(row.get("id"), str)
        ]


def _quiet_get(to: _http.Address, route: str) -> Any:
    """What a route answers, or None where it does not."""
    try:
        return _http.get(to, route, limit_s=2.0)
    except _FAULTS:
        return None
