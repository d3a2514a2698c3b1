"""Synthetic machines, judgements, fits, plans and validations: shaped like real ones, none captured from anywhere."""

from __future__ import annotations

from typing import Any

from envcheck.schema.facts import Absent, Known, Observation, Unknown
from envcheck.schema.fit import Band, FitRow, MemoryTerms, SpeedBands, Status
from envcheck.schema.report import AcceleratorBuild, Header, PackageRequirement, Subject, TableAge, Tables
from envcheck.schema.run import PromptRun, Reconciled, Run, Validation
from envcheck.schema.snapshot import (
    Amd,
    Apple,
    Containers,
    Cpu,
    Gpu,
    Intel,
    Memory,
    Nvidia,
    Os,
    Package,
    Python,
    Snapshot,
)
from envcheck.schema.verdict import BackendState, Judgement, Remedy, Verdict

ASSUMED = "--assume"


def known(value: Any, source: str = ASSUMED) -> Known[Any]:
    """A known fact."""
    return Known(value=value, source=source)


def titan_v(**changes: Any) -> Snapshot:
    """A WSL2 workstation with a TITAN V (compute capability 7.0) and nothing but Python and Docker installed."""
    gpu = Gpu(
        index=0,
        vendor="nvidia",
        kind="discrete",
        name=known("NVIDIA TITAN V"),
        memory_total_mib=known(12288),
        compute_capability=known("7.0"),
    )
    fields: dict[str, Any] = {
        "origin": "assumed",
        "alias": "titan-v-wsl2",
        "os": Os(
            family=known("linux"),
            distro=known("Ubuntu 22.04"),
            arch=known("x86_64"),
            glibc=known("2.35"),
            wsl=known(True),
        ),
        "cpu": Cpu(name=Unknown(why="not stated"), cores=known(16)),
        "memory": Memory(ram_total_mib=known(32768)),
        "nvidia": Nvidia(driver=known("576.57"), cuda_driver=known("12.9"), gpus=known((gpu,))),
        "python": Python(version=known("3.10.12"), packages=known((Package(name="pip", version="24.0"),))),
        "containers": Containers(docker_client=known("27.5.1"), nvidia_container_toolkit=Unknown(why="not stated")),
    }
    return Snapshot(**{**fields, **changes})


def cpu_box() -> Snapshot:
    """A small rented machine without any GPU."""
    absent = Absent(source="/sys/bus/pci")
    return Snapshot(
        taken_at="2026-11-21T04:00:00Z",
        alias="epyc-2c-24g",
        os=Os(family=known("linux"), distro=known("Debian 12"), arch=known("x86_64"), glibc=known("2.36")),
        cpu=Cpu(name=known("AMD EPYC 9354P"), cores=known(2), flags=known(("avx2", "avx512f"))),
        memory=Memory(ram_total_mib=known(24576), ram_available_mib=known(20480)),
        nvidia=Nvidia(gpus=absent),
        amd=Amd(gpus=absent),
        intel=Intel(gpus=absent),
        apple=Apple(gpus=absent),
        python=Python(version=known("3.11.7"), packages=known(())),
    )


def verdict(name: str, status: str = "met", **changes: Any) -> Verdict:
    """A verdict whose backend is the first part of its id."""
    fields: dict[str, Any] = {
        "id": name,
        "backend": "llama.cpp" if name.startswith("llama.cpp.") else name.split(".")[0],
        "status": status,
        "severity": "blocker",
        "says": f"{name} is {status}",
        "expected": "something",
        "actual": "something else",
        "evidence": (Observation(source=ASSUMED, value="something else"),),
        "source": "https://example.org/facts",
        "checked": "2026-11-21",
    }
    return Verdict(**{**fields, **changes})


INSTALL_TORCH = Remedy(
    says="Install PyTorch 2.10.0 for CUDA 12.6 into the target environment.",
    commands=("python3 -m pip install torch==2.10.0 --index-url https://download.pytorch.org/whl/cu126",),
)


