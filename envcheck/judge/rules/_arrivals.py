"""In which release a model family or a GGUF architecture became known: `requirements_matrix/model_arrivals.toml`."""

from __future__ import annotations

from envcheck.judge import versions
from envcheck.judge.rows import load
from envcheck.judge.versions import Version, version
from envcheck.schema.arrivals import Arrivals, Family
from envcheck.schema.paste import compiled


def arrivals() -> Arrivals:
    """The table, read once."""
    return load("model_arrivals", Arrivals)


def family_of(model: str) -> Family | None:
    """The first family whose pattern is found in the model's name."""
    if not model:
        return None
    return next((row for row in arrivals().family if compiled(row.pattern).search(model)), None)


def first_release(model: str) -> list[tuple[str, Version]]:
    """(package, first release that knows the model's family) for the first family that the name shows."""
    row = family_of(model)
    if row is None:
        return []
    stated = (("vllm", version(row.vllm)), ("transformers", version(row.transformers)))
    return [(name, since) for name, since in stated if since]


def first_ollama(model: str) -> Version | None:
    """The first Ollama that knows the family or architecture that `model` names; None where no row says."""
    listed = arrivals().ollama.releases.get(model)
    row = None if listed else family_of(model)
    return version(listed or (row.ollama if row else ""))


def first_build(model: str) -> int | None:
    """The first build of llama.cpp that knows the architecture or family that `model` names; None where no row says."""
    builds = arrivals().llama_cpp.builds
    if model in builds:
        return builds[model]
    row = family_of(model)
    return builds.get(row.gguf) if row else None


def build_of_python_package(release: str) -> int | None:
    """The build number of the llama.cpp inside a release of llama-cpp-python; None before the first that is listed."""
    known = arrivals().llama_cpp_python.builds
    mine = versions.key(release)
    if mine is None:
        return None
    older = [(key, build) for name, build in known.items() if (key := versions.key(name)) is not None and key <= mine]
    newest = max(known, key=lambda name: versions.key(name) or ((), (0, "", 0), 0, (0, 0)))
    if not older or mine > (versions.key(newest) or mine):
        return None
    return max(older)[1]
