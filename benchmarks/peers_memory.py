"""Measured memory of ten start-ups beside what envcheck and other tools say, as a Markdown table.

    python benchmarks/peers_memory.py MEASUREMENTS.jsonl [--llmfit PROGRAM]

The rule that picks the ten, written before any answer was seen: mainline engines, one GPU, everything on it, the model
named by its log, one line per model, in the order of ids; four of llama.cpp (weights, cache and compute buffers
printed), three of vLLM (weights printed), three of Transformers (torch's peak printed).

envcheck's rules were made from this file, so the ten are not unseen by it; they are by the others.

What is compared: llama.cpp, the sum of the printed buffers; vLLM, the weights alone, because its cache takes what is
left of the budget; Transformers, the peak. llmfit: `plan --json`, least `vram_gb` (vLLM: `disk_size_gb`), counted as
GB of 10^9 or 2^30 bytes, whichever is nearer. A model or quantization that it does not list is "not listed"; the
nearest name is not taken. Not here: hf-mem and `accelerate estimate-memory` fetch the model's header from the hub;
llamafit 0.1.1 lists 62 models, two of the ten, and neither in the quantization that was measured; gguf-parser reads a
model file, and none of the ten is at hand.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.fit_memory import quantity, request_of
from envcheck.fit.estimate import answer

Row = dict[str, Any]
WANTED = {"llama.cpp": ("total_gpu", 4), "vllm": ("weights_gpu", 3), "transformers": ("torch_max_allocated", 3)}
QUANTS = {
    "Q4_K - Medium": "Q4_K_M", "Q5_K - Medium": "Q5_K_M", "Q3_K - Medium": "Q3_K_M", "compressed-tensors": "INT4",
    "fp8": "FP8", "awq": "AWQ-4bit", "awq_marlin": "AWQ-4bit",
}  # fmt: skip


def chosen(rows: list[Row]) -> Iterator[tuple[Row, str, float]]:
    """(line, quantity, measured MiB) by the rule of the module's docstring."""
    for engine, (name, wanted) in WANTED.items():
        seen: set[str] = set()
        for row in sorted(rows, key=lambda each: str(each["id"])):
            measured = quantity(row["measured"], name) if _eligible(row, engine) else None
            if measured is None or row["model"] in seen or len(seen) == wanted:
                continue
            seen.add(row["model"])
            yield row, name, measured


def _eligible(row: Row, engine: str) -> bool:
    settings = row["settings"]
    if row["engine"] != engine or row["skip"] or row["engine_fork"] or not row["model"]:
        return False
    one_gpu = (row["devices_used"] or 1) == 1 and (settings.get("tensor_parallel") or 1) == 1
    layers = settings.get("gpu_layers")
    return one_gpu and (settings.get("n_gpus") or 1) == 1 and layers == settings.get("total_layers")


def context_of(row: Row) -> int:
    """Tokens the tools are asked about."""
    settings = row["settings"]
    return int(settings.get("ctx") or (settings.get("input_tokens") or 0) + (settings.get("generated_tokens") or 0))


def quant_of(row: Row) -> str:
    """The quantization in the words of the peers."""
    named = row["quant"] or row["settings"].get("quantization") or "F16"
    return QUANTS.get(named, str(named).split(" ")[0])


def ask(argv: list[str]) -> Any:
    """A tool's JSON, or None where it refused."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    try:
        return json.loads(done.stdout) if done.returncode == 0 else None
    except json.JSONDecodeError:
        return None


def plain(name: str) -> str:
    """A model's name without its owner, case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].lower())


class Llmfit:
    """`llmfit plan` for a model of its own list."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.names = _by_plain_name(ask([program, "list", "--json"]), "name") if program else {}

    def mib(self, row: Row, name: str, measured: float) -> float | None:
        """MiB it asks for, or None."""
        model = self.names.get(plain(row["model"]))
        if not model:
            return None
        options = ["--context", str(context_of(row)), "--quant", quant_of(row), "--json"]
        plan = ask([self.program, "plan", model, *options])
        if not plan:
            return None
        said: float = plan["disk_size_gb"] if name == "weights_gpu" else plan["minimum"]["vram_gb"]
        return min((said * 1e9 / 2**20, said * 1024), key=lambda mib: abs(mib - measured))


def _by_plain_name(listed: Any, key: str) -> dict[str, str]:
    """Plain name to the tool's own; of several owners the first."""
    models = listed.get("models", []) if isinstance(listed, dict) else listed or []
    names: dict[str, str] = {}
    for model in models:
        names.setdefault(plain(model[key]), model[key])
    return names


def envcheck_mib(row: Row, name: str, _: float) -> float | None:
    """What `envcheck estimate memory` answers."""
    reply = answer(request_of(row))
    return quantity(reply.get("memory_mib", {}), name)


def cell(said: float | None, measured: float) -> str:
    """MiB and the relative error."""
    return "not listed" if said is None else f"{said:,.0f} ({said / measured - 1:+.1%})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurements", type=Path)
    parser.add_argument("--llmfit", metavar="PROGRAM", default="")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.measurements.read_text().splitlines()]
    tools = {"envcheck": envcheck_mib, "llmfit": Llmfit(given.llmfit).mib}
    print(f"| case | model | quantization | context | measured MiB | {' | '.join(tools)} |")
    print(f"|{' --- |' * (5 + len(tools))}")
    for row, name, measured in chosen(rows):
        facts = [row["id"], row["model"], quant_of(row), str(context_of(row)), f"{measured:,.0f} ({name})"]
        said = [cell(tool(row, name, measured), measured) for tool in tools.values()]
        print(f"| {' | '.join([*facts, *said])} |", flush=True)


if __name__ == "__main__":
    main()
