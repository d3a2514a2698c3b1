"""The vocabulary of root causes: what a verdict or a finding may name as its cause."""

from __future__ import annotations

CAUSES: tuple[str, ...] = (
    # driver and device visibility
    "driver_too_old",
    "driver_userspace_mismatch",
    "driver_stack_not_ready",
    "container_gpu_not_exposed",
    "device_permission_denied",
    "visible_devices_misconfigured",
    "parallel_size_exceeds_gpus",
    "gpu_hardware_fault",
    # GPU generation
    "gpu_arch_not_in_build",
    "gpu_below_backend_minimum",
    "rocm_gfx_not_supported",
    "dtype_unsupported_on_gpu",
    "attention_kernel_unsupported_on_gpu",
    "quant_unsupported_on_device",
    # Python packages and binaries
    "accelerator_wheel_mismatch",
    "cpu_only_build",
    "torch_extension_abi_mismatch",
    "torch_family_version_mismatch",
    "numpy_abi_mismatch",
    "dependency_version_conflict",
    "dependency_missing",
    "backend_too_old_for_model",
    "python_version_unsupported",
    # host
    "os_or_arch_unsupported",
    "glibc_too_old",
    "shared_library_missing",
    "build_toolchain_missing",
    "build_toolchain_incompatible",
    "cpu_isa_missing",
    # capacity and interconnect
    "gpu_memory_insufficient",
    "kv_cache_memory_insufficient",
    "gpu_memory_in_use",
    "host_resources_insufficient",
    "shm_too_small",
    "p2p_or_iommu_fault",
)
