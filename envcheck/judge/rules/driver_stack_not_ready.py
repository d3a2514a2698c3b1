"""A driver is installed but cannot be used: module not loaded, `nvidia_uvm` or fabric manager missing, cuInit fails."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, quoted, spoken
from envcheck.judge.rules._common import finding
from envcheck.judge.rules._ollama import nothing_found
from envcheck.schema.facts import Known, value_of
from envcheck.schema.verdict import Finding

CAUSE = "driver_stack_not_ready"
_STATES = {
    "module_not_loaded": "The kernel module is not loaded.",
    "uvm_missing": "The nvidia_uvm module is missing.",
    "fabric_manager": "The NVSwitch fabric manager is not running.",
    "crashed": "The driver's library crashed when asked.",
    "failed": "The driver answers with an error.",
    "hung": "The driver did not answer in time.",
}


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the state that a probe or nvidia-smi gave."""
    yield from spoken(case, CAUSE)
    nvidia = case.snapshot.nvidia
    state = value_of(nvidia.state)
    if state in _STATES:
        yield finding(CAUSE, "blocker", _STATES[state], case.quote("driver state", nvidia.state), confidence="certain")
    return_code = value_of(case.snapshot.python.torch.cu_init)
    if return_code in (3, 802, 999):
        fact = case.snapshot.python.torch.cu_init
        yield finding(
            CAUSE, "blocker", f"cuInit(0) returned {return_code}.", case.quote("cuInit", fact), confidence="certain"
        )
    yield from _works_for_smi_only(case)
    yield from _nothing_seen(case)
    yield from _ollama(case)
    yield from _inside_wsl(case)
    yield from _on_the_bus(case)


def _on_the_bus(case: Case) -> Iterator[Finding]:
    """`lspci` shows an NVIDIA card, and another driver holds it or none answers."""
    cards = [line for line in case.paste.having("nvidia corporation") if _CONTROLLER.search(line.text)]
    for line in case.paste.having("kernel driver in use: "):
        near = [card for card in cards if 0 < line.number - card.number <= _DETAILS]
        other = _OTHER.search(line.text)
        if near and other:
            says = f"The kernel gave the card to {other.group(1)}, so NVIDIA's driver cannot use it."
            yield finding(CAUSE, "blocker", says, quoted(near[-1]), quoted(line))
            return
    silent = case.torch.available is False or any(word in case.paste for word in _NO_TOOL)
    if cards and silent and not isinstance(case.snapshot.nvidia.driver, Known):
        yield finding(CAUSE, "warning", "The card is on the bus, and no driver answers for it.", quoted(cards[0]))


_CONTROLLER = re.compile(r"(?:VGA compatible|3D|Display) controller", re.IGNORECASE)
_OTHER = re.compile(r"in use: (nouveau|vfio-pci|nvidiafb)\b", re.IGNORECASE)
_DETAILS = 6
"""Lines that `lspci -k` prints below a device."""
_NO_TOOL = ("nvidia-smi: command not found", "nvidia-smi: not found", "command 'nvidia-smi' not found")


def _inside_wsl(case: Case) -> Iterator[Finding]:
    """Under WSL the driver is Windows'; a Linux driver beside it is found first and reaches no device.

    https://docs.nvidia.com/cuda/wsl-user-guide (no NVIDIA Linux driver inside WSL)
    """
    given = [line for word in _WSL for line in case.paste.having(word)]
    own = [line for literal, pattern in _LINUX for line, _ in case.paste.matching(literal, pattern)] if given else []
    if own:
        says = "A Linux driver is installed inside WSL, beside the libraries of the Windows driver."
        yield finding(CAUSE, "warning", says, quoted(own[0]), quoted(given[0]))


_WSL = ("/usr/lib/wsl/lib/libcuda", "/usr/lib/wsl/lib/libnvidia-ml")
_LINUX = (
    ("libcuda.so.", r"/usr/lib(?:64|/x86_64-linux-gnu)/libcuda\.so\.\d{3}\."),
    ("libnvidia-ml.so.", r"/usr/lib(?:64|/x86_64-linux-gnu)/libnvidia-ml\.so\.\d{3}\."),
)
"""A library of the driver with its number: what WSL itself puts there is a plain link."""


def _works_for_smi_only(case: Case) -> Iterator[Finding]:
    """The driver answers nvidia-smi and is new enough, the build is a CUDA build, and CUDA is still not available."""
    torch, nvidia = case.torch, case.snapshot.nvidia
    if torch.accelerator == "cuda" and torch.available is False and isinstance(nvidia.driver, Known) and case.nvidia:
        yield finding(
            CAUSE,
            "warning",
            "The driver and GPU are there and torch is a CUDA build, yet CUDA is not available.",
            case.quote("driver", nvidia.driver),
            case.quote("available", case.snapshot.python.torch.cuda_available),
            confidence="possible",
        )


def _nothing_seen(case: Case) -> Iterator[Finding]:
    """A CUDA build that finds no CUDA, in a report that shows neither driver nor GPU."""
    torch = case.torch
    seen = case.devices or isinstance(case.snapshot.nvidia.driver, Known)
    if torch.accelerator == "cuda" and torch.available is False and not seen:
        says = "torch is a CUDA build and finds no CUDA; neither a driver nor a GPU is seen from here."
        fact = case.snapshot.python.torch.cuda_available
        yield finding(CAUSE, "warning", says, case.quote("available", fact), confidence="possible")


def _ollama(case: Case) -> Iterator[Finding]:
    """Another program of the report sees a GPU, and Ollama finds none."""
    lines = nothing_found(case)
    if lines and case.has_gpu():
        seen = case.quote("GPU", case.devices[0].fact)
        says = "A GPU is there, and Ollama finds none."
        yield finding(CAUSE, "warning", says, quoted(lines[0]), seen, confidence="possible")


RULE = Rule(cause=CAUSE, link="driver", judge=judge, explains=("cpu_only_build", "container_gpu_not_exposed"))
