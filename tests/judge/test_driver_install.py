"""How a driver is installed, by system: every row is reached, and its words end up in remedies."""

from __future__ import annotations

import pytest

from envcheck.api_diagnose import diagnose
from envcheck.judge.driver_install import driver_install, how
from envcheck.judge.rows import load
from envcheck.schema.facts import Known
from envcheck.schema.snapshot import Os, Snapshot
from envcheck.schema.tables import DriverInstalls


def machine(distro: str = "", family: str = "linux", wsl: bool = False, container: str = "") -> Snapshot:
    facts: dict[str, object] = {"family": Known(value=family, source="os"), "wsl": Known(value=wsl, source="os")}
    if distro:
        facts["distro"] = Known(value=distro, source="os")
    if container:
        facts["container"] = Known(value=container, source="os")
    return Snapshot(origin="machine", alias="one", os=Os(**facts))  # type: ignore[arg-type]


SYSTEMS = [
    (machine("Ubuntu 24.04.2 LTS"), "ubuntu-drivers"),
    (machine("Linux Mint 22"), "ubuntu-drivers"),
    (machine("Debian GNU/Linux 12 (bookworm)"), "nvidia-driver"),
    (machine("Fedora Linux 42 (Workstation Edition)"), "dnf install nvidia-open"),
    (machine("Red Hat Enterprise Linux 9.4 (Plow)"), "open-dkms"),
    (machine("Rocky Linux 8.10 (Green Obsidian)"), "open-dkms"),
    (machine("Amazon Linux 2023.6.20241010"), "open-dkms"),
    (machine("AlmaLinux 10.0 (Purple Lion)"), "dnf install nvidia-open"),
    (machine("Arch Linux"), "pacman"),
    (machine("openSUSE Leap 15.6"), "zypper"),
    (machine("NixOS 25.05 (Warbler)"), "configuration.nix"),
    (machine("Windows 11 Pro", family="windows"), "NVIDIA app"),
    (machine("Ubuntu 22.04.5 LTS", wsl=True), "in Windows"),
    (machine("ubuntu 24.04"), "ubuntu-drivers"),
    (machine("pop 22.04"), "ubuntu-drivers"),
    (machine("debian 13"), "nvidia-driver"),
    (machine("rhel 9.4"), "open-dkms"),
    (machine("amzn 2023"), "open-dkms"),
    (machine("ol 10.0"), "dnf install nvidia-open"),
    (machine("opensuse-leap 15.6"), "zypper"),
    (machine("arch"), "pacman"),
    (machine("windows", family="windows"), "NVIDIA app"),
    (machine("centos 7"), "your distribution"),
    (machine("Gentoo Linux"), "your distribution"),
    (machine(), "your distribution"),
]


@pytest.mark.parametrize(("snapshot", "words"), SYSTEMS)
def test_each_system_is_told_its_own_way(snapshot: Snapshot, words: str) -> None:
    assert words in how(snapshot)


def test_every_row_is_reached() -> None:
    assert {driver_install(snapshot).match for snapshot, _ in SYSTEMS} == {
        row.match for row in load("driver_installs", DriverInstalls).install
    }


def test_the_last_row_is_for_everybody() -> None:
    assert load("driver_installs", DriverInstalls).install[-1].match == ""


def test_a_container_takes_the_driver_of_its_host() -> None:
    assert how(machine("Ubuntu 22.04", container="docker")).startswith("on the host, ")


def test_a_pasted_report_gets_the_words_for_its_system() -> None:
    paste = "OS: Debian GNU/Linux 12 (x86_64)\nPyTorch version: 2.11.0+cu130\nCUDA used to build PyTorch: 13.0\n"
    paste += "Is CUDA available: False\nNvidia driver version: 535.54.03\n"
    found = next(each for each in diagnose(paste).findings if each.cause == "driver_too_old")
    assert found.remedy is not None
    assert "sudo apt install nvidia-driver" in found.remedy.says
