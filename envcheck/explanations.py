"""What a run's figures are due to: a decode speed held against its prediction, a GPU that was left unused.

Joins validation with the judge and with `fit`, so it is part of none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from envcheck import hardware
from envcheck.fit import slow
from envcheck.schema.facts import is_known, value_of
from envcheck.schema.hardware import HardwareRow
from envcheck.schema.run import Run, Validation
from envcheck.schema.snapshot import Gpu, Snapshot
from envcheck.schema.speed import Band, MeasuredRun, SpeedBand
from envcheck.schema.verdict import CHAIN, Verdict

_WAY = CHAIN[: CHAIN.index("backend") + 1]
_TORCH_ENGINES = ("transformers", "vllm", "sglang")


def explained(validation: Validation, machine: Callable[[], Snapshot]) -> Validation:
    """The validation with verdicts on speed and likely causes; the machine is asked for only where one is needed."""
    runs = tuple(_explained(run, machine) for run in validation.runs)
    return msgspec.structs.replace(validation, runs=runs)


def _explained(run: Run, machine: Callable[[], Snapshot]) -> Run:
    if run.status == "degraded" and run.device_used == "cpu" and run.device_expected not in ("cpu", "unknown"):
        cause = likely_cause(machine(), run.backend)
        if cause is not None:
            run = msgspec.structs.replace(run, why=f"{run.why}; likely cause: {cause.says}")
    decode = next((row for row in run.reconciled if row.quantity == "decode speed"), None)
    if decode is None or decode.measured is None or not decode.predicted:
        return run
    value = decode.predicted
    band = Band(value=value, low=decode.predicted_low or value, high=decode.predicted_high or value)
    snapshot = machine()
    verdict = slow.judge(
        measured_run(run, decode.measured, snapshot),
        SpeedBand(decode_tps=band, throughput_tps=band, basis=run.prediction_says),
        _card(_gpu(snapshot)),
    )
    return msgspec.structs.replace(run, slow=verdict)


def likely_cause(snapshot: Snapshot, backend: str) -> Verdict | None:
    """The first requirement on the way from the GPU to a backend that this machine does not meet; None where all are.

    The engine did run, so what is nearest to the device explains most.
    """
    from envcheck import api
    from envcheck.schema.errors import EnvcheckError

    try:
        verdicts = api.judge(snapshot, backends=[backend]).verdicts
    except EnvcheckError:  # a backend without a matrix of its own
        return None
    open_ = [v for v in verdicts if v.status in ("not_met", "warning") and v.severity != "info" and v.link in _WAY]
    broken = [v for v in open_ if not v.id.endswith(".installed")]  # an engine that ran is installed somewhere
    return min(broken, key=lambda v: (_WAY.index(v.link), v.status != "not_met"), default=None)


def measured_run(run: Run, decode_tps: float, snapshot: Snapshot) -> MeasuredRun:
    """What was seen of a run and of its GPU; not the link's generation, which an idle card lowers to save power."""
    device: Literal["gpu", "cpu"] | None = None
    if run.device_used != "unknown":
        device = "cpu" if run.device_used == "cpu" else "gpu"
    common = MeasuredRun(
        decode_tps=decode_tps,
        device_used=device,
        gpu_share=run.gpu_share,
        others_cpu_share=run.others_cpu_share,
        runs=sum(prompt.decode_tps is not None for prompt in run.prompts),
    )
    gpu = _gpu(snapshot)
    if gpu is None:
        return common
    vram = run.memory_mib.get("vram_peak")
    processes = value_of(gpu.processes)
    targets = value_of(snapshot.python.torch.arch_list) if run.backend in _TORCH_ENGINES else None
    return msgspec.structs.replace(
        common,
        gpu_memory_used_mib=None if vram is None else int(vram),
        gpu_memory_total_mib=value_of(gpu.memory_total_mib),
        pcie_width=value_of(gpu.pcie_width),
        pcie_width_max=value_of(gpu.pcie_width_max),
        power_limit_w=value_of(gpu.power_limit_w),
        throttle_reasons=gpu.throttle_reasons.value if is_known(gpu.throttle_reasons) else (),
        build_targets=tuple(targets or ()),
        # A server that runs on is among them: only for an engine that is gone again are they all somebody else's.
        other_gpu_processes=None if processes is None or run.load_ms is None else len(processes),
    )


def _gpu(snapshot: Snapshot) -> Gpu | None:
    """The first GPU: the one that a single model is put on."""
    gpus = snapshot.gpus
    return gpus.value[0] if is_known(gpus) and gpus.value else None


def _card(gpu: Gpu | None) -> HardwareRow | None:
    name = value_of(gpu.name) if gpu is not None else None
    return hardware.find(name, value_of(gpu.memory_total_mib)) if gpu is not None and name else None
