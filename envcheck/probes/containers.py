"""Container engines, NVIDIA's container tools, and the devices that CDI specifications offer to containers.

An engine is asked through its socket (Docker Engine API); its client is run only where no engine answers.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcheck.probes import _dpkg
from envcheck.probes._http_answers import answered, json_of
from envcheck.probes._values import flag, pick, present, table, tables, text, texts
from envcheck.probes._versions import first_version
from envcheck.schema.facts import Absent, Known, TextFact, TextsFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Containers

if TYPE_CHECKING:
    from envcheck.host import Host

_ENGINE_LIMIT_S = 4.0
_CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi", "/run/cdi")
_KIND = re.compile(r"^\s*[\"']?(?:cdiKind|kind)[\"']?:\s*[\"']?([a-z0-9.-]{1,60}/[a-z0-9.-]{1,40})", re.MULTILINE)
_DEVICE = re.compile(
    r"^(?:-\s+|\s{2,4}-\s+|\s*\{?\s*)[\"']?name[\"']?:\s*[\"']?([a-z0-9:.-]{1,40})[\"']?,?\s*$", re.MULTILINE
)
_LIBCUDA = re.compile(r"libcuda\.so\.(\d{3}\.\d{1,3}(?:\.\d{1,3})?)")


def collect(host: Host) -> Evidence:
    """Sockets, PATH, `/etc/docker/daemon.json` and CDI specifications."""
    evidence: Evidence = {
        "docker_found": bool(host.which("docker")),
        "podman_found": bool(host.which("podman")),
        "socket": None,
        "engine": {},
        "daemon": _daemon_settings(host),
        "cdi": _cdi(host),
        "toolkit_found": bool(host.which("nvidia-ctk") or host.which("nvidia-container-cli")),
    }
    path = _socket(host)
    if path:
        may = host.may_open(path)
        evidence["socket"] = {"open": may}
        if may and host.level >= 1:
            evidence["engine"] = _engine(host, path)
    if evidence["docker_found"] and not evidence["engine"]:
        evidence["docker_client"] = _version_of(
            host, "docker", ("docker-ce-cli", "docker-cli", "docker.io"), bool(path)
        )
    if evidence["podman_found"]:
        evidence["podman"] = _version_of(host, "podman", ("podman",))
    if evidence["toolkit_found"]:
        program = "nvidia-ctk" if host.which("nvidia-ctk") else "nvidia-container-cli"
        owners = ("nvidia-container-toolkit-base", "nvidia-container-toolkit", "libnvidia-container-tools")
        evidence["toolkit"] = _version_of(host, program, owners)
    return evidence


def _version_of(host: Host, program: str, packages: tuple[str, ...], ask: bool = True) -> str | None:
    """By the package database, else by running it. `ask` is False where its answer is not worth 50 ms of start-up."""
    known = _dpkg.version(host, program, packages)
    if known or not ask or host.level < 1:
        return known
    done = host.run([program, "--version"])
    return first_version(done.out + "\n" + done.err) if not done.failure else None


def _socket(host: Host) -> str | None:
    named = host.env.get("DOCKER_HOST", "")
    runtime = host.env.get("XDG_RUNTIME_DIR", "")
    paths = [named.removeprefix("unix://") if named.startswith("unix:///") else "", "/var/run/docker.sock"]
    paths += [f"{runtime}/docker.sock"] if runtime.startswith("/") else []
    return next((path for path in paths if path and host.is_socket(path)), None)


def _engine(host: Host, path: str) -> dict[str, Any]:
    """Versions and what the engine would hand to a container; nothing of its name, id, labels or addresses."""
    by_sdk = _asked_by_sdk(host, path)
    version, details = _asked_by_socket(host, path) if by_sdk is None else by_sdk
    if not version:
        return {}
    runtimes = [name for name in table(details.get("Runtimes")) if re.fullmatch(r"[\w.-]{1,40}", name)]
    devices = [str(row.get("ID", "")) for row in tables(details.get("DiscoveredDevices"))]
    return {
        "version": first_version(answered(version, "Version") or ""),
        "api": first_version(answered(version, "ApiVersion") or ""),
        "runtimes": sorted(runtimes)[:40],
        "default_runtime": answered(details, "DefaultRuntime"),
        "cgroup_driver": answered(details, "CgroupDriver"),
        "devices": sorted(
            {device for device in devices if re.fullmatch(r"nvidia\.com/[\w]+=(?:\d+(?::\d+)?|all)", device)}
        )[:100],
    }


def _asked_by_sdk(host: Host, path: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """`/version` and `/info` through the Docker SDK in a child; None where the SDK cannot be used."""
    if not host.is_real or find_spec("docker") is None:
        return None
    child = str(Path(__file__).with_name("_docker_child.py"))
    done = host.run([sys.executable, "-I", child, path, str(_ENGINE_LIMIT_S)], timeout=_ENGINE_LIMIT_S + 1)
    if done.failure:  # it hangs: nobody waits for it twice
        return {}, {}
    import msgspec

    try:
        said = table(msgspec.json.decode(done.out))
    except msgspec.DecodeError:
        return None
    if said.get("failure") in ("ImportError", "ModuleNotFoundError"):
        return None
    return table(said.get("version")), table(said.get("info"))


def _asked_by_socket(host: Host, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same questions without the SDK."""
    from envcheck.loopback import http_get

    listens, answer = host.ask_socket(path, http_get("/version"))
    version = table(json_of(answer)) if listens else {}
    return version, table(json_of(host.ask_socket(path, http_get("/info"))[1])) if version else {}


