"""Damage of the installed packages: what names in site-packages betray, and what RECORD against the disk found."""

from __future__ import annotations

from typing import Any, get_args

from envcheck.probes import _presence
from envcheck.probes._values import table, tables, text, whole
from envcheck.schema.facts import Known
from envcheck.schema.snapshot import Damage, DamageKind

_KINDS: dict[object, DamageKind] = {kind: kind for kind in get_args(DamageKind)}


def parse_damage(listed: list[dict[str, Any]], seen: dict[str, Any]) -> Known[tuple[Damage, ...]]:
    """Deep findings (level 2) replace the shallow ones, which see only names and a few packages' metadata."""
    if isinstance(seen.get("record"), list):
        return Known(value=tuple(_stated(seen["record"])), source="RECORD against the disk")
    gone, how = _presence.parse(seen.get("presence"))
    damage = gone + _metadata(listed) + _duplicates(listed)
    left = whole(seen.get("leftovers"))
    if left is not None and 0 < left < 100000:
        damage.append(Damage(package="", kind="foreign", count=left, example="~… (left by an interrupted pip)"))
    return Known(value=tuple(damage), source="names in site-packages" + (f", {how}" if how else ""))


def _metadata(listed: list[dict[str, Any]]) -> list[Damage]:
    return [
        Damage(package=name, kind="broken_metadata", count=1, example=f"{name}-{version}.dist-info")
        for row in listed
        if row.get("metadata") is False
        and (name := text(row.get("name"), 100))
        and (version := text(row.get("version"), 100))
    ]


def _duplicates(listed: list[dict[str, Any]]) -> list[Damage]:
    """Two metadata folders of one package in the same or in different folders: which one counts depends on order."""
    versions: dict[str, set[str]] = {}
    for row in listed:
        name, version = text(row.get("name"), 100), text(row.get("version"), 100)
        if name and version:
            versions.setdefault(name, set()).add(version)
    return [
        Damage(package=name, kind="duplicate", count=len(found), example=", ".join(sorted(found))[:200])
        for name, found in sorted(versions.items())
        if len(found) > 1
    ]


def _stated(record: list[Any]) -> list[Damage]:
    found = []
    for row in tables(record)[:5000]:
        fields = table(row)
        kind, count = _KINDS.get(text(fields.get("kind"), 40)), whole(fields.get("count"))
        if kind is not None and count is not None:
            package, example = text(fields.get("package"), 100) or "", text(fields.get("example"), 300) or ""
            found.append(Damage(package=package, kind=kind, count=count, example=example))
    return found
