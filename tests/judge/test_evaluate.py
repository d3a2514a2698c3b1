"""Laws of the judgement as a whole."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envcheck.judge import rows
from envcheck.judge.evaluate import evaluate, worst
from envcheck.schema.errors import InputError
from envcheck.schema.facts import NOT_READ
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent, Judgement, Status, Verdict
from tests.judge.machines import known, machine, nvidia_gpu

DAY = "2026-11-21"


def judged(snapshot: Snapshot, *backends: str, intent: Intent | None = None) -> Judgement:
    return evaluate(snapshot, intent or Intent(), backends or None, today=DAY)


def status(judgement: Judgement, name: str) -> str | None:
    return next((v.status for v in judgement.verdicts if v.id == name), None)


GOOD: dict[str, Any] = {
    "capabilities": ("8.9",),
    "driver": "595.71.05",
    "python": "3.12.4",
    "packages": {"torch": "2.13.0+cu130", "transformers": "5.19.0", "vllm": "0.32.0"},
    "programs": {"ollama": "0.32.0", "llama.cpp": "b8000"},
}


def test_a_good_machine_is_met_for_every_backend_that_is_there() -> None:
    judgement = judged(machine(**GOOD), "transformers", "vllm", "ollama", "llama.cpp")
    assert {name: s.status for name, s in judgement.backends.items()} == dict.fromkeys(judgement.backends, "ready")
    assert judgement.worst == "met"
    assert all(state.first_broken is None for state in judgement.backends.values())


def test_without_names_every_backend_of_the_matrix_is_judged() -> None:
    assert sorted(judged(machine(**GOOD)).backends) == rows.backend_names()


def test_the_intended_backend_is_the_default() -> None:
    assert list(judged(machine(**GOOD), intent=Intent(backend="ollama")).backends) == ["ollama"]


def test_naming_a_backend_twice_or_by_its_file_name_judges_it_once() -> None:
    judgement = judged(machine(**GOOD), "llama.cpp", "llama_cpp", "llama.cpp")
    assert list(judgement.backends) == ["llama.cpp"]
    assert len({v.id for v in judgement.verdicts}) == len(judgement.verdicts)


def test_an_unknown_backend_is_an_input_error() -> None:
    with pytest.raises(InputError, match="Unknown backend 'triton'"):
        judged(machine(**GOOD), "triton")


def test_an_empty_snapshot_is_unknown_and_never_met() -> None:
    judgement = judged(Snapshot())
    assert judgement.worst == "unknown"
    assert not [v.id for v in judgement.verdicts if v.status in ("met", "not_met")]
    assert "ready" not in {state.status for state in judgement.backends.values()}


SECTIONS = ("os", "cpu", "memory", "nvidia", "amd", "intel", "apple", "python", "environment", "containers", "backends")
MACHINES = st.fixed_dictionaries(
    {
        "capabilities": st.lists(st.sampled_from(["5.2", "7.0", "7.5", "8.6", "9.0", "12.0"]), max_size=2).map(tuple),
        "driver": st.sampled_from(["470.82.01", "525.60.13", "550.54.14", "570.26", "580.95.05", "595.71.05"]),
        "python": st.sampled_from(["3.9.1", "3.10.12", "3.12.4", "3.14.0"]),
        "glibc": st.sampled_from(["2.17", "2.28", "2.31", "2.35", "2.39"]),
        "flags": st.sampled_from([("avx",), ("avx2",), ("avx2", "avx512f")]),
        "packages": st.sampled_from(
            [
                {},
                {"torch": "2.7.0+cu128", "transformers": "4.57.6"},
                {"torch": "2.15.0", "transformers": "5.23.0"},
                {"torch": "2.13.0+cpu", "vllm": "0.32.0"},
            ]
        ),
        "programs": st.sampled_from([{}, {"ollama": "0.32.0"}, {"ollama": "0.6.0"}]),
    }
)


def without_driver(facts: dict[str, Any]) -> dict[str, Any]:
    """A machine without an NVIDIA card has no NVIDIA driver."""
    return facts if facts["capabilities"] else facts | {"driver": None}


@settings(max_examples=120, deadline=None)
@given(MACHINES, st.sets(st.sampled_from(SECTIONS), min_size=1))
def test_forgetting_sections_never_makes_a_verdict_met(facts: dict[str, Any], forgotten: set[str]) -> None:
    whole = machine(**without_driver(facts))
    blank = Snapshot()
    part = msgspec.structs.replace(whole, **{name: getattr(blank, name) for name in forgotten})
    known = {v.id: v.status for v in judged(whole).verdicts}
    for verdict in judged(part).verdicts:
        if "python" in forgotten and verdict.link == "wheel":
            continue  # without the list of packages another release is judged: the newest, not the installed one
        if verdict.status == "met" and verdict.severity == "blocker":
            assert known.get(verdict.id) in ("met", None, "skipped"), verdict


@settings(max_examples=120, deadline=None)
@given(MACHINES, st.sampled_from(["580.95.05", "595.71.05", "610.43.02"]))
def test_a_newer_driver_never_breaks_a_driver_verdict(facts: dict[str, Any], newer: str) -> None:
    if not facts["capabilities"]:
        return
    before = judged(machine(**facts))
    after = judged(machine(**facts | {"driver": newer}))
    for verdict in before.verdicts:
        if verdict.link == "driver" and verdict.status == "met":
            assert status(after, verdict.id) == "met", verdict.id


@settings(max_examples=120, deadline=None)
@given(MACHINES)
def test_the_first_broken_link_is_the_first_unmet_blocker_of_its_backend(facts: dict[str, Any]) -> None:
    judgement = judged(machine(**without_driver(facts)))
    for name, state in judgement.backends.items():
        unmet = [v for v in judgement.verdicts if v.backend in (name, "machine") and v.severity == "blocker"]
        unmet = [v for v in unmet if v.status == "not_met"]
        if state.status == "blocked":
            assert state.first_broken == unmet[0].id
        if state.status == "ready":
            assert unmet == []
            assert state.first_broken is None


@settings(max_examples=60, deadline=None)
@given(MACHINES)
def test_judging_is_repeatable_and_survives_json(facts: dict[str, Any]) -> None:
    snapshot = machine(**without_driver(facts))
    again = msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot)
    assert judged(snapshot) == judged(again)


def verdict(found: Status, severity: Any = "blocker") -> Verdict:
    return Verdict(id="x", backend="x", status=found, severity=severity, says="x")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "met"),
        ([verdict("met")], "met"),
        ([verdict("unknown"), verdict("not_met")], "not_met"),
        ([verdict("unknown"), verdict("warning", "warning")], "unknown"),
        ([verdict("warning", "warning")], "warning"),
        ([verdict("warning", "blocker")], "warning"),
        ([verdict("unknown", "warning")], "met"),
        ([verdict("not_met", "info")], "met"),
        ([verdict("waived"), verdict("skipped")], "met"),
    ],
)
def test_the_worst_word(verdicts: list[Verdict], expected: str) -> None:
    assert worst(verdicts) == expected


@pytest.mark.parametrize(
    ("quantization", "capability", "expected"),
    [
        ("awq", "7.5", "met"),
        ("fp8", "7.5", "not_met"),
        ("fp8", "8.0", "met"),
        (None, "7.5", None),
        ("q4_0", "7.5", None),
    ],
)
def test_a_quantization_is_judged_by_the_kernels_of_the_gpu(
    quantization: str | None, capability: str, expected: str | None
) -> None:
    intent = Intent(backend="vllm", quantization=quantization)
    found = judged(machine(**GOOD | {"capabilities": (capability,)}), intent=intent)
    assert status(found, "vllm.model.quantization") == expected


@pytest.mark.parametrize(
    ("version", "expected"), [("0.12.0", None), ("0.13.0", "deprecated"), ("0.32.0", "silently ignored")]
)
def test_a_variable_is_judged_by_the_version_that_reads_it(version: str, expected: str | None) -> None:
    packages = {"vllm": version, "torch": "2.13.0+cu130"}
    snapshot = machine(**GOOD | {"packages": packages, "env": {"VLLM_ATTENTION_BACKEND": "FLASHINFER"}})
    found = [v.says for v in judged(snapshot, "vllm").verdicts if v.id == "vllm.variable.vllm_attention_backend"]
    assert (expected is None and found == []) or (expected is not None and expected in found[0])


@pytest.mark.parametrize(
    ("ollama", "driver", "expected"),
    [
        ("0.32.0", "549.9", "not_met"),
        ("0.32.0", "550.54.14", "met"),
        ("0.20.0", "535.104.05", "met"),
        ("0.20.0", "530.30.02", "not_met"),
        ("0.6.8", "470.82.01", "met"),
    ],
)
def test_the_floor_of_a_driver_is_that_of_the_installed_version(ollama: str, driver: str, expected: str) -> None:
    snapshot = machine(**GOOD | {"driver": driver, "programs": {"ollama": ollama}})
    assert status(judged(snapshot, "ollama"), "ollama.driver.version") == expected


def test_a_driver_that_is_not_usable_skips_what_hangs_on_it() -> None:
    judgement = judged(machine(**GOOD | {"state": "module_not_loaded"}), "vllm", "transformers")
    assert status(judgement, "machine.nvidia.state") == "not_met"
    assert status(judgement, "vllm.driver.cuda") == "skipped"
    assert judgement.backends["vllm"].first_broken == "machine.nvidia.state"


@pytest.mark.parametrize("backend", ["vllm", "transformers", "sglang"])
def test_packages_that_nobody_listed_do_not_make_a_backend_unknown(backend: str) -> None:
    judgement = judged(machine(**GOOD | {"packages": None}), backend)
    assert judgement.backends[backend].status == "ready_after_install"
    assert judgement.worst == "unknown"


def test_a_remedy_does_not_name_what_nobody_knows() -> None:
    snapshot = machine(**GOOD | {"python": None, "packages": {"torch": "2.13.0+cpu", "transformers": "5.19.0"}})
    found = next(v for v in judged(snapshot, "transformers").verdicts if v.id == "transformers.wheel.gpu_build")
    assert found.remedy is not None
    assert "unknown" not in found.remedy.says
    assert found.remedy.commands == ()


@pytest.mark.parametrize(("today", "told"), [("2026-11-21", False), ("2027-05-20", False), ("2027-05-21", True)])
def test_facts_that_nobody_checked_for_half_a_year_are_told(today: str, told: bool) -> None:
    judgement = evaluate(machine(**GOOD), Intent(), ("ollama",), today=today)
    assert (status(judgement, "machine.matrix.age") == "warning") is told
    assert judgement.worst == "met"


def test_a_gpu_known_by_name_alone_is_looked_up() -> None:
    snapshot = machine(**GOOD | {"capabilities": (None,)})
    assert status(judged(snapshot, "vllm"), "vllm.gpu.compute_capability") == "unknown"
    gpu = nvidia_gpu(None, name="NVIDIA GeForce GTX 1080 Ti")
    named = msgspec.structs.replace(snapshot, nvidia=msgspec.structs.replace(snapshot.nvidia, gpus=known((gpu,))))
    assert status(judged(named, "vllm"), "vllm.gpu.compute_capability") == "not_met"


def test_not_read_is_the_default_everywhere() -> None:
    assert Snapshot().os.family == NOT_READ


@pytest.mark.parametrize(
    ("backend", "method", "capability", "row", "expected"),
    [
        ("tensorrt-llm", "nvfp4", "9.0", "model.quantization", "not_met"),
        ("tensorrt-llm", "nvfp4", "12.0", "model.quantization", "met"),
        ("tensorrt-llm", "fp8", "8.6", "model.quantization", "not_met"),
        ("tensorrt-llm", "fp8", "8.9", "model.quantization", "met"),
        ("tensorrt-llm", "awq", "9.0", "model.quantization_ceiling", "met"),
        ("tensorrt-llm", "awq", "12.0", "model.quantization_ceiling", "not_met"),
        ("tensorrt-llm", "nvfp4", "12.0", "model.quantization_ceiling", None),
        ("tensorrt-llm", "bf16", "8.0", "model.quantization", None),
        ("sglang", "modelopt_fp4", "9.0", "model.quantization", "not_met"),
        ("sglang", "modelopt_fp8", "9.0", "model.quantization", "met"),
        ("sglang", "awq", "8.0", "model.quantization", None),
        ("vllm", "awq", "7.5", "model.quantization", "met"),
        ("vllm", "bf16", "7.5", "model.quantization", None),
    ],
)
def test_quantization_kernels_have_floors_and_ceilings(
    backend: str, method: str, capability: str, row: str, expected: str | None
) -> None:
    snapshot = machine(capabilities=(capability,), driver="595.71.05", packages={})
    found = judged(snapshot, backend, intent=Intent(quantization=method))
    assert status(found, f"{backend}.{row}") == expected


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
@pytest.mark.parametrize(
    ("packages", "method", "expected"),
    [
        ({}, "bitsandbytes", "not_met"),
        ({"bitsandbytes": "0.50.2"}, "bitsandbytes", "met"),
        ({}, "gptq", None),
        ({}, None, None),
    ],
)
def test_a_quantization_that_needs_a_package_says_so(
    backend: str, packages: dict[str, str], method: str | None, expected: str | None
) -> None:
    snapshot = machine(**{**GOOD, "packages": {**GOOD["packages"], **packages}})
    found = judged(snapshot, backend, intent=Intent(quantization=method))
    assert status(found, f"{backend}.packages.bitsandbytes_for_quantization") == expected
