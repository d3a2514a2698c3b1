"""Hugging Face Transformers in a child of the target interpreter, with safetensors or a GGUF file from this machine."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from envcheck.backends import _abilities, _calls, _openai, _server, _stores, _target
from envcheck.backends._exchange import count, figure
from envcheck.child import Child
from envcheck.schema.backend import (
    Ability,
    Candidate,
    Claim,
    DeviceWords,
    Ended,
    EngineTimings,
    Exchange,
    Piece,
    Progress,
    Request,
)
from envcheck.schema.errors import EnvcheckError

if TYPE_CHECKING:
    from envcheck.host import Host

NAME = "transformers"
LOAD_LIMIT_S = 600.0
MIB = 1024 * 1024
_WORKER = Path(__file__).with_name("_transformers_worker.py")


class TransformersEngine:
    """The worker with its model loaded."""

    url = ""

    def __init__(self, child: Child, model: str, loaded: dict[str, Any], load_ms: float) -> None:
        self._child = child
        self._loaded = loaded
        self._peak: float | None = None
        self.model = model
        self.load_ms: float | None = load_ms

    @property
    def version(self) -> str:
        return f"Transformers {self._loaded.get('transformers')}, torch {self._loaded.get('torch')}"

    def pids(self) -> tuple[int, ...]:
        return (self._child.pid,)

    def device(self) -> DeviceWords:
        """Bytes of parameters per device, counted in the worker."""
        sizes = {name: size for name, size in dict(self._loaded.get("bytes") or {}).items() if figure(size)}
        total = sum(sizes.values())
        if not total:
            return DeviceWords(device="unknown", says="the worker counted no parameters")
        device = max(sizes, key=lambda name: sizes[name])
        memory = {"weights": round(total / MIB, 1)}
        if self._peak:
            memory["total"] = round(self._peak / MIB, 1)
        return DeviceWords(
            device=device,
            gpu_share=1 - sizes.get("cpu", 0) / total,
            says=", ".join(f"{size / MIB:.0f} MiB of parameters on {name}" for name, size in sorted(sizes.items())),
            memory_mib=memory,
        )

    def settings(self) -> dict[str, str]:
        template = str(self._loaded.get("template") or "")
        found = {"dtype": ", ".join(self._loaded.get("dtypes") or [])}
        if template:
            found["chat_template_sha256"] = hashlib.sha256(template.encode()).hexdigest()
        return found

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        order = {
            "op": "ask",
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "completion": request.completion,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            **_openai.tools(request),
        }
        sent = time.monotonic_ns()
        pieces: list[Piece] = []
        try:
            self._child.write(json.dumps(order).encode())
            ended, error, last = self._collect(pieces, sent, limit_s, stall_s)
        except KeyboardInterrupt:
            ended, error, last = "interrupted", "interrupted by Ctrl-C", {}
        if request.tools and pieces and (tool := _calls.written("".join(piece.text for piece in pieces))):
            pieces[-1] = msgspec.structs.replace(pieces[-1], tool=tool)
        self._peak = max(filter(None, (self._peak, figure(last.get("peak")))), default=None)
        return Exchange(
            sent_ns=sent,
            ended=ended,
            pieces=tuple(pieces),
            finish_reason=last.get("finish"),
            prompt_tokens=count(last.get("prompt_tokens")),
            output_tokens=count(last.get("output_tokens")),
            timings=_timings(last),
            error=error,
        )

    def claims(self, ability: Ability) -> Claim:
        """Tools by the chat template, which must name them to show them; the model is loaded for text alone."""
        if ability == "text":
            return _abilities.TEXT
        if ability != "tools":
            return Claim(claimed=False, says="the model is loaded to continue text")
        named = _target.names_tools(str(self._loaded.get("template") or ""))
        return Claim(claimed=named, says=f"the chat template {'uses' if named else 'has no place for'} tools")

    def embed(self, texts: tuple[str, ...], limit_s: float) -> _abilities.Vectors:  # noqa: ARG002
        raise EnvcheckError("the model is loaded to continue text")

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:
        """Ids straight from `generate`."""
        self._child.write(json.dumps({"op": "greedy", "text": text, "count": count}).encode())
        deadline = time.monotonic() + limit_s
        while (line := self._child.line(deadline - time.monotonic())) is not None:
            document = _document(line[1])
            if document.get("event") == "error":
                raise EnvcheckError(f"{document.get('kind')}: {document.get('says')}")
            if document.get("event") == "tokens":
                return tuple(int(token) for token in document.get("ids") or ())
        if self._child.wait_ended(0.2):
            raise EnvcheckError(f"{self._child.ended}: {_server.last_words(self._child.log())}")
        raise EnvcheckError(f"the Transformers worker gave no tokens in {limit_s:g} s")

    def close(self) -> None:
        self._child.stop()

    def _collect(
        self, pieces: list[Piece], sent: int, limit_s: float, stall_s: float
    ) -> tuple[Ended, str, dict[str, Any]]:
        """Lines until the answer's end; the last document is returned."""
        while True:
            line = self._child.line(stall_s)
            if line is None:
                gone = self._child.wait_ended(0.2)
                how = f"{self._child.ended}: {_server.last_words(self._child.log())}"
                return ("cut", how, {}) if gone else ("stalled", f"nothing came for {stall_s:g} s", {})
            ns, raw = line
            document = _document(raw)
            kind = document.get("event")
            if kind == "text":
                pieces.append(Piece(ns=ns, text=str(document.get("text", ""))))
            elif kind == "end":
                return "complete", "", document
            elif kind == "error":
                return "refused", f"{document.get('kind')}: {document.get('says')}", {}
            if ns - sent > limit_s * 1e9:
                return "too_long", f"the answer took longer than {limit_s:g} s", {}


