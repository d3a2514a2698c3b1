"""Small made-up architectures and machines that the tests of fit share."""

from __future__ import annotations

from envcheck.schema.fit import Device, Room
from envcheck.schema.model import Attention, Experts, LatentAttention, ModelFacts, Recurrent

PLAIN = ModelFacts(
    name="Plain-8B", family="plain", architecture="llama", hidden=4096, layer_count=32, vocab=128256,
    max_context=131072, ffn=14336, attention=Attention(heads=32, kv_heads=8, key_dim=128), repo="acme/Plain-8B",
)  # fmt: skip
WINDOWED = ModelFacts(
    name="Windowed-26B", family="windowed", architecture="gemma4", hidden=2816, layer_count=30, vocab=262144,
    max_context=262144, ffn=2112, attention=Attention(heads=16, kv_heads=2, key_dim=512),
    local=Attention(heads=16, kv_heads=8, key_dim=256, window=1024), mixers="sssssa", tied=True,
)  # fmt: skip
HYBRID = ModelFacts(
    name="Hybrid-27B", family="hybrid", architecture="qwen3_5", hidden=5120, layer_count=64, vocab=248320,
    max_context=262144, ffn=17408, attention=Attention(heads=24, kv_heads=4, key_dim=256),
    recurrent=Recurrent(kind="gated_delta_net", inner=6144, state=128, conv=4, heads=48, groups=16), mixers="rrra",
    mtp_layers=1,
)  # fmt: skip
LATENT = ModelFacts(
    name="Latent-16B", family="latent", architecture="deepseek_v2", hidden=2048, layer_count=27, vocab=102400,
    max_context=32768, ffn=10944,
    latent=LatentAttention(heads=16, kv_rank=512, rope_dim=64, nope_dim=128, value_dim=128),
    experts=Experts(count=64, used=6, ffn=1408, shared_ffn=2816), mixers="l", feed_forward="d1 e",
)  # fmt: skip
ALL = (PLAIN, WINDOWED, HYBRID, LATENT)


def card(total_gib: float, index: int = 0, capability: str = "8.9") -> Device:
    """A discrete NVIDIA card with all its memory free."""
    return Device(
        index=index, name=f"card {index}", vendor="nvidia", kind="discrete", total_mib=total_gib * 1024,
        available_mib=total_gib * 1024 * 0.98, compute_capability=capability,
    )  # fmt: skip


def room(*cards_gib: float, ram_gib: float = 64) -> Room:
    """A machine with these cards and so much host memory."""
    return Room(devices=tuple(card(size, i) for i, size in enumerate(cards_gib)), ram_mib=ram_gib * 1024, cores=16)
