"""The shipped catalog of models, and finding one by any name people use for it.

The catalog is `requirements_matrix/models/*.toml`, one self-contained `[[model]]` block per architecture. Only the
block that is asked for is parsed: the index reads the five lines that hold names.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import lru_cache

import msgspec

from envcheck.fit.model_names import NameParts, is_size, size_in_billions, take_apart
from envcheck.fit.pruned import WORD as PRUNED
from envcheck.fit.pruned import base_words, is_pruned, stated_size, with_fewer_experts
from envcheck.fit.recipes import owner, recipe
from envcheck.fit.tensors import parameter_count
from envcheck.resources import folder
from envcheck.schema.errors import EnvcheckError
from envcheck.schema.facts import Record
from envcheck.schema.model import Ambiguous, ModelFacts, NotInCatalog, ResolvedModel

_HEADER = "[[model]]\n"
_NAME_LINE = re.compile(r"^(name|repo|variants|ollama|aliases) = (.+)$", re.MULTILINE)
_TELLING = frozenset(
    """
    vl v vision audio omni moe next lite mini nano small medium large air flash super ultra micro tiny hybrid h
    draft eagle eagle3 medusa dflash dflash2 dspark blip2 instructblip llava idefics3 assistant
    tts asr ocr speech embedding reranker
    diffusion minitron solar mamba bitnet pruned drafter
    siglip realtime mantis xcomposer2 xcomposer2d5 ovis1.6 ultravox
    """.split()  # noqa: SIM905
)
"""Words that change the architecture: a name that has one which the catalog's entry lacks is not that entry."""
_RANKS = frozenset(("pro", "max", "plus"))
"""Words for a larger sibling, where the name states no size (Intern-S1-Pro, but Hermes-2-Pro-Llama-3-8B)."""


class SizeReference(Record):
    """The model that stands for a bare size."""

    size: str
    name: str
    why: str
    source: str
    checked: str


class _Entry:
    """One catalog block, unparsed, with its names."""

    __slots__ = ("block", "name", "names", "ollama", "path")

    def __init__(self, path: str, block: str) -> None:
        found = {key: json.loads(value) for key, value in _NAME_LINE.findall(block)}
        self.path, self.block = path, block
        self.name: str = found.get("name", "")
        self.ollama: list[str] = found.get("ollama", [])
        self.names: list[str] = [
            self.name,
            found.get("repo", ""),
            *found.get("variants", []),
            *found.get("aliases", []),
        ]
        if not self.name:
            raise EnvcheckError(f"{path}: a [[model]] block has no name on a line of its own")


@lru_cache(maxsize=1)
def _entries() -> tuple[_Entry, ...]:
    found = []
    for path in sorted((folder("requirements_matrix") / "models").glob("*.toml")):
        if path.name != "sizes.toml":
            blocks = path.read_text(encoding="utf-8").split(_HEADER)[1:]
            found += [_Entry(path.name, block) for block in blocks]
    return tuple(found)


@lru_cache(maxsize=1)
def _exact() -> dict[str, int]:
    """Lower-case names, repositories, their last parts and Ollama tags → position of the entry (first one wins)."""
    table: dict[str, int] = {}
    for position, entry in enumerate(_entries()):
        for name in entry.names:
            table.setdefault(name.lower(), position)
        for tag in entry.ollama:
            table.setdefault("ollama:" + tag, position)
    for position, entry in enumerate(_entries()):
        for name in entry.names:
            table.setdefault(name.lower().rpartition("/")[2], position)
    return table


@lru_cache(maxsize=2)
def _token_sets(ollama: bool = False) -> tuple[tuple[int, frozenset[str]], ...]:
    rows: dict[tuple[int, frozenset[str]], None] = {}
    for position, entry in enumerate(_entries()):
        for name in entry.ollama if ollama else entry.names:
            tokens = frozenset(take_apart(name).tokens)
            if tokens and not all(is_size(t) for t in tokens):
                rows.setdefault((position, tokens))
    return tuple(rows)


