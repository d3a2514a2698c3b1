"""Which backends are proved: those that were named, the one at an address, or the best that is ready."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from envcheck.backends import _stores
from envcheck.discover import load, load_all
from envcheck.schema.backend import Backend, Candidate, spelled
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.facts import Record
from envcheck.schema.run import Run

if TYPE_CHECKING:
    from envcheck.host import Host

PLUGINS = "envcheck.backends"
EMBEDDED = "embedded"
NAMED = "openai_compatible"
PREFERENCE = ("vllm", "sglang", "llama.cpp", "ollama", "transformers", NAMED, EMBEDDED)
"""Which ready backend `envcheck run` proves first: servers made for many users before single-user ones."""
ONLY_BY_URL = ("tensorrt_llm",)
"""Backends that are judged but never started; a running one is proved as an OpenAI-compatible server."""


def discover(host: Host) -> list[Candidate]:
    """Every model on every backend that could be asked now, best first; the embedded default is last."""
    return _ready(all_candidates(host))


def _ready(candidates: Sequence[Candidate]) -> list[Candidate]:
    order = {name: rank for rank, name in enumerate(PREFERENCE)}
    found = [c for c in candidates if c.state != "missing"]
    return sorted(found, key=lambda c: (c.backend == EMBEDDED, c.state != "running", order.get(c.backend, len(order))))


def _unready(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Per backend with nothing to ask, why; without those that are no backend of the machine."""
    has_some = {c.backend for c in candidates if c.state != "missing"} | {EMBEDDED, NAMED}
    return {c.backend: c.why for c in candidates if c.backend not in has_some}


def all_candidates(host: Host) -> list[Candidate]:
    """What every backend found, and the reasons of those that found nothing."""
    return [c for backend in _backends().values() for c in backend.discover(host)]


def _backends() -> dict[str, Backend]:
    return cast("dict[str, Backend]", load_all(PLUGINS, "BACKEND"))


class Targets(Record):
    """What to prove, in order."""

    chosen: tuple[Candidate | Run, ...]
    """A Run stands for a backend that is skipped, with the reason."""
    unready: dict[str, str] = msgspec.field(default_factory=dict)
    """Where none was named: why nothing of a backend is among them."""


def targets(host: Host, names: Sequence[str] | None, url: str | None, model: str | None) -> Targets:
    """What the names, the address and the model come to on this machine.

    Without names: the first model of each ready backend, best first, of which the later ones are what to fall back on.
    `model` may be the path of a GGUF file or of a model's folder, wherever it lies.
    """
    if model is not None and url is None:
        host, model = _with_path(host, model)
    if url is not None and any("=" in name for name in names or ()):
        raise InputError("Name servers either with --url or as --backend NAME=URL, not both.")
    if url is not None:
        return Targets(chosen=(_named_server(host, names, url, model),))
    if not names:
        return _best(host, model)
    return Targets(chosen=tuple(_by_name(host, name, model) for name in dict.fromkeys(map(spelled, names))))


def _best(host: Host, model: str | None) -> Targets:
    """The first model of each ready backend, best first; where there is none, why the embedded default is not."""
    candidates = all_candidates(host)
    ready = [c for c in _ready(candidates) if model is None or _is_model(c, model)]
    if not ready:
        _hold_path(host, model)
        if model is not None:
            raise InputError(
                f"No ready backend has a model {model!r}: name its server with --url, or see `envcheck models list`."
            )
    first = list({c.backend: c for c in reversed(ready)}.values())[::-1]
    skipped = [_skipped(c) for c in candidates if c.backend == EMBEDDED]
    return Targets(chosen=tuple(first) or tuple(skipped), unready=_unready(candidates))


def _with_path(host: Host, model: str) -> tuple[Host, str]:
    """A model given by its path joins those that are found on the machine; a name stays as it is."""
    if os.sep not in model and not model.endswith(".gguf"):
        return host, model
    path = os.path.abspath(os.path.expanduser(model))  # noqa: PTH100, PTH111  links stay: a cache's names are in them
    if not host.exists(path):
        return host, model
    return _stores.also_named(host, path), path


def _hold_path(host: Host, model: str | None) -> None:
    """Raise InputError for what can only be a path, and leads nowhere. A running server may know it nevertheless."""
    if model is not None and model.startswith(("/", ".", "~")) and not host.exists(os.path.expanduser(model)):  # noqa: PTH111
        raise InputError(f"There is no model at {model}: name a GGUF file or a folder with config.json.")


def _by_name(host: Host, name: str, model: str | None) -> Candidate | Run:
    """A backend on this machine, or NAME=URL: the one at an address, with its model after a #."""
    if "=" not in name:
        return _chosen(host, name, model)
    name, _, address = name.partition("=")
    url, _, own_model = address.partition("#")
    return _named_server(host, [name], url, own_model or model)


def _named_server(host: Host, names: Sequence[str] | None, url: str, model: str | None) -> Candidate | Run:
    if names and len(names) > 1:
        raise InputError("--url names one server: give one --backend with it.")
    name = spelled(names[0]) if names else NAMED
    backend = load(PLUGINS, name, "BACKEND")
    at = getattr(backend, "at", None)
    if at is None:
        raise InputError(f"The backend {name!r} cannot be given by an address: leave out --url.")
    try:
        return cast("Candidate", at(host, url, model))
    except InputError:
        raise
    except EnvcheckError as error:
        return Run(backend=name, model=model or "", status="skipped", why=str(error), url=url)


def _chosen(host: Host, name: str, model: str | None) -> Candidate | Run:
    if name.replace("-", "_") in ONLY_BY_URL:
        why = "envcheck does not start it: start its server and name it with --backend openai --url"
        return Run(backend=name, model=model or "", status="skipped", why=why)
    found = cast("Backend", load(PLUGINS, name, "BACKEND")).discover(host)
    ready = [c for c in found if c.state != "missing"]
    fitting = [c for c in ready if model is None or _is_model(c, model)]
    if fitting:
        return min(fitting, key=lambda c: c.state != "running")
    _hold_path(host, model)
    if ready:
        raise InputError(f"{name} has no model {model!r}: choose one of {', '.join(c.model for c in ready[:20])}.")
    return _skipped(found[0])


def _is_model(candidate: Candidate, model: str) -> bool:
    return model in (candidate.model, candidate.path) or candidate.model.lower() == model.lower()


def _skipped(candidate: Candidate) -> Run:
    return Run(backend=candidate.backend, model=candidate.model, status="skipped", why=candidate.why)
