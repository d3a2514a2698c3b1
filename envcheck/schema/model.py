"""What memory and speed arithmetic needs to know about one language model: `ModelFacts`, and its layers spelled out.

Facts are those of the published architecture, not of one file: bytes follow from facts and a quantization
(`envcheck.fit.tensors`, `envcheck.fit.checkpoints`), or are read from a file's own tensor table (`StoredTensor`).
All widths are elements, not bytes. Names follow Hugging Face `config.json` where it has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from envcheck.schema.errors import InputError
from envcheck.schema.facts import Record


class Attention(Record):
    """One kind of attention whose keys and values are cached per head (MHA, GQA, MQA; all tokens or a window)."""

    heads: int
    kv_heads: int
    key_dim: int
    """Width of one query or key head."""
    value_dim: int | None = None
    """Width of one value head; None: as wide as a key head."""
    window: int | None = None
    """Tokens a query looks back on; None: all."""
    chunked: bool = False
    """The window is a fixed chunk of the sequence (Llama 4), not one that slides."""
    q_bias: bool = False
    kv_bias: bool = False
    no_key_bias: bool = False
    """Only values have the bias of `kv_bias` (Whisper)."""
    out_bias: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    """Normalisation weights of queries and keys: none, one vector per head width, or one as wide as all heads."""
    qk_norm_bias: bool = False
    output_gate: bool = False
    """The query projection is twice as wide and gates the output (Qwen3-Next)."""
    head_gate: bool = False
    """A projection from the hidden state to one gate per head."""
    keys_are_values: bool = False
    """No value projection: values are the keys (Gemma 4 global layers). The cache still holds both."""
    sinks: bool = False
    """One learned sink per head (gpt-oss)."""
    relative_buckets: int = 0
    """Rows of a learned relative position bias, one column per head (T5)."""

    @property
    def cached_elements(self) -> int:
        """Elements of keys and values cached for one token by one layer."""
        return self.kv_heads * (self.key_dim + self.value_width)

    @property
    def value_width(self) -> int:
        """Width of one value head."""
        return self.key_dim if self.value_dim is None else self.value_dim


class LatentAttention(Record):
    """Multi-head latent attention (DeepSeek V2 and later): one compressed vector per token stands for all heads."""

    heads: int
    kv_rank: int
    """Width of the compressed keys and values (`kv_lora_rank`)."""
    rope_dim: int
    """Width of the shared rotary key (`qk_rope_head_dim`)."""
    nope_dim: int
    """Width of a key head without its rotary part (`qk_nope_head_dim`)."""
    value_dim: int
    q_rank: int | None = None
    """Rank of the query projection (`q_lora_rank`); None: queries are projected directly."""
    index_heads: int = 0
    """Heads of the sparse-attention indexer (DeepSeek V3.2, GLM-5); its keys are cached too."""
    index_dim: int = 0
    window: int | None = None

    @property
    def cached_elements(self) -> int:
        """Elements cached for one token by one layer in the compressed form (without the indexer)."""
        return self.kv_rank + self.rope_dim

    @property
    def expanded_elements(self) -> int:
        """Elements for one token and layer with keys and values expanded per head (llama.cpp before its MLA cache)."""
        return self.heads * (self.nope_dim + self.rope_dim + self.value_dim)


RecurrentKind = Literal["mamba", "mamba2", "gated_delta_net", "kimi_delta", "short_conv", "lightning", "rg_lru", "rwkv"]


class Recurrent(Record):
    """A layer with a state of constant size per sequence: selective state spaces, linear attention, convolutions."""

    kind: RecurrentKind
    inner: int
    """Width of the stream the state works on (`d_inner`, `mamba_expand * hidden`, value heads x value width)."""
    state: int = 0
    """State elements per inner channel (`d_state`; for linear attention the key head width)."""
    conv: int = 0
    """Length of the causal convolution's kernel; its state is one shorter."""
    heads: int = 0
    """Heads of the state (mamba2 heads, value heads of linear attention)."""
    groups: int = 1
    """Groups that share B and C (mamba2), or key heads (linear attention)."""
    dt_rank: int = 0
    """Rank of the step-size projection (mamba)."""
    conv_bias: bool = True
    norm: bool = False
    """A gated norm over the inner stream (mamba2), or norms of dt, B and C (Jamba)."""
    bias: bool = False
    """The in and out projections have a bias."""

    @property
    def conv_channels(self) -> int:
        """Channels the convolution runs over."""
        if self.kind == "mamba2":
            return self.inner + 2 * self.groups * self.state
        if self.kind in ("gated_delta_net", "kimi_delta"):
            return self.inner + 2 * self.groups * self.state
        return self.inner

    @property
    def conv_elements(self) -> int:
        """State elements of the convolution for one sequence."""
        return max(self.conv - 1, 0) * self.conv_channels

    @property
    def state_elements(self) -> int:
        """Elements of the recurrent state proper for one sequence, without the convolution's."""
        return self.inner * self.state


