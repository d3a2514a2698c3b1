"""How long the arithmetic of `envcheck fit` takes: one model by name, and the whole catalog.

    python benchmarks/fit_speed_of_fit.py

Prints milliseconds for a first look-up with its fit in a fresh process, and seconds for every model of the catalog ×
four backends × six quantizations × five contexts on one machine.
"""

from __future__ import annotations

import time

QUANTS = {
    "llama.cpp": ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"),
    "ollama": ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"),
    "vllm": ("bf16", "fp8", "awq", "gptq-int4", "gptq-int8", "bnb-4bit"),
    "transformers": ("bf16", "fp8", "awq", "gptq-int4", "gptq-int8", "bnb-4bit"),
}
CONTEXTS = (1024, 4096, 8192, 32768, 131072)


def main() -> None:
    begin = time.perf_counter()
    from envcheck.fit.fitting import fit
    from envcheck.fit.models import catalog, find
    from envcheck.schema.fit import Device, Room
    from envcheck.schema.model import ResolvedModel

    card = Device(
        index=0, name="card", vendor="nvidia", kind="discrete", total_mib=24576.0, available_mib=24084.0,
        compute_capability="8.9",
    )  # fmt: skip
    room = Room(devices=(card,), ram_mib=65536.0, cores=16)
    imported = time.perf_counter()
    found = find("Qwen2.5-7B-Instruct")
    assert isinstance(found, ResolvedModel)
    fit(found.facts, "llama.cpp", None, 8192, 1, room)
    print(
        f"imports {1000 * (imported - begin):.0f} ms, look-up and fit {1000 * (time.perf_counter() - imported):.1f} ms"
    )
    models = catalog()
    rows = 0
    begin = time.perf_counter()
    for facts in models:
        for backend, quants in QUANTS.items():
            for quant in quants:
                for context in CONTEXTS:
                    if not facts.max_context or context <= facts.max_context:
                        fit(facts, backend, quant, context, 1, room)
                        rows += 1
    took = time.perf_counter() - begin
    print(f"{len(models)} models, {rows} rows in {took:.2f} s, {1e6 * took / rows:.0f} µs a row")


if __name__ == "__main__":
    main()
