"""Is a finished environment what was planned? Asked of the environment itself, each question in a killable child."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from envcheck.host import Host
from envcheck.install import uv
from envcheck.schema.plan import Decision
from envcheck.schema.recipe import Choice

IMPORT_LIMIT_S = 180.0
# Runs in the new environment, with -I: no user site, no PYTHON* variables. Only names from our own profiles reach it.
_IMPORT = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
_TORCH = (
    "import json, torch\n"
    "print(json.dumps({'version': torch.__version__, 'cuda': torch.version.cuda, 'hip': torch.version.hip,"
    " 'available': torch.cuda.is_available()}))\n"
)


class Decided(Protocol):
    """What the judge decided."""

    decision: Decision
    choice: Choice


class _Torch(msgspec.Struct):
    version: str
    cuda: str | None
    hip: str | None
    available: bool


def unsound(host: Host, python: str, decided: Decided, progress: Callable[[str], None]) -> list[str]:
    """What is wrong with the environment of `python`; empty when nothing is."""
    clean = uv.scrubbed(host)
    wrong = _disagreements(host, python, decided.choice)
    if not wrong and decided.choice.imports:
        progress("importing " + ", ".join(decided.choice.imports))
        done = clean.run([python, "-I", "-c", _IMPORT, *decided.choice.imports], timeout=IMPORT_LIMIT_S)
        if not done.ok:
            words = done.err.strip().splitlines()[-1:] or [done.failure or f"exit code {done.code}"]
            wrong.append(f"the packages do not import: {words[0][:300]}")
    if not wrong and decided.choice.torch_backend is not None:
        wrong += _wrong_torch(clean, python, decided.decision)
    return wrong


def _disagreements(host: Host, python: str, choice: Choice) -> list[str]:
    """What `uv pip check` says, less the missing requirements of packages installed without them on purpose."""
    done = uv.scrubbed(host).run([uv.program(host), "pip", "check", "--python", python], timeout=IMPORT_LIMIT_S)
    if done.ok:
        return []
    bare = {line.partition("==")[0] for line in choice.without_dependencies}
    said = re.findall(r"^The package `([\w.-]+)`.*$", done.err, flags=re.MULTILINE)
    lines = re.findall(r"^The package `[\w.-]+`.*$", done.err, flags=re.MULTILINE)
    return [line for name, line in zip(said, lines, strict=True) if name not in bare]


def _wrong_torch(clean: Host, python: str, decision: Decision) -> list[str]:
    """The build that arrived against the build that was decided: something else on the way may have replaced it."""
    done = clean.run([python, "-I", "-c", _TORCH], timeout=IMPORT_LIMIT_S)
    try:
        found = msgspec.json.decode(done.out.strip().splitlines()[-1] if done.out.strip() else "", type=_Torch)
    except msgspec.DecodeError:
        return [f"torch did not say what it is: {(done.err or done.failure).strip()[-300:]}"]
    wanted = decision.accelerator or "cpu"
    cuda = "cu" + found.cuda.replace(".", "") if found.cuda else None
    have = cuda or ("rocm" if found.hip else "cpu")
    if wanted.startswith(("cu", "rocm")) and not wanted.startswith(have):
        return [f"torch {found.version} is a {have} build, {wanted} was planned"]
    if wanted == "cpu" and have != "cpu":
        return [f"torch {found.version} is a {have} build, a CPU build was planned"]
    return []
