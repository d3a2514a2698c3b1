"""Small host commands: `uname`, os-release, `ldd --version`, `nvcc`, `gcc`, `docker info`, `df` and `free`."""

from __future__ import annotations

import re

from envcheck.hardware import find
from envcheck.importers._draft import Draft, Importer, mib
from envcheck.importers._products import maker_of, product_in
from envcheck.schema.paste import Line, Paste

_NVCC = re.compile(r"cuda compilation tools, release (\d{1,2}\.\d{1,2})", re.IGNORECASE)
_NVCC_SAID = re.compile(r"\bnvcc(?: version)?\s{0,3}[:=]?\s{0,3}v?(\d{1,2}\.\d{1,2})\b", re.IGNORECASE)
_TOOLKIT = re.compile(
    r"(?:Found CUDAToolkit|CUDA compiler identification is NVIDIA|Build cuda_)\D{0,80}?(\d{1,2}\.\d{1,2})"
)
_GCC = re.compile(
    r"(?:gcc|g\+\+|cc) (?:version:? {1,4}|\([^)]{1,80}\) )(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)", re.IGNORECASE
)
_GNU = re.compile(r"C(?:XX)? compiler identification is GNU (\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)", re.IGNORECASE)
_GLIBC = re.compile(
    r"(?:glibc[- ]|GNU libc\)\s|libc6?`? {0,2}(?:version)?`? {0,2}(?:is|[:=])? {0,2})(\d\.\d{1,2})\b", re.IGNORECASE
)
_KERNEL_MODULE = re.compile(r"(?:kernel module|nvrm version).{0,80}?\b(\d{3}\.\d{1,3}(?:\.\d{1,3})?)\b", re.IGNORECASE)
_DRIVER = re.compile(
    r"(?:nvidia )?(?:driver|nvidia-smi)(?: version)?\s*(?:[:=]|is|v)?\s*(\d{3}\.\d{1,3}(?:\.\d{1,3})?)\b", re.IGNORECASE
)
_UNAME = re.compile(r"^\W{0,3}Linux \S{1,80} (\d\S{2,80}) .{0,200}?\b(x86_64|aarch64)\b")
_PRETTY = re.compile(r"(?:PRETTY_NAME|DISTRIB_DESCRIPTION|Operating System)\s*[=:]\s*\"?([^\"\n]{3,80})", re.IGNORECASE)
_OS = re.compile(r"^[\s>*#-]{0,6}OS(?: version)?\s*[:=]\s*(.{3,80})$", re.IGNORECASE)
_BARE_OS = re.compile(
    r"^[\s>*#`-]{0,6}(?:OS|system|platform|host)?\s*[:=]?\s*`?((?:windows|ubuntu|debian|centos|rhel"
    r"|fedora|rocky|alma|macos|mac os|arch linux|opensuse|red hat|kylin)"
    r"(?:[ _-]?\w{0,12}){0,5}? ?v?\d{1,2}(?:\.\d{1,2})?\b.{0,40})$",
    re.IGNORECASE,
)
_PYTHON = re.compile(r"(?<![\w/-])python(?: version)?\s*[:=]?\s*v?(\d\.\d{1,2}(?:\.\d{1,2})?)\b", re.IGNORECASE)
_BARE_CARD = re.compile(
    r"^[\s>*-]{0,6}(?:(\d{1,2})\s?[x\u00d7]\s?)?((?:(?:nvidia|amd) )?(?:geforce |tesla |quadro |radeon )?"
    r"(?:(?:rtx|gtx|rx)[ -]?(?:pro )?\d{3,4}[\w ]{0,20}"
    r"|(?:[avlhbpt]\d{1,3}|gb10|mi\d{2,3}x?)(?:[ -][\w -]{1,20})?))\s*$",
    re.IGNORECASE,
)
_CARD = re.compile(
    r"^[\s>*#`|-]{0,8}(?:my )?(?:gpu|graphics card|graphics|video card|accelerator)s?"
    r"(?: \d{1,2}| model| name| type| device name)?\s*[:=]\s*`?(?:(\d{1,2})\s?[x\u00d7*]\s?)?"
    r"((?:nvidia|geforce|tesla|quadro|rtx|gtx|titan|amd|radeon|rx|instinct|mi\d{2,3}"
    r"|[abhlvpt]\d{1,3}0{0,2}\b|gb\d|intel arc|arc )[^|`,;(\n]{0,50})",
    re.IGNORECASE,
)
_PROCESSOR = re.compile(
    r"^[\s>*#|-]{0,8}(?:cpu|processor)(?: model| name)?\W{1,4}"
    r"((?:[^\n:]{0,20} )?(?:amd|intel|ryzen|xeon|core|apple)\b[^\n|]{2,80})",
    re.IGNORECASE,
)
_SHM = re.compile(r"^(?:shm|tmpfs)\s+(\S{1,12})\s+\S{1,12}\s+(\S{1,12})\s+\S{1,5}%?\s+/dev/shm")
_FREE_ROW = re.compile(r"^\s*Mem:\s+(\S{1,12})\s+\S{1,12}\s+(\S{1,12})(?:\s+\S{1,12}\s+\S{1,12}\s+(\S{1,12}))?")


