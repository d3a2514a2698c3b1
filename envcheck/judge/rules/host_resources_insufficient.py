"""RAM, swap or disk are too small."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "host_resources_insufficient"
REMEDY = Remedy(says="Give the machine, virtual machine or container more memory, swap or disk, or take a smaller model.", commands=("free -h", "df -h"))
SIGNS = (
    Sign("model requires more system memory", "The model needs more memory than the system has free."),
    Sign("requires more system memory", "The model needs more memory than the system has free."),
    Sign("no space left on device", "A disk is full.", unless=("shm", "/dev/shm")),
    Sign("not enough free disk space", "A disk is full.", confidence="likely"),
    Sign("not enough disk space", "A disk is full.", confidence="likely"),
    Sign("disk quota exceeded", "The disk quota is used up."),
    Sign("oserror: [errno 28]", "A disk is full.", unless=("shm",)),
    Sign("cannot allocate memory", "Main memory is used up.", r"cannot allocate memory(?! in static tls)", confidence="likely"),
    Sign("out of memory: killed process", "The kernel killed a process because main memory was used up."),
    Sign("oom-kill", "The kernel killed a process because main memory was used up."),
    Sign("oom-killer", "The kernel killed a process because main memory was used up."),
    Sign("oomkilled", "The container was killed because its memory limit was reached."),
    Sign("exit code 137", "A process was killed, usually because main memory was used up.", confidence="likely"),
    Sign("exitcode: -9", "A process was killed, usually because main memory was used up.", confidence="likely"),
    Sign("signal: killed", "A process was killed, usually because main memory was used up.", confidence="likely"),
    Sign("killed", "A process was killed, usually because main memory was used up.", r"^\W{0,4}(?:\S{1,60}: line \d+: +\d+ )?killed\W{0,4}(?:$|\s{2,}|python|\./|llama|vllm|ollama)|\bkilled \(core|memory.{0,40}killed|killed.{0,30}(?:memory|oom)", confidence="likely"),
    Sign("defaultcpuallocator", "Main memory is used up.", r"can't allocate memory|not enough memory|alloc"),
    Sign("memoryerror", "Main memory is used up.", r"memoryerror(?::|$)", confidence="likely", unless=("outofmemoryerror", "cuda")),
    Sign("std::bad_alloc", "Main memory is used up.", confidence="likely"),
    Sign("paging file is too small", "Windows' paging file is too small."),
    Sign("winerror 1455", "Windows' paging file is too small."),
    Sign("workers killed due to memory pressure", "Ray killed workers because main memory was used up.", confidence="likely"),
    Sign("raylet) node", "Ray killed workers because main memory was used up.", r"memory"),
    Sign("too large swap space", "The swap space asked for exceeds main memory."),
    Sign("the total cpu memory allocated", "The swap space asked for exceeds main memory.", r"swap|out of the", confidence="likely"),
    Sign("possibly too large swap space", "The swap space asked for is a large part of main memory.", severity="warning", confidence="possible"),
    Sign("gib out of the", "The swap space asked for exceeds main memory.", r"cpu memory|swap", confidence="likely"),
    Sign("cpu_buffer_type_alloc_buffer: failed", "Main memory is too small for the buffer.", confidence="possible"),
    Sign("unable to allocate cpu", "Main memory is too small for the buffer.", confidence="likely"),
    Sign("ggml_aligned_malloc", "Main memory is too small for the buffer.", r"insufficient memory|attempted"),
    Sign("failed to mlock", "The model cannot be locked in main memory.", severity="info", confidence="possible"),
    Sign("mmap failed", "The model's file cannot be mapped: too little main memory or address space.", confidence="likely"),
    Sign("mapviewoffile failed", "The model's file cannot be mapped: too little main memory or address space.", confidence="likely"),
    Sign("createfilemappinga failed", "The model's file cannot be mapped.", confidence="likely"),
    Sign("bad file descriptor: too many open files", "The limit of open files is too low.", severity="warning"),
    Sign("too many open files", "The limit of open files is too low.", confidence="likely"),
    Sign("resource temporarily unavailable", "A limit of threads or processes is reached.", r"thread|fork|libgomp|openblas|blas|pthread|resource temporarily unavailable", confidence="likely", unless=("connection", "accept")),
    Sign("pthread_create failed", "A limit of threads or processes is reached.", confidence="likely"),
    Sign("can't start new thread", "A limit of threads or processes is reached.", confidence="likely"),
    Sign("insufficient memory", "Kubernetes has no node with enough memory.", r"insufficient (?:memory|ephemeral-storage)(?! \(0000)", severity="warning", confidence="likely"),
    Sign("insufficient ephemeral-storage", "Kubernetes has no node with enough disk."),
    Sign("unable to allocate", "Main memory is too small for an array.", r"unable to allocate \d+(?:\.\d+)? [GM]iB for an array"),
    Sign("unlimited amount of locked memory", "The limit of locked memory is too low.", severity="info", confidence="possible"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs; whether a model fits in RAM is worked out by `fit`."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)


RULE = Rule(cause=CAUSE, link="model", judge=judge)
