"""Is a finished environment what was planned? Asked of the environment itself, each question in a killable child."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from envcheck.host import Host
from envcheck.install import uv
from envcheck.install.imports import LIMIT_S, Imports
from envcheck.schema.plan import Decision
from envcheck.schema.recipe import Choice

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
    if decided.choice.torch_backend is not None:
        questions.append(lambda: _wrong_torch(clean, python, decided.decision))
    imports = Imports(clean, python, names, progress)
    with ThreadPoolExecutor(len(questions) + 1) as pool:
        answers = [pool.submit(question) for question in (*questions, imports.broken)]
        try:
            return [line for answer in answers for line in answer.result()]
        except BaseException:
            imports.stop()  # the pool waits for its threads, and an interrupt should not wait for imports
            raise


def disagreements(host: Host, python: str, choice: Choice) -> list[str]:
    """What `uv pip check` says, less the missing requirements of packages installed without them on purpose."""
    clean = uv.scrubbed(host)
    done = clean.run([uv.program(clean), "pip", "check", "--python", python], timeout=LIMIT_S)
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
    done = clean.run([python, "-I", "-c", _TORCH], timeout=LIMIT_S)
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