def titan_judgement() -> Judgement:
    """What a judge would say about `titan_v`: one backend of each kind."""
    return Judgement(
        worst="not_met",
        backends={
            "ollama": BackendState(
                status="ready_after_install", why="The Ollama server is not installed.", first_broken="ollama.binary"
            ),
            "transformers": BackendState(
                status="ready_after_install", why="PyTorch is not installed.", first_broken="transformers.torch"
            ),
            "vllm": BackendState(
                status="blocked",
                why="Compute capability 7.0 is below the 7.5 that current vLLM wheels are built for.",
                first_broken="vllm.gpu.compute_capability",
            ),
            "llama.cpp": BackendState(status="ready", why="Every requirement is met."),
        },
        verdicts=(
            verdict("machine.gpu.present", link="device", expected="a GPU", actual="NVIDIA TITAN V"),
            verdict("ollama.driver", link="driver", expected="driver ≥ 550", actual="576.57"),
            verdict(
                "ollama.binary",
                "not_met",
                expected="ollama",
                actual="not found",
                fixed_by_install=True,
                remedy=Remedy(says="Install Ollama.", commands=("ollama --version",), needs_root=True),
            ),
            verdict("transformers.python", expected="Python 3.10 or newer", actual="3.10.12", link="runtime"),
            verdict(
                "transformers.torch",
                "not_met",
                link="wheel",
                expected="torch 2.6 or newer",
                actual="not installed",
                fixed_by_install=True,
                remedy=INSTALL_TORCH,
            ),
            verdict(
                "transformers.gpu.kernels",
                "skipped",
                link="wheel",
                requires=("transformers.torch",),
                skipped_because="transformers.torch",
            ),
            verdict(
                "vllm.gpu.compute_capability",
                "not_met",
                link="device",
                expected="7.5 or newer",
                actual="7.0",
                cause="gpu_too_old",
                says="The card is older than any current vLLM wheel supports.",
            ),
            verdict(
                "vllm.torch",
                "skipped",
                link="wheel",
                requires=("vllm.gpu.compute_capability",),
                skipped_because="vllm.gpu.compute_capability",
            ),
            verdict("machine.shm", "unknown", severity="warning", expected="1 GiB", actual="unknown (not stated)"),
            verdict(
                "machine.disk",
                "warning",
                severity="warning",
                expected="50 GiB free",
                actual="20 GiB",
                remedy=Remedy(says="Free 30 GiB where models are kept."),
            ),
            verdict("llama.cpp.cpu", expected="AVX2", actual="avx2"),
        ),
    )


def fit_row(
    model: str = "7B",
    backend: str = "llama.cpp",
    quant: str = "Q4_K_M",
    status: Status = "fits",
    total: float = 5200.0,
    **changes: Any,
) -> FitRow:
    """One row of `envcheck fit`."""
    available = changes.pop("available", 11500.0)
    fields: dict[str, Any] = {
        "model": model, "params_b": 7.6, "backend": backend, "quant": quant, "context": 4096, "concurrency": 1,
        "status": status, "why": f"{total:.0f} of {available:.0f} MiB",
        "memory_mib": MemoryTerms(
            weights=total * 0.85, kv=total * 0.05, recurrent_state=0.0, compute=total * 0.06, overhead=total * 0.04,
            total=total, available=available, headroom=available - total,
        ),
        "interval_mib": {"total": (total * 0.97, total * 1.05)},
        "max_context": 32768, "max_concurrency": 4, "gpu_layers": 29,
        "speed": SpeedBands(
            decode_tps=Band(value=70.0, low=55.0, high=90.0), prefill_tps=Band(value=1500.0, low=900.0, high=2200.0),
            ttft_ms=Band(value=340.0, low=230.0, high=570.0),
        ),
        "command": f"llama-server -m {model}.gguf -c 4096 -ngl 99",
        "assumptions": ("flash attention on",), "basis": "calculated", "devices": 1,
    }  # fmt: skip
    return FitRow(**{**fields, **changes})


