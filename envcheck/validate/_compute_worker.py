"""Does a device compute right, and how fast: torch alone, one JSON line per measurement.

Runs by itself in any Python >= 3.9 that has torch (nothing of envcheck is imported). Every product is compared with
float64 on the processor. Errors are relative Frobenius norms, |C - R| / |R|, and their bounds follow from the format:

    bound = 2 u_out + 4 sqrt(K) u_acc

u = 2^-p is the unit roundoff of a format with p bits of significand (IEEE 754: fp32 24, tf32 11, bf16 8, fp16 11), K
the length of the sums; the square root is the probabilistic error growth (Higham & Mary, SIAM J. Sci. Comput. 41,
2019), and the factors leave room for sums split over blocks. fp8 products are held to 2 %, the error that
the 14-bit accumulators of Hopper's fp8 units show at K = 4096 (DeepSeek-V3 report, arXiv 2412.19437, 3.5.2).
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

U32, U_TF32, U_BF16, U_FP16 = 2.0**-24, 2.0**-11, 2.0**-8, 2.0**-11
FP8_BOUND = 0.02
SIDE = 512
NO_KERNEL = ("no available kernel", "no viable backend")
"""How torch says that the one attention kernel that was allowed is not for this device (GPU and processor)."""
GIB = 1024**3
Line = dict[str, Any]


def relative_error(seen: Any, reference: Any) -> float:
    """|seen - reference| / |reference| in float64; infinite where anything is not a number."""
    import torch

    difference = seen.detach().to("cpu").to(torch.float64) - reference  # widened here: not every device has float64
    value = float(difference.norm() / reference.norm())
    return value if math.isfinite(value) else float("inf")


def judged(id: str, device: str, error: float, bound: float, says: str = "", **figures: float) -> Line:
    """A line that passed when the error is within its bound."""
    status = "passed" if error <= bound else "failed"
    words = says or f"relative error {error:.2e}, bound {bound:.2e}"
    return {"id": id, "status": status, "device": device, "error": error, "bound": bound, "says": words, **figures}


def operands(torch: Any, dtype: Any, device: str) -> tuple[Any, Any, Any]:
    """Two matrices of the dtype on the device, and their exact product in float64 on the processor."""
    generator = torch.Generator().manual_seed(1)
    left = torch.randn(SIDE, SIDE, generator=generator).to(dtype)
    right = torch.randn(SIDE, SIDE, generator=generator).to(dtype)
    reference = left.double() @ right.double()
    return left.to(device), right.to(device), reference


def sync(torch: Any, device: str) -> None:
    """Wait until the device has done what it was given."""
    kind = device.split(":")[0]
    if kind in ("cuda", "xpu"):
        getattr(torch, kind).synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def seconds(torch: Any, device: str, work: Callable[[], Any], budget_s: float = 1.5) -> float:
    """Median seconds of `work`, after warm-up, over 5 to 30 timed batches within the budget."""
    work()
    sync(torch, device)
    began = time.perf_counter()
    work()
    sync(torch, device)
    once = max(time.perf_counter() - began, 1e-7)
    inner = max(1, min(100, int(0.01 / once)))  # batches of at least 10 ms, so that the clock does not matter
    rounds = max(5, min(30, int(budget_s / (once * inner))))
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(inner):
            work()
        sync(torch, device)
        taken.append((time.perf_counter() - began) / inner)
    return sorted(taken)[len(taken) // 2]


def free_bytes(torch: Any, device: str) -> int:
    """Free memory of the device; on the processor a modest share that no one will miss."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return 2 * GIB


def skipped(id: str, device: str, why: str) -> Line:
    """A line for what this torch or this device does not offer, found out before it was asked for."""
    return {"id": id, "status": "skipped", "device": device, "says": why}


def lacks(torch: Any, device: str, dtype: Any) -> str:
    """Why a number format cannot be put on a device at all, or ""."""
    try:
        torch.zeros(1, device=device).to(dtype)
    except (RuntimeError, TypeError) as refusal:
        return first_line(refusal)
    return ""


def first_line(error: BaseException) -> str:
    """What an exception says, in one line."""
    return (str(error).strip().splitlines() or [""])[0][:300]


def matmuls(torch: Any, device: str) -> Iterator[Line]:
    """fp32, tf32, bf16 and fp16 products: error against float64, and speed at a size that fills the device."""
    on_gpu = not device.startswith("cpu")
    acc = 4 * math.sqrt(SIDE) * U32
    formats = [("fp32", torch.float32, 2 * U32 + acc), ("bf16", torch.bfloat16, 2 * U_BF16 + acc)]
    if on_gpu:
        formats.append(("fp16", torch.float16, 2 * U_FP16 + acc))
    if device.startswith("cuda") and torch.version.cuda and torch.cuda.get_device_capability(device) >= (8, 0):
        formats.append(("tf32", torch.float32, 2 * U_TF32 + acc))
    for name, dtype, bound in formats:
        if why := lacks(torch, device, dtype):
            yield skipped(f"matmul.{name}", device, why)
            continue
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        left, right, reference = operands(torch, dtype, device)
        error = relative_error(left @ right, reference)
        side = 8192 if on_gpu else 1024
        if on_gpu and free_bytes(torch, device) < 8 * side * side * left.element_size():
            side = 2048
        big = torch.randn(side, side, dtype=dtype, device=device)
        took = seconds(torch, device, lambda big=big: big @ big)  # type: ignore[misc]
        yield judged(f"matmul.{name}", device, error, bound, tflops=2 * side**3 / took / 1e12)
        del big
    torch.backends.cuda.matmul.allow_tf32 = False