@lru_cache(maxsize=512)
def _facts_at(position: int) -> ModelFacts:
    entry = _entries()[position]
    try:
        return msgspec.convert(tomllib.loads(_HEADER + entry.block)["model"][0], ModelFacts)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise EnvcheckError(f"{entry.path}: the entry {entry.name!r} cannot be read: {error}") from error


def catalog() -> tuple[ModelFacts, ...]:
    """Every model of the catalog (parses all of it; a look-up does not need this)."""
    return tuple(_facts_at(position) for position in range(len(_entries())))


def catalog_names() -> tuple[str, ...]:
    """Names of all catalog entries, without parsing their facts."""
    return tuple(entry.name for entry in _entries())


@lru_cache(maxsize=4096)
def find(name: str) -> ResolvedModel | Ambiguous | NotInCatalog:
    """The catalog entry that a name, repository, file name, Ollama tag or size stands for.

    A fine-tune is recognised by the family and size in its name and said to be an assumption. Several fitting entries
    with different architectures give Ambiguous; anything else gives NotInCatalog with the reason. Nothing is guessed.
    """
    asked = name.strip()
    parts = take_apart(asked)
    if not asked or not parts.tokens:
        return NotInCatalog(asked=asked, why="the name is empty or only names a quantization")
    position = _by_exact_name(asked)
    if position is not None:
        return _resolved(asked, position, parts, ())
    if all(is_size(token) for token in parts.tokens):
        return _by_size(asked, parts)
    tagged = ":" in asked and "/" not in asked.removeprefix("ollama/")
    found = _by_tokens(asked, parts, ollama=True) if tagged else None
    if isinstance(found, ResolvedModel):
        return found
    found = _by_tokens(asked, parts)
    return _pruned(asked, parts, found) if is_pruned(parts) and not isinstance(found, ResolvedModel) else found


def _by_exact_name(asked: str) -> int | None:
    text = asked.lower()
    found = _exact().get(text)
    if found is None:
        found = _exact().get("ollama:" + text.removesuffix(":latest").removeprefix("ollama/"))
    return found


def _resolved(asked: str, position: int, parts: NameParts, assumptions: tuple[str, ...]) -> ResolvedModel:
    facts = _facts_at(position)
    scheme, publisher = parts.quantization or "", owner(asked)
    if recipe(facts, scheme, publisher) != recipe(facts, scheme, ""):
        facts = msgspec.structs.replace(facts, quantized_by=publisher)
    return ResolvedModel(asked=asked, facts=facts, quantization=parts.quantization, assumptions=assumptions)


def _by_tokens(asked: str, parts: NameParts, ollama: bool = False) -> ResolvedModel | Ambiguous | NotInCatalog:
    wanted = frozenset(parts.tokens)
    best: list[tuple[int, frozenset[str]]] = []
    for position, tokens in _token_sets(ollama):
        if tokens <= wanted and _compatible(wanted, tokens, position):
            if best and len(tokens) < len(best[0][1]):
                continue
            if best and len(tokens) > len(best[0][1]):
                best = []
            best.append((position, tokens))
    if not best:
        return _nearest(asked, parts)
    positions = list(dict.fromkeys(position for position, _ in best))
    if len(positions) > 1 and not _same_architecture(positions):
        return Ambiguous(asked=asked, candidates=tuple(_entries()[p].name for p in positions))
    rest = [token for token in parts.tokens if token not in best[0][1]]
    own = [p for p in positions if frozenset(take_apart(_entries()[p].name).tokens) == best[0][1]]
    position = (own or positions)[0]
    name = _entries()[position].name
    said = (f"{asked} is taken for the architecture of {name} (not known: {', '.join(rest)})",) if rest else ()
    return _resolved(asked, position, parts, said)


