"""Takes personal facts out of the few texts that are kept whole: values of variables, settings and error messages.

Evidence is an allow-list first: a probe keeps only named fields. This is for the fields whose value somebody typed.
Paths keep their shape ("~/models", "<venv>/lib"), so that a rule can still see what they point at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envcheck.host import Host

VALUE_LIMIT = 1000

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ of an address; then tokens by the prefixes their issuers document.
    (re.compile(r"(?<=://)[^/@\s]{1,400}@"), ""),
    (
        re.compile(
            r"\b(?:hf|ghp|gho|ghu|ghs|ghr|glpat|pypi|sk|xox[abpr]|AKIA|nvapi|dckr_pat|github_pat)[-_]?[A-Za-z0-9_-]{16,}"
        ),
        "<token>",
    ),
    (re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9a-fA-F])"), "<uuid>"),
    (re.compile(r"(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])"), "<mac>"),
    (re.compile(r"(?<![0-9a-fA-F:.])[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7](?![0-9a-fA-F])"), "<bus>"),
    (re.compile(r"(?<![\w.])(?!127\.0\.0\.1|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"), "<ip>"),
    (re.compile(r"(?<![\w:])(?!::1\b)(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,7}(?![\w:])"), "<ip>"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"), "<mail>"),
    (re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\Users\\|[A-Za-z]:/Users/)[^/\\:;,\s\"']{1,64}"), "~"),
    (re.compile(r"/(?:run|var/run)/user/\d+"), "<runtime>"),
)

_SECRET_KEY = re.compile(r"token|secret|passw|credential|api_?key|auth|cookie|private", re.IGNORECASE)

PUBLIC_HOSTS = frozenset({
    "download.pytorch.org", "wheels.vllm.ai", "pypi.nvidia.com", "pypi.ngc.nvidia.com", "repo.radeon.com",
    "repo.amd.com", "flashinfer.ai", "docs.sglang.ai", "huggingface.co",
    "hf-mirror.com", "pypi.tuna.tsinghua.edu.cn", "mirrors.aliyun.com", "pypi.mirrors.ustc.edu.cn",
    "mirrors.cloud.tencent.com", "repo.huaweicloud.com", "conda.anaconda.org", "repo.anaconda.com", "localhost",
})  # fmt: skip
"""Names that say nothing about the user; the host of any other address becomes "<host>" and its path is dropped."""

_ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]{1,12}://)([^/\s,;\"'?#]{0,400})([^\s,;\"']{0,400})", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a variable or setting of this name may hold a secret; such a one is not read at all."""
    return bool(_SECRET_KEY.search(name))


class Redactor:
    """Knows the names that must not leave this machine: home folder, user, host, target environment."""

    def __init__(self, host: Host, prefix: str = "") -> None:
        """`prefix` is the folder of the target environment, shown as `<venv>`."""
        swaps = [(prefix or host.env.get("VIRTUAL_ENV", ""), "<venv>"), (host.env.get("CONDA_PREFIX", ""), "<venv>")]
        swaps += [(host.env.get(name, ""), "~") for name in ("HOME", "USERPROFILE")]
        self._paths = [(path.rstrip("/\\"), shown) for path, shown in swaps if len(path.rstrip("/\\")) > 1]
        names = [
            host.env.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "HOSTNAME", "COMPUTERNAME")
        ]
        names.append((host.read("/proc/sys/kernel/hostname", 256) or "").strip())
        # "root" and one-letter names would also hit ordinary words.
        named = {name for name in names if len(name) > 2 and name not in ("root", "localhost", "(none)")}
        joined = "|".join(re.escape(name) for name in sorted(named, key=len, reverse=True))
        self._named = re.compile(rf"(?<![A-Za-z0-9]){'(?:' + joined + ')'}(?![A-Za-z0-9])") if named else None

    def __call__(self, value: str, limit: int = VALUE_LIMIT) -> str:
        """`value` with personal parts replaced, at most `limit` characters."""
        kept = _ADDRESS.sub(_public_address, value[: limit * 4])
        for path, shown in self._paths:
            kept = re.sub(re.escape(path) + r"(?![\w.-])", lambda _, shown=shown: shown, kept)  # type: ignore[misc]
        for pattern, shown in _PATTERNS:
            kept = pattern.sub(shown, kept)
        if self._named:
            kept = self._named.sub("<name>", kept)
        return kept[:limit]


def _public_address(found: re.Match[str]) -> str:
    scheme, authority, rest = found.groups()
    name = authority.rsplit("@", 1)[-1]
    host = name.rsplit(":", 1)[0].lower()
    if scheme.lower() == "file://":
        return scheme + authority + rest
    if host in PUBLIC_HOSTS or host in ("127.0.0.1", "0.0.0.0", "[::1]"):  # noqa: S104  compared, never bound
        return scheme + name + rest.split("?")[0].split("#")[0]
    return f"{scheme}<host>"