def _daemon_settings(host: Host) -> dict[str, Any]:
    content = host.read("/etc/docker/daemon.json", 65536) or ""
    default = re.search(r'"default-runtime"\s*:\s*"([\w.-]{1,40})"', content)
    return {
        "nvidia_runtime": bool(re.search(r'"nvidia"\s*:\s*\{', content)),
        "default_runtime": default.group(1) if default else "",
    }


def _cdi(host: Host) -> list[dict[str, Any]]:
    """Kind and device names of each specification, and the driver whose libraries it mounts."""
    found, seen = [], set()
    for folder in _CDI_FOLDERS:
        for name in host.names(folder):
            path = host.real_path(f"{folder}/{name}")
            if not name.endswith((".yaml", ".yml", ".json")) or path in seen:
                continue
            seen.add(path)
            content = host.read(path, 1024 * 1024) or ""
            kind = _KIND.search(content)
            driver = _LIBCUDA.search(content)
            devices = [d for d in _DEVICE.findall(content) if re.fullmatch(r"\d+(?::\d+)?|all|gpu\d+", d)]
            found.append(
                {
                    "kind": kind.group(1) if kind else "",
                    "devices": sorted(set(devices))[:100],
                    "driver": driver.group(1) if driver else "",
                }
            )
    return found


def parse(evidence: Evidence) -> Containers:
    """Engines, NVIDIA's tools, and the CDI devices that either the engine or the specifications name."""
    seen = table(evidence)
    engine = table(seen.get("engine"))
    specs = [spec for spec in tables(seen.get("cdi")) if text(spec.get("kind"))]
    named = texts(engine.get("devices")) or [
        f"{spec['kind']}={device}" for spec in specs for device in texts(spec.get("devices"))
    ]
    stale = next((v for spec in specs if (v := text(spec.get("driver"), 20))), None)
    runtimes = texts(engine.get("runtimes"))
    if not runtimes and flag(table(seen.get("daemon")).get("nvidia_runtime")):
        runtimes = ["nvidia"]
    return Containers(
        docker_client=_program(seen, "docker_found", "docker_client", engine.get("version")),
        docker_engine=_parse_engine(seen, engine),
        podman=_program(seen, "podman_found", "podman", None),
        nvidia_container_toolkit=_program(seen, "toolkit_found", "toolkit", None),
        cdi_devices=_known(named, "docker engine" if engine.get("devices") else "/etc/cdi, /var/run/cdi"),
        cdi_driver=present("/etc/cdi, /var/run/cdi", stale),
        runtimes=_known(runtimes, "docker engine" if engine else "/etc/docker/daemon.json"),
    )


def _known(values: list[str], source: str) -> TextsFact:
    return Known(value=tuple(sorted(set(values))), source=source) if values else Absent(source=source)


def _program(seen: Evidence, found: str, key: str, instead: object) -> TextFact:
    if flag(seen.get(found)) is not True:
        return Absent(source="PATH") if found in seen else Unknown(why="nobody looked for the program")
    return pick(
        [("--version, dpkg", text(seen.get(key), 40)), ("engine", text(instead, 40))],
        "it is on PATH; without an engine its version was not asked",
    )


def _parse_engine(seen: Evidence, engine: Evidence) -> TextFact:
    version = text(engine.get("version"), 40)
    if version:
        return Known(value=version, source="docker socket")
    socket = seen.get("socket")
    if not isinstance(socket, dict):
        return Absent(source="docker socket")
    if flag(socket.get("open")) is False:
        return Unknown(why="the engine's socket is there and this user may not open it (group docker)")
    return Unknown(why="the engine's socket is there and nobody answered on it")


PROBE = Probe(section="containers", collect=collect, parse=parse, waits=True)