def titan_fits() -> tuple[FitRow, ...]:
    """Fits of four sizes in two backends on 12 GiB."""
    return (
        fit_row("3B", total=2600.0),
        fit_row("7B", total=5200.0),
        fit_row("13B", status="tight", total=9900.0),
        fit_row("30B", status="offload", total=19400.0, gpu_layers=30),
        fit_row("3B", "transformers", "fp16", total=6900.0),
        fit_row("7B", "transformers", "fp16", status="no", total=15900.0),
        fit_row("13B", "transformers", "fp16", status="no", total=27500.0),
        fit_row("30B", "transformers", "fp16", status="no", total=62800.0),
    )


def small_run(**changes: Any) -> Run:
    """A run of the embedded default on a CPU: one answer right, one wrong, one lost."""
    prompts = (
        PromptRun(
            id="fixed_answer", kind="fixed_answer", passed=True, answer="right", answer_text="5 6 7 8", prompt_tokens=4,
            output_tokens=8, ttft_ms=40.0, tpot_ms=8.0, e2e_ms=96.0, decode_tps=125.0, ram_mib=260.0,
        ),
        PromptRun(
            id="capital_of_france", kind="question_answering", passed=False, answer="wrong", why="wanted Paris",
            answer_text="L'Étoile | <b>la</b>\nMarseillaise `x`", prompt_tokens=40, output_tokens=12, ttft_ms=150.0,
            tpot_ms=8.2, e2e_ms=240.0, decode_tps=122.0, ram_mib=262.0,
        ),
        PromptRun(id="sort_list", kind="text_generation", passed=False, answer="empty", error="the engine went away"),
    )  # fmt: skip
    fields: dict[str, Any] = {
        "backend": "embedded", "model": "SmolLM2-135M-Instruct", "status": "degraded",
        "why": "One prompt got no answer.",
        "engine": "llama.cpp b11549", "device_expected": "cpu", "device_used": "cpu", "is_fallback": True,
        "load_ms": 420.0, "unload_ms": 12.0, "prompts": prompts, "memory_mib": {"ram_peak": 262.0},
        "settings": {"context": "4096", "seed": "1"},
        "reconciled": (
            Reconciled(
                quantity="memory", unit="MiB", predicted=255.0, predicted_low=240.0, predicted_high=270.0,
                measured=262.0,
            ),
        ),
    }  # fmt: skip
    return Run(**{**fields, **changes})


def titan_tables() -> Tables:
    """A few rows of each table."""
    row: dict[str, Any] = {"source": "https://example.org/table", "checked": "2026-11-21"}
    packages = (
        ("core_ml", "Core ML libraries", "torch", ">=2.6", ">=2.14.1", ""),
        ("web_framework", "Web framework", "fastapi", ">=0.115", ">=0.165.0", ">=3.11"),
        ("vector_db", "", "chromadb", ">=1.0", ">=1.5.9", ""),
    )
    return Tables(
        packages=tuple(
            PackageRequirement(group=g, title=t, name=n, required=r, recommended=a, python=p, **row)
            for g, t, n, r, a, p in packages
        ),
        builds=(
            AcceleratorBuild(torch="2.15", variant="cu132", kernels="none", driver="no", python="no", **row),
            AcceleratorBuild(torch="2.6–2.14", variant="cu126", kernels="native", driver="yes", python="yes", **row),
            AcceleratorBuild(torch="2.4", variant="cu124", kernels="ptx", driver="yes", python="unknown", **row),
        ),
        ages=(TableAge(name="torch wheels", rows=73, oldest="2026-11-21", newest="2026-11-21"),),
    )


def titan_subject(**changes: Any) -> Subject:
    """Everything about the TITAN V machine."""
    fields: dict[str, Any] = {
        "snapshot": titan_v(),
        "judgement": titan_judgement(),
        "fits": titan_fits(),
        "tables": titan_tables(),
        "validation": Validation(runs=(small_run(),)),
    }
    return Subject(**{**fields, **changes})


HEADER = Header(
    sprint="2.6 – Environment", agent="llm-specialist", timestamp="2026-11-21T04:00:00+00:00", version="0.1.0"
)