class Experts(Record):
    """A mixture-of-experts feed-forward block."""

    count: int
    used: int
    """Experts that one token is sent to."""
    ffn: int
    """Inner width of one routed expert."""
    shared_ffn: int = 0
    """Inner width of all shared experts together (each token passes through them)."""
    shared_gate: bool = False
    """The shared expert's output is scaled by a learned gate (Qwen MoE)."""
    router_bias: bool = False
    """A bias or score correction per expert."""
    bias: bool = False
    """The experts' projections have biases (gpt-oss)."""
    latent: int = 0
    """Width of the projection experts work in instead of the hidden width (Nemotron 3 Super); 0: the hidden width."""


class Part(Record):
    """Weights outside the regular stack, by count: a vision tower, an audio encoder, a projector."""

    name: str
    parameters: int
    quantized: bool = False
    """True when 4-bit and 8-bit checkpoints of this model shrink this part too."""
    speaks: bool = False
    """Makes sound of the model's answer (talker, vocoder); servers of text do not load it."""


class Vision(Record):
    """An image (or video) encoder with its projector."""

    parameters: int
    """All weights of tower and projector."""
    layers: int = 0
    hidden: int = 0
    heads: int = 0
    patch: int = 0
    image_size: int = 0
    """Side of the image the tower was trained for, pixels; 0: any."""
    tokens: int = 0
    """Language-model tokens of one image at `image_size`; 0: depends on the image."""


class Layer(Record, gc=False):
    """One layer as arithmetic sees it: what it caches, what state it keeps, what its feed-forward block weighs."""

    index: int
    attention: Attention | LatentAttention | None = None
    shares_kv: bool = False
    """Reads an earlier layer's cache and has none of its own (Gemma 3n, Gemma 4)."""
    cross: bool = False
    """Attends to an image or an encoder; caches that, not the text (Llama 3.2 Vision)."""
    recurrent: Recurrent | None = None
    ffn: int = 0
    """Inner width of the dense feed-forward block; 0: none."""
    experts: Experts | None = None

    @property
    def caches(self) -> bool:
        """True when every token of the text adds to a cache of this layer."""
        return self.attention is not None and not self.shares_kv and not self.cross


class Drafter(Record):
    """A small model published to draft tokens for this one; it uses this one's embedding and head."""

    name: str
    layers: int
    """Each caches keys and values as wide as those of the model's own full attention."""
    parameters: int


