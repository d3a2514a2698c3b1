"""The host's GPU works, the container has no access to it, or lost it."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.schema.facts import Absent, Known
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "container_gpu_not_exposed"
REMEDY = Remedy(
    says="Install and register the NVIDIA Container Toolkit and start the container with the GPU.",
    commands=("nvidia-ctk runtime configure --runtime=docker", "systemctl restart docker", "docker run --rm --gpus all ubuntu nvidia-smi"),
    risk="restart",
    needs_root=True,
)
SIGNS = (
    Sign("could not select device driver", "Docker has no runtime that can hand out GPUs: the NVIDIA Container Toolkit is missing.", r"gpu|could not select device driver \"\"|nvidia"),
    Sign("unknown or invalid runtime name: nvidia", "Docker does not know the nvidia runtime."),
    Sign("unknown runtime specified nvidia", "Docker does not know the nvidia runtime."),
    Sign("nvidia-container-runtime\": executable file not found", "The nvidia runtime is configured and not installed."),
    Sign("nvidia-container-runtime: no such file", "The nvidia runtime is configured and not installed."),
    Sign("nvidia-container-runtime-hook", "The container hook is missing.", r"not found|no such file"),
    Sign("unresolvable cdi devices", "The CDI specification does not know the device."),
    Sign("cdi device injection failed", "The CDI specification does not know the device."),
    Sign("failed to inject cdi devices", "The CDI specification does not know the device."),
    Sign("nvidia driver was not detected", "The image's entry point finds no GPU in the container."),
    Sign("use the nvidia container toolkit to start this container with gpu support", "The image's entry point finds no GPU in the container."),
    Sign("nvidia-container-cli: initialization error", "The container toolkit cannot reach the driver.", unless=("driver/library version mismatch", "driver not loaded", "nvml error: driver not loaded")),
    Sign("nvidia-container-cli: mount error", "The container toolkit cannot mount the driver's files."),
    Sign("nvidia-container-cli: ldcache error", "The container toolkit cannot run ldconfig.", confidence="likely"),
    Sign("nvidia-container-cli: device error", "The container toolkit does not know the requested device.", confidence="likely"),
    Sign("nvidia-container-cli: container error", "The container toolkit cannot give the container its device rules.", confidence="likely"),
    Sign("failed to initialize nvml: unknown error", "A container that had a GPU lost its device rules (systemd reloaded its control groups).", confidence="likely"),
    Sign("auto-detected mode as 'legacy'", "The container toolkit's hook failed.", severity="info", confidence="possible"),
    Sign("bpf_prog_query", "The container toolkit cannot read the device rules of the control group.", r"bpf_prog_query.{0,40}failed"),
    Sign("failed to get device cgroup", "The container toolkit cannot read the device rules of the control group."),
    Sign("no adapters found running docker", "The GPU is not visible to containers (WSL)."),
    Sign("error gathering device information while adding custom device", "The device node that the container asks for does not exist on the host."),
    Sign("docker: error response from daemon: linux runtime spec devices", "The device node that the container asks for does not exist on the host."),
    Sign("--gpus", "The container was started without a GPU.", r"(?:missing|without|forgot|did not|add) .{0,30}--gpus", severity="warning", confidence="likely"),
    Sign("libnvidia-ml.so", "NVML is not in the container.", r"(?:ollama|container|docker).{0,120}libnvidia-ml", severity="warning", confidence="possible"),
    Sign("nvidia-smi: command not found", "nvidia-smi is not in the container or not installed.", severity="warning", confidence="possible"),
    Sign("\"nvidia-smi\": executable file not found", "The driver's files were not mounted into the container."),
    Sign("no runtime class", "Kubernetes has no nvidia runtime class.", confidence="likely"),
    Sign("insufficient nvidia.com/gpu", "Kubernetes has no free GPU for the pod.", confidence="likely"),
    Sign("runtimeclass.node.k8s.io \"nvidia\" not found", "Kubernetes has no nvidia runtime class."),
    Sign("detected nvml platform not found", "The device plug-in finds no driver in its container.", confidence="likely"),
    Sign("incompatible platform detected", "The Kubernetes device plug-in finds no NVIDIA runtime.", confidence="likely"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then `docker info` without an nvidia runtime beside a working driver, then a container without devices."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    containers = case.snapshot.containers
    driver = case.snapshot.nvidia.driver
    if isinstance(containers.nvidia_container_toolkit, Absent) and (case.nvidia or isinstance(driver, Known)):
        yield Finding(
            cause=CAUSE,
            severity="warning",
            says="Docker knows no nvidia runtime, so no container can use the GPU.",
            evidence=quotes(case.quote("runtimes", containers.nvidia_container_toolkit)),
            remedy=REMEDY,
            confidence="likely",
        )


RULE = Rule(cause=CAUSE, link="device", judge=judge, explains=("cpu_only_build", "shared_library_missing", "driver_stack_not_ready"))
