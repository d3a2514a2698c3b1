"""Container images that a paste starts, and the CUDA level each is built on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from envcheck.judge import tables, versions
from envcheck.judge.rows import load
from envcheck.judge.rule import Case
from envcheck.schema.cause import Images
from envcheck.schema.paste import Line
from envcheck.schema.requirement import BackendMatrix

# What the tag itself states: https://hub.docker.com/r/nvidia/cuda , /r/pytorch/pytorch , /r/lmsysorg/sglang
_STATED = (
    ("nvidia/cuda:", r"nvidia/cuda:(\d{2}\.\d{1,2})"),
    ("pytorch/pytorch:", r"pytorch/pytorch:\S{0,20}cuda(\d{2}\.\d{1,2})"),
    ("lmsysorg/sglang:", r"lmsysorg/sglang:\S{0,30}-cu(\d{3})\b"),
)
_VLLM = r"vllm/vllm-openai:v?(\d{1,2}\.\d{1,2}\.\d{1,2})"
_LONGEST_LINE = 2000


class Started(NamedTuple):
    """An image by name, its CUDA level, and the line that names it."""

    name: str
    cuda: str
    line: Line


def images(case: Case) -> Iterator[Started]:
    """The images named in the paste whose CUDA level is known."""
    for literal, pattern in _STATED:
        for line, match in case.paste.matching(literal, pattern):
            tag = match.group(1)
            cuda = tag if "." in tag else tables.cuda_of(f"cu{tag}")
            if cuda and len(line.text) < _LONGEST_LINE:
                yield Started(match.group(0), cuda, line)
    for line, match in case.paste.matching("vllm/vllm-openai:", _VLLM):
        cuda = _of_release(match.group(1))
        if cuda and len(line.text) < _LONGEST_LINE:
            yield Started(match.group(0), cuda, line)


_ARCHIVE = r"[\w.-]{3,60}-(?:cuda-?|cu)(\d{2}\.\d{1,2})[\w.-]{0,40}\.(?:zip|tar\.gz|7z)\b"


def archives(case: Case) -> Iterator[Started]:
    """Release archives named in the paste that state the CUDA they were compiled with ("…-win-cuda-13.3-x64.zip")."""
    for literal in (".zip", ".tar.gz", ".7z"):
        for line, match in case.paste.matching(literal, _ARCHIVE):
            yield Started(match.group(0), match.group(1), line)


def _of_release(version: str) -> str | None:
    for row in load("images", Images).image:
        if versions.within(version, row.versions):
            return row.cuda
    rows = load("vllm", BackendMatrix).release
    own = next((row for row in rows if versions.at_least(version, row.version)), None)
    return tables.cuda_of(own.variant) if own else None
