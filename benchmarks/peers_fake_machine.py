"""A faked machine on disk that every tool looks at alike: a stub `nvidia-smi` on PATH and a virtual environment.

Nothing is installed: the environment holds the metadata folders and RECORDs of the named versions, and a `torch` of a
few lines that answers as the real one would (`version.cuda`, `cuda.is_available()`, `cuda.get_arch_list()`), for tools
that import it. Tools that look at their own interpreter get the environment's folder through PYTHONPATH.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

SMI = """#!{python} -IS
import json, sys
machine = json.loads({machine!r})
units = "nounits" not in " ".join(sys.argv)
ask = next((a.split("=", 1)[1].split(",") for a in sys.argv if a.startswith(("--query-gpu=", "--query_gpu="))), None)
if ask is not None:
    for index, (name, mib, capability) in enumerate(machine["gpus"]):
        facts = {{"index": str(index), "name": name, "gpu_name": name, "driver_version": machine["driver"],
            "compute_cap": capability, "memory.total": f"{{mib}}" + " MiB" * units, "count": str(len(machine["gpus"])),
            "memory.free": f"{{mib - 400}}" + " MiB" * units, "memory.used": "400" + " MiB" * units,
            "uuid": f"GPU-00000000-0000-0000-0000-{{index:012d}}"}}
        print(", ".join(facts.get(field.strip(), "[N/A]") for field in ask))
elif "-L" in sys.argv:
    for index, (name, _, _) in enumerate(machine["gpus"]):
        print(f"GPU {{index}}: {{name}} (UUID: GPU-00000000-0000-0000-0000-{{index:012d}})")
elif "-q" in sys.argv:
    print(f"<nvidia_smi_log><driver_version>{{machine['driver']}}</driver_version>"
        f"<cuda_version>{{machine['cuda']}}</cuda_version></nvidia_smi_log>")
else:
    print(f"| NVIDIA-SMI {{machine['driver']:<16}} Driver Version: {{machine['driver']:<14}}"
        f" CUDA Version: {{machine['cuda']}}     |")
    for index, (name, mib, _) in enumerate(machine["gpus"]):
        print(f"|   {{index}}  {{name:<28}} |   400MiB / {{mib}}MiB |")
"""

TORCH = """from types import SimpleNamespace
from torch.version import __version__
import torch.version as version
class _Cuda:
    is_available = staticmethod(lambda: {available})
    device_count = staticmethod(lambda: {count})
    get_arch_list = staticmethod(lambda: {arches!r})
    get_device_name = staticmethod(lambda index=0: {name!r})
    get_device_capability = staticmethod(lambda index=0: {capability!r})
cuda = _Cuda()
backends = SimpleNamespace(cudnn=SimpleNamespace(version=lambda: {cudnn}))
"""


class Torch(msgspec.Struct, frozen=True, kw_only=True):
    """What the stub of torch answers; `cuda` None is a CPU build."""

    cuda: str | None
    arches: tuple[str, ...] = ()
    available: bool = True


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`gpus`: (name, MiB, compute capability); `cuda` is what the driver's banner prints."""

    driver: str = ""
    cuda: str = ""
    gpus: tuple[tuple[str, int, str], ...] = ()
    python: str = "3.12.4"
    packages: Mapping[str, str] = {}
    requires: Mapping[str, tuple[str, ...]] = {}
    torch: Torch | None = None
    env: Mapping[str, str] = {}


def build(machine: Machine, folder: Path) -> Path:
    """Lay the machine out under `folder` (PATH in `bin`, environment in `venv`); the site-packages folder."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    if machine.driver:
        said = msgspec.json.encode({"gpus": machine.gpus, "driver": machine.driver, "cuda": machine.cuda}).decode()
        stub = programs / "nvidia-smi"
        stub.write_text(SMI.format(python=sys.executable, machine=said))
        stub.chmod(0o755)
    short = machine.python.rpartition(".")[0]
    site = folder / "venv" / "lib" / f"python{short}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "venv" / "bin").mkdir()
    (folder / "venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / "venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {machine.python}\n")
    for name, version in machine.packages.items():
        files = _torch_files(machine, version) if name == "torch" else {}
        install(site, name, version, files, machine.requires.get(name, ()))
    return site


def install(site: Path, name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> Path:
    """One distribution as pip leaves it: files, METADATA, WHEEL, RECORD with hashes; its metadata folder."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = files | {
        f"{folder.name}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\n",
        f"{folder.name}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp312-cp312-manylinux_2_28_x86_64\n",
        f"{folder.name}/INSTALLER": "pip\n",
    }
    lines = []
    for path, content in files.items():
        place = site / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content.encode())}\n")
    (folder / "RECORD").write_text("".join(lines) + f"{folder.name}/RECORD,,\n")
    return folder


def _torch_files(machine: Machine, version: str) -> dict[str, str]:
    torch = machine.torch or Torch(cuda=None, available=False)
    name, _, capability = machine.gpus[0] if machine.gpus else ("", 0, "0.0")
    stub = TORCH.format(
        available=torch.available,
        count=len(machine.gpus) if torch.available else 0,
        arches=list(torch.arches),
        name=name,
        capability=tuple(map(int, capability.split("."))),
        cudnn=91000 if torch.cuda else None,
    )
    stated = f"__version__ = '{version}'\ncuda = {torch.cuda!r}\nhip = None\n"
    return {"torch/__init__.py": stub, "torch/version.py": stated}
