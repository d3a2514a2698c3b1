"""Model names taken apart: what is family and version, what is size, what only names a quantization or a packaging.

"NousResearch/Hermes-3-Llama-3.1-8B-AWQ", "llama3.1:8b-instruct-q4_K_M" and
"Meta-Llama-3.1-8B-Instruct.Q4_K_M.gguf" all hold the tokens `llama3.1` and `8b`.
Names are compared token by token, never by substring ("m40" is not "M4").
"""

from __future__ import annotations

import re

from envcheck.schema.facts import Record

_QUANT = re.compile(
    r"(?<![a-z0-9])(?:"
    r"(?P<gguf>iq\d_(?:xxs|xs|nl|kss|ks|k|s|m)|q\d_(?:[0-9]|k(?:_(?:xxs|xs|s|m|l|xl))?)|q8|q4|tq\d_0"
    r"|bf16|fp?16|fp?32|mxfp4_moe)"
    r"|(?P<awq>awq|awq[-_]?int4|w4a16[-_]?awq)"
    r"|(?P<gptq>gptq[-_]?4b[-_]128g|gptq(?:[-_]?(?:int)?[348])?(?:[-_]?bits?)?(?:[-_]?marlin)?)"
    r"|(?P<fp8>fp8(?:[-_]?(?:dynamic|kv|block|static(?:[-_]per[-_]?tensor)?))?|w8a8[-_]?fp8)"
    r"|(?P<nvfp4>nvfp4(?:a16)?|fp4)|(?P<mxfp4>mxfp4)"
    r"|(?P<bnb4>bnb[-_]4bit|4bit[-_]bnb|bnb[-_]?nf4|nf4|unsloth[-_]bnb[-_]4bit)|(?P<bnb8>bnb[-_]8bit|llm[-_]int8)"
    r"|(?P<w4a16>w4a16(?:[-_]g\d+)?|autoround)|(?P<int4>int4|4[-_]?bits?)|(?P<w8a8>w8a8|w8a16|int8|8[-_]?bits?)"
    r"|(?P<exl>exl[23]|\d(?:\.\d+)?bpw)|(?P<gguffile>gguf|ggml)"
    r"|(?P<aqlm>aqlm)|(?P<hqq>hqq)|(?P<vptq>vptq)|(?P<quip>quip(?:#|-sharp)?)|(?P<eetq>eetq)|(?P<low>[23][-_]?bits?)"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
_WIDENED = re.compile(r"(?i)(?:un|de)quanti[sz]ed")
"""A file widened back to 16 bit, whatever quantization its name goes on to mention."""
_PACKAGING = frozenset(
    """
    instruct chat it hf base pt sft dpo orpo rlhf kto simpo meta model models main snapshots latest preview the
    gguf quantized quantised quantization compressed tensors safetensors bf16 fp16 f16 marlin static dynamic kv
    g128 group128 sym merged merge lora qlora finetune finetuned ft tuned v1 uncensored abliterated heretic
    imatrix i1 ud unsloth local hub final qat unquantized dequantized
    """.split()  # noqa: SIM905
)
_TOKEN = re.compile(
    r"(?P<size>\d+x\d+(?:\.\d+)?[bm]|[ae]\d+(?:\.\d+)?[bm]|\d+(?:\.\d+)?[bmt]\d?)(?![a-z0-9])"
    r"|(?P<odd>[a-z]+\d+[a-z]+[a-z0-9]*)|(?P<number>\d+(?:\.\d+)*[a-jl-z]?)(?![a-z0-9])"
    r"|(?P<word>[a-z+]+)|(?P<rest>[a-z0-9]+)"
)
_BETWEEN_DIGITS = re.compile(r"(?<=\d)_+(?=\d)")
_SIZE_AFTER_VERSION = re.compile(r"(?:(?<=[a-z]\d)|(?<=[a-z]\d\d)|(?<=[a-z]\d\.\d))_(?=\d+(?:\.\d+)?[bm](?![a-z0-9]))")
_HYPHENED_VERSION = re.compile(r"(?<=[a-z])(-?\d)-(?=\d-[a-z\d])")
"""The hyphen inside the version of "llama-3-1-8b-instruct"."""
_GLUED_SIZES = re.compile(r"(?<=\d[bt])(?=a\d+(?:\.\d+)?b(?![a-z0-9]))|(?<=[a-z]{3})(?=\d+(?:\.\d+)?b(?![a-z0-9]))")
"""Where "30ba3b" and "mistral7b" fall apart."""
_VERSION_WITHOUT_DOT = re.compile(r"([a-z]+[1-9])(\d)")
"""A family word with two digits is a version ("qwen25", "llama31")."""
_YEAR_OR_DATE = re.compile(r"\d{4,}")


class NameParts(Record):
    """A model name taken apart."""

    tokens: tuple[str, ...]
    """Family with version ("qwen2.5"), sizes ("7b"), and words that tell variants apart ("coder", "vl")."""
    quantization: str | None = None
    """The weights' format as the name says it, in one spelling ("awq", "Q4_K_M"); None: the name says nothing."""

    @property
    def sizes(self) -> frozenset[str]:
        """Tokens that state a parameter count."""
        return frozenset(t for t in self.tokens if is_size(t))


def is_size(token: str) -> bool:
    """True for "7b", "0.5b", "8x7b", "a3b", "135m"."""
    match = _TOKEN.fullmatch(token)
    return bool(match and match["size"])


def size_in_billions(token: str) -> float | None:
    """Billions of parameters a size token states ("7b", "135m", "8x7b" → 56); None for active sizes and other words."""
    match = re.fullmatch(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([bmt])(\d)?", token)
    if match is None:
        return None
    times, number, unit, tenth = match.groups()
    value = float(f"{number}.{tenth}") if tenth else float(number)
    return value * {"b": 1.0, "m": 0.001, "t": 1000.0}[unit] * (int(times) if times else 1)


def last_parts(name: str) -> str:
    """The telling end of a path or repository name: a cache folder or file path is reduced to its model's name."""
    text = name.strip().replace("\\", "/").rstrip("/")
    cached = re.search(r"models--([^/]+?)--([^/]+)", text)
    if cached:
        return cached[2]
    pieces = [p for p in text.split("/") if p and p not in ("snapshots", "blobs", ".", "..", "~")]
    while len(pieces) > 1 and re.fullmatch(
        r"[0-9a-f]{12,64}|main|models?|gguf|weights?|checkpoints?", pieces[-1].lower()
    ):
        pieces.pop()
    return pieces[-1] if pieces else ""


def quantization_in(name: str) -> str | None:
    """The quantization a name states, in one spelling; a GGUF type keeps llama.cpp's ("Q4_K_M")."""
    found = None
    if _WIDENED.search(name):
        return None
    for match in _QUANT.finditer(name):
        kind = match.lastgroup
        if kind == "gguffile":
            continue
        if kind == "gguf":
            text = match[0].upper().replace("FP16", "F16").replace("FP32", "F32")
            found = found or text
        elif kind == "gptq":
            found = "gptq-int8" if re.search(r"gptq[-_]?(?:int)?8", match[0], re.IGNORECASE) else "gptq-int4"
        elif kind in ("bnb4", "bnb8"):
            found = {"bnb4": "bnb-4bit", "bnb8": "bnb-int8"}[kind]
        elif kind in ("w4a16", "int4") and found in ("awq", "gptq-int4", "bnb-4bit", "nvfp4", "mxfp4", "w4a16"):
            continue
        elif kind == "w8a8" and found in ("gptq-int4", "gptq-int8", "fp8", "bnb-int8"):
            found = "gptq-int8" if (found or "").startswith("gptq") else found
        elif kind == "low":
            found = found or f"{match[0][0]}bit"
        else:
            found = {"w8a8": "int8"}.get(kind or "", kind)
    return found


def take_apart(name: str) -> NameParts:
    """Tokens and quantization of a model name, repository, file name or Ollama tag."""
    text = last_parts(name)
    quantization = quantization_in(text)
    bare = _QUANT.sub(" ", text.lower().replace(".gguf", " gguf").replace(".safetensors", " "))
    bare = re.sub(r"-\d{5}-of-\d{5}", " ", bare)
    bare = _GLUED_SIZES.sub("-", _HYPHENED_VERSION.sub(r"\1.", bare))
    bare = _BETWEEN_DIGITS.sub(".", _SIZE_AFTER_VERSION.sub("-", bare))
    return NameParts(tokens=tuple(_tokens(bare)), quantization=quantization)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    before = ""
    for piece in re.split(r"[/:@()\[\],]+", text):
        before = ""
        for match in _TOKEN.finditer(re.sub(r"[-_.\s](?=\D|$)|(?<=\D)[-_.\s]|[-\s]", " ", piece)):
            kind, token = match.lastgroup, match[0]
            if kind == "number" and before and not _YEAR_OR_DATE.fullmatch(token):
                version = _VERSION_WITHOUT_DOT.fullmatch(before + token)
                tokens[-1] = ".".join(version.groups()) if version else before + token  # it belongs to the word before
                before = ""
                continue
            tokens.append(token)
            before = token if kind == "word" else ""
    return [t for t in tokens if t not in _PACKAGING]
