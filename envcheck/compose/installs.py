"""Which installs a report proposes, in one wording for every section that speaks of them."""

from __future__ import annotations

from envcheck.compose.checked import INSTALLED
from envcheck.compose.profiles import missing, profiles, python_of, target_of
from envcheck.schema.describe import backend_title
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Plan
from envcheck.schema.report import Action, Subject
from envcheck.schema.shell import command_line

_INSTALLERS = ("pip install", "uv ", "envcheck install")


def plans(subject: Subject) -> tuple[Plan, ...]:
    """Every plan, the best-suited first."""
    return (*((subject.plan,) if subject.plan else ()), *subject.other_plans)


def backend_of(plan: Plan) -> str:
    """The backend that a plan installs; the name of its profile where it serves none."""
    return profiles().get(plan.profile, "") or plan.profile


def plan_of(backend: str, subject: Subject) -> Plan | None:
    """The plan that installs a backend, if there is one that can be carried out."""
    return next((plan for plan in plans(subject) if backend_of(plan) == backend and not plan.blocked), None)


def by_envcheck(plan: Plan) -> bool:
    """Whether `envcheck install` carries it out; else its makers' installer does."""
    return bool(plan.target) and not plan.blocked


def install_line(plan: Plan, subject: Subject) -> str:
    """The one command that carries a plan out."""
    words = ["envcheck", "install", *plan.profile.split("+"), "--target", plan.target, "--yes"]
    return command_line(words, value_of(subject.snapshot.os.family))


def proof_line(plan: Plan, subject: Subject) -> str:
    """The command that proves what a plan installed, with real prompts."""
    words = ["envcheck", "run", "--backend", backend_of(plan), "--python", python_of(plan.profile, subject)]
    return command_line(words, value_of(subject.snapshot.os.family))


def first_install(subject: Subject) -> Action | None:
    """The planned install as the thing to do first; None where nothing is planned."""
    plan = subject.plan
    if plan is None or not by_envcheck(plan):
        return None
    says = f"Install {what(plan)} into an environment of its own, then prove it with real prompts."
    serves = tuple(
        verdict.id
        for verdict in subject.judgement.verdicts
        if verdict.backend == backend_of(plan) and verdict.status == "not_met" and verdict.fixed_by_install
    )
    return Action(says=says, commands=(install_line(plan, subject), proof_line(plan, subject)), serves=serves)


def what(plan: Plan) -> str:
    """What a plan installs: the backend with its version, and the build of PyTorch beside it."""
    name, torch = backend_of(plan), plan.decision.torch
    title = " ".join([backend_title(name), *_version(plan, name)])
    if torch is None:
        return title
    return f"{title} with PyTorch {torch} ({plan.decision.accelerator})"


def _version(plan: Plan, name: str) -> list[str]:
    wanted = f"{name}=="
    return [word.removeprefix(wanted) for step in plan.steps for word in step.argv if word.startswith(wanted)][:1]


def interpreter(backend: str, subject: Subject) -> str:
    """The Python that has, or will have, a backend: of its planned environment, else the active one."""
    plan = plan_of(backend, subject)
    if plan is not None and by_envcheck(plan):
        return python_of(plan.profile, subject)
    return python_of(backend, subject) if plan is None and missing(backend, subject) else "python3"


def by_pip(action: Action, subject: Subject) -> tuple[str, ...]:
    """The commands of an action; packages go into an environment of their backend's own, never into the active one."""
    of = {verdict.id: verdict.backend for verdict in subject.judgement.verdicts}
    backends = list(dict.fromkeys(of[verdict] for verdict in action.serves))
    if len(backends) != 1 or not action.commands or not action.commands[0].startswith("pip install "):
        return action.commands
    folder, python = target_of(backends[0]), python_of(backends[0], subject)
    lines = tuple(f"{python} -m {line}" if line.startswith("pip install ") else line for line in action.commands)
    return (f"python3 -m venv {folder}", *lines)


def is_planned(action: Action, subject: Subject) -> bool:
    """Whether a plan does it already."""
    of = {verdict.id: verdict.backend for verdict in subject.judgement.verdicts}
    installs = bool(action.commands) and action.commands[0].startswith(_INSTALLERS)
    installs = installs or all(verdict.endswith(f".{INSTALLED}") for verdict in action.serves)
    return installs and all(plan_of(of[verdict], subject) is not None for verdict in action.serves)
