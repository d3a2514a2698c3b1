"""One product of the hardware table: what a GPU or SoC is, by the name its driver prints."""

from __future__ import annotations

from typing import Literal

from envcheck.schema.facts import Record

Kind = Literal["discrete", "laptop", "integrated", "soc"]


class HardwareRow(Record):
    """One row of `requirements_matrix/hardware.csv`. None means that no source stated it, never zero.

    Rates are dense (no sparsity). `fp16_matrix_tflops` is the matrix-unit rate with FP32 accumulation,
    `fp16_vector_tflops` and `fp32_tflops` are shader rates, `matmul_measured_tflops` is the median of published torch
    matmul measurements.
    """

    name: str
    vendor: str
    kind: Kind
    source: str
    checked: str
    aliases: tuple[str, ...] = ()
    architecture: str | None = None
    chip: str | None = None
    compute_capability: str | None = None
    """NVIDIA only: "8.9"."""
    gfx: str | None = None
    """AMD only: the LLVM target, "gfx1100"."""
    memory_mib: int | None = None
    """None where the memory is the host's."""
    memory_type: str | None = None
    bus_bits: int | None = None
    bandwidth_gbs: float | None = None
    """Memory bandwidth in 10^9 bytes per second; None where it depends on the fitted RAM."""
    fp16_matrix_tflops: float | None = None
    fp16_matrix_basis: str | None = None
    """"published", or "derived" (matrix units x rate per clock x boost clock)."""
    fp16_vector_tflops: float | None = None
    fp32_tflops: float | None = None
    matmul_measured_tflops: float | None = None
    tdp_w: float | None = None
    launch_year: int | None = None
    pcie: str | None = None
    notes: str | None = None
