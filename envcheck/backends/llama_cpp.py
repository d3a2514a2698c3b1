"""llama.cpp's own server: one that runs, or one started with a GGUF file that is on this machine."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

from envcheck.backends import _http, _llama, _server, _stores, _target, _xllamacpp
from envcheck.schema.backend import Candidate, DeviceWords, Exchange, Progress, Request
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

NAME = "llama.cpp"
PORTS = (8080, 9931)
"""Loopback ports on which a running llama.cpp server is looked for; the first is llama-server's default."""
CONTEXT = 4096
READY_LIMIT_S = 180.0
PROGRAM = "llama-server"
HOW_TO_GET = "run `envcheck install llama-cpp`"
HOW_TO_GET_A_MODEL = (
    "name one with --model FILE.gguf, or fetch one with `envcheck models pull ORG/NAME/FILE.gguf --from hf`"
)
VERBOSE = {"LLAMA_ARG_LOG_VERBOSITY": "4"}
"""Makes builds that keep the buffer lines for their trace level print them (common/arg.cpp of ggml-org/llama.cpp).
A build that does not know the variable ignores it."""


class RunningServer(_llama.LlamaServer):
    """A server somebody else started; it is left running."""

    def __init__(self, to: _http.Address, model: str, device_expected: str) -> None:
        super().__init__(to, model)
        self._device_expected = device_expected

    def device(self) -> DeviceWords:
        """Over HTTP it does not say; on a machine without a GPU driver there is one place only."""
        if self._device_expected != "cpu":
            return super().device()
        return DeviceWords(device="cpu", gpu_share=0.0, says=_target.NO_GPU)

    def pids(self) -> tuple[int, ...]:
        return _server.listening_pids(self._to.port) if self._to.is_loopback else ()


class OwnServer(_llama.LlamaServer):
    """A server started for this run."""

    def __init__(self, started: _server.Started, model: str, device_expected: str) -> None:
        super().__init__(started.to, model)
        self._started = started
        self._device_expected = device_expected
        self.load_ms = started.load_ms

    def pids(self) -> tuple[int, ...]:
        return (self._started.child.pid,)

    def device(self) -> DeviceWords:
        said = _llama.device_words(self._started.child.log(1024 * 1024))
        if said.device == "unknown" and self._device_expected == "cpu":
            return DeviceWords(device="cpu", gpu_share=0.0, says=_target.NO_GPU)
        return said

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        return self._started.explained(super().ask(request, limit_s, stall_s))

    def close(self) -> None:
        self._started.child.stop()


class _Engine(Record):
    """What can be started for a model, or why nothing can."""

    words: str = ""
    """A clause that says what is there; empty where nothing is."""
    why: str = ""
    version: str = ""
    """Of the package; the program says its own once it runs."""
    is_envchecks: bool = False
    """Whether the package is the one that envcheck itself uses as its embedded default."""


