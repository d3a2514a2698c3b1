"""What was proved by running: raw samples of prompts on an engine, and what was made of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from envcheck.schema.facts import Record
from envcheck.schema.speed import SlowVerdict

Answer = Literal["right", "wrong", "refused", "empty", "looping", "not_judged"]
RunStatus = Literal["passed", "degraded", "failed", "skipped"]


class PromptRun(Record, omit_defaults=False):
    """One prompt, sent once. Times are milliseconds on the client's clock; None where it did not get that far."""

    id: str
    kind: str
    """"fixed_answer", "text_generation", "question_answering", "reasoning", "document_analysis",
    "multi_turn", "tool_call", "embedding", "image"."""
    passed: bool
    """The answer is right. A wrong answer of a small model never fails the environment: see `Run.status`."""
    answer: Answer
    answer_text: str = ""
    answer_sha256: str = ""
    why: str = ""
    """What was expected and seen, or the error."""
    skipped_because: str = ""
    """Why the prompt was not sent: the model does not claim what it needs."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    ttft_ms: float | None = None
    """Time to first token: request sent to the first chunk with text (a chunk with only a role does not count)."""
    tpot_ms: float | None = None
    """Time per output token after the first: (e2e - TTFT) / (output_tokens - 1)."""
    e2e_ms: float | None = None
    decode_tps: float | None = None
    prefill_tps: float | None = None
    server_decode_tps: float | None = None
    """The engine's own figure, where it gives one."""
    server_prefill_tps: float | None = None
    ttfa_ms: float | None = None
    """Time to the first token of the answer itself, after any thinking."""
    cached_tokens: int | None = None
    """Prompt tokens the engine took from its cache; a TTFT with many of them says nothing about prefill."""
    chunks: int | None = None
    """Events that carried text; fewer than `output_tokens` when the engine sends several tokens at once."""
    coalesced_share: float | None = None
    """Part of the gaps between events that are zero because one read held several of them."""
    cold: bool = False
    """The first prompt after start or load: its TTFT includes whatever the engine still had to prepare."""
    ram_mib: float | None = None
    """Peak proportional set size of the engine's processes while the prompt ran."""
    vram_mib: float | None = None
    """Peak GPU memory of the engine's processes; None without a GPU."""
    error: str | None = None
    finish_reason: str | None = None
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    """What was odd about the stream and was tolerated."""


class Expected(Record):
    """What was expected of a run before it was measured, and what that rests on."""

    figures: dict[str, float] = msgspec.field(default_factory=dict)
    """"total_mib", "decode_tps" and "prefill_tps", each also with "_low" and "_high"; empty where nothing is known."""
    says: str = ""
    """The basis, or why there is no figure."""


class Reconciled(Record, omit_defaults=False):
    """One quantity three ways."""

    quantity: str
    unit: str
    predicted: float | None = None
    predicted_low: float | None = None
    predicted_high: float | None = None
    backend_says: float | None = None
    measured: float | None = None
    says: str = ""


class LoadCycle(Record, omit_defaults=False):
    """The model loaded, asked for a first token, and unloaded again; times in ms, memory in MiB once it is unloaded."""

    load_ms: float
    first_token_ms: float | None = None
    unload_ms: float | None = None
    gpu_used_mib: float | None = None
    """Used memory of all GPUs together, by NVML."""
    server_mib: float | None = None
    """Memory of a server that stays; None where the engine's processes are gone."""
    error: str = ""


class Parity(Record, omit_defaults=False):
    """Greedy tokens of the same engine and weights on the GPU and on the processor, set side by side."""

    status: RunStatus
    """`passed` also where only an open text differs: rounding decides between likely tokens. `degraded` where the
    continuation that leaves no choice differs."""
    says: str
    compared: int = 0
    """Tokens of the open text that both gave."""
    first_difference: int | None = None
    """Position (from 0) of the first token of the open text that differs; None where none does."""


class Run(Record, omit_defaults=False):
    """One backend with one model, proved by real prompts."""

    backend: str
    model: str
    status: RunStatus
    why: str
    engine: str = ""
    """Name and version as the engine gives them."""
    device_expected: str = "cpu"
    device_used: str = "unknown"
    gpu_share: float | None = None
    url: str = ""
    """Where the engine listened; only loopback unless a remote one was named."""
    is_fallback: bool = False
    """True for the embedded default, which proves envcheck's path and this CPU, not another backend."""
    started_at: str = ""
    load_ms: float | None = None
    unload_ms: float | None = None
    prompts: tuple[PromptRun, ...] = ()
    memory_mib: dict[str, float] = msgspec.field(default_factory=dict)
    """Measured: "ram_peak", "ram_after_load", "vram_peak" …"""
    predicted: dict[str, float] = msgspec.field(default_factory=dict)
    prediction_says: str = ""
    """What the prediction rests on, or why there is none."""
    reconciled: tuple[Reconciled, ...] = ()
    cycles: tuple[LoadCycle, ...] = ()
    """Repeated loading and unloading, where asked for."""
    parity: Parity | None = None
    """None where no prompt was answered or it was not asked for."""
    leak_says: str = ""
    """What the memory after the cycles says, against the bound."""
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    """Everything needed to repeat it: context, threads, seed, temperature, chat template hash, model digest …"""
    others_cpu_share: float | None = None
    """Part of the machine's processor time that other programs took while the prompts ran, 0 to 1."""
    slow: SlowVerdict | None = None
    """The decode speed held against the prediction, with likely reasons where it is slow; None without both."""
    interrupted: bool = False


class ComputeRun(Record, omit_defaults=False):
    """One arithmetic or bandwidth measurement on a device."""

    id: str
    status: RunStatus
    device: str = ""
    error: float | None = None
    bound: float | None = None
    tflops: float | None = None
    bandwidth_gbs: float | None = None
    says: str = ""


class Validation(Record, omit_defaults=False):
    """All runs of one validation."""

    runs: tuple[Run, ...] = ()
    compute: tuple[ComputeRun, ...] = ()
    interrupted: bool = False
    unready: dict[str, str] = msgspec.field(default_factory=dict)
    """Backends that had nothing to be asked, and why; looked at only where no backend was named."""
