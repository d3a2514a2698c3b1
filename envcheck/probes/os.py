"""Operating system, C library, container, virtual machine, and which device nodes this user may open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from envcheck.probes import _acs
from envcheck.probes._values import flag, pick, present, rows, table, text, texts, whole
from envcheck.schema.facts import Absent, Known, TextFact, TextsFact, Unknown
from envcheck.schema.probe import Evidence, Probe
from envcheck.schema.snapshot import Os

if TYPE_CHECKING:
    from envcheck.host import Host

_FAMILIES = {"linux": "linux", "win32": "windows", "darwin": "macos"}

# Words of /proc/1/cgroup, /proc/self/mountinfo and of the variable `container`, and the runtime each one betrays.
_RUNTIMES = (
    ("kubepods", "kubernetes"), ("docker", "docker"), ("podman", "podman"), ("libpod", "podman"),
    ("containerd", "containerd"), ("crio", "cri-o"), ("lxc", "lxc"), ("systemd-nspawn", "systemd-nspawn"),
    ("apptainer", "apptainer"), ("singularity", "singularity"),
)  # fmt: skip

# DMI vendor or product text to the hypervisor's usual name; a physical machine's model is not kept.
_HYPERVISORS = (
    ("vmware", "vmware"), ("virtualbox", "virtualbox"), ("innotek", "virtualbox"), ("parallels", "parallels"),
    ("qemu", "qemu"), ("kvm", "kvm"), ("standard pc", "qemu"), ("bochs", "qemu"), ("xen", "xen"), ("hvm domu", "xen"),
    ("amazon ec2", "amazon ec2"), ("google compute engine", "google compute engine"), ("virtual machine", "hyper-v"),
    ("openstack", "openstack"), ("alibaba cloud ecs", "alibaba cloud"), ("firecracker", "firecracker"),
    ("droplet", "digitalocean"), ("proxmox", "qemu"),
)  # fmt: skip

_GROUPS = frozenset({"render", "video", "docker", "nvidia", "kvm", "root", "users"})
_LIMITS = {
    "Max locked memory": "memlock", "Max open files": "nofile", "Max processes": "nproc", "Max stack size": "stack",
    "Max address space": "as", "Max resident set": "rss",
}  # fmt: skip
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_BOOT_OPTIONS = ("iommu", "intel_iommu", "amd_iommu", "pcie_acs_override", "amd_iommu_v2")


def collect(host: Host) -> Evidence:
    """Files of `/etc`, `/proc`, `/sys` and `/dev`; starts no program except `sw_vers` on a Mac."""
    uname = host.uname()
    proc_version = host.read("/proc/version", 1000) or ""
    evidence: Evidence = {
        "platform": host.platform,
        "release": uname.get("release") or (host.read("/proc/sys/kernel/osrelease", 200) or "").strip(),
        "machine": uname.get("machine") or (host.read("/proc/sys/kernel/arch", 100) or "").strip(),
        "os_release": _os_release(host),
        "libc": host.glibc() or _libc_from_files(host),
        "wsl": [mark for mark in ("microsoft", "WSL2") if mark.lower() in proc_version.lower()],
        "dxg": host.exists("/dev/dxg"),
        "container": _container_marks(host),
        "virtual_machine": _hypervisor_marks(host),
        "secure_boot": _secure_boot(host),
        "iommu": _iommu(host),
        "acs": _acs.collect(host),
        "devices": _devices(host),
        "groups": sorted({name for gid in host.groups() if (name := _group_names(host).get(gid)) in _GROUPS}),
        "ulimits": _ulimits(host),
    }
    if evidence["platform"] == "darwin" and host.level >= 1:
        evidence["macos"] = host.run(["sw_vers", "-productVersion"]).out.strip()[:20]
    return evidence


def _os_release(host: Host) -> dict[str, str]:
    content = host.read("/etc/os-release", 8192) or host.read("/usr/lib/os-release", 8192) or ""
    found = re.findall(r'^(ID|ID_LIKE|VERSION_ID)=["\']?([A-Za-z0-9 ._-]{1,60})["\']?\s*$', content, re.MULTILINE)
    return dict(found)


def _libc_from_files(host: Host) -> str:
    """musl by its loader's name; an old or captured glibc by the number in its file name."""
    for folder in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"):
        for name in host.names(folder):
            if name.startswith("ld-musl-"):
                return "musl"
            if found := re.fullmatch(r"libc-(2\.\d+)\.so", name):
                return f"glibc {found.group(1)}"
    return ""


