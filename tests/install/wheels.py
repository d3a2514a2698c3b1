"""Small real wheels, written byte by byte: enough for uv to resolve, verify, install, upgrade and remove."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path


def wheel(
    folder: Path, name: str, version: str, *, requires: tuple[str, ...] = (), files: int = 3, size: int = 200
) -> Path:
    """A pure wheel of `files` modules; every file's content depends on name and version."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    body = f"# {name} {version}\n" + "x = 1  # padding\n" * (size // 16)
    content = {f"{module}/__init__.py": f'__version__ = "{version}"\n'}
    content |= {f"{module}/part{number}.py": body for number in range(files)}
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    info = f"{module}-{version}.dist-info"
    content[f"{info}/METADATA"] = "\n".join(lines) + "\n"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in content.items():
            archive.writestr(zipfile.ZipInfo(inside, (2026, 1, 1, 0, 0, 0)), text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def tree(root: Path) -> dict[str, str]:
    """Path to content hash of everything installed below an environment; byte code and bookkeeping left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and not path.is_symlink() and "__pycache__" not in inside.parts and path.suffix != ".pyc":
            found[str(inside)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
