"""Inference backends outside the target's packages: programs on PATH and servers that answer on loopback."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from envcheck.probes._http_answers import answered, json_of, server_of
from envcheck.probes._together import together
from envcheck.probes._values import pick, present, table, tables, text, texts, whole
from envcheck.probes._versions import first_version
from envcheck.schema.facts import Absent, IntFact, Known, TextFact, TextsFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import BackendPresence

if TYPE_CHECKING:
    from envcheck.host import Host

# Program that shows the backend is installed, and the arguments that print its version; none where asking is slow (a
# Python program that imports torch first) or opens a window: then its presence is the reading.
_PROGRAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ollama": ("ollama", ("--version",)),
    "llama_cpp": ("llama-server", ("--version",)),
    "lm_studio": ("lms", ()),
    "vllm": ("vllm", ()),
    "sglang": ("sglang", ()),
    "slurm": ("sinfo", ("--version",)),
    "ray": ("ray", ()),
}
# Usual ports and the question that tells whose server it is.
# llama.cpp: 8080, and 9931 since the notice of https://github.com/ggml-org/llama.cpp/pull/26508 .
_SERVERS: tuple[tuple[str, int, str], ...] = (
    ("ollama", 11434, "/api/version"),
    ("ollama", 11434, "/api/tags"),
    ("llama_cpp", 8080, "/v1/models"),
    ("llama_cpp", 9931, "/v1/models"),
    ("vllm", 8000, "/version"),
    ("vllm", 8000, "/v1/models"),
    ("sglang", 30000, "/v1/models"),
    ("sglang", 30000, "/get_server_info"),
    ("lm_studio", 1234, "/v1/models"),
)
_NAMES = tuple(dict.fromkeys([*_PROGRAMS, *(name for name, _, _ in _SERVERS)]))
_BUILD = re.compile(r"version:\s*(\d{1,8})\b")
"""`llama-server --version` prints its build number: "version: 5943 (0fdf3c1b)"."""


def collect(host: Host) -> Evidence:
    """PATH first; programs are run, and ports asked, only from level 1 on."""
    paths = {name: path for name, (program, _) in _PROGRAMS.items() if (path := host.which(program))}
    versions = together({name: partial(_ask, host, path, _PROGRAMS[name][1]) for name, path in paths.items()})
    programs: dict[str, Any] = {name: {"found": True, "version": versions.get(name)} for name in paths}
    home = host.env.get("HOME") or host.env.get("USERPROFILE") or ""
    if (
        "lm_studio" not in programs
        and home
        and (host.is_dir(f"{home}/.lmstudio") or host.is_dir(f"{home}/.cache/lm-studio"))
    ):
        programs["lm_studio"] = {"found": True, "version": None}
    asked = host.level >= 1 and host.ports
    return {"programs": programs, "asked": asked, "servers": _servers(host) if asked else []}


def _ask(host: Host, path: str, arguments: tuple[str, ...]) -> str | None:
    if host.level < 1 or not arguments:
        return None
    done = host.run([path, *arguments])
    printed = (done.out + "\n" + done.err)[:4000]
    build = _BUILD.search(printed)
    return f"b{build.group(1)}" if build else first_version(printed)


def _servers(host: Host) -> list[dict[str, Any]]:
    own = _own_ollama_port(host)
    rows = [(name, own if name == "ollama" and own else port, path) for name, port, path in _SERVERS]
    ports = sorted({port for _, port, _ in rows})
    listening = {
        p for p, (listens, _) in zip(ports, host.ask_loopback([(p, b"") for p in ports]), strict=True) if listens
    }
    rows = [row for row in rows if row[1] in listening]
    if not rows:
        return []
    from envcheck.loopback import http_get

    answers = host.ask_loopback([(port, http_get(path)) for _, port, path in rows])
    found = (_server(name, port, path, answer) for (name, port, path), (_, answer) in zip(rows, answers, strict=True))
    return [seen for seen in found if seen]


def _own_ollama_port(host: Host) -> int | None:
    """The port of OLLAMA_HOST where it names this machine ("127.0.0.1:8434", "0.0.0.0:8434", ":8434")."""
    found = re.fullmatch(
        r"(?:https?://)?(?:127\.0\.0\.1|0\.0\.0\.0|localhost)?:(\d{1,5})/?", host.env.get("OLLAMA_HOST", "")
    )
    return int(found.group(1)) if found and 0 < int(found.group(1)) < 65536 else None


def _server(name: str, port: int, path: str, answer: bytes) -> dict[str, Any] | None:
    """What one answer says, if it is that backend's: an OpenAI list of models alone could be anybody's."""
    body, header = json_of(answer), server_of(answer).lower()
    listed = tables(table(body).get("data")) or tables(table(body).get("models"))
    owners = {str(row.get("owned_by", "")).lower() for row in listed}
    mine = {
        "ollama": path == "/api/version" or isinstance(table(body).get("models"), list),
        "llama_cpp": "llama" in header or "llamacpp" in owners,
        "vllm": path == "/version" or "vllm" in owners,
        "sglang": "sglang" in owners or "sglang_version" in table(body) or path == "/get_server_info",
        "lm_studio": bool(listed) or "organization_owner" in owners,
    }[name]
    if not isinstance(body, dict) or not mine:
        return None
    version = answered(body, "version") or answered(body, "sglang_version")
    models = [_model(str(row.get("name") or row.get("id") or "")) for row in listed]
    return {
        "name": name,
        "port": port,
        "version": version and first_version(version),
        "models": sorted({m for m in models if m})[:200],
    }


def _model(name: str) -> str:
    """A model's name; where it is a path, its last part, since the folders are the user's."""
    if name.startswith(("/", "~", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        name = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    return name[:120] if re.fullmatch(r"[\w./:@+ -]{1,200}", name) else ""


def parse(evidence: Evidence) -> Known[tuple[BackendPresence, ...]] | Unknown:
    """One record per backend that was looked for."""
    seen = table(evidence)
    programs, asked = seen.get("programs"), seen.get("asked") is True
    if not isinstance(programs, dict):
        return Unknown(why="the evidence does not say which programs were looked for")
    servers = tables(seen.get("servers"))
    found = [
        _presence(name, table(programs.get(name)), [s for s in servers if s.get("name") == name], asked)
        for name in _NAMES
    ]
    return Known(value=tuple(found), source="PATH, loopback ports" if asked else "PATH")


def _presence(name: str, program: dict[str, Any], servers: list[dict[str, Any]], asked: bool) -> BackendPresence:
    answers = next((s for s in servers if text(s.get("version"))), servers[0] if servers else {})
    models = sorted({model for server in servers for model in texts(server.get("models"))})
    port = whole(answers.get("port"))
    nobody: Absent | Unknown = Absent(source="loopback") if asked else Unknown(why="loopback ports were not asked")
    server: TextFact = nobody
    listening: IntFact = nobody
    named: TextsFact = nobody
    if servers:
        server = Known(value=text(answers.get("version"), 40) or "running", source="loopback")
        listening = pick([("loopback", port)], "the evidence holds no port")
        named = Known(value=tuple(models), source="loopback")
    binary = present("PATH", (text(program.get("version"), 40) or "present") if program.get("found") is True else None)
    return BackendPresence(name=name, binary=binary, server=server, port=listening, models=named)


PROBE = Probe(section="backends", collect=collect, parse=parse, waits=True)