def _container_marks(host: Host) -> list[str]:
    marks = []
    if host.exists("/.dockerenv"):
        marks.append("docker")
    if host.exists("/run/.containerenv"):
        marks.append("podman")
    words = " ".join((host.env.get("container", ""), host.read("/proc/1/cgroup", 4096) or "")).lower()
    marks += [runtime for word, runtime in _RUNTIMES if word in words]
    marks += ["kubernetes"] if host.env.get("KUBERNETES_SERVICE_HOST") else []
    marks += ["apptainer"] if host.env.get("APPTAINER_CONTAINER") or host.env.get("SINGULARITY_CONTAINER") else []
    return sorted(set(marks))


def _hypervisor_marks(host: Host) -> list[str]:
    words = " ".join(
        host.read(f"/sys/class/dmi/id/{name}", 200) or "" for name in ("sys_vendor", "product_name")
    ).lower()
    marks = [shown for word, shown in _HYPERVISORS if word in words]
    hypervisor_type = (host.read("/sys/hypervisor/type", 40) or "").strip()
    return list(dict.fromkeys(marks + (["xen"] if hypervisor_type == "xen" else [])))


def _secure_boot(host: Host) -> int | None:
    content = host.read_bytes(_SECURE_BOOT, 16)
    # Four bytes of attributes, then the value; UEFI specification, "Globally Defined Variables".
    return content[4] if content and len(content) >= 5 else None


def _iommu(host: Host) -> dict[str, object]:
    groups = [name for name in host.names("/sys/kernel/iommu_groups") if name.isdigit()]
    kinds = {(host.read(f"/sys/kernel/iommu_groups/{name}/type", 40) or "").strip() for name in groups[:64]}
    options = [
        option
        for option in (host.read("/proc/cmdline", 8192) or "").split()
        if option.partition("=")[0] in _BOOT_OPTIONS and re.fullmatch(r"[\w,=.]{1,80}", option)
    ]
    return {"groups": len(groups), "kinds": sorted(kinds - {""}), "boot_options": options}


def _devices(host: Host) -> dict[str, dict[str, object]]:
    groups = _group_names(host)
    nodes = {name for name in host.names("/dev") if re.fullmatch(r"nvidia(\d{1,3}|ctl|-uvm|-modeset)|kfd|dxg", name)}
    nodes |= {f"dri/{name}" for name in host.names("/dev/dri") if re.fullmatch(r"(card|renderD)\d{1,3}", name)}
    devices: dict[str, dict[str, object]] = {}
    for name in sorted(nodes):
        group = host.owner_group(f"/dev/{name}")
        shown = groups.get(group, "other") if group is not None else None
        devices[f"/dev/{name}"] = {
            "open": host.may_open(f"/dev/{name}"),
            "group": shown if shown in _GROUPS else "other",
        }
    return devices


def _group_names(host: Host) -> dict[int, str]:
    named = {}
    for line in (host.read("/etc/group", 256 * 1024) or "").splitlines():
        name, _, rest = line.partition(":")
        number = rest.partition(":")[2].partition(":")[0]
        if name in _GROUPS and number.isdigit():
            named[int(number)] = name
    return named


def _ulimits(host: Host) -> dict[str, str]:
    limits = {}
    for line in (host.read("/proc/self/limits", 8192) or "").splitlines():
        for title, short in _LIMITS.items():
            if line.startswith(title):
                limits[short] = line[len(title) :].split()[0] if line[len(title) :].split() else ""
    return limits


