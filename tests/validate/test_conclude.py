"""Where an engine says that it runs, held against what the driver counts."""

from __future__ import annotations

import pytest

from envcheck.schema.backend import DeviceWords
from envcheck.validate import conclude, memory
from envcheck.validate.conclude import device_status, held_to_nvml, placed

ALL_ON_GPU = DeviceWords(device="gpu", gpu_share=1.0, says="/api/ps: all of it", memory_mib={"total": 5000.0})
LAYERS = DeviceWords(device="cuda", gpu_share=0.5, says="buffers", memory_mib={"weights": 4000.0, "kv": 1000.0})


@pytest.mark.parametrize(
    ("words", "used", "expected", "device"),
    [
        (ALL_ON_GPU, 5600.0, "cuda", "gpu"),
        (ALL_ON_GPU, 3.0, "cuda", "cpu"),
        (ALL_ON_GPU, None, "cuda", "gpu"),  # no NVML: nobody can contradict
        (ALL_ON_GPU, 3.0, "rocm", "gpu"),
        (LAYERS, 2600.0, "cuda", "cuda"),
        (LAYERS, 400.0, "cuda", "cpu"),
        (DeviceWords(device="cpu", gpu_share=0.0, memory_mib={"total": 5000.0}), 3.0, "cuda", "cpu"),
        (DeviceWords(device="cuda", gpu_share=1.0), 3.0, "cuda", "cuda"),  # it names no sizes
    ],
)
def test_a_claim_that_the_driver_contradicts(
    words: DeviceWords, used: float | None, expected: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "nvidia_used_mib", lambda: used)
    assert held_to_nvml(words, expected).device == device


def test_full_gpu_by_its_own_words_and_idle_by_the_driver_is_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "nvidia_used_mib", lambda: 3.0)
    status, why = device_status("cuda", held_to_nvml(ALL_ON_GPU, "cuda"), "right")
    assert status == "degraded"
    assert why.startswith("expected on cuda, but it ran on the CPU (/api/ps: all of it, but NVML counts 3 MiB in use")


def test_an_engine_that_does_not_say_is_placed_by_its_processes() -> None:
    silent = DeviceWords(device="unknown")
    assert placed(silent, 900.0).device == "cuda"
    assert placed(silent, 0.0).device == "cpu"
    assert placed(silent, None) == silent
    assert conclude.device_status("unknown", silent, "x") == ("passed", "x")
