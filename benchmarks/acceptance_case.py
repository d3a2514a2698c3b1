"""One case of the GPU acceptance run, in a process of its own: a crash or a poisoned CUDA context ends with it.

    python benchmarks/acceptance_case.py CASE.json RESULT.json

CASE: {"kind": "model" | "parity" | "compute", "name", "device", "contexts", "new_tokens", "tiny", "eight_bit"}.
Needs torch and transformers, nothing else. Results are rewritten after each step, so that a time limit loses little.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import acceptance_models as models
from envcheck.validate import _compute_worker as worker

MIB = 1024 * 1024
WARM_UP_TOKENS = 8
REPEATS = 2
PARITY_BOUND = 1e-4
"""Relative error of logits in fp32 between two devices: about 1000 unit roundoffs for a few layers of long sums."""


class Store:
    """The result so far, on disk after every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result: dict[str, Any] = {"status": "failed", "why": "it did not finish", "points": []}

    def put(self, **fields: Any) -> None:
        """Merge and write in one move."""
        self.result |= fields
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.result))
        beside.replace(self.path)


def allocated(torch: Any, device: str) -> dict[str, float]:
    """torch's counters and the device's own, MiB; empty where the device has none."""
    if not device.startswith("cuda"):
        return {}
    free, total = torch.cuda.mem_get_info(device)
    return {
        "torch_allocated": torch.cuda.memory_allocated(device) / MIB,
        "torch_max_allocated": torch.cuda.max_memory_allocated(device) / MIB,
        "torch_max_reserved": torch.cuda.max_memory_reserved(device) / MIB,
        "device_used": (total - free) / MIB,
    }


def build(torch: Any, found: dict[str, Any], device: str, dtype: Any) -> Any:
    """The architecture with random weights, made on the device itself."""
    import transformers

    name, arguments = models.config(found)
    configuration = getattr(transformers, name)(**arguments)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = transformers.AutoModelForCausalLM.from_config(configuration, attn_implementation="sdpa")
    finally:
        torch.set_default_dtype(before)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if parameter.dtype != dtype or parameter.device.type != torch.device(device).type:
            parameter.data = parameter.data.to(device, dtype)
    model.generation_config.eos_token_id = None  # random weights may end anywhere; every run is to be as long
    model.generation_config.pad_token_id = 0
    return model.eval()


class Clock:
    """A streamer for `generate`: only notes when each token came."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        """Called with the prompt first, then with every token once it is on the host."""
        del value
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing to close."""


def generate(torch: Any, model: Any, device: str, prompt: int, new_tokens: int) -> dict[str, Any]:
    """One greedy generation: TTFT, TPOT, speeds, peak memory and the size of the cache it left."""
    generator = torch.Generator().manual_seed(prompt)
    tokens = torch.randint(3, model.config.vocab_size, (1, prompt), generator=generator).to(device)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    clock = Clock()
    worker.sync(torch, device)
    started = time.perf_counter()
    with torch.inference_mode():
        output = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
            use_cache=True,
            streamer=clock,
            return_dict_in_generate=True,
        )
    worker.sync(torch, device)
    times = clock.times[1:]  # the first call passes the prompt
    count = output.sequences.shape[1] - prompt
    tpot = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else None
    ttft = times[0] - started
    return {
        "prompt_tokens": prompt,
        "new_tokens": count,
        "ttft_ms": ttft * 1e3,
        "prefill_tps": prompt / ttft,
        "tpot_ms": tpot * 1e3 if tpot else None,
        "decode_tps": 1 / tpot if tpot else None,
        "memory_mib": allocated(torch, device),
        "kv_mib": cache_bytes(output.past_key_values) / MIB,
    }


def cache_bytes(cache: Any) -> int:
    """Bytes of keys and values in a Transformers cache, of this generation of the class or the one before."""
    layers = getattr(cache, "layers", None)
    if layers is not None:
        pairs: list[tuple[Any, Any]] = [
            (getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in layers
        ]
    else:
        pairs = list(zip(getattr(cache, "key_cache", []), getattr(cache, "value_cache", []), strict=False))
    return sum(part.numel() * part.element_size() for pair in pairs for part in pair if hasattr(part, "numel"))


def weights(model: Any, found: dict[str, Any]) -> dict[str, float]:
    """Parameters, their bytes, and the bytes that one decoded token must read (no embedding rows, no idle experts)."""
    seen: set[int] = set()
    total = read = parameters = 0
    experts = found.get("experts")
    part = experts["used"] / experts["count"] if experts else 1.0
    for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        size = parameter.numel() * parameter.element_size()
        total += size
        parameters += parameter.numel()
        if "embed_tokens" in name and not found.get("tied"):
            continue
        read += int(size * part) if ".experts." in name else size
    return {"parameters": parameters, "weights_mib": total / MIB, "read_per_token_mib": read / MIB}


def eight_bit(torch: Any, model: Any) -> int:
    """Replace every linear layer of the stack by int8 weights with one scale per output row; returns how many."""
    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
    linear = [(name, part) for name, part in linear if not name.endswith("lm_head")]
    for name, part in linear:
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], _eight_bit_layer(torch, part))
        part.weight = None
    gc.collect()
    return len(linear)


def _eight_bit_layer(torch: Any, linear: Any) -> Any:
    class EightBit(torch.nn.Module):  # type: ignore[misc]
        """y = (x W8) s: weights of one byte, widened just before the product."""

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


