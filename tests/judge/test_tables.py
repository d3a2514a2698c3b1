"""The typed questions to the shared tables."""

from __future__ import annotations

import pytest

from envcheck.judge import tables, versions
from envcheck.schema.tables import Platform


@pytest.mark.parametrize(
    ("cuda", "linux", "windows"),
    [
        ("13.2", "580", "580"),
        ("12.8", "525.60.13", "528.33"),
        ("11.8", "450.80.02", "452.39"),
        ("10.2", "440.33", "441.22"),
    ],
)
def test_the_floor_of_a_runtime_is_that_of_its_major(cuda: str, linux: str, windows: str) -> None:
    row = tables.driver_floor(cuda)
    assert row is not None
    assert (row.linux, row.windows) == (linux, windows)


def test_a_runtime_older_than_the_table_has_no_floor() -> None:
    assert tables.driver_floor("9.2") is None
    assert tables.serving("9.2", driver="580", cuda_driver=None, windows=False).runs is None


@pytest.mark.parametrize(
    ("driver", "windows", "cuda"),
    [
        ("575.57.08", False, "12.9"),
        ("576.57", True, "12.9"),
        ("525.60.13", False, "12.0"),
        ("610.43.02", False, "13.3"),
        ("440.33", False, None),
    ],
)
def test_the_newest_cuda_of_a_driver(driver: str, windows: bool, cuda: str | None) -> None:
    assert tables.newest_cuda(driver, windows=windows) == cuda


@pytest.mark.parametrize(
    ("cuda", "driver", "cuda_driver", "windows", "runs", "in_full"),
    [
        ("12.6", "525.60.13", None, False, True, False),  # minor-version compatibility
        ("12.6", "560.35.05", None, False, True, True),
        ("13.0", "575.57.08", None, False, False, False),
        ("12.8", None, "12.9", None, True, True),
        ("13.0", None, "12.9", None, False, False),
        ("12.8", None, None, False, None, None),
        ("12.8", "526.00", None, None, None, False),  # above the Linux floor, below the Windows one
        ("12.8", "526.00", None, False, True, False),
    ],
)
def test_whether_a_driver_serves_a_runtime(
    cuda: str,
    driver: str | None,
    cuda_driver: str | None,
    windows: bool | None,
    runs: bool | None,
    in_full: bool | None,
) -> None:
    served = tables.serving(cuda, driver=driver, cuda_driver=cuda_driver, windows=windows)
    assert (served.runs, served.in_full) == (runs, in_full)


@pytest.mark.parametrize(
    ("version", "platform", "variant"),
    [
        ("2.7.0+cu128", "linux_x86_64", "cu128"),
        ("2.7.0", "linux_x86_64", "cu126"),
        ("2.11.0", "linux_aarch64", "cu130"),
        ("2.10.0", "linux_aarch64", "cpu"),
        ("2.15.0", "windows_x86_64", "cpu"),
        ("2.15.0", "macos_arm64", "cpu"),
        ("2.4.0+rocm6.1", "linux_x86_64", "rocm6.1"),
        ("2.8.0", None, None),
        ("1.13.1", "linux_x86_64", None),
    ],
)
def test_the_variant_of_an_installed_torch(version: str, platform: Platform | None, variant: str | None) -> None:
    assert tables.torch_variant(version, platform) == variant


@pytest.mark.parametrize(
    ("capability", "kernels", "ptx", "runs"),
    [
        ("8.6", ("8.0", "8.6"), "", True),
        ("8.9", ("8.6",), "", True),  # same major, higher minor
        ("8.0", ("8.6",), "", False),
        ("12.1", ("12.0",), "", True),
        ("12.0", ("9.0",), "", False),
        ("12.0", ("9.0",), "9.0", True),  # the driver compiles the PTX
        ("7.0", ("7.5",), "7.5", False),
        ("?", ("7.5",), "", None),
    ],
)
def test_binary_compatibility(capability: str, kernels: tuple[str, ...], ptx: str, runs: bool | None) -> None:
    assert tables.kernels_serve(capability, kernels, ptx) is runs


@pytest.mark.parametrize(
    ("distro", "glibc"),
    [
        ("Ubuntu 22.04.5 LTS", "2.35"),
        ("ubuntu-22.04", "2.35"),
        ("Debian GNU/Linux 12 (bookworm)", "2.36"),
        ("Rocky Linux 9.4", "2.34"),
        ("Ubuntu 2", None),
        ("Alpine Linux v3.20", None),
        ("", None),
    ],
)
def test_the_c_library_of_a_distribution(distro: str, glibc: str | None) -> None:
    assert tables.glibc_of(distro) == glibc


@pytest.mark.parametrize(
    ("method", "version", "floor"),
    [
        ("AWQ", "0.33.0", "7.5"),
        ("gptq-marlin", "0.33.0", "7.5"),
        ("gptq_marlin", "0.10.2", "8.0"),
        ("mxfp4", "0.10.1", "10.0"),
        ("nonsense", "0.33.0", None),
        ("mxfp4", None, None),
    ],
)
def test_the_gpu_floor_of_a_quantization(method: str, version: str | None, floor: str | None) -> None:
    row = tables.kernel_row("vllm", "quantization", method, version)
    assert (row.min_compute_capability if row else None) == floor


def test_every_package_group_names_versions_that_order() -> None:
    groups = {group.name: group for group in tables.package_groups()}
    assert list(groups) == ["core_ml", "web", "vector_db", "data"]
    for group in groups.values():
        for package in group.package:
            assert versions.at_least(package.recommended, package.required), package.name
            assert versions.clauses(package.python), package.name


def test_a_wheel_with_cuda_or_rocm_names_its_architectures() -> None:
    for release in tables.torch_wheels().release:
        for variant in release.variants:
            if variant.startswith("cu"):
                assert tables.arch_list(release.version, variant), (release.version, variant)
                assert tables.driver_floor(tables.cuda_of(variant) or "")
