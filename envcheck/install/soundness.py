"""Is a finished environment what was planned? Asked of the environment itself, each question in a killable child."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from envcheck.host import Host
from envcheck.install import uv
from envcheck.schema.plan import Decision
from envcheck.schema.recipe import Choice

IMPORT_LIMIT_S = 300.0
MOST_CHILDREN = 4
"""Importing children at a time: each brings its own copy of what packages share."""
# Runs in the new environment, with -I: no user site, no PYTHON* variables. Only names from our own profiles reach it.
# Several children share the list: whoever makes the folder of a name imports it. A first import compiles the package,
# which is most of the time that a verification takes, and one processor is not enough for it.
_IMPORT = """
import importlib, os, sys
for name in sys.argv[2:]:
    try:
        os.mkdir(os.path.join(sys.argv[1], name))
    except FileExistsError:
        continue
    try:
        importlib.import_module(name)
    except BaseException as error:
        sys.exit(f"{name}: {type(error).__name__}: {error}")
"""
# A small product on every device that torch shows. A device without memory to spare proves nothing either way.
_TORCH = """
import json, torch
def product(device):
    try:
        ones = torch.ones(16, 16, device=device)
        total = float((ones @ ones).sum().item())
        return "" if total == 4096.0 else f"the product of ones summed to {total}, not 4096"
    except torch.cuda.OutOfMemoryError:
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
mps = getattr(torch.backends, "mps", None) if hasattr(torch, "backends") else None
xpu = hasattr(torch, "xpu") and torch.xpu._is_compiled()
names = [f"cuda:{n}" for n in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
names += [f"xpu:{n}" for n in range(torch.xpu.device_count() if xpu and torch.xpu.is_available() else 0)]
names += ["mps"] if mps and mps.is_available() else []
archs = torch.cuda.get_arch_list() if hasattr(torch.cuda, "get_arch_list") else []
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip, "xpu": xpu,
    "mps": bool(mps and mps.is_built()), "archs": archs, "devices": {name: product(name) for name in names}}))
"""


class Decided(Protocol):
    """What the judge decided."""

    decision: Decision
    choice: Choice


class _Torch(msgspec.Struct):
    version: str
    cuda: str | None
    hip: str | None
    xpu: bool
    mps: bool
    archs: tuple[str, ...]
    """`torch.cuda.get_arch_list()`: what it was compiled for. Empty for builds without GPU code, and where torch shows
    no GPU."""
    devices: dict[str, str]
    """What went wrong with a small product on each device; empty text where it came out right."""


def unsound(
    host: Host,
    python: str,
    decided: Decided,
    progress: Callable[[str], None],
    others: Sequence[Callable[[], list[str]]] = (),
    compared: Callable[[], list[str]] | None = None,
) -> list[str]:
    """What is wrong with the environment of `python`; empty when nothing is.

    Asks several things at once: most of the time goes into imports, which leave the other processors idle. `others`
    are questions of the caller that may run beside them; `compared` gives what `disagreements` said where the caller
    has asked that already.
    """
    clean = uv.scrubbed(host)
    questions = [compared or (lambda: disagreements(clean, python, decided.choice)), *others]
    names = [name for name in decided.choice.imports if name != "torch" or decided.choice.torch_backend is None]
    if decided.choice.imports:
        progress("verifying, and importing " + ", ".join(decided.choice.imports))
    if decided.choice.torch_backend is not None:
        questions.append(lambda: _wrong_torch(clean, python, decided.decision))
    with tempfile.TemporaryDirectory(prefix="envcheck-") as claims:
        several = min(len(names), os.cpu_count() or 1, MOST_CHILDREN)
        questions += [lambda: _imports(clean, python, claims, names)] * several
        with ThreadPoolExecutor(len(questions)) as pool:
            answers = [pool.submit(question) for question in questions]
            return [line for answer in answers for line in answer.result()]


def _imports(clean: Host, python: str, claims: str, names: Sequence[str]) -> list[str]:
    done = clean.run([python, "-I", "-c", _IMPORT, claims, *names], timeout=IMPORT_LIMIT_S)
    if done.ok:
        return []
    words = done.err.strip().splitlines()[-1:] or [done.failure or f"exit code {done.code}"]
    return [f"a package does not import: {words[0][:300]}"]


def disagreements(host: Host, python: str, choice: Choice) -> list[str]:
    """What `uv pip check` says, less the missing requirements of packages installed without them on purpose."""
    clean = uv.scrubbed(host)
    done = clean.run([uv.program(clean), "pip", "check", "--python", python], timeout=IMPORT_LIMIT_S)
    if done.ok:
        return []
    bare = {line.partition("==")[0] for line in choice.without_dependencies}
    said = re.findall(r"^(The package `([\w.-]+)`.*)$", done.err, flags=re.MULTILINE)
    if not said:
        words = (done.err or done.failure).strip().splitlines()[-1:] or [f"exit code {done.code}"]
        return [f"`uv pip check` failed: {words[0][:300]}"]
    return [line for line, name in said if name not in bare]


def _wrong_torch(clean: Host, python: str, decision: Decision) -> list[str]:
    """The build that arrived against the build that was decided: something else on the way may have replaced it."""
    done = clean.run([python, "-I", "-c", _TORCH], timeout=IMPORT_LIMIT_S)
    try:
        found = msgspec.json.decode(done.out.strip().splitlines()[-1] if done.out.strip() else "", type=_Torch)
    except msgspec.DecodeError:
        return [f"torch did not say what it is: {(done.err or done.failure).strip()[-300:]}"]
    wanted = decision.accelerator or "cpu"
    have = _built_for(found)
    # A ROCm build names its HIP version, whose number is not that of the index; the kind must agree.
    if wanted != have and not (have == "rocm" and wanted.startswith("rocm")):
        return [f"torch {found.version} is a {have} build, {wanted} was planned"]
    hidden = any(name in clean.env for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"))
    if have.startswith(("cu", "rocm")) and not found.devices and not hidden:
        return [f"torch {found.version} shows no GPU, although one was found and {wanted} was planned for it"]
    compiled = {name.partition(":")[0] for name in found.archs}
    lacks = [kernel for kernel in decision.kernels if kernel not in compiled] if compiled else []
    if lacks:
        said = f"torch {found.version} has code for {' '.join(found.archs)}"
        return [f"{said}, and not for {' '.join(lacks)}, which this machine's GPU was planned to run"]
    return [f"a product on {name} failed: {words}" for name, words in found.devices.items() if words]


def _built_for(found: _Torch) -> str:
    if found.cuda:
        return "cu" + found.cuda.replace(".", "")
    return "rocm" if found.hip else "xpu" if found.xpu else "mps" if found.mps else "cpu"