class ModelFacts(Record, cache_hash=True, gc=False):
    """The architecture of one model.

    `mixers` and `feed_forward` say what each layer is, as pieces separated by blanks: letters, then how many times;
    the last piece, if it has no number, repeats to the end ("d3 e", "sssssa"). `layers()` spells them out.
    Mixers: a attention · s local (sliding or chunked) attention · l latent attention · r recurrent · p attention and
    recurrent in parallel · x cross attention · - none. Feed-forward: d dense · e experts · b both · - none.
    """

    name: str
    family: str
    """Lower-case line of models, as people say it: "llama", "qwen", "gemma"."""
    architecture: str
    """`model_type` of the Hugging Face configuration ("qwen2", "gemma3_text" → "gemma3")."""
    hidden: int
    layer_count: int
    vocab: int
    """Rows of the embedding matrix, padding included."""
    max_context: int
    """Tokens the model was trained or published for; 0: unlimited or unknown to the source."""
    rope_factor: int = 1
    """Linear scaling of positions: engines hold angles for so many times `max_context` (Gemma 3 from 4B)."""
    ffn: int = 0
    attention: Attention | None = None
    local: Attention | None = None
    """Attention of the layers with a window."""
    latent: LatentAttention | None = None
    recurrent: Recurrent | None = None
    experts: Experts | None = None
    mixers: str = "a"
    feed_forward: str = "d"
    heads_by_layer: tuple[int, ...] = ()
    kv_heads_by_layer: tuple[int, ...] = ()
    """Where layers differ (DeciLM, OpenELM); 0: the layer has no attention."""
    ffn_by_layer: tuple[int, ...] = ()
    shared_kv_layers: int = 0
    """How many of the last layers read an earlier layer's cache."""
    shared_kv_weights: bool = False
    """Those layers carry key and value weights all the same (Gemma 3n)."""
    tied: bool = False
    """The output head is the embedding matrix."""
    head_stored: bool = False
    """Tied, and yet the published files hold the head as a tensor of its own."""
    gated: bool = True
    """The feed-forward block has a gate beside its up projection (SwiGLU)."""
    mlp_bias: bool = False
    norms: int = 2
    """Norms of hidden width per layer."""
    norm_bias: bool = False
    """LayerNorm with bias, instead of RMSNorm or bias-free LayerNorm."""
    final_norm: bool = True
    embedding_norm: bool = False
    extra_per_layer: int = 0
    """Further weights of each layer that no scheme quantizes (scales, routers of side paths)."""
    embedding_width: int | None = None
    """Width of the embedding when it differs from `hidden` and is projected (OPT-350m)."""
    position_rows: int = 0
    """Rows of a learned position embedding."""
    token_types: int = 0
    head_bias: bool = False
    per_layer_vocab: int = 0
    per_layer_width: int = 0
    """Per-layer embeddings of Gemma 3n and 4: one vector of this width per token and layer."""
    mtp_layers: int = 0
    """Layers that predict further tokens (multi-token prediction), kept beside the stack."""
    mtp_vocabulary: bool = False
    """Each of them carries its own copy of the embedding and the head (DeepSeek V3)."""
    drafter: Drafter | None = None
    cross_attention: Attention | None = None
    """Every decoder layer also attends to an encoder with these heads (Whisper, T5)."""
    encoder_tokens: int = 0
    """Positions of that encoder's output; 0: as many as its input has."""
    role: Literal["decoder", "encoder", "encoder_decoder"] = "decoder"
    vision: Vision | None = None
    parts: tuple[Part, ...] = ()
    published_parameters: int = 0
    """What the publisher says (or the hub counts), rounded as there; 0: not said."""
    published_active: int = 0
    repo: str | None = None
    """Hugging Face repository."""
    variants: tuple[str, ...] = ()
    """Other repositories with the same architecture (instruct, base, domain)."""
    ollama: tuple[str, ...] = ()
    """Ollama tags without their quantization ("qwen2.5:7b")."""
    aliases: tuple[str, ...] = ()
    quantized_by: str = ""
    """Owner of the repository asked for, lower case, where its quantized files shrink other parts than usual."""
    precision: Literal["float32", "bfloat16", "float16", "float8", "mxfp4"] = "bfloat16"
    """How the publisher stores the weights."""
    source: str = ""
    checked: str = ""
    basis: Literal["read", "recalled, parameter count agrees", "file"] = "read"

    def layers(self) -> tuple[Layer, ...]:
        """Every layer of the stack in order (multi-token-prediction layers not included)."""
        return _layers(self)

    def layer(self, index: int, mixer: str, block: str, shares_kv: bool) -> Layer:
        """One layer from the letters of its mixer and its feed-forward block."""
        attention = self._attention(index, mixer)
        ffn = self.ffn_by_layer[index] if self.ffn_by_layer else self.ffn
        return Layer(
            index=index,
            attention=attention,
            shares_kv=shares_kv and attention is not None,
            cross=mixer == "x",
            recurrent=self.recurrent if mixer in "rp" else None,
            ffn=ffn if block in "db" else 0,
            experts=self.experts if block in "eb" else None,
        )

    def _attention(self, index: int, mixer: str) -> Attention | LatentAttention | None:
        if mixer == "l":
            return self.latent
        kind = {"a": self.attention, "p": self.attention, "x": self.attention, "s": self.local}.get(mixer)
        if kind is None or not self.kv_heads_by_layer:
            return kind
        kv_heads = self.kv_heads_by_layer[index]
        heads = self.heads_by_layer[index] if self.heads_by_layer else kind.heads
        return _with_heads(kind, heads, kv_heads) if kv_heads else None


