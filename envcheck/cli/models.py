"""`envcheck models`: which models are on this machine, what they are, and whether their files are whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from envcheck.backends._stores import LocalModel
    from envcheck.schema.model import ResolvedModel

SETTINGS = Path("envcheck.toml")
MIB = 1024 * 1024
_FORMAT = click.option("--format", "form", type=click.Choice(["console", "json"]), default="console", show_default=True)


@click.group("models", context_settings={"help_option_names": ["-h", "--help"]})
def COMMAND() -> None:  # noqa: N802  every verb exports this name
    """Models on this machine's disks."""


@COMMAND.command("list")
@_FORMAT
def listed(form: str) -> int:
    """List what the stores of Hugging Face, Ollama, LM Studio, llama.cpp and your own folders hold.

    Own folders: `[models] folders = ["…"]` in envcheck.toml, or ENVCHECK_MODELS.
    """
    import msgspec

    from envcheck.backends._stores import local_models
    from envcheck.cli._output import deliver
    from envcheck.host import Host

    found = local_models(Host())
    if form == "json":
        deliver(msgspec.json.format(msgspec.json.encode({"models": found}), indent=2).decode() + "\n")
        return 0
    lines = [f"{_size(m)}  {m.kind:<11} {_plain(m.name)}  ({m.origin})" for m in found]
    deliver("\n".join(lines or ["No models were found: name a folder with `envcheck models register FOLDER`."]) + "\n")
    return 0