def _document(raw: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _timings(last: dict[str, Any]) -> EngineTimings:
    prefill, decode = figure(last.get("prefill_s")), figure(last.get("decode_s"))
    n_in, n_out = figure(last.get("prompt_tokens")), figure(last.get("output_tokens"))
    return EngineTimings(
        prefill_ms=prefill * 1e3 if prefill else None,
        decode_ms=decode * 1e3 if decode else None,
        prefill_tps=n_in / prefill if n_in and prefill else None,
        decode_tps=(n_out - 1) / decode if n_out and n_out > 1 and decode else None,
    )


class Transformers:
    """The package in the target environment with any local model it can load."""

    name = NAME

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        wanted = {"torch": ["torch"], "transformers": ["transformers"], "gguf": ["gguf"]}
        found = _target.modules(host, wanted)
        if isinstance(found, str):
            return (_missing(found),)
        lacking = [name for name in ("torch", "transformers") if name not in found]
        if lacking:
            return (_missing(f"the target environment has no {' and no '.join(lacking)}"),)
        kinds = ("safetensors", "gguf") if "gguf" in found else ("safetensors",)
        models = [m for m in _stores.local_models(host) if m.kind in kinds]
        models = [m for m in models if m.kind == "gguf" or _target.generates_text(host, m.path)]
        if not models:
            return (_missing("no model was found on this machine: name a folder in envcheck.toml"),)
        return tuple(
            Candidate(
                backend=NAME,
                state="startable",
                why=f"transformers {found['transformers']} can load {m.name} from the {m.origin} folder",
                model=m.name,
                path=m.path,
                version=found["transformers"],
                device_expected=_target.device_expected(host),
            )
            for m in models
        )

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> TransformersEngine:
        path = PurePosixPath(candidate.path)
        gguf = path.name if path.suffix == ".gguf" else ""
        order = {"op": "load", "path": str(path.parent if gguf else path), "gguf": gguf}
        if candidate.device:
            order["device"] = candidate.device
        progress(f"loading {candidate.model} with Transformers")
        started = time.monotonic()
        child = _worker(host)
        try:
            child.write(json.dumps(order).encode())
            loaded = _until_loaded(child, progress)
        except BaseException:
            child.stop()
            raise
        return TransformersEngine(child, candidate.model, loaded, (time.monotonic() - started) * 1e3)


def _worker(host: Host) -> Child:
    """The worker in the target interpreter, from a folder of its own so that no file beside it shadows a package."""
    child_argv = [host.target_python, _WORKER.name]
    return Child(child_argv, host.env, label="the Transformers worker", files=(_WORKER,))


def _until_loaded(child: Child, progress: Progress) -> dict[str, Any]:
    deadline = time.monotonic() + LOAD_LIMIT_S
    while time.monotonic() < deadline:
        line = child.line(5.0)
        if line is None:
            if child.wait_ended(0.1):
                raise EnvcheckError(f"{child.ended} while it loaded: {_server.last_words(child.log())}.")
            progress("still loading")
            continue
        document = _document(line[1])
        if document.get("event") == "loaded":
            return document
        if document.get("event") == "error":
            raise EnvcheckError(
                f"Transformers could not load the model: {document.get('kind')}: {document.get('says')}"
            )
    raise EnvcheckError(f"Transformers did not load the model in {LOAD_LIMIT_S:g} s.")


def _missing(why: str) -> Candidate:
    return Candidate(backend=NAME, state="missing", why=why)


BACKEND = Transformers()