def fp8_matmul(torch: Any, device: str) -> Iterator[Line]:
    """An e4m3 product through `torch._scaled_mm`, on cards that have fp8 units (compute capability 8.9 and later)."""
    if not device.startswith("cuda") or not torch.version.cuda or torch.cuda.get_device_capability(device) < (8, 9):
        return
    if not hasattr(torch, "float8_e4m3fn") or not hasattr(torch, "_scaled_mm"):
        yield skipped("matmul.fp8", device, f"torch {torch.__version__} has no fp8 product")
        return
    left, right, _ = operands(torch, torch.float32, "cpu")
    left8, right8 = left.to(torch.float8_e4m3fn), right.to(torch.float8_e4m3fn)
    reference = left8.double() @ right8.double()
    one = torch.ones((), device=device)

    def product(a: Any, b: Any) -> Any:
        return torch._scaled_mm(a, b.t().contiguous().t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    error = relative_error(product(left8.to(device), right8.to(device)), reference)
    big = torch.randn(8192, 8192, device=device).to(torch.float8_e4m3fn)
    turned = big.t().contiguous().t()
    took = seconds(
        torch, device, lambda: torch._scaled_mm(big, turned, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    )
    yield judged("matmul.fp8", device, error, FP8_BOUND, tflops=2 * 8192**3 / took / 1e12)


def attentions(torch: Any, device: str) -> Iterator[Line]:
    """Causal attention with each kernel torch has, against a softmax in float64.

    A kernel that is not for this device is skipped: torch then says that none is available. Other errors are faults.
    """
    if not hasattr(torch.nn, "attention") or not hasattr(torch.nn.attention, "sdpa_kernel"):
        yield skipped("attention", device, f"torch {torch.__version__} cannot choose an attention kernel")
        return
    generator = torch.Generator().manual_seed(2)
    dtype = torch.float32 if device.startswith("cpu") else torch.bfloat16
    query, key, value = (torch.randn(1, 8, 256, 64, generator=generator).to(dtype) for _ in range(3))
    scores = query.double() @ key.double().transpose(-1, -2) / math.sqrt(64)
    future = torch.triu(torch.ones(256, 256, dtype=torch.bool), diagonal=1)
    reference = scores.masked_fill(future, float("-inf")).softmax(-1) @ value.double()
    bound = 4 * U_BF16 if dtype == torch.bfloat16 else 1e-5
    placed = [part.to(device) for part in (query, key, value)]
    for name, kernel in kernels(torch):
        try:
            with torch.nn.attention.sdpa_kernel(kernel):
                seen = torch.nn.functional.scaled_dot_product_attention(*placed, is_causal=True)
        except RuntimeError as refusal:
            absent = any(words in str(refusal).lower() for words in NO_KERNEL)
            found = skipped(f"attention.{name}", device, first_line(refusal))
            yield found if absent else {**found, "status": "failed"}
            continue
        yield judged(f"attention.{name}", device, relative_error(seen, reference), bound)


def kernels(torch: Any) -> list[tuple[str, Any]]:
    """torch's attention kernels by name."""
    backend = torch.nn.attention.SDPBackend
    named = (
        ("math", "MATH"),
        ("flash", "FLASH_ATTENTION"),
        ("efficient", "EFFICIENT_ATTENTION"),
        ("cudnn", "CUDNN_ATTENTION"),
    )
    return [(name, getattr(backend, member)) for name, member in named if hasattr(backend, member)]


def bandwidths(torch: Any, device: str) -> Iterator[Line]:
    """Copies on the device (read and write counted), and between host and device from pinned memory."""
    size = int(min(GIB, free_bytes(torch, device) // 4))
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    took = seconds(torch, device, lambda: target.copy_(source))
    same = bool(torch.equal(source, target))
    yield {
        "id": "memory.copy", "status": "passed" if same else "failed", "device": device,
        "bandwidth_gbs": 2 * source.nbytes / took / 1e9, "says": f"copied {source.nbytes / GIB:.2f} GiB back and forth",
    }  # fmt: skip
    if not device.startswith("cuda"):
        return
    host = torch.ones(64 * 1024 * 1024, dtype=torch.float32).pin_memory()
    part = target[: host.numel()]
    for name, work in (
        ("host_to_device", lambda: part.copy_(host, non_blocking=True)),
        ("device_to_host", lambda: host.copy_(part, non_blocking=True)),
    ):
        took = seconds(torch, device, work)
        yield {
            "id": f"link.{name}", "status": "passed", "device": device, "bandwidth_gbs": host.nbytes / took / 1e9,
            "says": "pinned memory, 256 MiB",
        }  # fmt: skip


def memory_pattern(torch: Any, device: str, share: float = 0.9, budget_s: float = 20.0) -> Iterator[Line]:
    """Fill the free memory with patterns that depend on the position, and read them back.

    Finds memory that loses or mixes up bits, and memory that others took since it was counted.
    """
    words = 16 * 1024 * 1024  # 64 MiB of int32 at a time
    limit = int(free_bytes(torch, device) * share) if not device.startswith("cpu") else 256 * 1024 * 1024
    began = time.perf_counter()
    blocks: list[Any] = []
    try:
        while (len(blocks) + 3) * words * 4 <= limit and time.perf_counter() - began < budget_s / 2:
            blocks.append(pattern(torch, device, words, len(blocks)))
    except RuntimeError as refusal:  # torch's OutOfMemoryError is one
        if "out of memory" not in str(refusal).lower():
            raise
        yield {
            "id": "memory.pattern", "status": "degraded", "device": device,
            "says": f"another program took memory counted as free: {len(blocks) * words * 4 / GIB:.2f} GiB fitted",
        }  # fmt: skip
        return
    wrong = sum(not bool(torch.equal(block, pattern(torch, device, words, i))) for i, block in enumerate(blocks))
    tested = len(blocks) * words * 4 / GIB
    yield {
        "id": "memory.pattern", "status": "failed" if wrong else "passed", "device": device,
        "says": f"{wrong} of {len(blocks)} blocks came back changed, {tested:.2f} GiB of the free memory looked at",
    }  # fmt: skip


def pattern(torch: Any, device: str, words: int, number: int) -> Any:
    """Position mixed with the block's number by an odd multiplier, alternating bits inverted per block."""
    values = torch.arange(words, dtype=torch.int32, device=device) * 1_103_515_245 + number * 12_345
    return values.bitwise_xor(0x55555555 if number % 2 else 0x2AAAAAAA)


def peers(torch: Any, device: str) -> Iterator[Line]:
    """Copies from this GPU to each later one, where the driver lets them see each other."""
    if not device.startswith("cuda"):
        return
    index = int(device.split(":")[1])
    for other in range(index + 1, torch.cuda.device_count()):
        direct = torch.cuda.can_device_access_peer(index, other)
        source = torch.arange(64 * 1024 * 1024, dtype=torch.int32, device=device)
        target = torch.empty_like(source, device=f"cuda:{other}")

        def work(source: Any = source, target: Any = target, other: int = other) -> None:
            target.copy_(source)
            torch.cuda.synchronize(other)

        took = seconds(torch, device, work)
        same = bool(torch.equal(source.cpu(), target.cpu()))
        yield {
            "id": f"link.peer.{index}.{other}", "status": "passed" if same else "failed", "device": device,
            "bandwidth_gbs": source.nbytes / took / 1e9, "says": "peer to peer" if direct else "through host memory",
        }  # fmt: skip


MEASUREMENTS = (matmuls, fp8_matmul, attentions, bandwidths, memory_pattern, peers)


def devices(torch: Any) -> list[str]:
    """Every device torch can use, the processor only where there is no other."""
    if torch.cuda.is_available():
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    for kind in ("xpu", "mps"):
        part = getattr(torch, kind, None) if kind == "xpu" else torch.backends.mps
        if part is not None and part.is_available():
            return [kind]
    return ["cpu"]


def described(torch: Any, device: str) -> Line:
    """The product behind a device, as its driver calls it."""
    if not device.startswith("cuda"):
        return {"device": device, "name": device}
    found = torch.cuda.get_device_properties(device)
    return {"device": device, "name": found.name, "memory_mib": found.total_memory // 1024**2}


def measure(torch: Any, device: str, tell: Callable[[Line], None]) -> None:
    """All measurements of one device; one that fails is a line of its own and does not stop the others."""
    tell(described(torch, device))
    for measurement in MEASUREMENTS:
        tell({"begins": measurement.__name__, "device": device})
        try:
            for line in measurement(torch, device):
                tell(line)
        except Exception as error:  # noqa: BLE001  a broken kernel may raise anything
            name = measurement.__name__.replace("_", ".")
            words = f"{type(error).__name__}: {first_line(error)}"
            # torch's dispatcher says so where an operation was never written for a device; NVIDIA's and AMD's have all.
            absent = isinstance(error, NotImplementedError) and not device.startswith("cuda")
            tell({"id": name, "status": "skipped" if absent else "failed", "device": device, "says": words})
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


def main() -> None:
    """Measure every device, JSON lines on what was standard output; libraries' prints go to standard error."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(line: Line) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    import torch

    for device in devices(torch):
        measure(torch, device, tell)
    tell({"done": True, "torch": torch.__version__})
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
