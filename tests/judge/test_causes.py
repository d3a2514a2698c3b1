"""Rules that join readings speak in a check where no row does, and stay silent on a machine that is well."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from envcheck.judge.causes import PREFIX, spoken_for, verdict_of
from envcheck.judge.evaluate import evaluate
from envcheck.schema.causes import CAUSES
from envcheck.schema.facts import Known
from envcheck.schema.snapshot import Damage, DamageKind, Snapshot
from envcheck.schema.verdict import Finding, Intent, Judgement, Quote
from tests.judge.machines import known, machine

AMD: dict[str, Any] = {"gfx": ("gfx1100",), "packages": {}, "programs": {"ollama": "0.32.0"}}
NVIDIA: dict[str, Any] = {
    "capabilities": ("8.9",),
    "driver": "595.71.05",
    "packages": {"torch": "2.13.0+cu130", "transformers": "5.19.0"},
    "programs": {"ollama": "0.32.0"},
}


def judged(snapshot: Snapshot, *backends: str) -> Judgement:
    return evaluate(snapshot, Intent(), backends or ("ollama",), today="2026-11-21")


def causes(judgement: Judgement) -> set[str]:
    return {v.cause or "" for v in judgement.verdicts if v.id.startswith(PREFIX)}


def with_access(snapshot: Snapshot, access: dict[str, bool]) -> Snapshot:
    return msgspec.structs.replace(snapshot, os=msgspec.structs.replace(snapshot.os, device_access=known(access)))


def test_a_device_that_may_not_be_opened_is_a_cause() -> None:
    judgement = judged(with_access(machine(**AMD), {"/dev/kfd": False}))
    assert causes(judgement) == {"device_permission_denied"}
    assert judgement.worst == "not_met"
    assert judgement.backends["ollama"].status == "limited"
    assert judgement.backends["ollama"].first_broken == PREFIX + "device_permission_denied"


def test_a_device_that_may_be_opened_is_none() -> None:
    judgement = judged(with_access(machine(**AMD), {"/dev/kfd": True}))
    assert causes(judgement) == set()
    assert judgement.backends["ollama"].status == "ready"


def test_a_machine_that_is_well_has_no_causes() -> None:
    assert causes(judged(machine(**NVIDIA), "transformers", "ollama")) == set()


def test_nothing_is_said_twice() -> None:
    assert spoken_for() <= set(CAUSES)
    assert "gpu_arch_not_in_build" in spoken_for()
    broken = machine(**NVIDIA | {"packages": {"torch": "2.15.0", "transformers": "5.23.0"}, "capabilities": ("6.1",)})
    told = [v.cause for v in judged(broken, "transformers").verdicts if v.status == "not_met"]
    assert told.count("gpu_arch_not_in_build") == 1


def test_a_machine_without_gpu_and_torch_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envcheck.judge.causes.names", lambda package: pytest.fail("rules were looked for"))
    judged(machine(packages={}))


@pytest.mark.parametrize(
    ("severity", "confidence", "expected"),
    [
        ("blocker", "certain", ("not_met", "blocker")),
        ("blocker", "likely", ("warning", "warning")),
        ("warning", "certain", ("warning", "warning")),
        ("info", "possible", ("warning", "info")),
    ],
)
def test_only_what_is_certain_breaks_a_requirement(severity: Any, confidence: Any, expected: tuple[str, str]) -> None:
    finding = Finding(
        cause="shm_too_small",
        severity=severity,
        says="Too small.",
        confidence=confidence,
        evidence=(Quote(line=0, text="64 MiB"),),
    )
    verdict = verdict_of(finding, "runtime")
    assert (verdict.status, verdict.severity) == expected
    assert (verdict.title, verdict.actual) == ("Shm too small", "64 MiB")


@pytest.mark.parametrize(
    ("value", "misleads"), [("", True), ("-1", True), ("3", True), ("0,1", True), ("0", False), (None, False)]
)
def test_a_variable_read_from_the_machine_means_what_it_says(value: str | None, misleads: bool) -> None:
    snapshot = machine(**NVIDIA, env={} if value is None else {"CUDA_VISIBLE_DEVICES": value})
    assert ("visible_devices_misconfigured" in causes(judged(snapshot, "transformers"))) is misleads


def with_damage(*damage: Damage) -> Snapshot:
    snapshot = machine(**NVIDIA)
    return msgspec.structs.replace(
        snapshot, python=msgspec.structs.replace(snapshot.python, damage=Known(value=damage, source="RECORD"))
    )


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("duplicate", "duplicates"),
        ("missing", "lost_files"),
        ("truncated", "cut_files"),
        ("broken_metadata", "broken_metadata"),
    ],
)
def test_damaged_packages_are_warned_of(kind: DamageKind, row: str) -> None:
    damaged = judged(with_damage(Damage(package="transformers", kind=kind, count=2, example="4.40.0, 5.19.0")))
    said = {v.id: v for v in damaged.verdicts if v.status == "warning"}
    assert "transformers (4.40.0, 5.19.0)" in said[f"machine.python.{row}"].says
    sound = {v.id: v.status for v in judged(with_damage()).verdicts}
    assert sound.get(f"machine.python.{row}") not in ("warning", "not_met")


@pytest.mark.parametrize(
    ("torch", "status"), [("2.13.0+rocm7.2", "not_met"), ("2.13.0+cu130", "met"), ("2.13.0+cpu", None)]
)
def test_torch_for_another_vendor_beside_an_nvidia_card(torch: str, status: str | None) -> None:
    judgement = judged(machine(**NVIDIA | {"packages": {"torch": torch, "transformers": "5.19.0"}}), "transformers")
    row = {v.id: v.status for v in judgement.verdicts}.get("transformers.wheel.cuda_build")
    assert (row if row in ("met", "not_met") else None) == status
