"""llama.cpp as the package xllamacpp has it, as a program: one JSON argument in, one JSON line out when it is ready.

Runs in a child process because it is native code under test: it may crash, hang or be killed without taking envcheck
with it. It leaves by itself when its standard input closes, which happens when envcheck is gone for any reason.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time


def _leave_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def _parameters(options: dict[str, object]) -> object:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options["path"]
    parameters.model_alias = {options["model"]}
    parameters.n_ctx = options["context"]
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = options["threads"]
    parameters.cpuparams_batch.n_threads = options["threads"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0  # the system picks a free one, so that no port can be taken in between
    parameters.endpoint_metrics = True
    parameters.endpoint_props = True
    parameters.offline = True
    parameters.ui = False
    parameters.verbosity = 4
    if options["device"] == "cpu":
        parameters.n_gpu_layers = 0
        parameters.no_kv_offload = True
        parameters.no_op_offload = True  # large products would go to a GPU even with no layer on it
    return parameters


def main() -> None:
    """Load the model, say where it listens, and serve until told to stop."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    options = json.loads(sys.argv[1])
    import xllamacpp

    parameters = _parameters(options)
    server = xllamacpp.Server(parameters)
    ready = {"url": server.listening_address, "build": xllamacpp.BUILD_INFO, "system": xllamacpp.get_system_info()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
