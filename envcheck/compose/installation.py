"""The exact commands: what installs what is missing, and what shows that it is there."""

from __future__ import annotations

import re
from typing import Literal

from envcheck.compose._cells import table
from envcheck.compose.checked import actions
from envcheck.compose.installs import (
    backend_of,
    by_envcheck,
    by_pip,
    install_line,
    interpreter,
    is_planned,
    plans,
    what,
)
from envcheck.compose.overview import slug
from envcheck.schema.blocks import Block, Cell, Commands, Fold, Note, Paragraph, Part, Points, Section
from envcheck.schema.describe import backend_title
from envcheck.schema.facts import is_known, value_of
from envcheck.schema.plan import Plan, Step
from envcheck.schema.report import Action, Subject
from envcheck.schema.shell import command_line
from envcheck.schema.verdict import BackendState

_DEVICES = {"nvidia": "cuda", "amd": "cuda", "intel": "xpu", "apple": "mps"}
"""GPU vendor to the name of its devices in PyTorch."""
_SEEN = {
    "cuda": "torch.version.cuda or torch.version.hip, torch.cuda.get_arch_list(), torch.cuda.get_device_name()",
    "xpu": "torch.xpu.get_device_name()",
    "mps": "torch.backends.mps.is_available()",
}


def _torch_device(subject: Subject) -> str:
    vendors = [gpu.vendor for gpu in value_of(subject.snapshot.gpus) or ()]
    return _DEVICES.get(vendors[0], "cpu") if vendors else "cpu"


def _torch_lines(device: str) -> list[str]:
    """What PyTorch says of itself and its device, then a product of matrices of ones on it: 64³ = 262144."""
    seen = f", {_SEEN[device]}" if device in _SEEN else ""
    ones = f"torch.ones(64, 64, device='{device}')"
    return [f"import torch; print(torch.__version__{seen})", f"import torch; print({ones}.matmul({ones}).sum().item())"]


def installation_section(subject: Subject) -> Section | None:
    """What to run to install and to validate; None where nothing is to be installed and no backend can be validated."""
    parts = [part for part in (_install_part(subject), _validation_part(subject)) if part is not None]
    return Section(id="installation", title="Installation and validation", blocks=tuple(parts)) if parts else None


def _install_part(subject: Subject) -> Part | None:
    found = [_planned(plan, subject) for plan in plans(subject)]
    blocks: list[Block] = [part for part in found if part is not None]
    blocks += _remedies(subject)
    if not blocks:
        return None
    if any(by_envcheck(plan) for plan in plans(subject)):
        text = (
            "envcheck installs with hashes, verifies, and undoes everything if a step fails; without --yes it only "
            "shows the plan."
        )
        blocks.insert(0, Paragraph(text=text))
    return Part(id="installation-commands", title="Installation commands", blocks=tuple(blocks))


def _planned(plan: Plan, subject: Subject) -> Part | None:
    """One backend: what was decided and why, the command, and what the same is by hand."""
    family = value_of(subject.snapshot.os.family)
    name = backend_of(plan)
    blocks: list[Block] = []
    for blocked in plan.blocked:
        way = f" {blocked.remedy.says}" if blocked.remedy else ""
        blocks.append(Note(text=f"{blocked.says}{way}", mark="bad"))
    if by_envcheck(plan):
        blocks.append(Commands(says=f"{what(plan)}:", lines=(install_line(plan, subject),), language=shell_of(subject)))
        if plan.decision.because:
            items = tuple(Cell(text=f"{_once(text)}.") for text in plan.decision.because)
            blocks += [Paragraph(text="Why this build:"), Points(items=items)]
        by_hand = Commands(
            says="With uv, without hashes and without a way back:",
            lines=tuple(command_line(step.argv, family) for step in plan.steps if not step.manual),
            language=shell_of(subject),
        )
        blocks.append(Fold(title="The same by hand, and what was not taken", blocks=(by_hand, *_rejected(plan))))
    blocks += _by_hand([step for step in plan.steps if step.manual], family)
    return Part(id=f"install-{slug(name)}", title=backend_title(name), blocks=tuple(blocks)) if blocks else None


