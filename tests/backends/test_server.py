"""Servers that do not come up, come up twice, or are killed; and what llama.cpp's log says of devices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from envcheck.backends import _http, _metrics, _server
from envcheck.backends._llama import device_words
from envcheck.child import STOP_LIMIT_S, Child, is_running
from envcheck.schema.backend import Exchange
from envcheck.schema.errors import EnvcheckError

SERVE = (
    "import http.server, sys\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers()\n"
    "        self.wfile.write(b'ok')\n"
    "    def log_message(self, *a): pass\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def started(
    code: str, *, limit_s: float = 120.0, said: list[str] | None = None, ports: list[int] | None = None
) -> _server.Started:
    queue = list(ports or [])
    return _server.start(
        lambda port: python(code, str(port)),
        dict(os.environ),
        label="the server",
        ready_path="/health",
        limit_s=limit_s,
        progress=(said if said is not None else []).append,
        pick_port=lambda: queue.pop(0) if queue else _server.free_port(),
    )


def test_it_starts_and_stops() -> None:
    server = started(SERVE)
    assert server.load_ms > 0
    assert _http.get(server.to, "/health") == "ok"
    assert server.child.pid in _server.listening_pids(server.to.port)
    server.child.stop()
    assert not is_running(server.child.pid)


def test_never_ready() -> None:
    with pytest.raises(EnvcheckError, match=r"was not ready after 0\.5 s"):
        started("import time; time.sleep(60)", limit_s=0.5)


def test_dies_with_its_last_words() -> None:
    code = "import sys; sys.stderr.write('loading\\nRuntimeError: Failed to infer device type\\nbye\\n'); sys.exit(3)"
    with pytest.raises(
        EnvcheckError, match="exit code 3 before it was ready: RuntimeError: Failed to infer device type"
    ):
        started(code)


def test_a_port_taken_in_between_is_tried_again() -> None:
    holder = started(SERVE)
    said: list[str] = []
    try:
        server = started(SERVE, said=said, ports=[holder.to.port])
        server.child.stop()
        assert server.to.port != holder.to.port
        assert any("was taken" in line for line in said)
    finally:
        holder.child.stop()


def test_killed_as_the_system_kills_when_memory_runs_out() -> None:
    server = started(SERVE)
    try:
        os.kill(server.child.pid, signal.SIGKILL)
        cut = server.explained(Exchange(sent_ns=0, ended="cut", error="the connection broke off"))
        assert "SIGKILL (the system kills like this when memory runs out)" in cut.error
    finally:
        server.child.stop()


def test_nothing_stays_behind_when_envcheck_itself_is_killed() -> None:
    code = (
        "import os, sys, time\n"
        "from envcheck.child import Child\n"
        "child = Child([sys.executable, '-c', 'import time; time.sleep(60)'], dict(os.environ), label='x')\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, env=env) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert not psutil.wait_procs([child], timeout=30)[1]


def test_memory_that_others_took_before_the_load_is_named() -> None:
    code = "import sys; sys.exit('load\\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.')"
    with pytest.raises(EnvcheckError, match="CUDA out of memory"):
        started(code)


STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "grand = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
    "print(grand.pid, flush=True)\n"
    "time.sleep(60)\n"
)


def test_a_child_that_ignores_requests_goes_with_all_it_started() -> None:
    child = Child(python(STUBBORN), dict(os.environ), label="stubborn")
    line = child.line(60.0)
    assert line is not None
    grandchild = psutil.Process(int(line[1]))
    began = time.monotonic()
    child.stop()
    assert time.monotonic() - began < STOP_LIMIT_S + 25
    assert not is_running(child.pid)
    assert not psutil.wait_procs([grandchild], timeout=30)[1]
    child.stop()


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(EnvcheckError, match="the engine cannot be started: No such file"):
        Child(["/nonexistent/engine"], dict(os.environ), label="the engine")


CPU_LOG = """load_tensors:   CPU_Mapped model buffer size =    92.10 MiB
llama_kv_cache:        CPU KV buffer size =    90.00 MiB
llama_context:        CPU compute buffer size =    98.25 MiB
"""
GPU_LOG = """load_tensors: offloaded 33/33 layers to GPU
load_tensors:        CUDA0 model buffer size =  4095.05 MiB
load_tensors:   CPU_Mapped model buffer size =    70.31 MiB
llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB
llama_context:      CUDA0 compute buffer size =   296.00 MiB
llama_context:  CUDA_Host compute buffer size =    16.01 MiB
"""


@pytest.mark.parametrize(
    ("log", "device", "share"),
    [
        (CPU_LOG, "cpu", 0.0),
        (GPU_LOG, "cuda", pytest.approx(4095.05 / 4165.36)),
        (GPU_LOG.replace("CUDA0", "ROCm0"), "rocm", pytest.approx(4095.05 / 4165.36)),
        (GPU_LOG.replace("CUDA0", "Vulkan0"), "vulkan", pytest.approx(4095.05 / 4165.36)),
        ("load_tensors: offloaded 10/33 layers to GPU\n", "unknown", pytest.approx(10 / 33)),
        ("nothing of the kind", "unknown", None),
        ("", "unknown", None),
    ],
)
def test_where_llama_cpp_says_the_layers_are(log: str, device: str, share: object) -> None:
    words = device_words(log)
    assert (words.device, words.gpu_share) == (device, share)


def test_sizes_llama_cpp_reports() -> None:
    assert device_words(GPU_LOG).memory_mib == {"weights": 4165.36, "kv": 512.0, "compute": 312.01}


PAGE = """# HELP vllm:e2e_request_latency_seconds x
vllm:e2e_request_latency_seconds_bucket{le="0.3",model_name="m"} 4.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} %d
vllm:request_prefill_time_seconds_sum{engine="0"} %s
vllm:request_decode_time_seconds_sum{engine="0"} %s
vllm:prompt_tokens_total{engine="0"} %s
vllm:generation_tokens_total{engine="0"} %s
garbage
vllm:odd{a="b"} NaN
"""


def test_what_one_request_added_to_the_metrics() -> None:
    before, after = _metrics.parse(PAGE % (3, 1.0, 2.0, 100, 50)), _metrics.parse(PAGE % (4, 1.5, 4.0, 200, 91))
    found = _metrics.timings(before, after, "vllm:")
    assert (found.prefill_tps, found.decode_tps, found.prefill_ms) == (200, 20, 500)
    busy = _metrics.parse(PAGE % (5, 1.5, 4.0, 200, 91))
    assert _metrics.timings(before, busy, "vllm:").decode_tps is None
    assert _metrics.timings({}, {}, "vllm:").decode_tps is None