@lru_cache(maxsize=16)
def _layers(facts: ModelFacts) -> tuple[Layer, ...]:
    """Kept for a few models: cache, weights and limits of one model are worked out one after the other."""
    count = facts.layer_count
    mixers, blocks = expand(facts.mixers, count), expand(facts.feed_forward, count)
    first_shared = count - facts.shared_kv_layers
    return tuple(facts.layer(i, mixers[i], blocks[i], i >= first_shared) for i in range(count))


def _with_heads(kind: Attention, heads: int, kv_heads: int) -> Attention:
    fields = {name: getattr(kind, name) for name in kind.__struct_fields__}
    return Attention(**{**fields, "heads": heads, "kv_heads": kv_heads})


def expand(pattern: str, count: int) -> str:
    """Spell a layer pattern out to `count` letters: "d3 e" → "dddeee…", "sssssa" → repeated.

    Raises InputError when the pattern names more or fewer layers than there are.
    """
    letters = "".join(_pieces(pattern, count))
    if len(letters) != count:
        raise InputError(f"layer pattern {pattern!r} names {len(letters)} layers, the model has {count}")
    return letters


def _pieces(pattern: str, count: int) -> Iterator[str]:
    done = 0
    pieces = pattern.split()
    for number, piece in enumerate(pieces, start=1):
        letters = piece.rstrip("0123456789")
        times = piece[len(letters) :]
        if times:
            text = letters * int(times)
        elif number == len(pieces) and letters:
            left = max(count - done, 0)
            text = (letters * (left // len(letters) + 1))[:left]
        else:
            text = letters
        done += len(text)
        yield text


class StoredTensor(Record):
    """One tensor as a file's header lists it."""

    name: str
    dtype: str
    """GGUF type ("Q4_K") or safetensors dtype ("BF16")."""
    shape: tuple[int, ...]
    nbytes: int


class ResolvedModel(Record):
    """What a name, a size or a path turned out to mean."""

    asked: str
    facts: ModelFacts
    quantization: str | None = None
    """What the name or file says about the weights' format ("Q4_K_M", "awq", "fp8"); None: nothing."""
    tensors: tuple[StoredTensor, ...] = ()
    """The file's own tensors, when a file was named: exact where present."""
    assumptions: tuple[str, ...] = ()
    """Sentences for people: which reference model a size stands for, which base a fine-tune was taken for."""
    origin: Literal["catalog", "size", "gguf", "safetensors", "config", "ollama", "hf_cache"] = "catalog"


class Ambiguous(Record):
    """The name fits several models and nothing tells them apart."""

    asked: str
    candidates: tuple[str, ...]


class NotInCatalog(Record):
    """No model of that name is known; `why` is one clause."""

    asked: str
    why: str
