"""A model with random weights on a device: built, asked, weighed. Needs torch and transformers, nothing else."""

from __future__ import annotations

import os
import time
from typing import Any

from benchmarks import acceptance_models as models
from envcheck.validate import _compute_worker as worker

MIB = 1024 * 1024
WARM_UP_TOKENS = 8


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


def process_mib() -> float | None:
    """What NVML attributes to this process on all its GPUs; None where it cannot tell (no package, a container)."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        running = [process for handle in handles for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
    except Exception:  # noqa: BLE001  whatever is missing, there is no reading
        return None
    own = [process.usedGpuMemory for process in running if process.pid == os.getpid()]
    return sum(own) / MIB if own and None not in own else None


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
    if hasattr(model.generation_config, "disable_compile"):  # compiling would take longer than everything else
        model.generation_config.disable_compile = True
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


def probe(torch: Any, model: Any, device: str) -> Any:
    """Logits of the last of 16 fixed tokens."""
    tokens = (torch.arange(16) % model.config.vocab_size).unsqueeze(0).to(device)
    with torch.inference_mode():
        return model(tokens).logits[0, -1].float()


def greedy(torch: Any, model: Any, tokens: Any, count: int) -> list[int]:
    """Greedy continuation without a cache: the plainest loop there is."""
    for _ in range(count):
        following = model(tokens).logits[0, -1].argmax().reshape(1, 1)
        tokens = torch.cat([tokens, following], dim=1)
    return [int(token) for token in tokens[0, -count:]]
