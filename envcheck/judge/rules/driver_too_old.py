"""The NVIDIA driver is older than what the binaries, their PTX or the container image need.

Minor-version compatibility: a CUDA 12 runtime starts from driver 525.60.13 on, so a lower *minor* is no fault
by itself; PTX is the exception, because the driver's own compiler must know it. A driver below the floor of its CUDA
major is a fault unless CUDA is seen to work, which means that a forward-compatibility library is in use.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from envcheck.judge import tables, versions
from envcheck.judge.driver_install import how
from envcheck.judge.rows import load
from envcheck.judge.rule import Case, Rule, quoted, remedy_of, spoken
from envcheck.judge.rules._common import finding, quotes, windows
from envcheck.judge.rules._images import images
from envcheck.judge.rules._matrix import compiled_for, release_of
from envcheck.judge.rules._ollama import cuda_level, driver_floor
from envcheck.judge.tables import kernels_serve
from envcheck.judge.versions import dotted, version
from envcheck.schema.facts import text_of, value_of
from envcheck.schema.gaps import KernelGaps
from envcheck.schema.verdict import Finding, Quote, Remedy

CAUSE = "driver_too_old"


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the driver against the CUDA runtime of torch, then against what Ollama needs."""
    for found in _found(case):
        yield msgspec.structs.replace(found, remedy=_remedy(case))


def _remedy(case: Case) -> Remedy:
    """The cause's remedy, with how a driver is installed on this system."""
    remedy = remedy_of(CAUSE)
    return msgspec.structs.replace(remedy, says=f"{remedy.says} A driver is installed {how(case.snapshot)}.")


def _found(case: Case) -> Iterator[Finding]:
    yield from spoken(case, CAUSE)
    if case.torch.cuda and case.torch.accelerator == "cuda":
        yield from _runtime(case, dotted(case.torch.cuda[:2]))
    elif not case.torch.label and next(iter(images(case)), None) is None:
        yield from _release(case)
        yield from _any_build(case)
    yield from _image(case)
    yield from _toolkit(case)
    yield from _compressed(case)
    yield from _ollama(case)


def _any_build(case: Case) -> Iterator[Finding]:
    """No torch is shown: a driver below the floor of CUDA 12, with which the default builds of torch come since 2.1."""
    nvidia = case.snapshot.nvidia
    driver, level = value_of(nvidia.driver), value_of(nvidia.cuda_driver)
    row = next((row for row in reversed(tables.torch_wheels().release) if row.pypi == "cu121"), None)
    if case.backend not in ("", "transformers") or not (driver or level) or row is None:
        return
    served = tables.serving(row.pypi_cuda, driver=driver, cuda_driver=None if driver else level, windows=windows(case))
    if served.runs is False:
        fact = nvidia.driver if driver else nvidia.cuda_driver
        says = f"The driver is {text_of(fact)}; torch from {row.line} on needs {served.needs} by default."
        yield finding(CAUSE, "warning", says, case.quote("driver", fact), confidence="possible")


def _compressed(case: Case) -> Iterator[Finding]:
    """Drivers before 550 cannot unpack the compressed machine code of CUDA 12.4 and later, and call it invalid.

    https://github.com/ollama/ollama/blob/main/discover/cuda_compat.go
    """
    fact = case.snapshot.nvidia.driver
    have = version(value_of(fact))
    lines = list(case.paste.having("device kernel image is invalid"))
    if lines and have and have < _UNPACKS:
        says = f"Driver {dotted(have)} calls a kernel image invalid: compressed code of CUDA 12.4 and later needs 550."
        yield finding(CAUSE, "blocker", says, quoted(lines[0]), case.quote("driver", fact))


_UNPACKS = (550,)


def _release(case: Case) -> Iterator[Finding]:
    """A backend whose torch nobody shows: the CUDA of the wheels that its release brings along by default."""
    row = release_of(case, case.backend)
    digits = (row.variant or "").removeprefix("cu") if row else ""
    if row is None or not digits.isdigit() or not case.nvidia:
        return
    runtime = f"{digits[:-1]}.{digits[-1]}"
    nvidia = case.snapshot.nvidia
    driver, level = value_of(nvidia.driver), value_of(nvidia.cuda_driver)
    served = tables.serving(runtime, driver=driver, cuda_driver=None if driver else level, windows=windows(case))
    if served.runs is False:
        fact = nvidia.driver if driver else nvidia.cuda_driver
        says = (
            f"Wheels of {case.backend} since {row.version} come with CUDA {runtime}, which needs a driver of at least "
        )
        says += f"{served.needs}; here it is {text_of(fact)}."
        yield finding(CAUSE, "warning", says, case.quote("driver", fact), confidence="likely")


