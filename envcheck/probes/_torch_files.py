"""What the installed torch was built for: `torch/version.py` at every level, the import itself from level 2 on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.probes._values import flag, table, text, texts, whole
from envcheck.schema.facts import Absent, BoolFact, IntFact, Known, TextFact, TextsFact, Unknown
from envcheck.schema.snapshot import TorchBuild

if TYPE_CHECKING:
    from envcheck.host import Host
    from envcheck.probes._redact import Redactor

IMPORT_LIMIT_S = 60.0
"""`import torch` takes 10 s and more from a cold disk; a kernel for a new GPU may be compiled first."""
_FILE = "torch/version.py"
_NOT_ASKED = "torch is imported only at level 2"
_ASSIGNED = re.compile(r"^(__version__|cuda|hip)\s*(?::[^=\n]{1,60})?=\s*(None|['\"][\w.+ -]{0,60}['\"])", re.MULTILINE)


def from_file(host: Host, site: str) -> dict[str, str]:
    """{"__version__": "2.10.0+cu130", "cuda": "13.0", "hip": "None"}; {} where the file is not there."""
    content = host.read(f"{site}/{_FILE}", 8192)
    return {name: value.strip("'\"") for name, value in _ASSIGNED.findall(content or "")}


def by_import(host: Host, python: str, redact: Redactor) -> dict[str, Any]:
    """What the child said, line by line; a torch that hangs or crashes leaves the lines before it."""
    import msgspec

    child = str(Path(__file__).with_name("_torch_child.py"))
    done = host.run([python, "-I", child, str(host.level)], timeout=IMPORT_LIMIT_S * (2 if host.level >= 3 else 1))
    said: dict[str, Any] = {"failure": done.failure, "code": done.code, "kernels": {}}
    for line in done.out.splitlines()[:500]:
        try:
            fields = table(msgspec.json.decode(line))
        except (msgspec.DecodeError, RecursionError):
            continue
        if "kernel" in fields:
            said["kernels"][str(fields["kernel"])] = redact(str(fields.get("outcome")), 300)
        else:
            said.update(
                {
                    key: value
                    for key, value in fields.items()
                    if key in ("driver", "build", "devices", "import_error", "module")
                }
            )
    if isinstance(said.get("import_error"), str):
        said["import_error"] = redact(said["import_error"], 500)
    devices = table(said.get("devices"))
    if isinstance(devices.get("error"), str):
        devices["error"] = redact(devices["error"], 300)
        said["devices"] = devices
    return said


def parse(file: object, imported: object, installed: bool) -> TorchBuild:
    """The build. `installed`: whether the list of packages has torch in it."""
    stated, said = table(file), table(imported)
    build, driver, devices = table(said.get("build")), table(said.get("driver")), table(said.get("devices"))
    why = Unknown(why=_why(said)) if said else Unknown(why=_NOT_ASKED)
    return TorchBuild(
        version=_version(build, stated, installed),
        cuda=_runtime("cuda", build, stated, installed),
        hip=_runtime("hip", build, stated, installed),
        arch_list=_texts(devices.get("arch_list"), why),
        cuda_available=_flag(devices.get("available"), why),
        device_count=_count(devices.get("count"), why),
        cu_init=Absent(source="no libcuda") if driver.get("libcuda") is False else _count(driver.get("cu_init"), why),
        cuda_driver=_cuda_driver(driver, why),
        import_error=_import_error(said, why),
        cxx11_abi=_flag(build.get("cxx11_abi"), why),
        kernels=_kernels(said, why),
    )


def _why(said: dict[str, Any]) -> str:
    if said.get("failure") == "timeout":
        return f"importing torch took longer than {IMPORT_LIMIT_S:.0f} s"
    code = whole(said.get("code"))
    if code is not None and code < 0:
        return f"the interpreter that imported torch died of signal {-code}"
    return "torch could not be imported" if said.get("import_error") else "torch did not say"


def _version(build: dict[str, Any], stated: dict[str, Any], installed: bool) -> TextFact:
    for source, value in (
        ("import torch", text(build.get("version"), 60)),
        (_FILE, text(stated.get("__version__"), 60)),
    ):
        if value:
            return Known(value=value, source=source)
    return Unknown(why=f"{_FILE} could not be read") if installed else Absent(source="site-packages")


def _runtime(name: str, build: dict[str, Any], stated: dict[str, Any], installed: bool) -> TextFact:
    if build:
        value = text(build.get(name), 40)
        return Known(value=value, source="import torch") if value else Absent(source="import torch")
    value = text(stated.get(name), 40)
    if value is None:
        return Unknown(why=f"{_FILE} does not name {name}") if installed else Absent(source="site-packages")
    return Absent(source=_FILE) if value == "None" else Known(value=value, source=_FILE)


def _texts(value: object, why: Unknown) -> TextsFact:
    return Known(value=tuple(texts(value)), source="import torch") if isinstance(value, list) else why


def _flag(value: object, why: Unknown) -> BoolFact:
    known = flag(value)
    return why if known is None else Known(value=known, source="import torch")


def _count(value: object, why: Unknown) -> IntFact:
    known = whole(value)
    return why if known is None else Known(value=known, source="target interpreter")


def _cuda_driver(driver: dict[str, Any], why: Unknown) -> TextFact:
    number = whole(driver.get("cuda_driver"))
    if driver.get("libcuda") is False:
        return Absent(source="no libcuda")
    if number is None or not 1000 <= number < 100000:
        return why
    return Known(value=f"{number // 1000}.{number % 1000 // 10}", source="cuDriverGetVersion")


def _import_error(said: dict[str, Any], why: Unknown) -> TextFact:
    error = text(said.get("import_error"), 500)
    if error and text(said.get("module"), 100) == "torch" and error.startswith("ModuleNotFoundError"):
        return Absent(source="torch is not installed")
    if error:
        return Known(value=error, source="import torch")
    return Absent(source="import torch") if said.get("build") else why


def _kernels(said: dict[str, Any], why: Unknown) -> Known[dict[str, str]] | Unknown:
    outcomes = {k: v for k, value in table(said.get("kernels")).items() if k.isdigit() and (v := text(value, 300))}
    return Known(value=outcomes, source="matrix product on each GPU") if outcomes else why
