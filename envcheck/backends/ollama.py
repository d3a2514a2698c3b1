"""Ollama: a running server on its own API (`/api/*`), which says more than its OpenAI-compatible one.

Wire as in ollama's docs/api.md: newline-delimited JSON, durations in nanoseconds, `/api/ps` for what is loaded where.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from typing import TYPE_CHECKING, Any

from envcheck.backends import _abilities, _exchange, _http, _openai, _server, _target
from envcheck.backends._exchange import Read, count, figure
from envcheck.schema.backend import (
    Ability,
    Candidate,
    Claim,
    DeviceWords,
    Ended,
    EngineTimings,
    Exchange,
    Message,
    Piece,
    Progress,
    Request,
)
from envcheck.schema.errors import EnvcheckError, InputError

if TYPE_CHECKING:
    from envcheck.host import Host

NAME = "ollama"
PORT = 11434
LOAD_LIMIT_S = 300.0
MOST_NAMES = 20
MIB = 1024 * 1024
NS_PER_S = 1e9
_FAULTS = (OSError, http.client.HTTPException, _http.Refused)


class OllamaEngine:
    """One model of a running Ollama server. It is unloaded at the end only where this run loaded it."""

    def __init__(self, to: _http.Address, model: str, version: str) -> None:
        self._to = to
        self._version = version
        self._was_loaded = self._loaded(model) is not None
        self.model = model
        self.url = to.url
        self.load_ms: float | None = None

    @property
    def version(self) -> str:
        return f"Ollama {self._version}".strip()

    def load(self) -> None:
        """Load without a prompt (an empty `/api/generate`). Raises EnvcheckError with the server's words."""
        try:
            found = _http.post(self._to, "/api/generate", {"model": self.model, "stream": False}, limit_s=LOAD_LIMIT_S)
        except _http.Refused as refusal:
            raise EnvcheckError(f"Ollama could not load {self.model}: {refusal}.") from refusal
        except (OSError, http.client.HTTPException) as fault:
            raise EnvcheckError(f"Ollama did not load {self.model} in {LOAD_LIMIT_S:g} s ({fault}).") from fault
        took = figure(found.get("load_duration")) if isinstance(found, dict) else None
        if took and not self._was_loaded:
            self.load_ms = took / 1e6

    def pids(self) -> tuple[int, ...]:
        return _server.listening_pids(self._to.port) if self._to.is_loopback else ()

    def device(self) -> DeviceWords:
        """`size_vram / size` of `/api/ps`: the part of the loaded model, cache included, that lies on GPUs."""
        row = self._loaded(self.model)
        if row is None:
            return DeviceWords(device="unknown", says="/api/ps does not list the model")
        size, vram = figure(row.get("size")), figure(row.get("size_vram"))
        if not size or vram is None:
            return DeviceWords(device="unknown", says="/api/ps gives no sizes")
        says = f"/api/ps: size_vram {vram / MIB:.0f} MiB of size {size / MIB:.0f} MiB"
        share = min(vram / size, 1.0)
        return DeviceWords(
            device="gpu" if vram else "cpu", gpu_share=share, says=says, memory_mib={"total": round(size / MIB, 1)}
        )

    def settings(self) -> dict[str, str]:
        shown = self._shown()
        if shown is None:
            return {}
        row = self._loaded(self.model) or {}
        details = shown.get("details") if isinstance(shown.get("details"), dict) else {}
        template = shown.get("template")
        found = {
            "model_digest": row.get("digest"),
            "context": row.get("context_length"),
            "quantization": details.get("quantization_level") if isinstance(details, dict) else None,
            "chat_template_sha256": hashlib.sha256(template.encode()).hexdigest()
            if isinstance(template, str)
            else None,
        }
        return {name: str(value) for name, value in found.items() if value}

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        options = {"temperature": request.temperature, "seed": request.seed, "num_predict": request.max_tokens}
        common: dict[str, Any] = {"model": self.model, "stream": True, "options": options}
        if request.completion is not None:
            route, body = "/api/generate", {**common, "prompt": request.completion, "raw": True}
        else:
            messages = [_message(m) for m in request.messages]
            route, body = "/api/chat", {**common, "messages": messages, **_openai.tools(request)}
        return _exchange.ask(self._to, route, body, limit_s, stall_s, None, events)

    def claims(self, ability: Ability) -> Claim:
        """By `capabilities` of `/api/show` (ollama, types/model/capability.go); servers before it claim only text."""
        listed = (self._shown() or {}).get("capabilities")
        if not isinstance(listed, list):
            return _abilities.TEXT if ability == "text" else _abilities.unsaid("/api/show knows capabilities")
        name = "completion" if ability == "text" else ability
        words = ", ".join(str(word) for word in listed) or "none"
        return Claim(claimed=name in listed, says=f"/api/show: capabilities {words}")

    def embed(self, texts: tuple[str, ...], limit_s: float) -> _abilities.Vectors:
        return _abilities.embed(self._to, "/v1/embeddings", self.model, texts, limit_s, {})

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:  # noqa: ARG002
        raise EnvcheckError("Ollama gives no token ids")

    def close(self) -> None:
        if not self._was_loaded:
            try:
                _http.post(self._to, "/api/generate", {"model": self.model, "keep_alive": 0, "stream": False})
            except _FAULTS:
                return  # the server is gone, and the model with it

    def _shown(self) -> dict[str, Any] | None:
        try:
            found = _http.post(self._to, "/api/show", {"model": self.model}, limit_s=5.0)
        except _FAULTS:
            return None
        return found if isinstance(found, dict) else None

    def _loaded(self, model: str) -> dict[str, Any] | None:
        try:
            found = _http.get(self._to, "/api/ps", limit_s=5.0)
        except _FAULTS:
            return None
        rows = found.get("models") if isinstance(found, dict) else None
        named = [row for row in rows or [] if isinstance(row, dict) and model in (row.get("name"), row.get("model"))]
        return named[0] if named else None