def _by_hand(steps: list[Step], family: str | None) -> list[Block]:
    """Steps of the makers' own installer, the ones with the same words together."""
    grouped: dict[str, list[Step]] = {}
    for step in steps:
        grouped.setdefault(step.says, []).append(step)
    return [
        Commands(
            says=says + (" Needs administrator rights." if any(step.needs_root for step in found) else ""),
            lines=tuple(command_line(step.argv, family) for step in found),
        )
        for says, found in grouped.items()
    ]


def _once(text: str) -> str:
    """What is said of several equal GPUs, said once: "7.0, 7.0" is "7.0"."""
    return re.sub(r"(\b[\w.+]+)(?:, \1)+(?![\w.])", r"\1", text)


def _rejected(plan: Plan) -> list[Block]:
    rejected = plan.decision.rejected
    if not rejected:
        return []
    rows = [(Cell(text=choice.choice), _once(choice.because)) for choice in rejected]
    return [table("Looked at and not taken", ["Choice", "Because"], rows)]


def shell_of(subject: Subject) -> Literal["bash", "powershell"]:
    """The language of the machine's commands."""
    return "powershell" if value_of(subject.snapshot.os.family) == "windows" else "bash"


def _remedies(subject: Subject) -> list[Block]:
    """The ways out that change something, less what the plans above do already."""
    found = [action for action in actions(subject.judgement) if action.commands and not is_planned(action, subject)]
    return [Commands(says=_says(action), lines=by_pip(action, subject)) for action in found]


def _says(action: Action) -> str:
    return action.says + (" Needs administrator rights." if action.needs_root else "")


def _validation_part(subject: Subject) -> Part | None:
    states = {name: state.status for name, state in subject.judgement.backends.items() if state.status != "blocked"}
    blocks: list[Block] = [block for name in _IN_PYTHON if name in states for block in _in_python(name, subject)]
    servers = [line for name, line in _SERVERS if name in states]
    if servers:
        blocks.append(Commands(says="The server answers.", lines=tuple(servers)))
    if _docker_with_gpu(subject):
        line = "docker run --rm --runtime=nvidia --gpus all ubuntu nvidia-smi"
        blocks.append(Commands(says="A container sees the GPU.", lines=(line,)))
    if not blocks:
        return None
    text = "None of these proves an answer: only real prompts do (benchmark plan, second phase)."
    blocks.append(Paragraph(text=text))
    return Part(id="validation-commands", title="Validation commands", blocks=tuple(blocks))


_IN_PYTHON = ("transformers", "vllm", "sglang")


def _in_python(name: str, subject: Subject) -> list[Block]:
    """The package imports; where it is the first one that brings PyTorch, that computes on the right device."""
    python = interpreter(name, subject)
    device = _torch_device(subject)
    codes = [f"import {name}; print({name}.__version__)", *_torch_lines(device)]
    states = subject.judgement.backends
    before = [other for other in _IN_PYTHON[: _IN_PYTHON.index(name)] if _may_run(other, states)]
    if any(interpreter(other, subject) == python for other in before):
        codes = codes[:1]
    says = f"{backend_title(name)} imports"
    if len(codes) > 1:
        where = {"cpu": "on the processor", "mps": "on the GPU through Metal"}.get(device, "on the GPU")
        says += f"; PyTorch states its version; its product of two matrices of ones {where} sums to 262144"
    lines = tuple(f'{python} -c "{code}"' for code in codes)
    return [Commands(says=f"{says}.", lines=lines, language=shell_of(subject))]


def _may_run(name: str, states: dict[str, BackendState]) -> bool:
    return name in states and states[name].status != "blocked"


_SERVERS = (
    ("ollama", "curl -fsS http://127.0.0.1:11434/api/version"),
    ("llama.cpp", "curl -fsS http://127.0.0.1:8080/health"),
)


def _docker_with_gpu(subject: Subject) -> bool:
    containers, gpus = subject.snapshot.containers, subject.snapshot.nvidia.gpus
    engine = is_known(containers.docker_engine) or is_known(containers.docker_client)
    return engine and is_known(gpus) and bool(gpus.value)
