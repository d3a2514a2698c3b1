"""What an inference backend is to envcheck: where it may be found, how it is opened, what comes back from it.

`Backend` and `Engine` are the two protocols a file in `envcheck/backends/` implements; everything else here is the
plain values that pass between backends and validation. Clock values are `time.monotonic_ns()` of this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

SPELLINGS = {
    "openai": "openai_compatible",
    "openai-compatible": "openai_compatible",
    "llama_cpp": "llama.cpp",
    "llama-cpp": "llama.cpp",
    "llamacpp": "llama.cpp",
}
"""Names of backends as people type them, to the one that is printed everywhere."""


def spelled(name: str) -> str:
    """A backend's name as it is printed; a name nobody knows stays as it is."""
    return SPELLINGS.get(name.lower(), name)


Progress = Callable[[str], None]
"""Told what is going on, one short line at a time; the default says nothing."""

State = Literal["running", "startable", "missing"]
Ended = Literal["complete", "cut", "stalled", "refused", "unreachable", "too_long", "interrupted"]
"""How an exchange ended: `cut` is a connection that closed before the answer was whole, `refused` an error the server
sent, `too_long` a time or size limit of ours."""


Ability = Literal["text", "tools", "vision", "embedding"]
"""What a prompt needs of a model: only what the model or its template claims is asked for."""


class Claim(Record):
    """Whether an engine claims an ability for its model, and the words this was read from."""

    claimed: bool
    says: str
    """One clause: where it says so, or why it is taken not to."""


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str
    png: bytes = b""
    """A picture that belongs to the turn."""


class Tool(Record):
    """A function the model may ask to be called; `parameters` is a JSON schema (OpenAI, "Function calling")."""

    name: str
    description: str
    parameters: dict[str, Any]


class Request(Record):
    """One prompt: either a conversation or, with `completion`, a text to be continued without a chat template."""

    id: str
    messages: tuple[Message, ...] = ()
    completion: str | None = None
    max_tokens: int = 128
    temperature: float = 0.0
    seed: int = 1
    tools: tuple[Tool, ...] = ()


class Piece(Record):
    """What one event of the stream added, with the clock at which the read that completed it returned."""

    ns: int
    text: str = ""
    reasoning: str = ""
    """Thinking that comes before the answer, under whatever name the server gives it."""
    tool: str = ""
    """A fragment of a tool call."""

    @property
    def has_token(self) -> bool:
        """An event that carries generated text of any kind; role, usage and comment events do not."""
        return bool(self.text or self.reasoning or self.tool)


class EngineTimings(Record):
    """The engine's own figures for one answer; None where it does not give them."""

    prefill_tps: float | None = None
    decode_tps: float | None = None
    prefill_ms: float | None = None
    decode_ms: float | None = None
    load_ms: float | None = None


class Exchange(Record):
    """One prompt sent and what came back, as raw as it can be kept."""

    sent_ns: int
    ended: Ended
    pieces: tuple[Piece, ...] = ()
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    timings: EngineTimings = EngineTimings()
    error: str = ""
    """One sentence, where something went wrong."""
    oddities: tuple[str, ...] = ()
    """Events that were tolerated: not JSON, no [DONE], no usage …"""


class DeviceWords(Record):
    """Where the engine itself says its layers are."""

    device: str
    """"cpu", "cuda", "rocm", "metal", "xpu", "vulkan" or "unknown"."""
    gpu_share: float | None = None
    """Part of the model's bytes (or layers) on the GPU, 0 to 1; None where it does not say."""
    says: str = ""
    """The engine's own words this was read from."""
    memory_mib: dict[str, float] = msgspec.field(default_factory=dict)
    """Sizes it reports: "weights", "kv", "compute", "total"."""


class Candidate(Record):
    """A model on a backend that could be asked, or why there is none."""

    backend: str
    state: State
    why: str
    """One clause: what was found and where, or what is missing and how to get it."""
    model: str = ""
    path: str = ""
    """The model's file or folder on this machine; of a running server, where it says so and it is there."""
    url: str = ""
    version: str = ""
    device_expected: str = "unknown"
    device: Literal["", "cpu"] = ""
    """"cpu" where it is to run on the processor whatever else is there; "" leaves it to the engine."""


class Engine(Protocol):
    """One engine with one model, ready to be asked."""

    model: str
    url: str

    @property
    def version(self) -> str:
        """Name and version as the engine gives them."""

    @property
    def load_ms(self) -> float | None:
        """From start to ready, where this run loaded the model."""

    def pids(self) -> tuple[int, ...]:
        """The engine's processes on this machine; empty when it is remote or cannot be told."""

    def device(self) -> DeviceWords:
        """Where it says the model lies; asked after prompts ran."""

    def settings(self) -> dict[str, str]:
        """What one needs to repeat the run: context, threads, chat template hash, model digest …"""

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        """Send one prompt and collect the stream. Never raises for what a server does; Ctrl-C ends as `interrupted`."""

    def claims(self, ability: Ability) -> Claim:
        """Whether it offers more than text; asked before a prompt that needs it."""

    def embed(self, texts: tuple[str, ...], limit_s: float) -> tuple[tuple[float, ...], ...]:
        """One vector per text. Raises EnvcheckError with the reason; asked only where embeddings are claimed."""

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:
        """Ids of the `count` tokens that continue a text greedily. Raises EnvcheckError where it gives no ids."""

    def close(self) -> None:
        """Unload and stop what this run started; a server that was running already stays."""


class Backend(Protocol):
    """A plug-in of `envcheck/backends/`, exported as `BACKEND`."""

    name: str

    def discover(self, host: Host) -> tuple[Candidate, ...]:
        """Look for it without starting anything; at least one entry, `missing` with the reason where there is none."""

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> Engine:
        """Start it, or connect. Raises EnvcheckError with one sentence when it does not get ready."""