def _compatible(wanted: frozenset[str], tokens: frozenset[str], position: int) -> bool:
    """Whether an entry with these tokens may stand for a name that has more."""
    extra = wanted - tokens
    if extra & _TELLING or any(token.startswith(PRUNED) for token in extra):
        return False
    if extra & _RANKS and not any(is_size(token) for token in wanted):
        return False
    sizes = {token for token in tokens if is_size(token)}
    more = {token for token in extra if is_size(token)}
    if not more:
        return True
    if sizes:  # "distilled from 72b" beside the model's own size; expert counts must not appear out of nowhere
        return all(size_in_billions(token) is not None and "x" not in token for token in more)
    total = parameter_count(_facts_at(position)) / 1e9
    return all(abs((size_in_billions(token) or 0) - total) <= 0.15 * total for token in more)


def _pruned(asked: str, parts: NameParts, other: Ambiguous | NotInCatalog) -> ResolvedModel | Ambiguous | NotInCatalog:
    """The mixture whose experts were pruned to the size in the name, where one model of the catalog fits it."""
    words, billions = base_words(parts), stated_size(parts)
    active = {token for token in parts.sizes if size_in_billions(token) is None}
    fitting: dict[str, ResolvedModel] = {}
    for position, tokens in _token_sets():
        same = frozenset(t for t in tokens if not is_size(t)) == words
        stated = frozenset(t for t in tokens if is_size(t) and size_in_billions(t) is None)
        if billions is None or not same or (stated and active and not stated & active):
            continue
        facts = with_fewer_experts(_facts_at(position), billions)
        if facts is not None and facts.experts is not None:
            said = f"{asked} is taken for {facts.name} with {facts.experts.count} experts, as many as its size leaves"
            found = ResolvedModel(asked=asked, facts=facts, quantization=parts.quantization, assumptions=(said,))
            fitting.setdefault(_shape(facts), found)
    return next(iter(fitting.values())) if len(fitting) == 1 else other


def _same_architecture(positions: list[int]) -> bool:
    shapes = {_shape(_facts_at(position)) for position in positions}
    return len(shapes) == 1


_NAMES = frozenset(
    {"name", "repo", "variants", "ollama", "aliases", "source", "checked", "basis", "max_context", "family"}
)


def _shape(facts: ModelFacts) -> str:
    plain = msgspec.to_builtins(facts)
    return repr(sorted((key, value) for key, value in plain.items() if key not in _NAMES))


def _nearest(asked: str, parts: NameParts) -> Ambiguous | NotInCatalog:
    """Entries of the named family when the name has no size, else nothing."""
    words = {token for token in parts.tokens if not is_size(token)}
    if not parts.sizes:
        family = [p for p, tokens in _token_sets() if words <= tokens]
        names = tuple(dict.fromkeys(_entries()[p].name for p in family))
        if len(names) > 1:
            return Ambiguous(asked=asked, candidates=names)
    return NotInCatalog(asked=asked, why=f"no model of the catalog has the tokens {', '.join(parts.tokens)}")


@lru_cache(maxsize=1)
def _sizes() -> dict[str, SizeReference]:
    path = folder("requirements_matrix") / "models" / "sizes.toml"
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["size"]
    return {row.size: row for row in msgspec.convert(rows, list[SizeReference])}


def _by_size(asked: str, parts: NameParts) -> ResolvedModel | Ambiguous | NotInCatalog:
    if len(parts.tokens) != 1 or size_in_billions(parts.tokens[0]) is None:
        return NotInCatalog(asked=asked, why="sizes alone do not name one model")
    token = parts.tokens[0]
    reference = _sizes().get(token)
    if reference is None:
        known = ", ".join(sorted(_sizes(), key=lambda size: size_in_billions(size) or 0))
        return NotInCatalog(asked=asked, why=f"no reference model stands for the size {token}; known sizes are {known}")
    position = _exact()[reference.name.lower()]
    billions = parameter_count(_facts_at(position)) / 1e9
    said = f"the size {asked} is taken as {reference.name} ({billions:.1f} B parameters): {reference.why}"
    found = _resolved(asked, position, parts, (said,))
    return msgspec.structs.replace(found, origin="size")
