"""Compiler, headers or OpenMP are absent at build time or when a kernel is compiled at run time."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Absent
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "build_toolchain_missing"
REMEDY = Remedy(says="Install a C/C++ compiler, the Python headers and, where CUDA code is compiled, the CUDA toolkit.", commands=("apt-get install build-essential python3-dev ninja-build",), needs_root=True)
SIGNS = (
    Sign("python.h: no such file", "The Python headers are not installed."),
    Sign("python.h", "The Python headers are not installed.", r"python\.h['\"]? ?(?:file )?(?:not found|no such)|fatal error: ['\"]?python\.h"),
    Sign("fatal error:", "A header is not installed.", r"fatal error: ['\"]?(?:features\.h|stdio\.h|stdlib\.h|stddef\.h|stdint\.h|limits\.h|math\.h|assert\.h|omp\.h|cuda\.h|cuda_runtime\.h|cuda_runtime_api\.h|cublas_v2\.h|cusparse\.h|cudnn\.h|nvrtc\.h|nccl\.h|cusolver\w*\.h|curand\w*\.h|hip/\S+|hipblas\S*|rocblas\S*|numa\.h|mpi\.h|sys/\S+|bits/\S+|crypt\.h|iostream|string|vulkan/\S+|curl/curl\.h|zlib\.h|ffi\.h|CL/\S+|openssl/\S+|rdma/\S+|infiniband/\S+|mkl\S*|cutlass/\S+|pybind11/\S+|gnu/stubs\S*).{0,6} ?(?:file )?(?:no such|not found)|fatal error: \S+: no such file"),
    Sign("file not found", "A header is not installed.", r"fatal error: '\S+' file not found"),
    Sign("failed to find c compiler", "Triton finds no C compiler."),
    Sign("no c compiler", "No C compiler is installed.", confidence="likely"),
    Sign("no cxx compiler", "No C++ compiler is installed.", confidence="likely"),
    Sign("no acceptable c compiler", "No C compiler is installed."),
    Sign("no cmake_c_compiler could be found", "No C compiler is installed."),
    Sign("no cmake_cxx_compiler could be found", "No C++ compiler is installed."),
    Sign("no cmake_cuda_compiler could be found", "nvcc is not installed."),
    Sign("cmake_c_compiler not set", "No C compiler is installed.", confidence="likely"),
    Sign("cmake_cxx_compiler not set", "No C++ compiler is installed.", confidence="likely"),
    Sign("cmake_cuda_compiler not set", "nvcc is not installed.", confidence="likely"),
    Sign("unable to execute 'g++'", "No C++ compiler is installed.", confidence="likely", severity="warning"),
    Sign("command 'gcc' failed", "The C compiler is missing or fails.", r"no such file|not found", confidence="certain"),
    Sign("command 'x86_64-linux-gnu-gcc' failed", "The C compiler is missing or fails.", confidence="possible"),
    Sign("no such file or directory: 'nvcc'", "nvcc is not installed."),
    Sign("nvcc: not found", "nvcc is not installed."),
    Sign("nvcc: command not found", "nvcc is not installed.", confidence="likely", severity="warning"),
    Sign("could not find nvcc", "nvcc is not installed."),
    Sign("nvcc not found", "nvcc is not installed.", confidence="likely"),
    Sign("/bin/nvcc", "nvcc is not installed.", r"bin/nvcc'?\S{0,4}:? (?:not found|no such file)|no such file or directory: '\S*bin/nvcc'"),
    Sign("cuda_home environment variable is not set", "No CUDA toolkit is found.", confidence="certain"),
    Sign("cuda_home is not set", "No CUDA toolkit is found."),
    Sign("cuda_home must be set", "No CUDA toolkit is found."),
    Sign("please set it to your cuda install root", "No CUDA toolkit is found."),
    Sign("cannot find cuda_home", "No CUDA toolkit is found."),
    Sign("cuda toolkit not found", "No CUDA toolkit is found.", confidence="likely"),
    Sign("could not find cudatoolkit", "No CUDA toolkit is found.", confidence="likely"),
    Sign("could not find cuda", "No CUDA toolkit is found.", r"could not find cuda(?:toolkit)?\b.{0,60}(?:missing|found|set|cmake)", confidence="likely"),
    Sign("cuda_toolkit_root_dir", "No CUDA toolkit is found.", r"not found|could not|missing|notfound|specify"),
    Sign("failed to find nvtoolsext", "A part of the CUDA toolkit is missing."),
    Sign("unknown cmake command \"cuda_", "A part of the CUDA toolkit is missing.", confidence="likely"),
    Sign("could not find openmp", "OpenMP is not installed."),
    Sign("openmp not found", "OpenMP is not installed.", severity="warning"),
    Sign("omp.h", "OpenMP is not installed.", r"not found|no such"),
    Sign("could not find hip", "The HIP development files are not installed.", confidence="likely"),
    Sign("could not find hipblas", "The HIP development files are not installed.", confidence="likely"),
    Sign("could not find vulkan", "The Vulkan development files are not installed."),
    Sign("could not find curl", "The curl development files are not installed.", confidence="likely"),
    Sign("missing: glslc", "glslc is not installed.", confidence="certain"),
    Sign("glslc: not found", "glslc is not installed."),
    Sign("ninja is required", "ninja is not installed."),
    Sign("no such file or directory: 'ninja'", "ninja is not installed."),
    Sign("'ninja', '-v'", "The build of an extension failed.", severity="warning", confidence="possible"),
    Sign("unable to find a build program corresponding to \"ninja\"", "ninja is not installed."),
    Sign("no such file or directory: 'cmake'", "cmake is not installed."),
    Sign("cmake must be installed", "cmake is not installed."),
    Sign("cmake: command not found", "cmake is not installed.", confidence="likely"),
    Sign("problem with the cmake installation", "cmake is not installed.", confidence="likely"),
    Sign("microsoft visual c++ 14.0 or greater is required", "No C++ compiler is installed."),
    Sign("unable to find vcvarsall", "No C++ compiler is installed."),
    Sign("cannot find compiler 'cl.exe'", "No C++ compiler is installed."),
    Sign("no such file or directory: 'cl'", "No C++ compiler is installed."),
    Sign("error: can't find rust compiler", "No Rust compiler is installed."),
    Sign("rust compiler", "No Rust compiler is installed.", r"can't find|not found|requires|need"),
    Sign("cargo, the rust package manager, is not installed", "No Rust compiler is installed."),
    Sign("no such file or directory: 'gcc'", "No C compiler is installed."),
    Sign("no such file or directory: 'g++'", "No C++ compiler is installed."),
    Sign("no such file or directory: 'c++'", "No C++ compiler is installed."),
    Sign("no such file or directory: 'git'", "git is not installed.", confidence="likely"),
    Sign("gcc: command not found", "No C compiler is installed."),
    Sign("g++: command not found", "No C++ compiler is installed."),
    Sign("make: command not found", "make is not installed."),
    Sign("make: g++: no such file", "No C++ compiler is installed."),
    Sign("make: cc: no such file", "No C compiler is installed."),
    Sign("ptxas", "ptxas is not installed.", r"(?:cannot find|not found|no such file).{0,40}ptxas|ptxas.{0,20}(?:not found|no such file)"),
    Sign("cannot find ptxas", "ptxas is not installed."),
    Sign("gnu/stubs-32.h", "The C library's headers are not installed."),
    Sign("no module named 'torch'", "torch is not there when the extension is built (build isolation).", r"(?:getting requirements|build)", severity="warning", confidence="possible"),
    Sign("cannot find crti.o", "The C library's development files are not installed.", confidence="likely"),
    Sign("cannot find scrt1.o", "The C library's development files are not installed.", confidence="likely"),
    Sign("clang: not found", "clang is not installed.", confidence="likely"),
    Sign("ld: cannot find", "A development library is not installed.", severity="warning", confidence="possible"),
    Sign("xcrun: error", "The command-line tools of macOS are not installed.", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then a machine without compiler or headers where the backend compiles kernels at run time."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    tools = case.snapshot.toolchain
    if case.snapshot.origin == "machine" and case.backend in ("vllm", "sglang") and isinstance(tools.gcc, Absent) and isinstance(tools.gxx, Absent):
        yield Finding(cause=CAUSE, severity="warning", says="There is no C compiler, which Triton needs to compile kernels at run time.", evidence=quotes(case.quote("gcc", tools.gcc)), remedy=REMEDY, confidence="likely")


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