def read(paste: Paste, draft: Draft) -> bool:
    """Take whatever these commands state."""
    found = _versions(paste, draft)
    found = _system(paste, draft) or found
    found = _cards(paste, draft) or found
    return _memory(paste, draft) or found


_VERSIONS = (
    ("cuda compilation tools", _NVCC, "toolchain.nvcc"),
    ("nvcc", _NVCC_SAID, "toolchain.nvcc"),
    ("cudatoolkit", _TOOLKIT, "toolchain.nvcc"),
    ("cuda compiler identification", _TOOLKIT, "toolchain.nvcc"),
    ("gcc", _GCC, "toolchain.gcc"),
    ("compiler identification is gnu", _GNU, "toolchain.gcc"),
    ("libc", _GLIBC, "os.glibc"),
    ("kernel module", _KERNEL_MODULE, "nvidia.driver"),
    ("nvrm version", _KERNEL_MODULE, "nvidia.driver"),
    ("driver", _DRIVER, "nvidia.driver"),
    ("python", _PYTHON, "python.version"),
)


def _versions(paste: Paste, draft: Draft) -> bool:
    found = False
    for literal, pattern, path in _VERSIONS:
        for line, match in paste.matching(literal, pattern.pattern):
            draft.put(path, match.group(1), line)
            found = True
    return found


def _system(paste: Paste, draft: Draft) -> bool:
    found = False
    for line, match in paste.matching("linux ", _UNAME.pattern):
        draft.put("os.kernel", match.group(1), line)
        draft.put("os.arch", match.group(2), line)
        draft.put("os.family", "linux", line)
        found = True
        if "microsoft" in line.text.lower():
            draft.put("os.wsl", True, line)
    for literal in ("pretty_name", "distrib_description", "operating system"):
        for line, match in paste.matching(literal, _PRETTY.pattern):
            found = _distro(draft, match.group(1), line) or found
    for line, match in paste.matching("os", _OS.pattern):
        found = _distro(draft, match.group(1), line) or found
    for word in ("windows", "ubuntu", "debian", "centos", "rhel", "fedora", "macos", "rocky", "alma", "red hat"):
        for line, match in paste.matching(word, _BARE_OS.pattern):
            found = _distro(draft, match.group(1), line) or found
    for word in ("cpu", "processor"):
        for line, match in paste.matching(word, _PROCESSOR.pattern):
            draft.put("cpu.name", match.group(1), line)
            found = True
    for line in paste.having("runtimes:"):
        names = line.text.partition(":")[2].split()
        if any(name.startswith(("runc", "io.containerd")) for name in names):
            if "nvidia" in names:
                draft.put("containers.nvidia_container_toolkit", "registered", line)
            else:
                draft.absent("containers.nvidia_container_toolkit", line)
            found = True
    return found


def _cards(paste: Paste, draft: Draft) -> bool:
    """A card named in somebody's own list of facts ("GPU: 2x RTX 3090"), where no program listed the devices."""
    if any(draft.gpus(vendor) for vendor in ("nvidia", "amd", "intel")):
        return False
    for word in ("gpu", "graphics", "video card", "accelerator"):
        for line, match in paste.matching(word, _CARD.pattern):
            _card(draft, match.group(2).strip(), match.group(1), line)
            return True
    for maker in ("rtx", "gtx", "radeon", "tesla", "nvidia "):
        for line, match in paste.matching(maker, _BARE_CARD.pattern):
            _card(draft, match.group(2).strip(), match.group(1), line)
            return True
    return False


def _card(draft: Draft, name: str, count: str | None, line: Line) -> None:
    """A card by the name somebody gives it; words of board partners are left out where the product is known."""
    known = name if find(name) else product_in(name) or name
    vendor = maker_of(known)
    for index in range(int(count or 1)):
        draft.gpu(vendor, index, "name", known, line)
    if count is None:
        draft.named(vendor)


def _distro(draft: Draft, name: str, line: Line) -> bool:
    lower = name.lower()
    draft.put("os.distro", name, line)
    if "windows" in lower and "wsl" not in lower:
        draft.put("os.family", "windows", line)
    elif "mac" in lower or "darwin" in lower:
        draft.put("os.family", "macos", line)
    else:
        draft.put("os.family", "linux", line)
    if "wsl" in lower:
        draft.put("os.wsl", True, line)
    return True


def _memory(paste: Paste, draft: Draft) -> bool:
    found = False
    for line, match in paste.matching("/dev/shm", _SHM.pattern):  # noqa: S108
        draft.put("memory.shm_total_mib", mib(match.group(1)), line)
        draft.put("memory.shm_free_mib", mib(match.group(2)), line)
        found = True
    for line, match in paste.matching("mem:", _FREE_ROW.pattern):
        total, free, available = match.groups()
        draft.put("memory.ram_total_mib", mib(total), line)
        draft.put("memory.ram_available_mib", mib(available or free), line)
        found = True
    return found


IMPORTER = Importer("host_commands", read)
