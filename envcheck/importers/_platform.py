"""What `platform.platform()` says: "Linux-5.15.0-91-generic-x86_64-with-glibc2.35"."""

from __future__ import annotations

from envcheck.importers._draft import Draft
from envcheck.schema.paste import Line


def read_platform(draft: Draft, value: str, line: Line) -> None:
    """Note the system, machine, kernel, glibc and WSL that the string names."""
    lower = value.lower()
    family = "windows" if lower.startswith("windows") else "macos" if lower.startswith("mac") else "linux"
    draft.put("os.family", family, line)
    for arch in ("x86_64", "aarch64", "arm64", "ppc64le"):
        if arch in lower:
            draft.put("os.arch", arch, line)
    if "microsoft" in lower:
        draft.put("os.wsl", True, line)
    if "glibc" in lower:
        draft.put("os.glibc", lower.rpartition("glibc")[2], line)
    draft.put("os.kernel", value, line)
