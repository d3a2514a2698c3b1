"""Compilers, headers and the libraries the loader would find: what source builds and JIT compilers need.

File names and version files first: a version in a path costs nothing, starting a program costs milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from envcheck.probes import _dpkg, _interpreter
from envcheck.probes._libraries import Loader
from envcheck.probes._together import together
from envcheck.probes._values import flag, pick, present, table, text, texts
from envcheck.probes._versions import first_version
from envcheck.schema.facts import Absent, Known, TextFact, TextsFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Toolchain

if TYPE_CHECKING:
    from envcheck.host import Host

_SONAMES_TEXT = """
    libcuda.so.1 libnvidia-ml.so.1 libcudart.so.11.0 libcudart.so.12 libcudart.so.13 libcublas.so.11
    libcublas.so.12 libcublas.so.13 libcudnn.so.8 libcudnn.so.9 libnccl.so.2 libnvrtc.so.11.2 libnvrtc.so.12
    libnvrtc.so.13 libnvJitLink.so.12 libnvJitLink.so.13 libcufile.so.0 libcusparseLt.so.0 libgomp.so.1
    libiomp5.so libomp.so.5 libstdc++.so.6 libnuma.so.1 libibverbs.so.1 libmpi.so.40 libamdhip64.so.6
    libamdhip64.so.7 libhsa-runtime64.so.1 libroctx64.so.4 libze_loader.so.1 libsycl.so.8 libvulkan.so.1
    libOpenCL.so.1 libGL.so.1 libtcmalloc_minimal.so.4 libopenblas.so.0
"""
SONAMES = tuple(_SONAMES_TEXT.split())
_NAMED = re.compile(r"(?:gcc|g\+\+|clang|clang\+\+)-(\d{1,2}(?:\.\d{1,2}){0,2})$")
_NVCC_JSON = re.compile(r'"(?:cuda_nvcc|nvcc)"\s*:\s*\{[^}]*"version"\s*:\s*"([\d.]{3,20})"')
_CUDA_JSON = re.compile(r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"([\d.]{3,20})"')


Answer = dict[str, Any]
Later = Callable[[], Answer]
"""What only a program can tell: it is started once all of them are known, beside the others."""


def collect(host: Host) -> Evidence:
    """Looks along PATH, CUDA_HOME and `/usr/local/cuda*`; runs at most gcc, g++, ninja, nvcc and ptxas."""
    layout = _interpreter.find(host)
    loader = Loader(host)
    libraries = {name: loader.version(path, name) for name in SONAMES if (path := loader.find(name))}
    programs: dict[str, Answer | Later] = {
        "gcc": _compiler(host, "CC", "gcc"),
        "gxx": _compiler(host, "CXX", "g++"),
        "cmake": _cmake(host),
        "ninja": _program(host, "ninja", "--version", ("ninja-build",)),
        "cuda": _toolkit(host),
        "triton_ptxas": _triton_ptxas(host, layout),
    }
    told = {name: answer for name, answer in programs.items() if isinstance(answer, dict)}
    asked = together({name: answer for name, answer in programs.items() if not isinstance(answer, dict)})
    return {
        **told,
        **asked,
        "headers": _headers(host, layout),
        "openmp": _openmp(host),
        "libraries": libraries,
    }


def _compiler(host: Host, variable: str, program: str) -> Answer | Later:
    """The compiler that builds take: the variable's, else the usual name on PATH."""
    named = host.env.get(variable, "").split(" ")[0]
    path = (
        (named if named.startswith("/") and host.exists(named) else host.which(named)) if named else host.which(program)
    )
    if not path:
        return {"found": False, "from": variable if named else "PATH"}
    real = host.real_path(path).rsplit("/", 1)[-1]
    number = _NAMED.search(real)
    # x86_64-linux-gnu-gcc-12 is a file of Debian's package gcc-12, whose version is the compiler's.
    owner = re.sub(r"^[\w-]*-linux-gnu\w*-", "", real)
    if number and (version := _dpkg.version(host, path.rsplit("/", 1)[-1], (owner,))):
        return {"found": True, "version": version, "by": "dpkg"}
    by_name = {"found": True, "version": number.group(1) if number else "", "by": "name"}
    return partial(_ask_compiler, host, path, by_name) if host.level >= 1 else by_name


def _ask_compiler(host: Host, path: str, by_name: Answer) -> Answer:
    done = host.run([path, "-dumpfullversion", "-dumpversion"])
    if done.ok and (version := first_version(done.out) or done.out.strip()[:10]):
        return {"found": True, "version": version, "by": "run"}
    return by_name if by_name["version"] else {**by_name, "failure": done.failure}


