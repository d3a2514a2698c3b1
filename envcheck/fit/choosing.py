"""Which way of putting a model on a machine is taken: the first that fits, else the one that comes nearest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from envcheck.fit import plan_llama, plan_transformers, plan_vllm
from envcheck.fit.memory_need import Need, interval, verdict
from envcheck.fit.plan_llama import ExpertsOnHost, LlamaModel, Split, Whole
from envcheck.fit.plan_transformers import Spread, TransformersModel
from envcheck.fit.plan_vllm import Parallel, VllmModel
from envcheck.schema.facts import Record
from envcheck.schema.fit import Room, Status

Loaded = LlamaModel | VllmModel | TransformersModel
Chosen = Whole | Split | ExpertsOnHost | Parallel | Spread
LLAMA_PLACINGS = (Whole, Split, ExpertsOnHost)


class Choice(Record, gc=False):
    """One placing held against the room."""

    placing: Chosen
    need: Need
    status: Status
    low: float
    high: float


def choose(loaded: Loaded, experts_away: bool, context: int, concurrency: int, room: Room) -> Choice | None:
    """The first placing that fits, else the first that is tight, else one with a part on the host, else the last."""
    best: Choice | None = None
    for placing in _placings(loaded, room):
        choice = _held(placing, context, concurrency)
        if choice.status == "fits":
            return choice
        if best is None or best.status == "no":
            best = choice
    if best is None or best.status != "no":
        return best
    for partial in _partial(loaded, experts_away, context, concurrency, room):
        choice = _held(partial, context, concurrency)
        if choice.need.host <= (room.ram_mib or 0.0):
            return msgspec.structs.replace(choice, status="offload")
    return best


def _held(placing: Chosen, context: int, concurrency: int) -> Choice:
    need = placing.need(context, concurrency)
    low, high = interval(need, placing.situation, len(placing.devices))
    return Choice(placing=placing, need=need, status=verdict(need, placing.available, high), low=low, high=high)


def _partial(
    loaded: Loaded, experts_away: bool, context: int, concurrency: int, room: Room
) -> Iterator[Split | ExpertsOnHost | Spread]:
    """Placings with a part on the host, whether or not it has room for that: the faster first."""
    if isinstance(loaded, LlamaModel):
        # Experts on the host cost less speed than whole layers there.
        experts = plan_llama.experts_on_host(loaded, room, context, concurrency) if experts_away else None
        if experts is not None:
            yield experts
        layers = plan_llama.split(loaded, room, context, concurrency)
        if layers is not None:
            yield layers
    elif isinstance(loaded, TransformersModel):
        spread = plan_transformers.offloaded(loaded, room, context, concurrency)
        if spread is not None:
            yield spread


def _placings(loaded: Loaded, room: Room) -> Iterable[Chosen]:
    if isinstance(loaded, LlamaModel):
        return plan_llama.whole(loaded, room)
    if isinstance(loaded, VllmModel):
        return plan_vllm.parallel(loaded, room)
    return plan_transformers.placings(loaded, room)