class LlamaCpp:
    """llama.cpp's server, found running, on PATH or in the target environment's package xllamacpp."""

    name = NAME

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        running = [c for port in PORTS if host.ports for c in self._listed(host, f"http://127.0.0.1:{port}")]
        engine = _engine(host)
        if not engine.words:
            return tuple(running) or (Candidate(backend=NAME, state="missing", why=engine.why),)
        models = [m for m in _stores.local_models(host) if m.kind in ("gguf", "ollama")]
        if engine.is_envchecks:
            # With the embedded weights it would be the embedded default once more.
            models = [m for m in models if m.origin != "embedded"]
        if not models and not running:
            why = f"{engine.words}, but no GGUF model was found: {HOW_TO_GET_A_MODEL}"
            return (Candidate(backend=NAME, state="missing", why=why),)
        startable = [
            Candidate(
                backend=NAME,
                state="startable",
                why=f"{engine.words} and {m.name} is in the {m.origin} folder",
                model=m.name,
                path=m.path,
                version=engine.version,
                device_expected=_target.device_expected(host),
            )
            for m in models
        ]
        return (*running, *startable)

    def at(self, host: Host, url: str, model: str | None) -> Candidate:
        """The candidate for a named server. Raises EnvcheckError when it is no llama.cpp server or does not answer."""
        to = _http.address(url.removesuffix("/").removesuffix("/v1"))
        found = self._listed(host, to.url)
        if not found:
            raise EnvcheckError(f"No llama.cpp server answers at {to.url}: start it, or use --backend openai.")
        fitting = [c for c in found if model in (None, c.model)]
        if not fitting:
            raise InputError(f"{to.url} has no model {model!r}: it lists {', '.join(c.model for c in found)}.")
        return fitting[0]

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> _llama.LlamaServer:
        if candidate.state == "running":
            return RunningServer(_http.address(candidate.url), candidate.model, candidate.device_expected)
        program = host.which(PROGRAM)
        progress(f"starting {PROGRAM if program else candidate.version} with {candidate.model}")
        started = _by_program(host, program, candidate, progress) if program else _by_package(host, candidate)
        return OwnServer(started, candidate.model, candidate.device_expected)

    def _listed(self, host: Host, url: str) -> list[Candidate]:
        """Models of a llama.cpp server at `url`; empty when something else, or nothing, answers."""
        to = _http.address(url)
        try:
            found: Any = _http.get(to, "/v1/models", limit_s=1.0)
        except (OSError, http.client.HTTPException, _http.Refused):
            return []
        rows = found.get("data") if isinstance(found, dict) else None
        named = [
            row["id"]
            for row in rows or []
            if isinstance(row, dict) and row.get("owned_by") == "llamacpp" and isinstance(row.get("id"), str)
        ]
        path = _target.path_here(host, _model_path(to)) if len(named) == 1 and to.is_loopback else ""
        expected = _target.device_expected(host) if to.is_loopback else "unknown"
        why = f"answers at {to.url}"
        return [
            Candidate(
                backend=NAME, state="running", why=why, model=name, url=to.url, path=path, device_expected=expected
            )
            for name in named
        ]


def _engine(host: Host) -> _Engine:
    """What could be started here: the program on PATH, else the package in the target environment."""
    if host.which(PROGRAM) is not None:
        return _Engine(words=f"{PROGRAM} is on PATH")
    none = f"no {PROGRAM} is on PATH, none answers on port {' or '.join(map(str, PORTS))}"
    found = _target.modules(host, {_xllamacpp.MODULE: [_xllamacpp.MODULE]})
    if isinstance(found, str):
        return _Engine(why=f"{none}, and {found}")
    version = found.get(_xllamacpp.MODULE)
    if version is None:
        return _Engine(why=f"{none}, and the target environment has no {_xllamacpp.MODULE}: {HOW_TO_GET}")
    name = f"{_xllamacpp.MODULE} {version}".strip()
    return _Engine(
        words=f"{name} is in the target environment", version=name, is_envchecks=_target.is_own(host.target_python)
    )


def _by_program(host: Host, program: str, candidate: Candidate, progress: Progress) -> _server.Started:
    def command(port: int) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(port)]
        model = [program, "-m", candidate.path, "--alias", candidate.model]
        device = ["--device", "none"] if candidate.device == "cpu" else []
        return [*model, *where, "-c", str(CONTEXT), "-np", "1", *device]

    env = {**VERBOSE, **host.env}
    return _server.start(command, env, label=PROGRAM, ready_path="/health", limit_s=READY_LIMIT_S, progress=progress)


def _by_package(host: Host, candidate: Candidate) -> _server.Started:
    options: dict[str, object] = {
        "path": candidate.path,
        "model": candidate.model,
        "context": CONTEXT,
        "threads": _xllamacpp.threads(),
        "device": candidate.device,
    }
    label = f"llama.cpp of {_xllamacpp.MODULE}"
    return _xllamacpp.start(host.target_python, host.env, options, label=label, limit_s=READY_LIMIT_S)


def _model_path(to: _http.Address) -> object:
    """The file that the server says it loaded (`/props`, `model_path`)."""
    try:
        found = _http.get(to, "/props", limit_s=1.0)
    except (OSError, http.client.HTTPException, _http.Refused):
        return None
    return found.get("model_path") if isinstance(found, dict) else None


BACKEND = LlamaCpp()