def _headers(host: Host, layout: _interpreter.Layout) -> bool | None:
    """Whether `Python.h` of the target's version is there; None where the version is not known."""
    short = ".".join(layout.version.split(".")[:2])
    if not short:
        return None
    places = [
        f"{layout.base}/include/python{short}",
        f"{layout.base}/include",
        f"/usr/include/python{short}",
        f"{layout.base}/Include",
    ]
    return any(host.exists(f"{place}/Python.h") for place in places)


def _openmp(host: Host) -> bool:
    """Whether some installed gcc has OpenMP's header."""
    triples = (f"/usr/lib/gcc/{triple}" for triple in host.names("/usr/lib/gcc"))
    return any(host.exists(f"{triple}/{n}/include/omp.h") for triple in triples for n in host.names(triple))


def _cmake(host: Host) -> Answer | Later:
    """CMake's version stands in the name of its folder of modules ("share/cmake-3.25")."""
    path = host.which("cmake")
    if not path:
        return {"found": False}
    real = host.real_path(path).rsplit("/", 2)[0]
    for name in host.names(f"{real}/share"):
        if found := re.fullmatch(r"cmake-(\d+\.\d+)", name):
            return {"found": True, "version": found.group(1), "by": "name"}
    return _program(host, "cmake", "--version", ("cmake",))


def _program(host: Host, program: str, argument: str, packages: tuple[str, ...]) -> Answer | Later:
    path = host.which(program)
    if not path:
        return {"found": False}
    if version := _dpkg.version(host, program, packages):
        return {"found": True, "version": version, "by": "dpkg"}
    if host.level < 1:
        return {"found": True, "version": ""}
    return partial(_ask_program, host, [path, argument], first_version)


def _ask_program(host: Host, argv: list[str], read: Callable[[str], str | None]) -> Answer:
    done = host.run(argv)
    version = read(done.out + "\n" + done.err) or ""
    return {"found": True, "version": version, "by": "run", "failure": done.failure}


def _release(printed: str) -> str | None:
    """The version that nvcc and ptxas print ("Cuda compilation tools, release 12.4, V12.4.131")."""
    found = re.search(r"release [\d.]+, V(\d+\.\d+\.\d+)", printed)
    return found.group(1) if found else None


def _toolkit(host: Host) -> Answer | Later:
    """The CUDA toolkit that a build would take: CUDA_HOME, then nvcc on PATH, then `/usr/local/cuda`."""
    homes = [(name, host.env.get(name, "")) for name in ("CUDA_HOME", "CUDA_PATH")]
    found = host.which("nvcc")
    homes += [("PATH", _behind_script(host, found).rsplit("/", 2)[0])] if found else []
    homes += [("/usr/local", "/usr/local/cuda")]
    others = [name.removeprefix("cuda-") for name in host.names("/usr/local") if re.fullmatch(r"cuda-\d+\.\d+", name)]
    for origin, home in homes:
        if home and host.exists(f"{home}/bin/nvcc"):
            version, by = _toolkit_version(host, home)
            ptxas = host.exists(f"{home}/bin/ptxas")
            known = {"found": True, "from": origin, "version": version, "by": by, "ptxas": ptxas, "others": others}
            return known if version or host.level < 1 else partial(_ask_nvcc, host, f"{home}/bin/nvcc", known)
    return {"found": False, "others": others, "stated": next((name for name, home in homes[:2] if home), "")}


def _behind_script(host: Host, nvcc: str) -> str:
    """The real nvcc: distributions put a two-line script on PATH that starts the one in the toolkit's folder."""
    real = host.real_path(nvcc)
    script = re.search(r"^\s*exec\s+[\"']?(/[\w./+-]{1,200}/bin/nvcc)\b", host.read(real, 2048) or "", re.MULTILINE)
    return host.real_path(script.group(1)) if script else real


def _ask_nvcc(host: Host, nvcc: str, known: Answer) -> Answer:
    return {**known, **_ask_program(host, [nvcc, "--version"], _release)}


