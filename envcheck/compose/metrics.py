"""What the fixed workloads are, and what each figure means."""

from __future__ import annotations

from envcheck.compose._cells import code, number, row, table
from envcheck.compose.workloads import workloads
from envcheck.schema.blocks import Cell, Fold, Section


def workloads_section() -> Section:
    """What is sent, and what each figure means."""
    rows = [
        row(workload.kind.replace("_", " "), code(workload.text), number(workload.max_tokens, 0), workload.tells)
        for workload in workloads()
    ]
    heads = ["Workload", "Prompt", "#Tokens at most", "What a right answer tells"]
    basis = (
        "The prompts ship with envcheck. Temperature 0 and a fixed seed: the same engine, weights and settings give "
        "the same answer but for rounding."
    )
    heads_of_metrics = ["Metric", "Definition", "Unit", "Defined as in"]
    metrics = [row(name, formula, unit, code_link) for name, formula, unit, code_link in _METRICS]
    return Section(
        id="metrics",
        title="Metrics and workloads",
        blocks=(
            table("Workloads", heads, rows, basis),
            Fold(title="What each metric means", blocks=(table("Metrics", heads_of_metrics, metrics),)),
        ),
    )


_VLLM = Cell(text="vLLM benchmarks", link="https://github.com/vllm-project/vllm/blob/main/vllm/benchmarks/serve.py")
_AIPERF = Cell(text="AIPerf", link="https://github.com/ai-dynamo/aiperf")
_INFERENCE_PERF = Cell(
    text="inference-perf", link="https://github.com/kubernetes-sigs/inference-perf/blob/main/docs/metrics.md"
)
_METRICS: tuple[tuple[str, str, str, Cell], ...] = (
    (
        "TTFT",
        "time to first token: from the first byte of the request, on an open connection, to the first event with text",
        "ms",
        _INFERENCE_PERF,
    ),
    ("TPOT", "time per output token after the first: (last event − first event) ÷ (output tokens − 1)", "ms", _AIPERF),
    ("E2E", "end to end: from the first byte of the request to the last token", "ms", _VLLM),
    ("decode speed", "1000 ÷ TPOT, for one stream", "tokens/s", _AIPERF),
    (
        "prefill speed",
        "uncached prompt tokens ÷ TTFT of the longest prompt, with the engine's own figure beside it",
        "tokens/s",
        Cell(text="llama-benchy", link="https://github.com/eugr/llama-benchy"),
    ),
    (
        "RAM, VRAM",
        "peak of the engine's processes: proportional set size, GPU memory used",
        "MiB",
        Cell(text="optimum-benchmark", link="https://github.com/huggingface/optimum-benchmark"),
    ),
    (
        "memory efficiency",
        "output tokens per second ÷ peak GiB (“tokens/GB” alone is undefined)",
        "tokens/s/GiB",
        Cell(text="this project"),
    ),
    (
        "answer",
        "right, wrong, refused, empty or looping, judged by a rule per workload; says nothing about the environment",
        "–",
        Cell(text="this project"),
    ),
)