def _message(message: Message) -> dict[str, Any]:
    picture = {"images": [base64.b64encode(message.png).decode()]} if message.png else {}
    return {"role": message.role, "content": message.content, **picture}


def events(reads: list[Read], _content_type: str) -> Exchange:
    """The lines of one answer; a line may be cut anywhere, and the last may lack its end."""
    pieces: list[Piece] = []
    last: dict[str, Any] = {}
    error, garbage = "", 0
    for ns, line in _lines(reads):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            garbage += 1
            continue
        if not isinstance(document, dict):
            garbage += 1
            continue
        if document.get("error"):
            error = f"the server reported in the stream: {_http.error_words(line)}"
        piece = _piece(ns, document)
        if piece.has_token:
            pieces.append(piece)
        if document.get("done") is True:
            last = document
    ended: Ended = "refused" if error else "complete" if last else "cut"
    return Exchange(
        sent_ns=0,
        ended=ended,
        pieces=tuple(pieces),
        finish_reason=last.get("done_reason") if isinstance(last.get("done_reason"), str) else None,
        prompt_tokens=count(last.get("prompt_eval_count")),
        output_tokens=count(last.get("eval_count")),
        timings=timings(last),
        error=error or ("" if last else "the answer ended without its last line"),
        oddities=(f"{garbage} lines were not JSON objects",) if garbage else (),
    )


def _lines(reads: list[Read]) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    rest = bytearray()
    for ns, data in reads:
        rest += data
        *whole, left = bytes(rest).split(b"\n") if b"\n" in data else [bytes(rest)]
        if b"\n" in data:
            found += [(ns, line) for line in whole if line.strip()]
            rest = bytearray(left)
    if rest.strip():
        found.append((reads[-1][0], bytes(rest)))
    return found


def _piece(ns: int, document: dict[str, Any]) -> Piece:
    message = document.get("message")
    source = message if isinstance(message, dict) else document
    said = {name: value for name in ("content", "response", "thinking") if isinstance(value := source.get(name), str)}
    tool = json.dumps(source["tool_calls"]) if source.get("tool_calls") else ""
    text = said.get("content") or said.get("response") or ""
    return Piece(ns=ns, text=text, reasoning=said.get("thinking", ""), tool=tool)


