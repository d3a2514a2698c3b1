"""The exact commands: what installs what is missing, and what shows that it is there."""

from __future__ import annotations

from envcheck.compose._cells import command_line, table
from envcheck.compose.checked import actions
from envcheck.compose.profiles import profiles
from envcheck.schema.blocks import Block, Cell, Commands, Fold, Note, Part, Points, Section
from envcheck.schema.describe import backend_title, listed
from envcheck.schema.facts import is_known, value_of
from envcheck.schema.plan import Plan, Step
from envcheck.schema.report import Action, Subject

_TORCH_SAYS = (
    "PyTorch: its version, the CUDA or ROCm inside, the architectures compiled in, and whether it sees the GPU."
)
_TORCH = (
    'python3 -c "import torch; print(torch.__version__, torch.version.cuda or torch.version.hip, '
    'torch.cuda.get_arch_list(), torch.cuda.is_available())"'
)
_TORCH_SUM = (
    'python3 -c "import torch; gpu, mps = torch.cuda.is_available(), torch.backends.mps.is_available(); '
    "d = 'cuda' if gpu else 'mps' if mps else 'cpu'; "
    'print(d, torch.ones(64, 64, device=d).matmul(torch.ones(64, 64, device=d)).sum().item())"  # 262144.0'
)


def installation_section(subject: Subject) -> Section | None:
    """What to run to install and to validate; None where nothing is to be installed and no backend can be validated."""
    parts = [part for part in (_install_part(subject), _validation_part(subject)) if part is not None]
    return Section(id="installation", title="Installation and validation", blocks=tuple(parts)) if parts else None


def _install_part(subject: Subject) -> Part | None:
    blocks: list[Block] = []
    if subject.plan is not None:
        blocks += _planned(subject.plan, value_of(subject.snapshot.os.family))
    blocks += _remedies(subject)
    if not blocks:
        return None
    return Part(id="installation-commands", title="Installation commands", blocks=tuple(blocks))


def _planned(plan: Plan, family: str | None) -> list[Block]:
    blocks: list[Block] = []
    decision = plan.decision
    if decision.accelerator:
        torch = f"PyTorch {decision.torch} " if decision.torch else ""
        because = f", because {listed(list(decision.because))}" if decision.because else ""
        blocks.append(Note(text=f"Chosen for {_title(plan)}: {torch}{decision.accelerator}{because}.", mark="good"))
    for blocked in plan.blocked:
        way = f" {blocked.remedy.says}" if blocked.remedy else ""
        blocks.append(Note(text=f"{blocked.says}{way}", mark="bad"))
    by_itself = [step for step in plan.steps if not step.manual]
    if by_itself and plan.target:
        line = ["envcheck", "install", *plan.profile.split("+"), "--target", plan.target]
        says = "With hashes, verified, and undone if a step fails (without --yes it only shows the plan):"
        blocks.append(Commands(says=says, lines=(command_line([*line, "--yes"], family),)))
    groups = (
        (by_itself, "The same by hand:"),
        ([s for s in plan.steps if s.manual], "By hand, it changes the system:"),
    )
    for steps, says in groups:
        if steps:
            blocks.append(Commands(says=says, lines=tuple(_step(step, family) for step in steps)))
    if decision.rejected:
        rows = [(Cell(text=choice.choice), choice.because) for choice in decision.rejected]
        blocks.append(
            Fold(
                title="Choices that were looked at and not taken",
                blocks=(table("Rejected", ["Choice", "Because"], rows),),
            )
        )
    return blocks


def _title(plan: Plan) -> str:
    return backend_title(profiles().get(plan.profile, "") or plan.profile)


def _step(step: Step, family: str | None) -> str:
    return f"{command_line(step.argv, family)}  # {step.says}"


def _remedies(subject: Subject) -> list[Block]:
    """The ways out that change something, less what the plan above does already."""
    found = [action for action in actions(subject.judgement) if action.commands and not is_planned(action, subject)]
    return [Commands(says=_says(action), lines=action.commands) for action in found]


def is_planned(action: Action, subject: Subject) -> bool:
    """Whether the plan does it already."""
    planned, commands = planned_backend(subject), action.commands
    of = {v.id: v.backend for v in subject.judgement.verdicts}
    installs = bool(commands) and commands[0].startswith(("pip install", "uv ", "envcheck install"))
    return planned is not None and installs and all(of[verdict] == planned for verdict in action.serves)


def planned_backend(subject: Subject) -> str | None:
    """The backend that the plan installs."""
    return profiles().get(subject.plan.profile) if subject.plan and not subject.plan.blocked else None


def _says(action: Action) -> str:
    return action.says + (" Needs administrator rights." if action.needs_root else "")


def _validation_part(subject: Subject) -> Part | None:
    states = {name: state.status for name, state in subject.judgement.backends.items() if state.status != "blocked"}
    blocks: list[Block] = []
    if any(name in states for name in ("transformers", "vllm", "sglang")):
        blocks.append(Commands(says=_TORCH_SAYS, lines=(_TORCH,)))
        blocks.append(Commands(says="PyTorch really computes there: 64 × 64 × 64 ones.", lines=(_TORCH_SUM,)))
    imports = [(name, module) for name, module in _IMPORTS if name in states]
    if imports:
        lines = tuple(f'python3 -c "import {module}; print({module}.__version__)"' for _, module in imports)
        blocks.append(Commands(says="The packages import, in these versions.", lines=lines))
    servers = [line for name, line in _SERVERS if name in states]
    if servers:
        blocks.append(Commands(says="The server answers.", lines=tuple(servers)))
    if _docker_with_gpu(subject):
        line = "docker run --rm --runtime=nvidia --gpus all ubuntu nvidia-smi"
        blocks.append(Commands(says="A container sees the GPU.", lines=(line,)))
    if not blocks:
        return None
    blocks.append(
        Points(
            items=(Cell(text="None of these proves an answer: only real prompts do (benchmark plan, second phase)."),)
        )
    )
    return Part(id="validation-commands", title="Validation commands", blocks=tuple(blocks))


_IMPORTS = (("transformers", "transformers"), ("vllm", "vllm"), ("sglang", "sglang"))
_SERVERS = (
    ("ollama", "curl -fsS http://127.0.0.1:11434/api/version"),
    ("llama.cpp", "curl -fsS http://127.0.0.1:8080/health"),
)


def _docker_with_gpu(subject: Subject) -> bool:
    containers, gpus = subject.snapshot.containers, subject.snapshot.nvidia.gpus
    engine = is_known(containers.docker_engine) or is_known(containers.docker_client)
    return engine and is_known(gpus) and bool(gpus.value)
