"""Linear layers with 8- and 4-bit weights that need torch alone, to replace those of a model that is already built."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

GROUP = 128
"""Weights of a row that share one 4-bit scale."""
INNER_TILES = 8
"""Tiles of 16 that torch's 4-bit layout keeps together; rows of 16 x 8 weights can be packed."""
PRODUCT_BOUND = 0.02
"""Relative error of one 4-bit product against the widened weights: bfloat16 in, bfloat16 out, sums of thousands."""


def lacks(torch: Any, device: str, bits: int) -> str:
    """Why weights of that size cannot be held here, or ""; int8 is widened before the product and runs anywhere."""
    if bits == 8:
        return ""
    if not device.startswith("cuda") or not torch.version.cuda:
        return "torch's 4-bit product is for NVIDIA GPUs"
    if not (hasattr(torch, "_weight_int4pack_mm") and hasattr(torch, "_convert_weight_to_int4pack")):
        return f"torch {torch.__version__} has no 4-bit product"
    major, minor = torch.cuda.get_device_capability(device)
    return "" if major >= 8 else f"torch's 4-bit product needs compute capability 8.0, this is {major}.{minor}"


def narrowed(torch: Any, model: Any, bits: int) -> int:
    """Replace the linear layers of the stack, one at a time, the wide weights freed as they go; returns how many."""
    layer_of: Callable[[Any, Any], Any] = eight_bit if bits == 8 else four_bit
    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    linear = [(name, part) for name, part in linear if not name.endswith("lm_head")]
    if bits == 4:
        linear = [(name, part) for name, part in linear if packable(part.weight.shape)]
    for name, part in linear:
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], layer_of(torch, part))
        part.weight = None
    gc.collect()
    return len(linear)


def packable(shape: Any) -> bool:
    """Whether torch's 4-bit layout can hold a matrix of this shape."""
    rows, width = shape
    return bool(rows % 8 == 0 and width % GROUP == 0 and width % (INNER_TILES * 16) == 0)


def eight_bit(torch: Any, linear: Any) -> Any:
    """y = (x W8) s: weights of one byte with a scale per output row, widened just before the product."""

    class EightBit(torch.nn.Module):  # type: ignore[misc]
        """The layer."""

        def __init__(self) -> None:
            super().__init__()
            scale = linear.weight.float().abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
            self.register_buffer("weight8", (linear.weight / scale).round().clamp(-127, 127).to(torch.int8))
            self.register_buffer("scale", scale.to(linear.weight.dtype).squeeze(1))
            self.bias = linear.bias

        def forward(self, x: Any) -> Any:
            product = torch.nn.functional.linear(x, self.weight8.to(x.dtype)) * self.scale
            return product if self.bias is None else product + self.bias

    return EightBit()


def grouped(torch: Any, weight: Any) -> tuple[Any, Any]:
    """4-bit codes 0 to 15 with 8 for zero, and a scale per GROUP weights of a row."""
    parts = weight.float().reshape(weight.shape[0], -1, GROUP)
    scale = parts.abs().amax(2, keepdim=True).clamp(min=1e-8) / 7
    codes = ((parts / scale).round().clamp(-8, 7) + 8).to(torch.int32).reshape(weight.shape)
    return codes, scale.squeeze(2).to(weight.dtype)


def widened(codes: Any, scale: Any) -> Any:
    """The weights that codes and scales stand for, float32."""
    return (codes.float() - 8) * scale.float().repeat_interleave(GROUP, dim=1)[:, : codes.shape[1]]


def four_bit(torch: Any, linear: Any) -> Any:
    """torch's 4-bit product (`_weight_int4pack_mm`): two codes a byte, the first in the high half, w = (q - 8) s."""
    codes, scale = grouped(torch, linear.weight)
    packed = torch._convert_weight_to_int4pack((codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8), INNER_TILES)
    scales = torch.stack([scale, torch.zeros_like(scale)], dim=2).transpose(0, 1).contiguous()

    class FourBit(torch.nn.Module):  # type: ignore[misc]
        """The layer."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("packed", packed)
            self.register_buffer("scales", scales)
            self.bias = linear.bias

        def forward(self, x: Any) -> Any:
            flat = x.reshape(-1, x.shape[-1])
            product = torch._weight_int4pack_mm(flat, self.packed, GROUP, self.scales).reshape(*x.shape[:-1], -1)
            return product if self.bias is None else product + self.bias

    return FourBit()


def product_error(torch: Any, model: Any, bits: int) -> float:
    """Relative error of the first narrowed layer's product against its own widened weights: is the layout right?"""
    linear = next(part for part in model.modules() if isinstance(part, torch.nn.Linear) and packable(part.weight.shape))
    weight = linear.weight
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(32, weight.shape[1], generator=generator).to(weight.device, weight.dtype)
    layer = (eight_bit if bits == 8 else four_bit)(torch, linear)
    if bits == 8:
        reference_weight = layer.weight8.float() * layer.scale.float().unsqueeze(1)
    else:
        reference_weight = widened(*grouped(torch, weight))
    reference = (x.float() @ reference_weight.t()).double().cpu()
    with torch.inference_mode():
        seen = layer(x).double().cpu()
    if linear.bias is not None:
        reference = reference + linear.bias.double().cpu()
    return float((seen - reference).norm() / reference.norm())
