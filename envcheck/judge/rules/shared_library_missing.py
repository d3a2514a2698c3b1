"""The dynamic loader cannot find a library, an ICD or a backend plug-in."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "shared_library_missing"
REMEDY = Remedy(says="Install the package that holds the library, or put its folder on the loader's path.", commands=("ldconfig -p", "export LD_LIBRARY_PATH=DIR:$LD_LIBRARY_PATH"))
SIGNS = (
    Sign("cannot open shared object file", "The loader cannot find a library."),
    Sign("error while loading shared libraries", "The loader cannot find a library.", unless=("symbol",)),
    Sign("library not loaded", "The loader cannot find a library."),
    Sign("could not load library", "A library cannot be loaded.", r"lib\w+|\.so|\.dll", confidence="likely"),
    Sign("unable to load any of {lib", "A cuDNN library cannot be found."),
    Sign("cannot find -l", "The linker cannot find a library.", r"cannot find -l\w+", confidence="likely"),
    Sign("libcuda.so not found", "Triton cannot find libcuda.so."),
    Sign("libcuda.so cannot found", "Triton cannot find libcuda.so."),
    Sign("libcuda.so", "The driver's library cannot be found.", r"libcuda\.so\S{0,4}.{0,30}(?:not found|cannot found|no such file|missing|could not)", confidence="likely"),
    Sign("not found in any environmental path", "bitsandbytes cannot find the CUDA runtime library."),
    Sign("cuda setup failed despite gpu being available", "bitsandbytes cannot load its CUDA library."),
    Sign("cuda_setup: warning! libcudart.so not found", "bitsandbytes cannot find the CUDA runtime library."),
    Sign("cuda setup: required library", "bitsandbytes cannot find its CUDA library.", confidence="likely"),
    Sign("libcudart", "The CUDA runtime library cannot be found.", r"libcudart\S{0,20}.{0,60}(?:not found|no such|missing|could not|cannot)|(?:not found|no such|missing|could not|cannot|did not contain).{0,60}libcudart", confidence="likely"),
    Sign("libcudnn", "A cuDNN library cannot be found.", r"libcudnn\S{0,30}.{0,60}(?:not found|no such|missing|could not|cannot|unable)|(?:not found|no such|missing|could not|cannot|unable).{0,60}libcudnn", confidence="likely"),
    Sign("cudnn_status_not_initialized", "cuDNN cannot start.", severity="warning", confidence="possible"),
    Sign("cudnn_status_sublibrary", "cuDNN's libraries do not fit each other.", confidence="likely"),
    Sign("clgetplatformids", "OpenCL has no platform: the ICD of the GPU is not installed.", r"-1001|error|fail"),
    Sign("cl_platform_not_found_khr", "OpenCL has no platform: the ICD of the GPU is not installed."),
    Sign("vk::createinstance", "Vulkan cannot start.", r"fail|error", confidence="likely"),
    Sign("errorinitializationfailed", "Vulkan cannot start: no driver (ICD) is installed or usable.", confidence="likely"),
    Sign("could not find a 'vulkan'", "The Vulkan loader or an ICD is not installed.", confidence="likely"),
    Sign("libvulkan.so", "The Vulkan loader is not installed.", r"not found|no such|cannot"),
    Sign("vk_error_incompatible_driver", "Vulkan finds no driver (ICD).", severity="warning", confidence="likely"),
    Sign("no vulkan devices found", "Vulkan finds no device: no driver (ICD) is installed.", confidence="likely", severity="warning"),
    Sign("ggml_vulkan: no devices found", "Vulkan finds no device: no driver (ICD) is installed.", confidence="likely"),
    Sign("failed to load library", "A library cannot be loaded.", confidence="likely"),
    Sign("failed to load /", "A backend plug-in cannot be loaded.", r"failed to load /\S{0,200}\.so", confidence="likely"),
    Sign("failed to load ggml", "A backend plug-in cannot be loaded.", confidence="likely"),
    Sign("ggml_backend_load", "A backend plug-in cannot be loaded.", r"fail|not found|no backend", confidence="likely"),
    Sign("no backends are loaded", "No backend plug-in is beside the program."),
    Sign("load_backend: failed to", "A backend plug-in cannot be loaded.", confidence="likely"),
    Sign("dll load failed", "A DLL or one that it needs cannot be found."),
    Sign("error loading \"", "A DLL or one that it needs cannot be found.", r"\.dll\" or one of its dependencies"),
    Sign("could not find module '", "A DLL or one that it needs cannot be found.", r"\.dll"),
    Sign("winerror 126", "A DLL or one that it needs cannot be found."),
    Sign("was not found", "A DLL cannot be found.", r"\.dll was not found"),
    Sign("dlopen(", "A library cannot be loaded.", r"image not found|no such file|not found|tried:", confidence="likely"),
    Sign("undefined symbol: __nvjitlink", "torch finds another nvJitLink than the one it was made for: a library path points at another CUDA."),
    Sign("libnvjitlink.so", "nvJitLink cannot be found or is of another version.", r"cannot|not found|undefined|version"),
    Sign("undefined symbol: ncclcommregister", "torch finds an older NCCL than the one it was made for.", confidence="likely"),
    Sign("undefined symbol: nccl", "torch finds an older NCCL than the one it was made for.", confidence="likely"),
    Sign("libnccl", "NCCL's library cannot be found.", r"not found|cannot|failed to load|no such"),
    Sign("failed to load nccl library", "NCCL's library cannot be found."),
    Sign("nvml shared library not found", "NVML's library cannot be found: no driver, or none in the container."),
    Sign("nvmlerror_librarynotfound", "NVML's library cannot be found: no driver, or none in the container."),
    Sign("couldn't find libnvidia-ml.so", "NVML's library cannot be found: no driver, or none in the container.", confidence="likely"),
    Sign("libnuma", "libnuma is not installed.", r"not found|cannot|could not|no such"),
    Sign("libgomp", "The OpenMP library cannot be loaded.", r"not found|cannot (?:open|allocate)|could not|no such"),
    Sign("libgl.so", "The OpenGL library is not installed.", r"cannot|not found"),
    Sign("_bz2", "Python was built without a library.", r"no module named '_bz2'", confidence="likely"),
    Sign("no module named '_ctypes'", "Python was built without a library.", confidence="likely"),
    Sign("no module named '_sqlite3'", "Python was built without a library.", confidence="likely"),
    Sign("no module named '_lzma'", "Python was built without a library.", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs only: which libraries a program loads is known when it fails, or from a probe's loader readings elsewhere."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)


RULE = Rule(cause=CAUSE, link="runtime", judge=judge)