def run_model(torch: Any, case: dict[str, Any], store: Store) -> None:
    """Build one architecture and measure it at each context; memory that does not suffice is a point of its own."""
    device = case["device"]
    found = models.tiny(models.row(case["name"])) if case["tiny"] else models.row(case["name"])
    baseline = allocated(torch, device)
    began = time.perf_counter()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    model = build(torch, found, device, dtype)
    worker.sync(torch, device)
    built = {"build_s": time.perf_counter() - began, "baseline_mib": baseline, "dtype": str(dtype).split(".")[1]}
    if case.get("eight_bit"):
        logits = probe(torch, model, device).double().cpu()
        built["eight_bit_layers"] = eight_bit(torch, model)
        seen = probe(torch, model, device)
        built["eight_bit_error"] = worker.relative_error(seen, logits)
    store.put(**built, **weights(model, found), loaded_mib=allocated(torch, device))
    if words := warm_up(torch, model, device):
        store.put(experts_fallback=words)
    for context in case["contexts"]:
        point = measured_point(torch, model, found, case, context)
        store.put(points=[*store.result["points"], point])
        if point.get("error"):
            break
    done = [point for point in store.result["points"] if not point.get("error")]
    store.put(status="passed" if done else "failed", why=f"{len(done)} of {len(case['contexts'])} contexts measured")


def warm_up(torch: Any, model: Any, device: str) -> str:
    """A first short generation. Where the fused expert kernel does not run on this card, the plain one is taken and
    the reason returned."""
    try:
        generate(torch, model, device, 64, WARM_UP_TOKENS)
    except RuntimeError as error:
        plain = getattr(model, "set_experts_implementation", None)
        if plain is None or "out of memory" in str(error).lower():
            raise
        plain("eager")
        generate(torch, model, device, 64, WARM_UP_TOKENS)
        return str(error).strip().splitlines()[0][:200]
    return ""


def measured_point(torch: Any, model: Any, found: dict[str, Any], case: dict[str, Any], context: int) -> dict[str, Any]:
    """One context, REPEATS times; the last is the figure, all are kept."""
    device = case["device"]
    try:
        runs = [generate(torch, model, device, context, case["new_tokens"]) for _ in range(REPEATS)]
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        return {"prompt_tokens": context, "error": "out of memory", "memory_mib": allocated(torch, device)}
    stored = context + case["new_tokens"] - 1  # the last token is never fed back
    width = next(model.parameters()).element_size() / models.BYTES
    return {**runs[-1], "samples": runs, "kv_calculated_mib": models.kv_bytes(found, stored) * width / MIB}


def probe(torch: Any, model: Any, device: str) -> Any:
    """Logits of the last of 16 fixed tokens."""
    tokens = (torch.arange(16) % model.config.vocab_size).unsqueeze(0).to(device)
    with torch.inference_mode():
        return model(tokens).logits[0, -1].float()


def run_parity(torch: Any, case: dict[str, Any], store: Store) -> None:
    """The same small model in fp32 on the processor and on the device: logits and greedy tokens."""
    found = models.tiny(models.row(case["name"]))
    torch.manual_seed(3)
    here = build(torch, found, "cpu", torch.float32)
    tokens = torch.randint(3, 500, (1, 48), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        reference = here(tokens).logits[0]
        expected = greedy(torch, here, tokens, 32)
        there = here.to(case["device"])
        seen = there(tokens.to(case["device"])).logits[0]
        got = greedy(torch, there, tokens.to(case["device"]), 32)
    error = worker.relative_error(seen, reference.double())
    agreed = next((i for i, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b), len(expected))
    right = error <= PARITY_BOUND and agreed == len(expected)
    store.put(
        status="passed" if right else "failed",
        why=f"logits differ by {error:.1e} (bound {PARITY_BOUND:.0e}), {agreed} of {len(expected)} greedy tokens agree",
        error=error,
        bound=PARITY_BOUND,
    )


def greedy(torch: Any, model: Any, tokens: Any, count: int) -> list[int]:
    """Greedy continuation without a cache: the plainest loop there is."""
    for _ in range(count):
        following = model(tokens).logits[0, -1].argmax().reshape(1, 1)
        tokens = torch.cat([tokens, following], dim=1)
    return [int(token) for token in tokens[0, -count:]]


def run_compute(torch: Any, case: dict[str, Any], store: Store) -> None:
    """Arithmetic, bandwidth and memory of the device."""
    lines: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        lines.append(line)
        found = [line for line in lines if "id" in line]
        bad = [line["id"] for line in found if line["status"] == "failed"]
        store.put(lines=found, status="failed" if bad else "passed", why=f"failed: {', '.join(bad)}" if bad else "")

    worker.measure(torch, case["device"], tell)


def main() -> None:
    """Run the case; whatever goes wrong is in the result."""
    case, store = json.loads(Path(sys.argv[1]).read_text()), Store(Path(sys.argv[2]))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    warnings.simplefilter("ignore")
    import torch

    store.put()
    try:
        {"model": run_model, "parity": run_parity, "compute": run_compute}[case["kind"]](torch, case, store)
    except Exception as error:  # noqa: BLE001  any failure is this case's result
        words = (str(error).strip().splitlines() or [""])[0][:400]
        store.put(status="failed", why=f"{type(error).__name__}: {words}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
