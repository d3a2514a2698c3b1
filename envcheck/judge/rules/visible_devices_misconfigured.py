"""An environment variable hides, renumbers or misnames devices, or forces a wrong runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Confidence, Finding, Quote, Severity

CAUSE = "visible_devices_misconfigured"
_INDEX_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_UUID = re.compile(r"^(?:GPU|MIG)-[0-9a-fA-F]", re.IGNORECASE)
_OVERRIDE = re.compile(r"^(\d{1,2})\.(\d)\.(\d)$")


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the variables against the devices and the backend."""
    yield from spoken(case, CAUSE)
    for name in _INDEX_VARIABLES:
        value = case.variable(name)
        if value is not None:
            yield from _selection(case, name, value.strip())
    yield from _mig(case)
    yield from _several(case)
    yield from _forced(case)


def _selection(case: Case, name: str, value: str) -> Iterator[Finding]:
    where = _variable_quote(case, name)
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if value in ("-1", "", "none", "NoDevFiles", "void"):
        # In a pasted report an empty value mostly stands for an unset variable; read from the machine it means itself.
        if value or _read_here(case):
            yield _finding(
                f"{name}={value!r} hides every device.",
                where,
                "blocker" if case.has_gpu() else "warning",
                "likely",
            )
        return
    if any(_UUID.match(part) for part in parts) and case.backend in ("vllm", "sglang"):
        mig = any(part.upper().startswith("MIG") for part in parts)
        yield _finding(
            f"{name} holds a device UUID; {case.backend} converts its entries to numbers in many versions.",
            where,
            "blocker" if mig and _no_device(case) else "warning",
            "likely",
        )
    numbers = [int(part) for part in parts if part.isdigit()]
    count = len(case.nvidia if name == "CUDA_VISIBLE_DEVICES" else case.devices)
    if numbers and count and max(numbers) >= count and (_no_device(case) or _counted_here(case)):
        yield _finding(
            f"{name}={value} names device {max(numbers)}, and this machine has {count} of them.",
            where,
            "blocker",
            "likely",
        )


def _mig(case: Case) -> Iterator[Finding]:
    """A MIG instance is chosen by its UUID, which many releases of vLLM and SGLang read as a number."""
    listed = [line for line, _ in case.paste.matching("(uuid: mig-", r"^\s*MIG \S")]
    listed = listed or list(case.paste.having("mig devices:"))
    if listed and case.backend in ("vllm", "sglang") and case.variable("CUDA_VISIBLE_DEVICES") is None:
        says = f"The GPU is split into MIG instances; {case.backend} cannot select one by its UUID in many releases."
        yield finding(CAUSE, "warning", says, quoted(listed[0]), confidence="possible")


def _no_device(case: Case) -> bool:
    return case.torch.available is False


def _counted_here(case: Case) -> bool:
    """Whether the devices were counted on the machine itself, where the drivers' tools ignore these variables.

    A pasted list may come from another place than the variable; MIG instances are more than the cards listed.
    """
    gpus = value_of(case.snapshot.nvidia.gpus) or ()
    return _read_here(case) and not any(isinstance(gpu.mig_mode, Known) and gpu.mig_mode.value for gpu in gpus)


def _read_here(case: Case) -> bool:
    """Whether the readings are those of a machine that was looked at or described, not of a pasted report."""
    return not any(case.paste.lines)


def _several(case: Case) -> Iterator[Finding]:
    """Ray sets ROCR_VISIBLE_DEVICES for each worker; a backend that binds by local rank then misses its device."""
    torch_rocm = case.torch.accelerator == "rocm" or bool(case.amd)
    if not torch_rocm or case.backend not in ("vllm", "sglang"):
        return
    if case.variable("ROCR_VISIBLE_DEVICES") is not None:
        yield _finding(
            "ROCR_VISIBLE_DEVICES hides devices from the runtime that the backend numbers itself.",
            _variable_quote(case, "ROCR_VISIBLE_DEVICES"),
            "warning",
            "likely",
        )
    size = case.option("tensor_parallel_size") or "1"
    ray = case.package("ray") is not None or "ray" in (case.option("distributed_executor_backend") or "")
    if (
        size.isdigit()
        and int(size) > 1
        and (ray or case.backend == "vllm")
        and case.variable("HIP_VISIBLE_DEVICES") is None
    ):
        yield _finding(
            "Several AMD GPUs under Ray: Ray sets ROCR_VISIBLE_DEVICES for each worker while the backend "
            "binds by local rank.",
            case.quote("GPU", case.amd[0].fact) if case.amd else None,
            "warning",
            "possible",
        )


def _forced(case: Case) -> Iterator[Finding]:
    override = case.variable("HSA_OVERRIDE_GFX_VERSION")
    if override is not None:
        match = _OVERRIDE.match(override)
        where = _variable_quote(case, "HSA_OVERRIDE_GFX_VERSION")
        forced = f"gfx{match.group(1)}{match.group(2)}{match.group(3)}" if match else ""
        for device in case.amd:
            if forced and device.gfx and device.gfx[:-2] != forced[:-2]:
                yield _finding(
                    f"HSA_OVERRIDE_GFX_VERSION={override} makes {device.name} ({device.gfx}) load code for "
                    f"{forced}, another generation.",
                    where,
                    "blocker",
                    "likely",
                )
                return
    library = case.variable("OLLAMA_LLM_LIBRARY")
    if library:
        cpu = library.startswith("cpu") and case.has_gpu()
        other = ("cuda" in library and bool(case.amd) and not case.nvidia) or (
            "rocm" in library and bool(case.nvidia) and not case.amd
        )
        severity: Severity = "blocker" if cpu or other else "warning"
        yield _finding(
            f"OLLAMA_LLM_LIBRARY={library} forces one runner.",
            _variable_quote(case, "OLLAMA_LLM_LIBRARY"),
            severity,
            "likely",
        )


def _finding(says: str, where: Quote | None, severity: Severity, confidence: Confidence) -> Finding:
    return finding(CAUSE, severity, says, where, confidence=confidence)


def _variable_quote(case: Case, name: str) -> Quote:
    for line in case.paste.having(name.lower()):
        if name + "=" in line.text or name + ":" in line.text:
            return quoted(line)
    return Quote(line=0, text=f"{name}={case.variable(name)}")


RULE = Rule(
    cause=CAUSE,
    link="runtime",
    judge=judge,
    explains=("parallel_size_exceeds_gpus", "cpu_only_build", "driver_stack_not_ready"),
)