@COMMAND.command("show")
@click.argument("name")
@_FORMAT
def shown(name: str, form: str) -> int:
    """Show what a local model is: architecture, parameters, quantization, size, context."""
    import msgspec

    from envcheck.cli._output import deliver

    model = _named(name)
    facts = _facts(model)
    if form == "json":
        document = {"model": model, "facts": facts}
        deliver(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
        return 0
    rows = [("file" if model.files == 1 else f"{model.files} files", model.path), ("size", _size(model).strip())]
    if facts is not None:
        can = ["text"] + (["images"] if facts.facts.vision else [])
        rows += [
            ("architecture", facts.facts.architecture),
            ("layers", f"{facts.facts.layer_count} of width {facts.facts.hidden}"),
            ("context", f"{facts.facts.max_context} tokens"),
            ("quantization", facts.quantization or facts.facts.precision),
            ("takes", ", ".join(can)),
        ]
    deliver("\n".join([_plain(model.name), *(f"  {key:<13} {_plain(value)}" for key, value in rows)]) + "\n")
    return 0


@COMMAND.command("verify")
@click.argument("names", nargs=-1)
def verified(names: tuple[str, ...]) -> int:
    """Read headers, sizes and, where the store keeps them, sha256 digests of NAMES (default: all).

    Leaves with 0 when all are whole and 1 when one is not.
    """
    from envcheck.backends._stores import local_models
    from envcheck.host import Host

    broken = 0
    for model in [_named(name) for name in names] or local_models(Host()):
        fault = _fault(model)
        broken += bool(fault)
        click.echo(f"{'BROKEN' if fault else 'whole '}  {_plain(model.name)}{': ' + _plain(fault) if fault else ''}")
    return 1 if broken else 0


@COMMAND.command("pull")
@click.argument("name")
@click.option("--from", "origin", type=click.Choice(["ollama", "hf"]), required=True, help="Where it comes from.")
@click.option("--url", help="Address of the Ollama server (default: OLLAMA_HOST).")
def pulled(name: str, origin: str, url: str | None) -> int:
    """Fetch NAME: a tag for Ollama, ORG/NAME or ORG/NAME/FILE.gguf for Hugging Face. This connects to the network.

    Free space is looked at first; what is there already is resumed, and digests are compared at the end.
    """
    from envcheck.backends import _http, _hub, _pull
    from envcheck.backends.ollama import address_of
    from envcheck.host import Host

    host = Host()

    def progress(line: str) -> None:
        click.echo(f"… {_plain(line)}", err=True)

    if origin == "hf":
        progress(f"connecting to {host.env.get('HF_ENDPOINT') or 'huggingface.co'}")
        click.echo(f"{_plain(name)} is whole in {_hub.hugging_face(host, name, progress)}.")
        return 0
    to = _http.address(url) if url else address_of(host)
    progress(f"the Ollama server at {to.url} connects to its registry")
    free = _pull.free_bytes(_pull.store(host)) if to.is_loopback else None
    _pull.ollama(to, name, free, progress)
    click.echo(f"{_plain(name)} is whole in Ollama's store.")
    return 0


@COMMAND.command("register")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def registered(folder: Path) -> int:
    """Add FOLDER to the model folders in ./envcheck.toml."""
    from envcheck.backends._stores import named_folders
    from envcheck.host import Host

    wanted = str(folder.resolve())
    if wanted in named_folders(Host()):
        click.echo(f"{wanted} is registered already.")
        return 0
    _add_folder(wanted)
    click.echo(f"Added {wanted} to {SETTINGS}.")
    return 0


def _add_folder(folder: str) -> None:
    """Insert into the file as text, so that comments and order stay. Raises InputError where that is not possible."""
    import json
    import tomllib

    from envcheck.schema.errors import InputError

    text = SETTINGS.read_text("utf-8") if SETTINGS.is_file() else ""
    table = tomllib.loads(text).get("models", {}) if text else {}
    entry = json.dumps(folder, ensure_ascii=False)
    if "folders" in table:
        changed = text.replace("folders = [", f"folders = [{entry}{', ' if table['folders'] else ''}", 1)
    elif "models" in tomllib.loads(text):
        changed = text.replace("[models]", f"[models]\nfolders = [{entry}]", 1)
    else:
        changed = f"{text}{chr(10) if text and not text.endswith(chr(10)) else ''}[models]\nfolders = [{entry}]\n"
    try:
        right = folder in tomllib.loads(changed)["models"]["folders"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        right = False
    if not right:
        raise InputError(
            f"{SETTINGS} is laid out so that it cannot be added to safely: add {entry} under [models] folders."
        )
    SETTINGS.write_text(changed, "utf-8")


def _named(name: str) -> LocalModel:
    from envcheck.backends._stores import local_models
    from envcheck.host import Host
    from envcheck.schema.errors import InputError

    found = local_models(Host())
    fitting = [m for m in found if name in (m.name, m.path)] or [m for m in found if name.lower() in m.name.lower()]
    if len(fitting) != 1:
        names = ", ".join(m.name for m in (fitting or found)[:12]) or "none"
        what = "No local model is" if not fitting else "Several local models are"
        raise InputError(f"{what} called {name!r}: choose one of {names}.")
    return fitting[0]


def _facts(model: LocalModel) -> ResolvedModel | None:
    """What the headers say; None where `fit` cannot read this architecture."""
    from envcheck.fit.local_models import from_gguf, resolve
    from envcheck.schema.errors import EnvcheckError
    from envcheck.schema.model import ResolvedModel

    try:
        found = (
            resolve(model.path) if model.kind == "safetensors" else from_gguf(Path(model.path), model.path, model.name)
        )
    except EnvcheckError:
        return None
    return found if isinstance(found, ResolvedModel) else None


def _fault(model: LocalModel) -> str:
    """Why a model's files are not whole, or ""."""
    from envcheck.fit.gguf_header import read_header
    from envcheck.fit.safetensors_header import read_checkpoint
    from envcheck.schema.errors import EnvcheckError

    try:
        if model.kind == "safetensors":
            read_checkpoint(Path(model.path))
        else:
            read_header(Path(model.path))
    except (EnvcheckError, OSError) as error:
        return str(error)
    for path, expected in _digests(model):
        if expected != _sha256(path):
            return f"the sha256 of {path.name} is not the one its store keeps"
    return ""


def _digests(model: LocalModel) -> list[tuple[Path, str]]:
    """Files with the sha256 that their store keeps: Ollama's and the Hugging Face cache's blobs are named by it."""
    path = Path(model.path)
    if model.digest:
        return [(path, model.digest)]
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    blobs = [(file, file.resolve().name) for file in files if file.is_symlink()]
    return [(file, name) for file, name in blobs if len(name) == 64 and set(name) <= set("0123456789abcdef")]


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(model: LocalModel) -> str:
    mib = model.size_bytes / MIB
    return f"{mib / 1024:8.1f} GiB" if mib >= 1024 else f"{mib:8.1f} MiB"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
