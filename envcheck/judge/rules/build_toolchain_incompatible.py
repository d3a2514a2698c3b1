"""nvcc, ptxas, gcc or glslc are too old or too new for the GPU, for each other or for the source."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "build_toolchain_incompatible"
REMEDY = Remedy(says="Use a toolkit that knows the GPU and matches torch's CUDA major, with a host compiler that this toolkit accepts.", commands=("nvcc --version", "export CUDA_HOME=/usr/local/cuda-12.8", "export TRITON_PTXAS_PATH=$CUDA_HOME/bin/ptxas"))
SIGNS = (
    Sign("is not defined for option 'gpu-name'", "ptxas is too old for this GPU."),
    Sign("ptxas fatal", "ptxas cannot compile for this GPU.", r"ptxas fatal\s*:\s*(?:value 'sm_|unsupported|unresolved|ptx assembly)"),
    Sign("unsupported gpu architecture 'compute_", "nvcc is too old or too new for this GPU."),
    Sign("unsupported gpu architecture \"compute_", "nvcc is too old or too new for this GPU."),
    Sign("unsupported .version", "ptxas is older than the compiler that made the PTX."),
    Sign("is not a supported gpu architecture", "The compiler does not know this GPU.", confidence="likely"),
    Sign("unsupported gnu version", "The host compiler is too new for nvcc."),
    Sign("unsupported microsoft visual studio version", "The host compiler is too new for nvcc."),
    Sign("unsupported clang version", "The host compiler is too new for nvcc."),
    Sign("mismatches the version that was used to compile", "The toolkit's CUDA major differs from that of torch."),
    Sign("detected cuda version", "The toolkit's CUDA version differs from that of torch.", r"mismatch"),
    Sign("you need c++17 to compile pytorch", "The compiler or its settings are too old."),
    Sign("c++17", "The compiler is too old.", r"(?:require|need|support|unrecognized|unknown|dialect).{0,40}c\+\+17|c\+\+17.{0,40}(?:require|not support|unsupport)", confidence="likely"),
    Sign("c++20", "The compiler is too old.", r"(?:require|need|unrecognized|unknown|dialect).{0,40}c\+\+20|c\+\+20.{0,40}(?:require|not support|unsupport)", confidence="likely"),
    Sign("unrecognized command line option", "The compiler is too old for an option.", r"-std=|-march=|-mavx|-mcpu|-m\w+", confidence="likely"),
    Sign("unrecognized command-line option", "The compiler is too old for an option.", r"-std=|-march=|-mavx|-mcpu|-m\w+", confidence="likely"),
    Sign("gcc version", "The compiler's version does not fit.", r"gcc version.{0,40}(?:must|required|too old|not supported|at least|or (?:newer|later|higher))", confidence="likely", unless=("gcc version:",)),
    Sign("your compiler", "The compiler does not fit torch.", r"your compiler .{0,60}(?:not compatible|incompatible|abi|too old)", confidence="likely"),
    Sign("compiler version", "The compiler's version does not fit.", r"(?:unsupported|too old|requires|needs).{0,40}compiler version|compiler version.{0,40}(?:unsupported|too old|not supported|required)", confidence="likely"),
    Sign("nvcc fatal", "nvcc refuses to compile.", r"nvcc fatal\s*:\s*(?:unsupported|unknown option|value|stray|'|redefinition|host compiler)", confidence="likely"),
    Sign("cuda version is too old", "The toolkit is too old."),
    Sign("cuda toolkit", "The toolkit does not fit.", r"cuda toolkit.{0,60}(?:too old|(?:or|and) (?:newer|above|higher|later)|at least|required|minimum|mismatch|not support)|requires? .{0,30}cuda toolkit.{0,20}\d", confidence="likely", unless=("libdevice",)),
    Sign("cuda 1", "The toolkit does not fit.", r"requires? cuda 1\d\.\d (?:or|and) (?:above|newer|higher|later)|only supported (?:on|with|from) cuda 1\d\.\d|supported on cuda 1\d\.\d (?:and|or) (?:above|later|newer)", confidence="likely"),
    Sign("nvcc version", "nvcc's version does not fit.", r"nvcc version.{0,40}(?:too old|at least|or (?:newer|later|higher)|required|must)", confidence="likely"),
    Sign("identifier \"__", "The toolkit does not know a type or function of the source.", r"identifier \"__(?:fp16|nv_|half|hfma|hmax|dp4a|bf16|float2|builtin|shfl|reduce|hadd|cvt|grid|cluster)\w*\" is undefined", confidence="certain"),
    Sign("is undefined", "The toolkit does not know a name of the source.", r"error: identifier \"(?:cuda|cublas|CU|nv|cudnn|__)\w+\" is undefined", confidence="likely"),
    Sign("cublas_compute", "The toolkit does not know a name of the source.", r"not declared|undefined|undeclared|is not", confidence="likely"),
    Sign("was not declared in this scope", "The toolkit or compiler does not know a name of the source.", r"'(?:cuda|CU|cublas|hip|rocblas|HIP|nv|vk|VK_|_mm|__)\w+'? was not declared", confidence="likely"),
    Sign("use of undeclared identifier", "The toolkit or compiler does not know a name of the source.", r"undeclared identifier '(?:cuda|CU|cublas|hip|rocblas|HIP|nv|__|_mm|v\w+q_)\w*", confidence="likely"),
    Sign("unknown type name", "The toolkit or compiler does not know a type of the source.", r"unknown type name '(?:__|nv_|hip|cuda|float16|bfloat|int8x|vk)\w*", confidence="likely"),
    Sign("parameter packs not expanded with", "gcc 11 or newer does not fit this nvcc."),
    Sign("error: #error -- unsupported", "The host compiler does not fit nvcc."),
    Sign("cannot compile ", "A shader compiler refuses the source.", r"cannot compile \w*(?:coopmat|matmul|mul_mat|flash|dequant|_f16|_f32)\w*"),
    Sign("glslc", "The shader compiler is too old.", r"glslc.{0,80}(?:too old|unknown|unrecognized|error|fail)|(?:unknown|unrecognized) .{0,40}glslc", confidence="likely", unless=("missing: glslc", "not found", "missing", "components:", "found glslc")),
    Sign("extension not supported: gl_", "The shader compiler is too old."),
    Sign("'gl_", "The shader compiler is too old.", r"'GL_\w+' : extension not supported"),
    Sign("gl_khr_cooperative_matrix not supported by glslc", "The shader compiler lacks cooperative matrices; their shaders are left out.", severity="warning", confidence="likely"),
    Sign("spirv-val", "The shader compiler does not fit.", r"error|fail", confidence="likely"),
    Sign("cmake 3.", "CMake is too old.", r"cmake 3\.\d+ or higher is required"),
    Sign("or higher is required.  you are running version", "CMake is too old."),
    Sign("compatibility with cmake < 3.5 has been removed", "CMake is too new for the source."),
    Sign("lto version", "Objects come from another compiler version.", r"instead of the expected"),
    Sign("bytecode stream", "Objects come from another compiler version.", r"generated with lto version"),
    Sign("nvlink error", "The CUDA linker fails.", r"nvlink error\s*:", confidence="likely", unless=("fatal", "uncorrectable")),
    Sign("llvm error: cannot select", "Triton's compiler cannot make code for this GPU.", confidence="likely"),
    Sign("triton", "Triton's compiler does not know this GPU.", r"triton.{0,60}(?:unsupported|unknown|invalid).{0,30}(?:target|arch|sm_?\d|processor)|'sm_\d+a?' is not a recognized processor", confidence="likely"),
    Sign("is not a recognized processor for this target", "Triton's compiler does not know this GPU."),
    Sign("ptx version", "Triton's PTX is newer than ptxas.", r"ptx version \d\.\d.{0,60}(?:not support|require|unsupported|max)", confidence="likely", unless=("ptx version was compiled", "driver")),
    Sign("triton only support cuda 10.0 or higher", "ptxas' version is not known to Triton.", confidence="certain"),
    Sign("invalid target 'gfx", "The ROCm compiler does not know this gfx target.", confidence="likely"),
    Sign("unknown target cpu", "The compiler does not know the CPU.", confidence="likely"),
    Sign("bad value (", "The compiler does not know the CPU.", r"bad value \(.{1,40}\) for .?-m(?:arch|tune|cpu)", confidence="certain"),
    Sign("inlining failed in call to", "The compiler was not told about a CPU feature that the source uses.", r"target specific option mismatch|always_inline", confidence="likely"),
    Sign("assembler messages", "The assembler is too old.", severity="warning", confidence="possible"),
    Sign("no such instruction", "The assembler is too old for an instruction.", confidence="likely"),
)  # fmt: skip
# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html : first toolkit that compiles for a compute capability.
_FIRST_TOOLKIT = (((12, 1), (12, 9)), ((12, 0), (12, 8)), ((10, 3), (12, 9)), ((10, 0), (12, 8)), ((9, 0), (11, 8)), ((8, 9), (11, 8)), ((8, 6), (11, 1)), ((8, 0), (11, 0)))


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then nvcc against torch's CUDA major and against the newest GPU."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    fact = case.snapshot.toolchain.nvcc
    nvcc = version(value_of(fact))
    if nvcc is None:
        return
    for device in case.nvidia:
        needed = next((toolkit for capability, toolkit in _FIRST_TOOLKIT if device.capability and device.capability >= capability), None)
        if needed and nvcc[:2] < needed:
            yield Finding(cause=CAUSE, severity="warning" if case.backend in ("sglang", "llama.cpp") else "info", says=f"nvcc {dotted(nvcc)} cannot compile for {device.name} ({dotted(device.capability or ())}), which needs {dotted(needed)}.", evidence=quotes(case.quote("nvcc", fact), case.quote("GPU", device.fact)), remedy=REMEDY, confidence="possible")
            return


RULE = Rule(cause=CAUSE, link="backend", judge=judge)
