"""A GPU that is not there: `cuda:0` stands for the processor's memory, and the device's counters are made up.

Everything that names the device (arguments, `.to`, factories, `with torch.device`) is redirected, so that code written
for a GPU runs line by line where there is none. What it computes is right, what it measures means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

NAME = "NVIDIA H200"
GIB = 1024**3


def redirected(torch: Any, value: Any) -> Any:
    """The processor in place of the GPU, wherever a device is named."""
    if isinstance(value, str) and value.split(":")[0] == "cuda":
        return "cpu"
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return value


def mode(torch: Any) -> Any:
    """A torch function mode that redirects every call."""
    from torch.overrides import TorchFunctionMode

    class Redirect(TorchFunctionMode):  # type: ignore[misc]
        """Calls go on with the processor for the GPU."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            del types
            named = {name: redirected(torch, value) for name, value in (kwargs or {}).items()}
            return func(*(redirected(torch, value) for value in args), **named)

    return Redirect()


def int4_codes(packed: Any) -> Any:
    """Two codes a byte, the first in the high half, as `_convert_weight_to_int4pack` takes them."""
    import torch

    return torch.stack([packed >> 4, packed & 15], dim=2).reshape(packed.shape[0], -1)


def int4_product(x: Any, packed: Any, group: int, scales: Any) -> Any:
    """What `_weight_int4pack_mm` computes: (q - 8) scale + zero, for every group of a row."""
    codes = int4_codes(packed).float() - 8
    scale, zero = (scales[..., part].t().float().repeat_interleave(group, dim=1) for part in (0, 1))
    return (x.float() @ (codes * scale + zero).t()).to(x.dtype)


def scaled_product(a: Any, b: Any, scale_a: Any, scale_b: Any, out_dtype: Any) -> Any:
    """What `_scaled_mm` computes. It wants the second matrix by columns, as cuBLAS does."""
    assert b.stride(0) == 1
    return ((a.float() * scale_a) @ (b.float() * scale_b)).to(out_dtype)


@contextmanager
def fake_cuda(torch: Any, capability: tuple[int, int] = (9, 0), free_gib: int = 1) -> Iterator[None]:
    """torch with one GPU of made-up memory; kernels that only a GPU has are written out."""
    properties = SimpleNamespace(name=NAME, total_memory=141 * GIB, major=capability[0], minor=capability[1])
    patches = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.get_device_capability": lambda device=None: capability,
        "torch.cuda.get_device_properties": lambda device=None: properties,
        "torch.cuda.mem_get_info": lambda device=None: (free_gib * GIB, 141 * GIB),
        "torch.cuda.memory_allocated": lambda device=None: 1 * GIB,
        "torch.cuda.max_memory_allocated": lambda device=None: 2 * GIB,
        "torch.cuda.max_memory_reserved": lambda device=None: 3 * GIB,
        "torch.cuda.reset_peak_memory_stats": lambda device=None: None,
        "torch.cuda.empty_cache": lambda: None,
        "torch.cuda.synchronize": lambda device=None: None,
        "torch._scaled_mm": scaled_product,
        "torch._convert_weight_to_int4pack": lambda codes, tiles: codes,
        "torch._weight_int4pack_mm": int4_product,
        "torch.Tensor.pin_memory": lambda self: self,
        "torch.version.cuda": "13.0",
    }
    with ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch(name, value))
        stack.enter_context(mode(torch))
        yield
