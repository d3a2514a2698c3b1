"""Rows of `requirements_matrix/model_arrivals.toml`: from which release on a program knows a model's architecture."""

from __future__ import annotations

from envcheck.schema.facts import Record
from envcheck.schema.requirement import Sourced


class Family(Sourced):
    """One model family: how its name is recognised, what configurations call it, and the first releases that know it.

    An empty version is not known, or means nothing because the model's own repository brings the code.
    """

    pattern: str
    """Searched in the model's name without regard to case."""
    model_type: str = ""
    """`model_type` of config.json."""
    architecture: str = ""
    """Entry of `architectures` in config.json."""
    gguf: str = ""
    """`general.architecture` of a GGUF file."""
    transformers: str = ""
    vllm: str = ""
    ollama: str = ""


class Builds(Sourced):
    """Build numbers of llama.cpp by name (of an architecture, or of a release that carries one)."""

    builds: dict[str, int]


class Firsts(Sourced):
    """The first release that knows each architecture."""

    releases: dict[str, str]


class Arrivals(Record):
    """The whole file; of the families the first whose pattern is found speaks."""

    family: tuple[Family, ...]
    ollama: Firsts
    llama_cpp: Builds
    """Architecture to the build that added it."""
    llama_cpp_python: Builds
    """Release to the build inside it; a release that is not listed carries that of the one before."""
