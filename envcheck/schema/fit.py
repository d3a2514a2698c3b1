"""Whether a model fits a machine in one backend: the row that `fit` prints, and a machine's room. MiB throughout."""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import Record
from envcheck.schema.speed import Band as Band  # re-exported: part of a row

Status = Literal["fits", "tight", "offload", "no", "unknown"]
"""fits: with room for the prediction's error · tight: only by the prediction itself · offload: with a part on the host
· no: not even so · unknown: a needed fact is missing."""

Basis = Literal["measured", "calculated", "table"]
DeviceKind = Literal["discrete", "integrated", "unified"]


class Device(Record, cache_hash=True, gc=False):
    """One GPU as memory arithmetic sees it."""

    index: int
    name: str
    vendor: str
    kind: DeviceKind
    total_mib: float
    available_mib: float
    """What a new process may take: the free memory where it is known, else the total less the driver's own share."""
    compute_capability: str | None = None


class Room(Record, cache_hash=True):
    """The memory of a machine that a model may use."""

    devices: tuple[Device, ...] = ()
    ram_mib: float | None = None
    """Host memory a new process may take (container limit respected); None: unknown."""
    cores: int | None = None
    cpu: str | None = None
    """The processor's name; None: unknown."""
    cpu_units: tuple[str, ...] = ()
    """Its vector units, as flags of the kernel that speed depends on ("avx2", "avx512_bf16", "asimd")."""
    ram_bandwidth_gbs: float | None = None
    """Memory bandwidth of the processors, measured on this machine; None: not measured."""
    gpus_unknown: str | None = None
    """Why nobody could tell which GPUs there are; None: known, possibly none."""
    os_family: str | None = None
    """"linux", "windows", "macos"; None: unknown."""
    assumptions: tuple[str, ...] = ()

    @property
    def shares_ram(self) -> bool:
        """True when GPU memory and host memory are the same chips."""
        return any(device.kind != "discrete" for device in self.devices)


class MemoryTerms(Record, gc=False):
    """The sum, term by term, over all GPUs used (or host memory when none is)."""

    weights: float
    kv: float
    recurrent_state: float
    compute: float
    overhead: float
    """Driver context per process and device, communication buffers, graphs: what no part of the model explains."""
    total: float
    available: float
    headroom: float


class SpeedBands(Record):
    """Speed to expect of one request among `concurrency`."""

    decode_tps: Band | None = None
    prefill_tps: Band | None = None
    ttft_ms: Band | None = None


class Residual(Record):
    """One run of this machine beside what was predicted of it; tokens/s."""

    when: str
    """ISO 8601; empty: the run does not say."""
    backend: str
    model: str
    device: Literal["cpu", "gpu"]
    measured_tps: float
    predicted_tps: float
    ratio: float
    """Measured over predicted."""


class Calibration(Record):
    """How this machine's decode speed compares with the prediction, learned from its own runs."""

    device: Literal["cpu", "gpu"]
    factor: float
    """The median of the ratios."""
    residuals: tuple[Residual, ...]


class FitRow(Record, gc=False):
    """One model in one backend with one quantization on one machine."""

    model: str
    params_b: float | None
    backend: str
    quant: str
    context: int
    """Tokens of one sequence."""
    concurrency: int
    status: Status
    why: str
    """One sentence: what decides."""
    memory_mib: MemoryTerms | None
    interval_mib: dict[str, tuple[float, float]] | None
    max_context: int | None
    """Largest context that still fits with this concurrency; None: not even the smallest, or unknown."""
    max_concurrency: int | None
    gpu_layers: int | None
    """Repeating layers and output layer on GPUs, where the backend can split; None: does not apply."""
    speed: SpeedBands | None
    command: str | None
    assumptions: tuple[str, ...]
    basis: Basis
    devices: int = 0
    """GPUs used."""
    host_mib: float = 0.0
    """Weights and cache left in host memory."""
    reserved_mib: float | None = None
    """What the backend takes however little it needs (vLLM: utilization x total); None: only what it needs."""
    calibration: Calibration | None = None
    """What the speed was multiplied by, where that was asked for."""
