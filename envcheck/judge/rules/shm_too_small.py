"""`/dev/shm` is too small for NCCL or worker processes."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "shm_too_small"
REMEDY = Remedy(says="Give the container more shared memory.", commands=("docker run --ipc=host …", "docker run --shm-size=16g …"), risk="restart")
SIGNS = (
    Sign("/dev/shm", "Shared memory is too small.", r"(?:no space left|too small|insufficient|not enough|error while (?:creating|attaching) shared memory|fail|unable|size|only).{0,160}/dev/shm|/dev/shm.{0,120}(?:no space left|too small|insufficient|not enough|fail|unable|increase|has only|could not|No such)", confidence="certain", unless=("tmpfs  ",)),
    Sign("bus error", "A process read shared memory that could not be backed.", r"bus error.{0,80}(?:shm|shared memory|insufficient)|shared memory.{0,40}bus error"),
    Sign("bus error", "A process died of a bus error, usually of shared memory that is too small.", r"bus error", confidence="likely"),
    Sign("sigbus", "A process died of a bus error, usually of shared memory that is too small.", confidence="likely"),
    Sign("shared memory", "Shared memory is too small.", r"(?:insufficient|not enough|out of|too small|increase).{0,40}shared memory(?! \(shm\) segments)|shared memory.{0,60}(?:insufficient|too small|not enough|limit)", confidence="likely", unless=("triton", "out of resource", "hardware limit", "outofresources", "smem", "per block", "kernel", "cuda shared")),
    Sign("error while creating shared memory segment", "NCCL cannot create its shared memory.", confidence="certain"),
    Sign("error while attaching to shared memory segment", "NCCL cannot open its shared memory.", confidence="likely"),
    Sign("shm-size", "The container's shared memory is too small.", r"increase|too small|use|set|try|--shm-size", severity="warning", confidence="possible", unless=("docker run",)),
    Sign("dataloader worker", "A worker process died of a bus error.", r"bus error|shared memory|shm"),
    Sign("unable to open shared memory object", "A worker cannot open shared memory.", confidence="likely"),
    Sign("unable to mmap", "A worker cannot map shared memory.", r"/torch_|shm|shared"),
    Sign("shm_open", "A worker cannot open shared memory.", r"fail|error|no space", confidence="likely"),
    Sign("object_store_memory", "Ray's object store is larger than shared memory.", r"/dev/shm|shm|exceed", severity="warning", confidence="likely"),
)  # fmt: skip
_DOCKER_DEFAULT_MIB = 64
_WANTED_MIB = 1024


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the size that was read, where several processes will share it."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    fact = case.snapshot.memory.shm_total_mib
    size = value_of(fact)
    parallel = case.option("tensor_parallel_size") or "1"
    several = parallel.isdigit() and int(parallel) > 1
    if size is not None and size < _WANTED_MIB and case.backend in ("vllm", "sglang", "tensorrt-llm", ""):
        tight = size <= _DOCKER_DEFAULT_MIB and several
        yield Finding(cause=CAUSE, severity="blocker" if tight else "warning", says=f"/dev/shm has {size} MiB; worker processes and NCCL want at least {_WANTED_MIB}.", evidence=quotes(case.quote("/dev/shm", fact)), remedy=REMEDY, confidence="likely")


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("host_resources_insufficient",))
