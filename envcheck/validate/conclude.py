"""What a run of prompts says about the environment, kept apart from how good the answers are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from envcheck.schema.backend import DeviceWords, Engine
from envcheck.schema.run import PromptRun, Run, RunStatus
from envcheck.validate import memory

FIXED = "fixed_answer"
ABILITIES = ("tool_call", "embedding", "image")
"""Kinds that prove a claim of the model beyond text; the environment works without them."""
NOT_OFFERED = ("HTTP 404", "HTTP 405", "HTTP 501")
"""How servers say that they have no route for raw completions."""


def conclude(base: Run, engine: Engine, done: Sequence[PromptRun], asked: int, *, interrupted: bool) -> Run:
    """The finished run: status, reason, device and what it takes to repeat it."""
    vram = max((p.vram_mib for p in done if p.vram_mib is not None), default=None)
    words = (
        DeviceWords(device="unknown", says="not asked: the run was interrupted")
        if interrupted
        else held_to_nvml(placed(engine.device(), vram), base.device_expected)
    )
    status, why = judged(done, asked, interrupted=interrupted)
    if status == "passed":
        status, why = device_status(base.device_expected, words, why)
    settings = dict(base.settings) if interrupted else {**base.settings, **engine.settings()}
    if words.says:
        settings["device_says"] = words.says
    return msgspec.structs.replace(
        base,
        status=status,
        why=why,
        engine=engine.version,
        url=engine.url,
        load_ms=None if engine.load_ms is None else round(engine.load_ms, 1),
        device_used=words.device,
        gpu_share=words.gpu_share,
        memory_mib={f"backend_{name}": mib for name, mib in words.memory_mib.items()},
        prompts=tuple(done),
        settings=settings,
        interrupted=interrupted,
    )


def judged(done: Sequence[PromptRun], asked: int, *, interrupted: bool) -> tuple[RunStatus, str]:
    """The environment works when every prompt was answered and the arithmetic is shown to be right.

    The fixed-answer completion shows that. Where a server offers no raw completions, or a model trained for chat does
    not continue a bare text, right answers to the other prompts show it instead.
    """
    if interrupted:
        finished = sum(not prompt.interrupted for prompt in done)
        return "skipped", f"interrupted by Ctrl-C after {finished} of {asked} prompts"
    sent = [p for p in done if not p.skipped_because]
    for prompt in sent:
        if prompt.kind in ABILITIES or (prompt.kind == FIXED and _not_offered(prompt)):
            continue
        if prompt.error or prompt.answer == "empty":
            return "failed", f"{prompt.id}: {prompt.error or prompt.why}"
    if len(done) < asked:
        return "failed", f"only {len(done)} of {asked} prompts could be asked"
    status, why = _arithmetic(sent)
    broken = next((p for p in sent if p.kind in ABILITIES and p.error), None)
    if broken is None or status == "failed":
        return status, why
    return "degraded", f"{broken.kind.replace('_', ' ')} is claimed and does not work ({broken.error}); {why}"


def _arithmetic(sent: Sequence[PromptRun]) -> tuple[RunStatus, str]:
    """Whether answers show that the engine computes right; of those that could be sent all were answered."""
    control = [p for p in sent if p.kind == FIXED and not _not_offered(p)]
    quality = [p for p in sent if p.kind != FIXED]
    if not any(p.kind not in ABILITIES for p in sent):
        kinds = ", ".join(p.kind.replace("_", " ") for p in quality if p.answer == "right")
        return "passed" if kinds else "degraded", f"the model claims no text; right is {kinds or 'nothing else'}"
    right = sum(p.answer == "right" for p in quality)
    tally = f"{right} of {len(quality)} quality answers are right"
    if control and all(p.answer == "right" for p in control):
        return "passed", f"the fixed answer is right and every prompt was answered; {tally}"
    if right >= 2 or (not control and right):
        lack = "the fixed-answer completion is not right" if control else "the server offers no raw completion"
        return "passed", f"every prompt was answered and {tally}; {lack}"
    if control:
        return "failed", f"the fixed answer is wrong ({control[0].why}) and {tally}: the engine computes nonsense"
    return "degraded", f"every prompt was answered, but {tally} and the server offers no raw completion to check"


def _not_offered(prompt: PromptRun) -> bool:
    return prompt.error is not None and any(code in prompt.error for code in NOT_OFFERED)


def placed(words: DeviceWords, vram_mib: float | None) -> DeviceWords:
    """Where an engine that does not say runs, from the GPU memory that NVML attributes to its processes.

    `vram_mib` is None where NVML could not tell; then it stays unknown.
    """
    if words.device != "unknown" or vram_mib is None:
        return words
    says = f"NVML attributes {vram_mib:.0f} MiB of GPU memory to its processes"
    return DeviceWords(device="cuda" if vram_mib > 0 else "cpu", says=says)


CLAIMED_LEAST = 0.5
"""Part of what an engine claims to hold on GPUs that NVML must count, whatever units and rounding each of them uses."""


def held_to_nvml(words: DeviceWords, expected: str) -> DeviceWords:
    """An engine that claims more GPU memory than all GPUs of the machine have in use runs elsewhere, whatever it says.

    The sum over the cards is compared, because a container may hide which process holds what.
    """
    claimed = (words.gpu_share or 0.0) * (words.memory_mib.get("total") or sum(words.memory_mib.values()))
    if words.device not in ("cuda", "gpu") or expected != "cuda" or not claimed:
        return words
    used = memory.nvidia_used_mib()
    if used is None or used >= CLAIMED_LEAST * claimed:
        return words
    says = f"{words.says}, but NVML counts {used:.0f} MiB in use on all GPUs together"
    return msgspec.structs.replace(words, device="cpu", gpu_share=0.0, says=says)


def device_status(expected: str, words: DeviceWords, why: str) -> tuple[RunStatus, str]:
    """A model that was to run on a GPU and did not, or only in part, is degraded whatever its answers."""
    if expected in ("cpu", "unknown") or words.device == "unknown":
        return "passed", why
    if words.device == "cpu":
        return "degraded", f"expected on {expected}, but it ran on the CPU ({words.says}); {why}"
    if words.gpu_share is not None and words.gpu_share < 0.999:
        return "degraded", f"only {words.gpu_share:.0%} of it is on the GPU ({words.says}); {why}"
    return "passed", why
