"""Asks torch, in the target interpreter, what it was built for and what it sees: one JSON object a line, flushed.

Run by path with the target's interpreter (`python -I _torch_child.py LEVEL`), which may be older than envcheck's own:
plain Python 3.8, standard library only, nothing of envcheck. Level 2 imports torch; level 3 also multiplies a small
matrix on each GPU and compares it with the exact product.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

SIZE = 64


def say(line: dict[str, Any]) -> None:
    """Print one line and make sure that it is out before the next question."""
    print(json.dumps(line), flush=True)  # noqa: T201  the answer of this program


def driver() -> dict[str, Any]:
    """Codes of `cuInit` and `cuDriverGetVersion`, as an application would get them."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return {"libcuda": False}
    version = ctypes.c_int(0)
    known = library.cuDriverGetVersion(ctypes.byref(version)) == 0
    return {"libcuda": True, "cuda_driver": version.value if known else None, "cu_init": library.cuInit(0)}


def build(torch: Any) -> dict[str, Any]:
    """What the build is and which devices it sees."""
    said = {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "hip": getattr(torch.version, "hip", None),
        "cxx11_abi": bool(torch.compiled_with_cxx11_abi()) if hasattr(torch, "compiled_with_cxx11_abi") else None,
    }
    say({"build": said})
    try:
        seen: dict[str, Any] = {"available": bool(torch.cuda.is_available()), "count": int(torch.cuda.device_count())}
        seen["arch_list"] = [str(arch) for arch in torch.cuda.get_arch_list()]
    except Exception as error:  # noqa: BLE001  torch raises many kinds; each is the reading
        seen = {"error": type(error).__name__ + ": " + str(error)[:300]}
    return seen


def product(torch: Any, index: int) -> str:
    """ "ok", or why a small matrix product on one GPU failed. Small integers in float32 have an exact product."""
    try:
        left = torch.arange(SIZE * SIZE, dtype=torch.float32).reshape(SIZE, SIZE) % 7
        right = torch.arange(SIZE * SIZE, dtype=torch.float32).reshape(SIZE, SIZE) % 5
        device = torch.device("cuda", index)
        there = (left.to(device) @ right.to(device)).cpu()
        return "ok" if torch.equal(there, left @ right) else "the product is wrong"
    except Exception as error:  # noqa: BLE001  torch raises many kinds; each is the reading
        return type(error).__name__ + ": " + str(error).splitlines()[0][:300] if str(error) else type(error).__name__


def main() -> None:
    """Print what can be said at the level asked for."""
    level = int(sys.argv[1])
    say({"driver": driver()})
    try:
        import torch
    except BaseException as error:  # noqa: BLE001  a broken import may raise anything, SystemExit too
        say({"import_error": type(error).__name__ + ": " + str(error)[:500], "module": getattr(error, "name", None)})
        return
    seen = build(torch)
    say({"devices": seen})
    if level >= 3:
        for index in range(int(seen.get("count") or 0)):
            say({"kernel": index, "outcome": product(torch, index)})
    say({"done": True})


if __name__ == "__main__":
    main()
