"""What a fit row says in words: why, with which command, and what was assumed."""

from __future__ import annotations

from functools import lru_cache

from envcheck.fit import commands, plan_vllm
from envcheck.fit.choosing import LLAMA_PLACINGS, Choice, Chosen
from envcheck.fit.memory_need import Need
from envcheck.fit.plan_llama import ExpertsOnHost
from envcheck.fit.plan_transformers import Spread
from envcheck.fit.plan_vllm import Parallel
from envcheck.schema.facts import Record
from envcheck.schema.fit import Room
from envcheck.schema.model import ModelFacts


class Question(Record, gc=False):
    """What a row answers."""

    model: ModelFacts
    backend: str
    quant: str
    context: int
    concurrency: int
    assumptions: tuple[str, ...]


def why(choice: Choice, backend: str, room: Room) -> str:
    """What decides, in one sentence."""
    need, available = choice.need, choice.placing.available
    where = _where(choice.placing)
    needs = f"needs {need.total / 1024:.1f} of {available / 1024:.1f} GiB on {where}"
    if choice.status == "fits":
        return needs
    if choice.status == "tight":
        return f"{needs}: less left over than the prediction may err"
    if choice.status == "offload":
        return f"{need.host / 1024:.1f} GiB stay in host memory, {need.total / 1024:.1f} GiB go on {where}: slower"
    short = f"needs {need.total / 1024:.1f} GiB; {where} can give {backend} {available / 1024:.1f} GiB"
    return short + (_beside(choice.placing, room) if choice.placing.devices else "")


def _beside(placing: Chosen, room: Room) -> str:
    """Why host memory does not take the rest of a model that is too large for the GPUs."""
    if room.shares_ram or isinstance(placing, Parallel):
        return ""
    if isinstance(placing, Spread) and placing.model.on_gpu_only:
        return ", and weights of this kind cannot stay in host memory"
    if room.ram_mib is None:
        return "; whether host memory could take the rest is not known"
    return f", and the rest does not go into {room.ram_mib / 1024:.1f} GiB of host memory"


def _where(placing: Chosen) -> str:
    if not placing.devices:
        return "the host"
    if len(placing.devices) == 1:
        return placing.devices[0].name
    return f"{len(placing.devices)} GPUs"


def command(asked: Question, placing: Chosen, need: Need) -> str:
    """What starts it that way."""
    model, quant, context, concurrency = asked.model, asked.quant, asked.context, asked.concurrency
    if isinstance(placing, LLAMA_PLACINGS):
        if asked.backend == "ollama":
            return commands.ollama(model, quant, context, concurrency)
        away = placing.host_layers if isinstance(placing, ExpertsOnHost) else 0
        return commands.llama(model, quant, context, concurrency, placing.gpu_layers, away)
    if isinstance(placing, Parallel):
        return commands.vllm(
            model, quant, context, concurrency, placing.devices, placing.tensor, placing.pipeline,
            placing.utilization, 0 if placing.devices else round(need.kv / plan_vllm.CPU_CACHE_STEP_MIB),
        )  # fmt: skip
    return commands.transformers(model, quant, placing.devices)


@lru_cache(maxsize=64)
def assumed(backend: str, quant: str, devices: int, vision: bool, in_folder: bool) -> tuple[str, ...]:
    """What was taken as given; `devices` is the number of GPUs used, `in_folder` as in `commands.names_a_folder`."""
    folder = (f"no published {quant} checkpoint is listed: the command loads a folder of that name",)
    spread = (*(folder if in_folder else ()), *((f"spread over {devices} GPUs",) if devices > 1 else ()))
    if backend == "vllm":
        cache = "KV cache in the model's type" if quant != "fp32" else "KV cache in f32"
        return (cache, *(("CUDA graphs on",) if devices else ()), *spread)
    if backend == "transformers":
        return ("flash attention 2 or SDPA", "cache grown to the full context", *spread)
    encoder = "image encoder in 16 bit, without the 0.1 to 1.1 GiB it works in while it reads an image"
    usual = ("flash attention on", "KV cache in f16", "ubatch of 512", "llama.cpp of mid 2026 or later")
    return (*usual, *((encoder,) if vision else ()), *spread)
