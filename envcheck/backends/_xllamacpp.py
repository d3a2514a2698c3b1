"""llama.cpp's server out of the package xllamacpp: started in a child of an interpreter that has it.

The embedded default runs it in envcheck's own interpreter, the backend `llama.cpp` in the target environment.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from envcheck.backends import _http, _server
from envcheck.child import Child
from envcheck.schema.errors import EnvcheckError

MODULE = "xllamacpp"
_WORKER = Path(__file__).with_name("_xllamacpp_worker.py")


def threads() -> int:
    """One thread on small or busy machines: llama.cpp's threads spin at barriers and stall each other when shared."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(cores // 2, int(cores - load), 8))


def start(
    python: str, env: dict[str, str], options: dict[str, object], *, label: str, limit_s: float
) -> _server.Started:
    """The server with the model of `options` ("path", "model", "context", "threads", "device"), ready to be asked.

    Runs from a folder of its own, so that no file beside the worker shadows a package. Raises EnvcheckError when it
    ends or stays silent instead.
    """
    began = time.monotonic()
    child = Child([python, _WORKER.name, json.dumps(options)], env, label=label, files=(_WORKER,))
    try:
        url = ready_url(child, limit_s)
    except BaseException:
        child.stop()
        raise
    return _server.Started(child, _http.address(url), (time.monotonic() - began) * 1e3)


def ready_url(child: Child, limit_s: float) -> str:
    """The address from the worker's first JSON line. Raises EnvcheckError when it ends or stays silent instead."""
    deadline = time.monotonic() + limit_s
    while True:
        line = child.line(deadline - time.monotonic())
        if line is None:
            break
        try:
            return str(json.loads(line[1])["url"])
        except (ValueError, KeyError, TypeError):
            continue  # native libraries may print on standard output before it
    last = child.log().strip().splitlines()
    words = f": {last[-1][:200]}" if last else ""
    if child.wait_ended(0.5):
        raise EnvcheckError(f"The engine did not start, {child.ended}{words}")
    raise EnvcheckError(f"The engine was not ready after {limit_s:g} s{words}")