def timings(last: dict[str, Any]) -> EngineTimings:
    """Ollama's durations (ns). A gateway that does not know them sends 0, which is no measurement."""
    prefill, decode = figure(last.get("prompt_eval_duration")), figure(last.get("eval_duration"))
    n_in, n_out = figure(last.get("prompt_eval_count")), figure(last.get("eval_count"))
    load = figure(last.get("load_duration"))
    return EngineTimings(
        prefill_tps=n_in / (prefill / NS_PER_S) if n_in and prefill else None,
        decode_tps=n_out / (decode / NS_PER_S) if n_out and decode else None,
        prefill_ms=prefill / 1e6 if prefill else None,
        decode_ms=decode / 1e6 if decode else None,
        load_ms=load / 1e6 if load else None,
    )


class Ollama:
    """A running Ollama server; envcheck never starts one, because it may be a system service."""

    name = NAME

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        to = address_of(host)
        if not host.ports or not to.is_loopback:
            why = (
                "connections were not wanted" if not host.ports else f"OLLAMA_HOST names {to.host}: give it with --url"
            )
            return (Candidate(backend=NAME, state="missing", why=why),)
        try:
            found = self._listed(host, to)
        except EnvcheckError as error:
            installed = "the program is installed: start it with `ollama serve`" if host.which("ollama") else str(error)
            return (Candidate(backend=NAME, state="missing", why=installed.rstrip(".")),)
        if not found:
            why = f"the server at {to.url} has no models: `ollama pull` one"
            return (Candidate(backend=NAME, state="missing", why=why, url=to.url),)
        return tuple(found)

    def at(self, host: Host, url: str, model: str | None) -> Candidate:
        """The candidate for a named server. Raises EnvcheckError when it does not answer, InputError for the model."""
        to = _http.address(url.removesuffix("/").removesuffix("/v1"))
        found = self._listed(host, to)
        fitting = [c for c in found if model is None or model in (c.model, c.model.removesuffix(":latest"))]
        if not fitting or (model is None and len(found) > 1):
            names = ", ".join(c.model for c in found[:MOST_NAMES]) or "none"
            names += f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
            what = f"{to.url} has no model {model!r}" if model else f"Name the model of {to.url} with --model"
            raise InputError(f"{what}: it lists {names}.")
        return fitting[0]

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> OllamaEngine:  # noqa: ARG002
        to = _http.address(candidate.url)
        if not to.is_loopback:
            progress(f"sending prompts to {to.host}: they leave this machine")
        engine = OllamaEngine(to, candidate.model, candidate.version)
        progress(f"loading {candidate.model}")
        engine.load()
        return engine

    def _listed(self, host: Host, to: _http.Address) -> list[Candidate]:
        try:
            version, found = _http.get(to, "/api/version", limit_s=1.0), _http.get(to, "/api/tags", limit_s=5.0)
        except _FAULTS as fault:
            raise EnvcheckError(f"No Ollama server answers at {to.url} ({fault}).") from fault
        words = str(version.get("version", "")) if isinstance(version, dict) else ""
        rows = found.get("models") if isinstance(found, dict) else None
        named = [row for row in rows or [] if isinstance(row, dict) and isinstance(row.get("name"), str)]
        expected = _target.device_expected(host) if to.is_loopback else "unknown"
        return [
            Candidate(
                backend=NAME, state="running", why=f"Ollama {words} answers at {to.url}", model=row["name"],
                url=to.url, version=words, device_expected=expected,
            )
            for row in sorted(named, key=lambda row: figure(row.get("size")) or 0.0)
        ]  # fmt: skip


def address_of(host: Host) -> _http.Address:
    """Where OLLAMA_HOST says the server is; a server told to listen everywhere is asked on loopback."""
    named = host.env.get("OLLAMA_HOST", "").strip()
    if not named:
        return _http.address(f"http://127.0.0.1:{PORT}")
    text = named if "://" in named else f"http://{named}"
    to = _http.address(text)
    has_port = text.rsplit("]", 1)[-1].rsplit("/", 1)[-1].count(":") == 1
    port = to.port if has_port or to.scheme == "https" else PORT
    where = "127.0.0.1" if to.host in ("0.0.0.0", "::") else to.host  # noqa: S104  compared with, not bound
    return _http.Address(scheme=to.scheme, host=where, port=port, base=to.base)


BACKEND = Ollama()