def _toolkit_version(host: Host, home: str) -> tuple[str, str]:
    content = host.read(f"{home}/version.json", 65536) or ""
    if found := _NVCC_JSON.search(content) or _CUDA_JSON.search(content):
        return found.group(1), "version.json"
    if found := re.search(r"CUDA Version (\d+\.\d+(?:\.\d+)?)", host.read(f"{home}/version.txt", 1000) or ""):
        return found.group(1), "version.txt"
    # 1000 major + 10 minor: cuda.h, CUDA_VERSION.
    if found := re.search(r"#define CUDA_VERSION (\d{4,6})\b", host.read(f"{home}/include/cuda.h", 65536) or ""):
        number = int(found.group(1))
        return f"{number // 1000}.{number % 1000 // 10}", "cuda.h"
    return "", ""


def _triton_ptxas(host: Host, layout: _interpreter.Layout) -> Answer | Later:
    """The assembler inside the triton wheel; it decides whether JIT kernels can be made for this GPU."""
    stated = host.env.get("TRITON_PTXAS_PATH", "")
    paths = [stated] if stated.startswith("/") else []
    paths += [f"{folder}/triton/backends/nvidia/bin/ptxas" for folder in layout.folders]
    path = next((path for path in paths if host.exists(path)), None)
    if path is None:
        return {"found": False}
    if host.level < 1 or not host.is_real:
        return {"found": True, "version": ""}
    return partial(_ask_program, host, [path, "--version"], _release)


def parse(evidence: Evidence) -> Toolchain:
    """Versions of what was found; absent where it was looked for and is not there."""
    seen = table(evidence)
    cuda = table(seen.get("cuda"))
    libraries = {k: v for k, value in table(seen.get("libraries")).items() if k in SONAMES and (v := text(value, 40))}
    read = isinstance(seen.get("libraries"), dict)
    nvcc = _found(cuda, "PATH, CUDA_HOME, /usr/local/cuda")
    ptxas = Absent(source="toolkit") if cuda.get("ptxas") is not True else nvcc
    return Toolchain(
        gcc=_found(table(seen.get("gcc")), "PATH"),
        gxx=_found(table(seen.get("gxx")), "PATH"),
        python_headers=present(
            "Python.h", flag(seen.get("headers")), "the version of the target interpreter is not known"
        ),
        openmp=present("omp.h", flag(seen.get("openmp")), "nobody looked for omp.h"),
        cmake=_found(table(seen.get("cmake")), "PATH"),
        ninja=_found(table(seen.get("ninja")), "PATH"),
        nvcc=nvcc,
        toolkits=_toolkits(cuda),
        ptxas=ptxas if cuda else nvcc,
        triton_ptxas=_found(table(seen.get("triton_ptxas")), "triton wheel"),
        cudnn=_library(libraries, read, ("libcudnn.so.9", "libcudnn.so.8")),
        nccl=_library(libraries, read, ("libnccl.so.2",)),
        libraries=Known(value=libraries, source="ld.so.cache, LD_LIBRARY_PATH")
        if read
        else Unknown(why="the loader's cache was not read"),
    )


def _toolkits(cuda: dict[str, Any]) -> TextsFact:
    """All toolkits of `/usr/local`, and the one found elsewhere; 12.4 and 12.4.131 are one."""
    if not cuda:
        return Unknown(why="nobody looked for CUDA toolkits")
    version, others = text(cuda.get("version"), 40), texts(cuda.get("others"))
    own = [version] if version and ".".join(version.split(".")[:2]) not in others else []
    source = "/usr/local, PATH, CUDA_HOME"
    return Known(value=tuple(sorted({*others, *own})), source=source) if others or own else Absent(source=source)


def _found(program: dict[str, Any], source: str) -> TextFact:
    if flag(program.get("found")) is None:
        return Unknown(why="nobody looked for it")
    if not program["found"]:
        return Absent(source=source)
    by = {"run": "--version", "name": "file name"}.get(str(program.get("by")), text(program.get("by"), 20) or source)
    late = program.get("failure") == "timeout"
    why = (
        "it is installed and did not answer within the limit" if late else "it is installed and did not say its version"
    )
    return pick([(by, text(program.get("version"), 40))], why)


def _library(libraries: dict[str, str], read: bool, names: tuple[str, ...]) -> TextFact:
    """A library's version by its file name; a bare soname gives its major version."""
    for name in names:
        if name in libraries:
            value = libraries[name]
            return Known(
                value=name.partition(".so.")[2] if value == "present" else value, source="ld.so.cache, LD_LIBRARY_PATH"
            )
    return Absent(source="ld.so.cache, LD_LIBRARY_PATH") if read else Unknown(why="the loader's cache was not read")


PROBE = Probe(section="toolchain", collect=collect, parse=parse, waits=True)