def parse(evidence: Evidence) -> Os:
    """The operating system as `collect` saw it."""
    seen = table(evidence)
    family = _FAMILIES.get(str(seen.get("platform")))
    libc = text(seen.get("libc")) or ""
    named = "glibc" if libc.startswith("glibc") else "musl" if libc.startswith("musl") else None
    number = libc.partition(" ")[2]
    why = "the system did not say which C library it uses"
    not_linux = None if family == "linux" else Absent(source="platform")
    return Os(
        family=pick([("platform", family)], "this platform is not one envcheck knows"),
        distro=_distro(seen, family),
        kernel=pick([("uname", text(seen.get("release")))], "the kernel release could not be read"),
        arch=pick([("uname", text(seen.get("machine")))], "the machine type could not be read"),
        libc=not_linux or pick([("confstr", named)], why),
        glibc=not_linux or (Absent(source="confstr") if named == "musl" else pick([("confstr", number or None)], why)),
        wsl=Known(value=bool(rows(seen.get("wsl")) or seen.get("dxg") is True), source="/proc/version, /dev/dxg"),
        container=_first(texts(seen.get("container")), "/.dockerenv, /proc/1/cgroup"),
        virtual_machine=_first(texts(seen.get("virtual_machine")), "/sys/class/dmi/id"),
        secure_boot=_parse_secure_boot(seen.get("secure_boot")),
        iommu=_parse_iommu(table(seen.get("iommu"))),
        acs=_acs.parse(seen.get("acs")),
        device_access=_parse_devices(table(seen.get("devices"))),
        device_groups=_parse_device_groups(table(seen.get("devices"))),
        groups=_parse_groups(seen.get("groups")),
        ulimits=_parse_ulimits(table(seen.get("ulimits"))),
    )


def _distro(seen: Evidence, family: str | None) -> TextFact:
    release = table(seen.get("os_release"))
    name, version = text(release.get("ID")), text(release.get("VERSION_ID"))
    if family == "macos":
        return present(
            "sw_vers", f"macos {macos}" if (macos := text(seen.get("macos"))) else None, "sw_vers was not asked"
        )
    if family == "windows":
        return Known(value="windows", source="platform")
    shown = " ".join(part for part in (name, version) if part)
    return present("/etc/os-release", shown or None, "/etc/os-release could not be read")


def _first(marks: list[str], source: str) -> TextFact:
    return present(source, marks[0] if marks else None)


def _parse_secure_boot(value: object) -> Known[bool] | Absent:
    number = whole(value)
    # Without the variable the firmware is not UEFI (or a container hides it), so nothing enforces signed modules.
    return Absent(source="efivars") if number is None else Known(value=number == 1, source="efivars")


def _parse_iommu(seen: Evidence) -> TextFact:
    if not whole(seen.get("groups")):
        return Absent(source="/sys/kernel/iommu_groups")
    parts = texts(seen.get("kinds")) or ["on"]
    return Known(
        value=" ".join(parts + texts(seen.get("boot_options"))), source="/sys/kernel/iommu_groups, /proc/cmdline"
    )


def _parse_devices(devices: Evidence) -> Known[dict[str, bool]] | Unknown:
    named = {name: table(node) for name, node in devices.items() if text(name)}
    access = {name: seen for name, node in named.items() if (seen := flag(node.get("open"))) is not None}
    if named and not access:
        return Unknown(why="device nodes are there, but nobody tried to open them")
    return Known(value=access, source="access(2)")


def _parse_device_groups(devices: Evidence) -> Known[dict[str, str]]:
    owned = {name: group for name, node in devices.items() if text(name) and (group := text(table(node).get("group")))}
    return Known(value=owned, source="stat(2), /etc/group")


def _parse_groups(value: object) -> TextsFact:
    return Known(value=tuple(texts(value)), source="getgroups(2), /etc/group")


def _parse_ulimits(limits: Evidence) -> Known[dict[str, str]] | Unknown:
    named = {key: shown for key, value in limits.items() if text(key) and (shown := text(value))}
    return (
        Known(value=named, source="/proc/self/limits") if named else Unknown(why="/proc/self/limits could not be read")
    )


PROBE = Probe(section="os", collect=collect, parse=parse)