def _image(case: Case) -> Iterator[Finding]:
    """An image brings its CUDA runtime, never its driver; a compatibility library in it helps data-center GPUs only.

    https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html
    """
    nvidia = case.snapshot.nvidia
    driver, level = value_of(nvidia.driver), value_of(nvidia.cuda_driver)
    fact = nvidia.driver if driver else nvidia.cuda_driver
    consumer = any("geforce" in d.name.lower() or " gtx" in d.name.lower() for d in case.nvidia)
    for image in images(case):
        served = tables.serving(image.cuda, driver=driver, cuda_driver=None if driver else level, windows=windows(case))
        if served.runs is False or (served.in_full is False and consumer):
            says = f"The image {image.name} is built on CUDA {image.cuda}; the driver is {text_of(fact)}."
            blocks = served.runs is False and consumer
            yield finding(
                CAUSE, "blocker" if blocks else "warning", says, quoted(image.line), case.quote("driver", fact)
            )
            return


def _toolkit(case: Case) -> Iterator[Finding]:
    """What is compiled here carries the runtime of this toolkit, which the driver must serve like any other."""
    nvcc = value_of(case.snapshot.toolchain.nvcc)
    built = [line for word in _BUILDS for line in case.paste.having(word)]
    if not nvcc or not (built or case.backend == "llama.cpp"):
        return
    nvidia = case.snapshot.nvidia
    driver, level = value_of(nvidia.driver), value_of(nvidia.cuda_driver)
    served = tables.serving(nvcc, driver=driver, cuda_driver=None if driver else level, windows=windows(case))
    fact = nvidia.driver if driver else nvidia.cuda_driver
    if served.runs is not False and served.in_full is not False:
        return
    says = f"Code is compiled with CUDA {nvcc}; the driver is {text_of(fact)} and serves it "
    says += "not at all." if served.runs is False else "only in part: its PTX is refused."
    evidence = quotes(case.quote("toolkit", case.snapshot.toolchain.nvcc), case.quote("driver", fact))
    if served.runs is False:
        yield finding(CAUSE, "blocker", says, *evidence, confidence="likely")
    else:
        yield finding(CAUSE, "warning", says, *evidence, confidence="possible")


_BUILDS = (
    "-dggml_cuda",
    "-dllama_cublas",
    "llama_cublas=",
    "ggml_cuda=",
    "cmake_args",
    "setup.py install",
    "setup.py build",
    "pip install -e",
    "pip install .",
    "--no-build-isolation",
    "building wheel for",
)
"""What people type, and pip says, when something is compiled on the spot."""


def _runtime(case: Case, runtime: str) -> Iterator[Finding]:
    nvidia = case.snapshot.nvidia
    driver, level = value_of(nvidia.driver), value_of(nvidia.cuda_driver)
    served = tables.serving(runtime, driver=driver, cuda_driver=None if driver else level, windows=windows(case))
    fact = nvidia.driver if driver else nvidia.cuda_driver
    evidence = quotes(case.quote("driver", fact), case.quote("torch CUDA", case.torch.cuda_fact))
    if served.runs is False and case.torch.available is not True:
        says = f"torch needs CUDA {runtime} and so a driver of at least {served.needs}; here it is {text_of(fact)}."
        yield finding(CAUSE, "blocker", says, *evidence, confidence="certain")
    elif served.runs is False:
        says = (
            f"The driver is below the floor of CUDA {runtime} and CUDA still starts: a compatibility library is in use."
        )
        yield finding(CAUSE, "info", says, *evidence, confidence="possible")
    elif served.in_full is False:
        yield _in_part(case, runtime, evidence)


def _in_part(case: Case, runtime: str, evidence: tuple[Quote, ...]) -> Finding:
    """Machine code runs; PTX, of the backend or of torch for a GPU that it has no machine code for, does not."""
    says = f"The driver serves CUDA {runtime} only in part: kernels shipped as PTX will be refused."
    kernels, ptx = compiled_for(case)
    by_ptx = ptx and any(
        device.capability and kernels_serve(dotted(device.capability[:2]), kernels) is False for device in case.nvidia
    )
    torch = dotted(case.torch.release or ())
    rows = load("kernel_gaps", KernelGaps).ptx
    backend = any(row.backend == case.backend and versions.within(torch, row.torch) for row in rows)
    return finding(CAUSE, "warning" if by_ptx or backend else "info", says, *evidence, confidence="possible")


def _ollama(case: Case) -> Iterator[Finding]:
    """The driver, or the CUDA level that Ollama's log prints for it, against what this Ollama needs for each GPU."""
    nvidia = case.snapshot.nvidia
    have, level = version(value_of(nvidia.driver)), version(value_of(nvidia.cuda_driver))
    for device in (case.nvidia or (None,)) if case.backend == "ollama" else ():
        floor = driver_floor(case, device)
        if floor is None:
            continue
        needs = version(floor if have else cuda_level(floor))
        below = needs is not None and ((have or level or needs) < needs)
        if below:
            told = f"Driver {dotted(have)}" if have else f"The driver serves CUDA {dotted(level or ())} and"
            says = (
                f"{told} is older than {floor}, which this Ollama needs for {device.name if device else 'NVIDIA GPUs'}."
            )
            fact = nvidia.driver if have else nvidia.cuda_driver
            yield finding(CAUSE, "warning", says, case.quote("driver", fact), confidence="likely")
            return


RULE = Rule(
    cause=CAUSE,
    link="driver",
    judge=judge,
    explains=("driver_stack_not_ready", "cpu_only_build", "shared_library_missing", "gpu_arch_not_in_build"),
)
