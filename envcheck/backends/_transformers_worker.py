"""Transformers in the target interpreter: JSON lines in on standard input, JSON lines out on standard output.

Runs alone in any Python >= 3.9 that has torch and transformers (nothing of envcheck is imported here). Standard output
is kept for answers: whatever libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

_OUT = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
os.dup2(2, 1)


def say(**fields: Any) -> None:
    """One answer line."""
    _OUT.write(json.dumps(fields) + "\n")
    _OUT.flush()


class Pieces:
    """A streamer for `generate`: passes on text as soon as it is whole characters."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.tokens: list[int] = []
        self.sent = 0
        self.first: float | None = None
        self.last: float | None = None
        self.prompt_seen = False

    def put(self, value: Any) -> None:
        """Called by `generate` with the prompt first and then with each new token."""
        if not self.prompt_seen:
            self.prompt_seen = True
            return
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.tokens.extend(value.reshape(-1).tolist())
        self.pass_on(final=False)

    def end(self) -> None:
        """Called by `generate` when it is done."""
        self.pass_on(final=True)

    def pass_on(self, *, final: bool) -> None:
        text = self.tokenizer.decode(self.tokens, skip_special_tokens=True)
        if final or not text.endswith("\ufffd"):
            if len(text) > self.sent:
                say(event="text", text=text[self.sent :])
            self.sent = max(self.sent, len(text))


class Worker:
    """One model at a time."""

    def __init__(self) -> None:
        self.model: Any = None
        self.tokenizer: Any = None

    def load(self, path: str, gguf: str = "", device: str = "auto", threads: int = 0, dtype: str = "") -> None:
        """Load a folder with safetensors, or a GGUF file inside one (dequantised).

        Without `dtype`: the one of `usual_dtype`.
        """
        import torch
        import transformers

        if threads:
            torch.set_num_threads(threads)
        started = time.perf_counter()
        options: dict[str, Any] = {"gguf_file": gguf} if gguf else {}
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
        target = pick_device(torch) if device == "auto" else device
        kind = getattr(torch, dtype or usual_dtype(torch, target))
        if gguf and hasattr(transformers, "GgufConfig"):
            options["quantization_config"] = transformers.GgufConfig(dequantize=True)
        self.model = (
            transformers.AutoModelForCausalLM.from_pretrained(path, **{name_of_dtype(transformers): kind}, **options)
            .to(target)
            .eval()
        )
        say(
            event="loaded",
            load_ms=(time.perf_counter() - started) * 1e3,
            torch=torch.__version__,
            transformers=transformers.__version__,
            template=self.tokenizer.chat_template or "",
            **self.placed(),
        )

    def placed(self) -> dict[str, Any]:
        """Bytes of parameters and buffers per device."""
        sizes: dict[str, int] = {}
        for tensor in [*self.model.parameters(), *self.model.buffers()]:
            name = tensor.device.type
            sizes[name] = sizes.get(name, 0) + tensor.numel() * tensor.element_size()
        dtypes = sorted({str(p.dtype).replace("torch.", "") for p in self.model.parameters()})
        return {"bytes": sizes, "dtypes": dtypes}

    def ask(
        self,
        messages: list[dict[str, str]],
        completion: str | None,
        max_tokens: int,
        temperature: float,
        seed: int,
        tools: Any = None,
    ) -> None:
        """Generate one answer, greedily at temperature 0."""
        import torch

        torch.manual_seed(seed)
        if completion is not None:
            text = completion
        elif self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
        else:
            text = "\n".join(message["content"] for message in messages)
        special = completion is not None or not self.tokenizer.chat_template
        inputs = self.tokenizer(text, return_tensors="pt", add_special_tokens=special).to(self.model.device)
        sampling: dict[str, Any] = (
            {"do_sample": False} if temperature == 0 else {"do_sample": True, "temperature": temperature}
        )
        pieces = Pieces(self.tokenizer)
        started = time.perf_counter()
        with torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=max_tokens, streamer=pieces, **sampling)
        count_in = inputs["input_ids"].shape[1]
        count_out = output.shape[1] - count_in
        say(
            event="end",
            prompt_tokens=count_in,
            output_tokens=count_out,
            finish="length" if count_out >= max_tokens else "stop",
            prefill_s=(pieces.first or started) - started,
            decode_s=(pieces.last or started) - (pieces.first or started),
            peak=peak_bytes(torch, self.model.device),
        )

    def greedy(self, text: str, count: int) -> None:
        """Ids of the tokens that continue a text greedily."""
        import torch

        inputs = self.tokenizer(text, return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=count, do_sample=False)
        say(event="tokens", ids=output[0, inputs["input_ids"].shape[1] :].tolist())

    def unload(self) -> None:
        """Drop the model and give memory back."""
        import gc

        started = time.perf_counter()
        self.model = None
        gc.collect()
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
            sys.modules["torch"].cuda.empty_cache()
        say(event="unloaded", unload_ms=(time.perf_counter() - started) * 1e3)


def usual_dtype(torch: Any, target: str) -> str:
    """float32 on the processor, else the 16 bits that the GPU computes with: bfloat16 on NVIDIA from Ampere on.

    Source: https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/compute-capabilities.html
    """
    if target == "cpu":
        return "float32"
    is_nvidia = target.startswith("cuda") and not torch.version.hip
    return "float16" if is_nvidia and torch.cuda.get_device_capability()[0] < 8 else "bfloat16"


def name_of_dtype(transformers: Any) -> str:
    """What `from_pretrained` calls the number format: renamed in 4.56, and the old name is gone in 5."""
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def pick_device(torch: Any) -> str:
    """The accelerator torch can really use, else the processor."""
    if torch.cuda.is_available():
        return "cuda"
    if getattr(torch, "xpu", None) is not None and torch.xpu.is_available():
        return "xpu"
    if getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def peak_bytes(torch: Any, device: Any) -> int | None:
    """Largest allocation of torch on the device since the start, or None on the processor."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


def main() -> None:
    """Serve until standard input closes."""
    worker = Worker()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            getattr(worker, order.pop("op"))(**order)
        except Exception as error:  # noqa: BLE001  every failure is an answer
            words = str(error).strip().splitlines()
            say(event="error", kind=type(error).__name__, says=(words[0] if words else "")[:400])
    os._exit(0)


if __name__ == "__main__":
    main()
