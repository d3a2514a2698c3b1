"""The host's GPU works, the container has no access to it, or lost it."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._ollama import nothing_found
from envcheck.schema.facts import Absent, Known, TextFact
from envcheck.schema.verdict import Confidence, Finding

CAUSE = "container_gpu_not_exposed"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then `docker info` without an nvidia runtime beside a working driver, then a container without devices."""
    yield from spoken(case, CAUSE)
    containers = case.snapshot.containers
    driver = case.snapshot.nvidia.driver
    if isinstance(containers.nvidia_container_toolkit, Absent) and (case.nvidia or isinstance(driver, Known)):
        yield finding(
            CAUSE,
            "warning",
            "Docker knows no nvidia runtime, so no container can use the GPU.",
            case.quote("runtimes", containers.nvidia_container_toolkit),
            confidence="likely",
        )
    yield from _inside(case)
    yield from _ollama(case)
    yield from _lost(case)


def _lost(case: Case) -> Iterator[Finding]:
    """A container that had its GPU and lost it while it ran: the host changed the rules of its devices.

    https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html (NVML: Unknown Error)
    """
    contained = "listening on [::]" in case.paste or case.variable("NVIDIA_VISIBLE_DEVICES") is not None
    had = [line for line in case.paste.having("inference compute") if "library=cuda" in line.text.lower()]
    for literal in ("failed to get device context", "failed to initialize cuda", "unable to locate gpu dependency"):
        gone = [line for line in case.paste.having(literal) if had and line.number > had[0].number]
        if gone and contained:
            says = "Ollama found the GPU when it started in its container, and lost it later."
            yield finding(CAUSE, "warning", says, quoted(had[0]), quoted(gone[0]), confidence="likely")
            return


def _inside(case: Case) -> Iterator[Finding]:
    """A CUDA build that finds no CUDA in what looks like a container."""
    torch = case.torch
    seen = case.devices or isinstance(driver_of(case), Known)
    contained = isinstance(case.snapshot.os.container, Known) or case.variable("NVIDIA_VISIBLE_DEVICES") is not None
    if torch.accelerator == "cuda" and torch.available is False and not seen:
        where = "inside the container" if contained else "from here, as in a container started without its GPU"
        says = f"torch finds no CUDA, and neither driver nor GPU is seen {where}."
        fact = case.snapshot.python.torch.cuda_available
        confidence: Confidence = "likely" if contained else "possible"
        yield finding(CAUSE, "warning", says, case.quote("available", fact), confidence=confidence)


def _ollama(case: Case) -> Iterator[Finding]:
    """Ollama finds no GPU, on a machine that has one or in what looks like its container image.

    The image listens on every address (`OLLAMA_HOST` in its Dockerfile):
    https://github.com/ollama/ollama/blob/main/Dockerfile
    """
    lines = nothing_found(case)
    contained = case.variable("NVIDIA_VISIBLE_DEVICES") is not None or "docker" in case.paste
    if lines and (contained or "listening on [::]" in case.paste):
        says = "Ollama finds no GPU in what looks like a container."
        yield finding(CAUSE, "warning", says, quoted(lines[0]), confidence="possible")


def driver_of(case: Case) -> TextFact:
    """The kernel driver, as far as it was read."""
    return case.snapshot.nvidia.driver


RULE = Rule(
    cause=CAUSE,
    link="device",
    judge=judge,
    explains=("cpu_only_build", "shared_library_missing", "driver_stack_not_ready"),
)
