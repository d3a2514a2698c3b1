"""What the target interpreter could start, told without importing anything heavy in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from envcheck.schema.facts import Record

if TYPE_CHECKING:
    from envcheck.host import Host

# Runs in the target interpreter, any Python 3: `find_spec` of a top-level name does not import it.
_LOOK = """
import importlib.util as u, json, sys
try:
    from importlib.metadata import version, PackageNotFoundError
except ImportError:
    version = None
found = {}
for module, names in json.loads(sys.argv[1]).items():
    if u.find_spec(module) is None:
        continue
    found[module] = ""
    for name in names:
        try:
            found[module] = version(name)
            break
        except Exception:
            pass
print(json.dumps(found))
"""
LIMIT_S = 10.0


def modules(host: Host, wanted: dict[str, list[str]]) -> dict[str, str] | str:
    """{module: version, "" where its distribution has another name} of those that can be found, or why not.

    `wanted` maps a module to the distributions it may come from.
    """
    ended = host.run([host.target_python, "-c", _LOOK, json.dumps(wanted)], timeout=LIMIT_S)
    if not ended.ok:
        return f"the target interpreter could not be asked ({ended.failure or f'exit code {ended.code}'})"
    try:
        found: Any = json.loads(ended.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return "the target interpreter answered with something else than asked"
    return {str(name): str(version) for name, version in found.items()}


def is_own(python: str) -> bool:
    """Whether an interpreter is envcheck's own. A venv's link is not followed: it is what makes the environment."""
    return os.path.dirname(os.path.abspath(python)) == os.path.dirname(os.path.abspath(sys.executable))  # noqa: PTH100, PTH120


def device_expected(host: Host) -> str:
    """Where a model is expected to run on this machine: on a GPU whose driver is there, else on the processor."""
    if host.exists("/dev/nvidiactl") or host.exists("/dev/dxg"):
        return "cuda"
    if host.exists("/dev/kfd"):
        return "rocm"
    if host.is_real and sys.platform == "darwin" and os.uname().machine == "arm64":
        return "mps"
    return "cpu"


NO_GPU = "the server does not say where it runs, and this machine has no GPU driver"


def path_here(host: Host, path: object) -> str:
    """The absolute path a server of this machine names for its model, where it is a file or folder here; else ""."""
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        return ""
    return path if host.exists(path) else ""


def context_of(host: Host, folder: str, at_most: int) -> int:
    """Context to serve a model with: at most what its config.json allows."""
    try:
        config: Any = json.loads(host.read(f"{folder}/config.json") or "{}")
    except ValueError:
        return at_most
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    most = text.get("max_position_embeddings")
    return min(at_most, most) if isinstance(most, int) and most > 0 else at_most


class ModelFolder(Record):
    """What the files beside a model's weights say; None where they do not, or are not on this machine."""

    template: str | None = None
    sees: bool | None = None
    """Whether config.json has an encoder for pictures."""


def model_folder(host: Host, folder: str) -> ModelFolder:
    """The chat template and the abilities of a model on this machine; nothing known for an empty path."""
    if not folder:
        return ModelFolder()
    template = host.read(f"{folder}/chat_template.jinja")
    if template is None:
        found = _table(host.read(f"{folder}/tokenizer_config.json")).get("chat_template")
        template = found if isinstance(found, str) else None
    config = _table(host.read(f"{folder}/config.json"))
    return ModelFolder(template=template, sees="vision_config" in config if config else None)


def _table(text: str | None) -> dict[str, Any]:
    try:
        found: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def names_tools(template: str) -> bool:
    """Whether a chat template shows tools to the model: it must name them to do so."""
    return re.search(r"\btools\b", template) is not None


def sha256(text: str) -> str:
    """Hash of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def generates_text(host: Host, folder: str) -> bool:
    """Whether config.json names an architecture that continues text."""
    try:
        config: Any = json.loads(host.read(f"{folder}/config.json") or "{}")
    except ValueError:
        return False
    names = config.get("architectures") if isinstance(config, dict) else None
    return any(str(name).endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for name in names or [])
