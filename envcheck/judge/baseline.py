"""A project policy taken from a machine that works: what is installed and set there becomes what must stay so."""

from __future__ import annotations

from envcheck.judge import rows, tables
from envcheck.judge.policy import Policy
from envcheck.schema.facts import value_of
from envcheck.schema.snapshot import Snapshot

_COMPANIONS = (
    *("torch", "torchvision", "torchaudio", "triton"),
    *("flash-attn", "flashinfer-python", "tokenizers", "huggingface-hub"),
)
_FOLLOWING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION")


def baseline(snapshot: Snapshot) -> Policy:
    """Pins for the packages that decide whether models run, and the variables that change what they run on.

    Other packages are left alone: a pin on everything would forbid every security update.
    """
    matrices = (rows.backend(name) for name in rows.backend_names())
    deciding = {package for matrix in matrices for package in matrix.backend.packages}
    deciding |= {row.name for group in tables.package_groups() for row in group.package if group.name == "core_ml"}
    deciding |= set(_COMPANIONS)
    packages = value_of(snapshot.python.packages) or ()
    environment = value_of(snapshot.environment) or {}
    return Policy(
        pins=tuple(f"{p.name}=={p.version}" for p in packages if p.name in deciding),
        variables={name: value for name, value in sorted(environment.items()) if name in _FOLLOWING},
    )


def to_toml(policy: Policy, comment: str) -> str:
    """The policy as `envcheck.toml`; every text is quoted so that any value stays a value."""
    lines = [f"# {comment}", ""]
    lines.append("pins = [")
    lines += [f"    {_quoted(pin)}," for pin in policy.pins]
    lines.append("]")
    if policy.variables:
        lines += ["", "[variables]"]
        lines += [f"{_quoted(name)} = {_quoted(value)}" for name, value in policy.variables.items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
