"""Predicted memory beside what processes really hold: a small model in llama.cpp and Transformers on this processor.

    python benchmarks/fit_real_models.py --gguf FILE --llama PYTHON --folder DIR --transformers PYTHON

PYTHON is an interpreter with `xllamacpp` or with `torch` and `transformers`; FILE and DIR are one model as GGUF and as
safetensors. Every context is filled by a real prompt in a fresh process, whose proportional set size is read every
20 ms from `/proc` (Linux); the peak is compared with the total that `envcheck fit` computes for a machine without GPUs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from pathlib import Path

from envcheck.fit.fitting import fit
from envcheck.fit.local_models import resolve
from envcheck.schema.fit import FitRow, Room
from envcheck.schema.model import ResolvedModel

ROOM = Room(ram_mib=16384.0, cores=2)

LLAMA = """
import sys, xllamacpp
p = xllamacpp.CommonParams(); p.model.path = sys.argv[1]; p.n_ctx = int(sys.argv[2]); p.n_parallel = 1
p.cpuparams.n_threads = 1
server = xllamacpp.Server(p)
server.handle_completions({"prompt": "one two " * (int(sys.argv[2]) // 2 - 40), "n_predict": 16, "temperature": 0})
"""
TRANSFORMERS = """
import sys, torch, transformers
torch.set_num_threads(2)
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[3]))
prompt = torch.full((1, int(sys.argv[2]) - 16), 1000)
with torch.inference_mode():
    model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=16, do_sample=False)
"""


def peak_mib(command: list[str]) -> float:
    """Highest proportional set size of a process while it runs; MiB. Raises where it fails."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except (OSError, ProcessLookupError):
            continue
        sizes = [line.split()[1] for line in text.splitlines() if line.startswith("Pss:")]
        peak = max(peak, int(sizes[0]) / 1024 if sizes else 0.0)
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"{command[0]} left with {process.returncode}")
    return peak


def compare(row: FitRow, command: list[str], label: str, repeats: int) -> None:
    """Print one line: prediction, median of the measurements, difference, and their spread."""
    assert row.memory_mib is not None
    peaks = sorted(peak_mib(command) for _ in range(repeats))
    predicted, measured = row.memory_mib.total, statistics.median(peaks)
    spread = f" ({peaks[0]:.0f} to {peaks[-1]:.0f})" if repeats > 1 else ""
    terms = row.memory_mib
    print(
        f"{label:24} {row.context:6} {predicted:9.1f} {measured:9.1f} {predicted / measured - 1:+8.1%}{spread}   "
        f"weights {terms.weights:.0f}, kv {terms.kv:.0f}, compute {terms.compute:.0f}, overhead {terms.overhead:.0f}",
        flush=True,
    )


def model_of(path: str) -> ResolvedModel:
    found = resolve(path)
    assert isinstance(found, ResolvedModel)
    return found


def main() -> None:
    options = argparse.ArgumentParser()
    for name in ("gguf", "llama", "folder", "transformers"):
        options.add_argument(f"--{name}")
    options.add_argument("--contexts", type=int, nargs="+", default=[512, 1024, 2048, 4096, 8192])
    options.add_argument("--repeats", type=int, default=1)
    chosen = options.parse_args()
    print(f"{'backend':24} {'tokens':>6} {'predicted':>9} {'measured':>9} {'error':>8}")
    if chosen.gguf and chosen.llama:
        found = model_of(chosen.gguf)
        for context in chosen.contexts:
            row = fit(found.facts, "llama.cpp", found.quantization, context, 1, ROOM, (), found.tensors)
            compare(
                row, [chosen.llama, "-c", LLAMA, chosen.gguf, str(context)], f"llama.cpp {row.quant}", chosen.repeats
            )
    if chosen.folder and chosen.transformers:
        found = model_of(chosen.folder)
        for quant, kind in (("bf16", "bfloat16"), ("fp32", "float32")):
            for context in chosen.contexts:
                row = fit(found.facts, "transformers", quant, context, 1, ROOM)
                command = [chosen.transformers, "-c", TRANSFORMERS, chosen.folder, str(context), kind]
                compare(row, command, f"transformers {quant}", chosen.repeats)


if __name__ == "__main__":
    main()
