"""How a component is installed: a profile of packages, and what only a person may do."""

from __future__ import annotations

from envcheck.schema.facts import Record
from envcheck.schema.plan import OwnIndex


class ManualStep(Record):
    """A command that is printed with its risk and never run."""

    says: str
    commands: tuple[str, ...] = ()
    needs_root: bool = False
    risk: str = ""
    """What it may break or replace."""
    os: tuple[str, ...] = ()
    """Operating systems it is for; empty for all."""
    gpus: tuple[str, ...] = ()
    """Vendors of the GPU it is for, "none" for a machine without one; empty for all."""


class Profile(Record):
    """One `install/<name>.toml`."""

    name: str
    title: str
    packages: tuple[str, ...]
    """Distributions by name; versions come from the matrix. "torch" stands for the build that fits this machine."""
    backend: str = ""
    """The backend of the matrix whose releases and verdicts it serves."""
    leads: str = ""
    """The package among `packages` whose release decides about the others ("vllm")."""
    without_dependencies: tuple[str, ...] = ()
    """Requirements with hashes (`name==version --hash=sha256:…`) installed as they are, for the data they carry."""
    imports: tuple[str, ...] = ()
    """Modules that must import in the finished environment."""
    manual: tuple[ManualStep, ...] = ()
    source: str = ""
    checked: str = ""


class Choice(Record):
    """What a decision asks the resolver for."""

    requirements: tuple[str, ...]
    """PEP 508 lines, pins of the decision included."""
    without_dependencies: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    torch_backend: str | None = None
    """Index tag whose torch build is wanted; None where no torch is installed."""
    torch_index: str = ""
    """Address of the index of that tag, for tags that uv has no name for."""
    torch_elsewhere: tuple[str, ...] = ()
    """This build and older ones of its variant that run here too ("2.13.0+cpu"; without a label where the package
    index serves that variant), newest first: what to look for where the index of the variant cannot be reached."""
    indexes: tuple[OwnIndex, ...] = ()
    """Packages that are looked for in an index of their own and nowhere else ("vllm==0.31.0+cu129")."""
