"""From a pasted text to findings: importers, then the same rules that judge a machine."""

from __future__ import annotations

from typing import Any

from envcheck.importers import import_paste
from envcheck.judge.diagnose import findings
from envcheck.judge.rule import Case
from envcheck.schema.facts import Record, value_of
from envcheck.schema.need import ModelNeed
from envcheck.schema.paste import Paste
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Finding, Intent


class Diagnosis(Record, omit_defaults=False):
    """The answer of `envcheck diagnose`."""

    findings: tuple[Finding, ...]
    understood: tuple[str, ...]
    snapshot: Snapshot


def diagnose(dump: str, intent: Intent | None = None, error: tuple[str, ...] = ()) -> Diagnosis:
    """Diagnose `dump`; `error` are further printed lines, numbered after the last line of the dump."""
    text = dump if not error else dump.rstrip("\n") + "\n" + "\n".join(error)
    paste = Paste(text)
    imported = import_paste(paste)
    wanted = completed(intent or Intent(), imported.options, imported.understood, imported.snapshot)
    case = Case(imported.snapshot, wanted, paste, _need(wanted, imported.snapshot))
    return Diagnosis(findings=findings(case), understood=imported.understood, snapshot=imported.snapshot)


def _need(intent: Intent, snapshot: Snapshot) -> ModelNeed | None:
    """What the named model takes; the catalog is opened only where a model is named."""
    if not intent.model:
        return None
    from envcheck.fit.need import need_of

    return need_of(intent, value_of(snapshot.python.package(intent.backend)) if intent.backend else None)


def intent_of(value: Any) -> Intent:
    """An intent from JSON: `flags` is an object ({"tensor_parallel_size": 8}), a list of options, or null.

    Raises ValueError with one sentence where the shape is another.
    """
    if value is None:
        return Intent()
    if not isinstance(value, dict):
        raise ValueError("intent must be an object with backend, model, quantization and flags")  # noqa: TRY004
    texts = {name: value.get(name) for name in ("backend", "model", "quantization")}
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise ValueError(f"intent.{name} must be text or null")
    return Intent(**texts, flags=_flags(value.get("flags")))


def _flags(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    if isinstance(value, dict):
        return tuple(
            f"--{key.replace('_', '-')}" + ("" if item is True else f"={item}")
            for key, item in value.items()
            if item not in (None, False)
        )
    raise ValueError("intent.flags must be an object, a list of options or null")


def completed(intent: Intent, options: dict[str, str], understood: tuple[str, ...], snapshot: Snapshot) -> Intent:
    """`intent` with what the paste itself tells: the options of a command, and the backend whose text it is."""
    given = {flag.partition("=")[0].lstrip("-") for flag in intent.flags}
    more = tuple(f"--{name}={value}" for name, value in options.items() if name not in given)
    model = intent.model or options.get("model") or options.get("model-path")
    return Intent(
        backend=intent.backend or _backend(understood, snapshot),
        model=model,
        quantization=intent.quantization or options.get("quantization"),
        flags=(*intent.flags, *more),
        context=intent.context,
        concurrency=intent.concurrency,
    )


def _backend(understood: tuple[str, ...], snapshot: Snapshot) -> str | None:
    for name, backend in (("sglang_check_env", "sglang"), ("ollama_log", "ollama"), ("llamacpp_log", "llama.cpp")):
        if name in understood:
            return backend
    for backend in ("vllm", "sglang"):
        if value_of(snapshot.python.package(backend)):
            return backend
    return None
