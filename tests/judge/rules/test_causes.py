"""The cause files: every slug has a rule and a file, and every sign is a pattern that can match and cannot run away."""

from __future__ import annotations

import re

import pytest

from envcheck.discover import names
from envcheck.judge.diagnose import rules
from envcheck.judge.rule import remedy_of, signs_of
from envcheck.resources import folder

SLUGS = set(
    [
        "driver_too_old",
        "driver_userspace_mismatch",
        "driver_stack_not_ready",
        "container_gpu_not_exposed",
        "device_permission_denied",
        "visible_devices_misconfigured",
        "parallel_size_exceeds_gpus",
        "gpu_hardware_fault",
        "gpu_arch_not_in_build",
        "gpu_below_backend_minimum",
        "rocm_gfx_not_supported",
        "dtype_unsupported_on_gpu",
        "attention_kernel_unsupported_on_gpu",
        "quant_unsupported_on_device",
        "accelerator_wheel_mismatch",
        "cpu_only_build",
        "torch_extension_abi_mismatch",
        "torch_family_version_mismatch",
        "numpy_abi_mismatch",
        "dependency_version_conflict",
        "dependency_missing",
        "backend_too_old_for_model",
        "python_version_unsupported",
        "os_or_arch_unsupported",
        "glibc_too_old",
        "shared_library_missing",
        "build_toolchain_missing",
        "build_toolchain_incompatible",
        "cpu_isa_missing",
        "gpu_memory_insufficient",
        "kv_cache_memory_insufficient",
        "gpu_memory_in_use",
        "host_resources_insufficient",
        "shm_too_small",
        "p2p_or_iommu_fault",
    ]
)


def test_every_slug_has_a_rule_and_a_file() -> None:
    assert {rule.cause for rule in rules()} == SLUGS
    assert {path.stem for path in (folder("requirements_matrix") / "causes").glob("*.toml")} == SLUGS
    assert set(names("envcheck.judge.rules")) == SLUGS


def test_rules_explain_only_known_causes() -> None:
    assert {cause for rule in rules() for cause in rule.explains} <= SLUGS


@pytest.mark.parametrize("cause", sorted(SLUGS))
def test_signs_are_lower_case_and_compile(cause: str) -> None:
    assert remedy_of(cause).says
    for sign in signs_of(cause):
        assert sign.has == sign.has.lower()
        assert len(sign.has) >= 3
        assert sign.says.endswith(".")
        assert all(word == word.lower() for word in sign.unless)
        re.compile(sign.matches)


@pytest.mark.parametrize("cause", sorted(SLUGS))
def test_no_sign_repeats_another(cause: str) -> None:
    keys = [(sign.has, sign.matches, sign.unless) for sign in signs_of(cause)]
    assert len(keys) == len(set(keys))
