"""Prints this machine's memory bandwidth in GB/s (10^9 bytes read plus written a second), measured by parallel copies.

Run as a program of its own, so that its half gibibyte of buffers is gone afterwards and a slow machine can be stopped.
Bytes moved are counted as STREAM counts its Copy kernel (https://www.cs.virginia.edu/stream/ref.html): one read and one
write for each byte copied. The best of five rounds is printed: whatever else runs can only make a round slower.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time

TOTAL = 512 * 1024 * 1024
ROUNDS = 5


def main() -> None:
    """Measure and print one number."""
    workers = min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    share = TOTAL // 2 // workers
    buffers = [(ctypes.create_string_buffer(share), ctypes.create_string_buffer(share)) for _ in range(workers)]
    best = 0.0
    for _ in range(ROUNDS):
        # ctypes lets go of the interpreter lock during the call, so the copies run side by side.
        threads = [threading.Thread(target=ctypes.memmove, args=(to, source, share)) for to, source in buffers]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        best = max(best, 2 * share * workers / (time.perf_counter() - started) / 1e9)
    print(round(best, 1))  # noqa: T201  the answer of this program


if __name__ == "__main__":
    main()
