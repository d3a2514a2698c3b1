"""How fast Transformers decodes on a processor: random models of several sizes, measured and beside the prediction.

    python benchmarks/cpu_transformers.py measure THREADS TYPE SIZE...   # with torch and transformers: one JSON a line
    python benchmarks/cpu_transformers.py compare FILE CPU GB/S FLAG...  # those lines beside what envcheck predicts

The models have Llama's shape and constant weights, so nothing is downloaded; TYPE is bfloat16 or float32. Of 40 steps
behind a prompt of 128 tokens the fastest counts, as other work on the machine can only slow a step down.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

SIZES = {
    "50M": (512, 1408, 8, 8, 4, 32000),
    "135M": (576, 1536, 30, 9, 3, 49152),
    "360M": (960, 2560, 32, 15, 5, 49152),
    "1.1B": (2048, 5632, 22, 32, 4, 32000),
    "1.5B": (2048, 6144, 26, 16, 8, 32000),
}
"""Hidden and feed-forward width, layers, heads, key-value heads, vocabulary; head and embedding are one."""
PROMPT = 128
STEPS = 40


def config(size: str) -> dict[str, Any]:
    """The model's `config.json`."""
    hidden, ffn, layers, heads, kv_heads, vocab = SIZES[size]
    return {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": ffn,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocab,
        "tie_word_embeddings": True, "max_position_embeddings": 8192, "hidden_act": "silu",
    }  # fmt: skip


def measure(threads: int, kind: str, size: str) -> dict[str, Any]:
    """Seconds of a prompt and of the fastest step."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    torch.set_default_dtype(getattr(torch, kind))
    settings = LlamaConfig(**{key: value for key, value in config(size).items() if key != "model_type"})
    with torch.device("meta"):
        model = LlamaForCausalLM(settings)
    model = model.to_empty(device="cpu").eval()
    for weight in model.parameters():
        weight.data.fill_(0.01)
    model.model.rotary_emb = type(model.model.rotary_emb)(settings)
    prompts, steps = [], []
    with torch.inference_mode():
        for _ in range(3):
            begin = time.perf_counter()
            out = model(torch.full((1, PROMPT), 100), use_cache=True, logits_to_keep=1)
            prompts.append(time.perf_counter() - begin)
        for _ in range(STEPS):
            begin = time.perf_counter()
            out = model(torch.tensor([[5]]), past_key_values=out.past_key_values, use_cache=True)
            steps.append(time.perf_counter() - begin)
    return {"size": size, "dtype": kind, "threads": threads, "prefill_s": min(prompts), "step_min": 1e3 * min(steps)}


def compare(row: dict[str, Any], cpu: str, gbs: float, flags: tuple[str, ...]) -> str:
    """One line: measured, predicted with its band, and their ratio, for decoding and for the prompt."""
    from envcheck.fit.hf_config import facts_from_config
    from envcheck.fit.memory_checkpoint import stored_bytes
    from envcheck.fit.row_speed import _processor
    from envcheck.fit.speed import predict
    from envcheck.fit.speed_shape import shape_from_facts
    from envcheck.schema.fit import Room
    from envcheck.schema.speed import SpeedBand, Workload

    facts = facts_from_config(config(row["size"]), row["size"])
    room = Room(ram_mib=16384.0, cores=row["threads"], cpu=cpu, cpu_units=flags, ram_bandwidth_gbs=gbs)
    found = predict(
        Workload(
            shape=shape_from_facts(facts),
            weight_bytes=stored_bytes(facts, {"bfloat16": "bf16", "float32": "fp32"}[row["dtype"]]) or 0.0,
            weight_kind="f16",
            engine="transformers",
            processor=_processor(room),
            prompt_tokens=PROMPT,
            output_tokens=STEPS,
        )
    )
    assert isinstance(found, SpeedBand)
    assert found.prefill_tps is not None
    cells = [f"{row['dtype']:9}{row['threads']:2}  {row['size']:>5}"]
    for measured, band in ((1e3 / row["step_min"], found.decode_tps), (PROMPT / row["prefill_s"], found.prefill_tps)):
        inside = "" if band.low <= measured <= band.high else "  outside"
        cells.append(f"{measured:8.1f}{band.value:8.1f} ({band.low:.0f} to {band.high:.0f}){inside:9}")
    return "  ".join(cells)


def main() -> None:
    """Either half."""
    verb, *rest = sys.argv[1:]
    if verb == "measure":
        for size in rest[2:]:
            print(json.dumps(measure(int(rest[0]), rest[1], size)), flush=True)
        return
    print(f"{'type':7}threads  size   decode/s measured, predicted (band)     prompt/s measured, predicted (band)")
    for line in Path(rest[0]).read_text(encoding="utf-8").splitlines():
        print(compare(json.loads(line), rest[1], float(rest[2]), tuple(rest[3:])))


if __name__ == "__main__":
    main()
