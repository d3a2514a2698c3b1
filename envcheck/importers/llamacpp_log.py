"""llama.cpp's log: devices of every GGML backend, CPU features of the build, free memory."""

from __future__ import annotations

import re

from envcheck.importers._draft import Draft, Importer, vendor_of
from envcheck.schema.paste import Paste

_DEVICE = re.compile(r"Device (\d{1,2}): (.{2,80}?), (?:compute capability (\d{1,2}\.\d)|(gfx[0-9a-f]{3,5}))")
_ROCM_DEVICE = re.compile(r"Device (\d{1,2}): (.{2,80}?), (gfx[0-9a-f]{3,5})")
_FREE = re.compile(
    r"using device (CUDA|ROCm|Vulkan|SYCL|Metal)\w{0,3} \((.{2,80}?)\)(?: \([^)]{0,60}\))? - (\d{1,7}) MiB free"
)
_VULKAN = re.compile(r"(?:ggml_vulkan: |Vulkan)(\d{1,2})(?: = |: )(.{2,80}?)(?: \((.{0,80}?)\))?(?: \||$)")
_FEATURE = re.compile(r"\b(AVX|AVX2|AVX512|FMA|F16C|NEON|SVE|AMX_INT8) = (\d{1,3})")
_BUILD = re.compile(r"(?:main: build = |build: |version: )(\d{1,6}) \(")


def read(paste: Paste, draft: Draft) -> bool:
    """Take the devices and the build number."""
    marks = ("ggml_", "llama_model_load", "llm_load_", "llama_new_context", "llama_init", "llama.cpp", "main: build = ")
    if not any(mark in paste for mark in marks):
        return False
    rocm = "rocm devices" in paste or "ggml_hip" in paste
    for line, match in paste.matching("device ", _DEVICE.pattern):
        index, name = int(match.group(1)), match.group(2).strip()
        vendor = "amd" if rocm or match.group(4) else vendor_of(name)
        draft.gpu(vendor, index, "name", name, line)
        if match.group(4):
            draft.gpu("amd", index, "gfx", match.group(4), line)
        else:
            draft.gpu(vendor, index, "compute_capability", match.group(3), line)
    for line, match in paste.matching("using device", _FREE.pattern):
        name = match.group(2)
        vendor = {"CUDA": "nvidia", "ROCm": "amd"}.get(match.group(1), vendor_of(name))
        if vendor in ("nvidia", "amd", "intel"):
            index = 0
            draft.gpu(vendor, index, "name", name, line)
            draft.gpu(vendor, index, "memory_free_mib", int(match.group(3)), line)
    for line, match in paste.matching("vulkan", _VULKAN.pattern):
        vendor = vendor_of(match.group(2))
        if vendor in ("nvidia", "amd", "intel"):
            draft.gpu(vendor, int(match.group(1)), "name", match.group(2).strip(), line)
    for literal in ("build", "version: "):
        for line, match in paste.matching(literal, _BUILD.pattern):
            if match.group(1) != "0":
                draft.backend("llama.cpp", f"b{match.group(1)}", line)
    return True


IMPORTER = Importer("llamacpp_log", read)
