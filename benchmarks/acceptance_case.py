"""One case of the GPU acceptance run, in a process of its own: a crash or a poisoned CUDA context ends with it.

    python benchmarks/acceptance_case.py CASE.json RESULT.json

CASE: {"kind": "model" | "parity" | "compute", "name", "device", "contexts", "new_tokens", "tiny", "bits"}.
Needs torch and transformers, nothing else. Results are rewritten after each step, so that a time limit loses little.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import acceptance_engine as engine
from benchmarks import acceptance_models as models
from benchmarks import acceptance_weights as narrow
from envcheck.validate import _compute_worker as worker

MIB = 1024 * 1024
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


def run_model(torch: Any, case: dict[str, Any], store: Store) -> None:
    """Build one architecture and measure it at each context; memory that does not suffice is a point of its own."""
    device, bits = case["device"], case.get("bits")
    found = models.tiny(models.row(case["name"])) if case["tiny"] else models.row(case["name"])
    why = lacks(found) or (narrow.lacks(torch, device, bits) if bits else "")
    if why:
        store.put(status="skipped", why=why)
        return
    baseline = engine.allocated(torch, device)
    began = time.perf_counter()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    model = engine.build(torch, found, device, dtype)
    worker.sync(torch, device)
    store.put(build_s=time.perf_counter() - began, baseline_mib=baseline, dtype=str(dtype).split(".")[1])
    if bits:
        store.put(**narrowed(torch, model, device, bits))
    store.put(**engine.weights(model, found), loaded_mib=engine.allocated(torch, device))
    if words := engine.warm_up(torch, model, device):
        store.put(experts_fallback=words)
    for context in case["contexts"]:
        point = measured_point(torch, model, found, case, context)
        store.put(points=[*store.result["points"], point])
        if point.get("error"):
            break
    done = [point for point in store.result["points"] if not point.get("error")]
    right = bool(done) and store.result.get("narrow_error", 0.0) <= narrow.PRODUCT_BOUND
    why = f"{len(done)} of {len(case['contexts'])} contexts measured"
    if done and not right:
        why = f"a product with {bits}-bit weights is wrong by {store.result['narrow_error']:.1%}; {why}"
    store.put(status="passed" if right else "failed", why=why)


def lacks(found: dict[str, Any]) -> str:
    """Why this Transformers cannot build the architecture, or ""."""
    import transformers

    name = models.CONFIGS[found["architecture"]]
    return "" if hasattr(transformers, name) else f"transformers {transformers.__version__} has no {name}"


def narrowed(torch: Any, model: Any, device: str, bits: int) -> dict[str, Any]:
    """The model with 8- or 4-bit weights: how many layers, whether their product is right, how far the answer moved."""
    logits = engine.probe(torch, model, device).double().cpu()
    error = narrow.product_error(torch, model, bits)
    layers = narrow.narrowed(torch, model, bits)
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    moved = worker.relative_error(engine.probe(torch, model, device), logits)
    return {"narrow_layers": layers, "narrow_error": error, "narrow_logits_moved": moved}


def measured_point(torch: Any, model: Any, found: dict[str, Any], case: dict[str, Any], context: int) -> dict[str, Any]:
    """One context, REPEATS times; the last is the figure, all are kept."""
    device = case["device"]
    try:
        runs = [engine.generate(torch, model, device, context, case["new_tokens"]) for _ in range(REPEATS)]
    except RuntimeError as error:
        if "out of memory" not in str(error).lower():
            raise
        return {"prompt_tokens": context, "error": "out of memory", "memory_mib": engine.allocated(torch, device)}
    if torch.device(device).type == "cuda":
        runs[-1]["memory_mib"]["nvml_process"] = engine.process_mib()
    stored = context + case["new_tokens"] - 1  # the last token is never fed back
    width = model.get_input_embeddings().weight.element_size() / models.BYTES
    return {**runs[-1], "samples": runs, "kv_calculated_mib": models.kv_bytes(found, stored) * width / MIB}


def run_parity(torch: Any, case: dict[str, Any], store: Store) -> None:
    """The same small model in fp32 on the processor and on the device: logits and greedy tokens."""
    found = models.tiny(models.row(case["name"]))
    if why := lacks(found):
        store.put(status="skipped", why=why)
        return
    torch.backends.cuda.matmul.allow_tf32 = False  # images of NVIDIA's turn it on, and ten bits are not parity
    torch.manual_seed(3)
    here = engine.build(torch, found, "cpu", torch.float32)
    tokens = torch.randint(3, 500, (1, 48), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        reference = here(tokens).logits[0]
        expected = engine.greedy(torch, here, tokens, 32)
        there = here.to(case["device"])
        seen = there(tokens.to(case["device"])).logits[0]
        got = engine.greedy(torch, there, tokens.to(case["device"]), 32)
    error = worker.relative_error(seen, reference.double())
    agreed = next((i for i, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b), len(expected))
    right = error <= PARITY_BOUND and agreed == len(expected)
    store.put(
        status="passed" if right else "failed",
        why=f"logits differ by {error:.1e} (bound {PARITY_BOUND:.0e}), {agreed} of {len(expected)} greedy tokens agree",
        error=error,
        bound=PARITY_BOUND,
    )


def run_compute(torch: Any, case: dict[str, Any], store: Store) -> None:
    """Arithmetic, bandwidth and memory of the device."""
    lines: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        lines.append(line)
        found = [line for line in lines if "id" in line]
        bad = [line["id"] for line in found if line["status"] == "failed"]
        store.put(lines=found, status="failed" if bad else "passed", why=f"failed: {', '.join(bad)}" if bad else "")

    worker.measure(torch, case["device"], tell)


def end_with_parent() -> None:
    """On Linux, go when the script that started this is gone, however it went (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def main() -> None:
    """Run the case; whatever goes wrong is in the result."""
    case, store = json.loads(Path(sys.argv[1]).read_text()), Store(Path(sys.argv[2]))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    warnings.simplefilter("ignore")
    import torch

    store.put()
    end_with_parent()
    try:
        {"model": run_model, "parity": run_parity, "compute": run_compute}[case["kind"]](torch, case, store)
    except Exception as error:  # noqa: BLE001  any failure is this case's result
        words = (str(error).strip().splitlines() or [""])[0][:400]
        store.put(status="failed", why=f"{type(error).__name__}: {words}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
