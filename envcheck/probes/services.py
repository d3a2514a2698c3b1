"""Companion services on loopback: asked in their own protocol, all at once, within 300 ms; off with `--no-ports`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envcheck.probes._http_answers import answered, json_of, status_of
from envcheck.probes._values import present, table, tables, text, whole
from envcheck.schema.facts import Known, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Service

if TYPE_CHECKING:
    from envcheck.host import Host

# name, usual port, path of a question over HTTP ("" for its own protocol), key of the version in its JSON answer.
_SERVICES: tuple[tuple[str, int, str, str], ...] = (
    ("redis", 6379, "", ""),
    ("postgresql", 5432, "", ""),
    ("chromadb", 8000, "/api/v2/version", ""),
    ("qdrant", 6333, "/", "version"),
    ("prometheus", 9090, "/api/v1/status/buildinfo", "data.version"),
    ("grafana", 3000, "/api/health", "version"),
    ("fastapi", 8000, "/openapi.json", "info.version"),
    ("fastapi", 8080, "/openapi.json", "info.version"),
    ("ray", 8265, "/api/version", "ray_version"),
)
_REDIS = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
_POSTGRES = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""SSLRequest: a server answers with the one letter S or N before any authentication (PostgreSQL, "Message Formats")."""
_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,6}){1,3}[\w.+-]{0,30}")


def collect(host: Host) -> Evidence:
    """Connects to each port once to see who listens, then asks only those."""
    if host.level < 1 or not host.ports:
        return {"asked": False}
    ports = sorted({port for _, port, _, _ in _SERVICES})
    open_ports = {
        port for port, (listens, _) in zip(ports, host.ask_loopback([(p, b"") for p in ports]), strict=True) if listens
    }
    rows = [row for row in _SERVICES if row[1] in open_ports]
    answers = host.ask_loopback([(port, _question(name, path)) for name, port, path, _ in rows])
    found = [_seen(row, answer) for row, (_, answer) in zip(rows, answers, strict=True)]
    return {"asked": True, "services": [seen for seen in found if seen]}


def _question(name: str, path: str) -> bytes:
    if name == "redis":
        return _REDIS
    if name == "postgresql":
        return _POSTGRES
    from envcheck.loopback import http_get

    return http_get(path)


def _seen(row: tuple[str, int, str, str], answer: bytes) -> dict[str, Any] | None:
    """The service if the answer is really its own: another program may sit on the port."""
    name, port, _, key = row
    version: str | None
    if name == "redis":
        if not answer.startswith((b"$", b"-NOAUTH", b"-DENIED")):
            return None
        found = re.search(rb"redis_version:([\w.]{1,30})", answer)
        version = found.group(1).decode() if found else None
    elif name == "postgresql":
        if answer[:1] not in (b"S", b"N") or len(answer) > 1:
            return None
        version = None
    elif name == "chromadb":
        body = json_of(answer)
        version = body if isinstance(body, str) and _VERSION.fullmatch(body) else None
        if version is None:
            return None
    else:
        if status_of(answer) != 200 or not _is(name, json_of(answer)):
            return None
        version = answered(json_of(answer), key)
    return {"name": name, "port": port, "version": version if version and _VERSION.fullmatch(version) else None}


def _is(name: str, body: Any) -> bool:
    """Whether a JSON answer has the shape of that service's."""
    keys = set(table(body))
    wanted = {
        "qdrant": {"title", "version"},
        "prometheus": {"status", "data"},
        "grafana": {"database", "version"},
        "fastapi": {"openapi", "paths"},
        "ray": {"ray_version"},
    }[name]
    if name == "qdrant":
        return wanted <= keys and "qdrant" in str(body["title"]).lower()
    return wanted <= keys


def parse(evidence: Evidence) -> Known[tuple[Service, ...]] | Unknown:
    """The services that answered; unknown where nobody was asked."""
    seen = table(evidence)
    if seen.get("asked") is not True:
        return Unknown(why="loopback ports were not asked")
    found = []
    for row in tables(seen.get("services"))[:100]:
        name, port = text(row.get("name"), 40), whole(row.get("port"))
        if name and port is not None and 0 < port < 65536:
            version = present("loopback", text(row.get("version"), 40), "it answers without saying its version")
            found.append(Service(name=name, version=version, port=Known(value=port, source="loopback")))
    return Known(value=tuple(found), source="loopback ports")


PROBE = Probe(section="services", collect=collect, parse=parse, waits=True)
