"""Whether a backend has kernels for a weight format on the GPUs at hand: the rows that `envcheck check` judges by."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from envcheck.resources import folder
from envcheck.schema.fit import Device
from envcheck.schema.tables import KernelRow, Kernels

_METHOD = {
    "awq": "awq", "gptq-int4": "gptq", "gptq-int8": "gptq", "int8": "int8", "bnb-4bit": "bitsandbytes",
    "bnb-int8": "bitsandbytes", "fp8": "fp8", "fp8-block": "fp8", "mxfp4": "mxfp4", "nvfp4": "nvfp4",
    "w4a16": "gptq_marlin", "int4": "gptq_marlin",
}  # fmt: skip
"""What the table calls the scheme of a checkpoint; files in 4 bit without a method of their own run through Marlin."""


def lacking(backend: str, quant: str, devices: Iterable[Device]) -> str | None:
    """Why no kernel of the backend's current release takes this format on one of these GPUs; None where one may.

    The floors are NVIDIA's; a card of unknown compute capability, or of a vendor nothing is said of, may have kernels.
    """
    row = _newest(backend, _METHOD.get(quant.lower(), ""))
    if row is None:
        return None
    floor = _number(row.min_compute_capability)
    for device in devices:
        if row.vendors and device.vendor not in row.vendors:
            return f"{backend} has no {quant} kernels for {device.name}"
        if device.vendor == "nvidia" and device.compute_capability and _number(device.compute_capability) < floor:
            return (
                f"the {quant} kernels of {backend} need compute capability {row.min_compute_capability}, "
                f"{device.name} has {device.compute_capability}"
            )
    return None


@lru_cache(maxsize=64)
def _newest(backend: str, method: str) -> KernelRow | None:
    """The row of the newest releases: without a range of versions, or with one that has no upper end."""
    return next(
        (
            row
            for row in _rows()
            if (row.backend, row.kind, row.method) == (backend, "quantization", method) and "<" not in row.versions
        ),
        None,
    )


@lru_cache(maxsize=1)
def _rows() -> tuple[KernelRow, ...]:
    text = (folder("requirements_matrix") / "quantization.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Kernels).kernel


@lru_cache(maxsize=64)
def _number(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))
