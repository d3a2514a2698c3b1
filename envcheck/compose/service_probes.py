"""The last phase: does what stands around the engine work with it? Each command was run against the real thing."""

from __future__ import annotations

from envcheck.schema.blocks import Block, Commands, Paragraph, Part
from envcheck.schema.describe import backend_title
from envcheck.schema.facts import value_of
from envcheck.schema.report import Subject

PORTS = {"vllm": 8000, "ollama": 11434, "llama.cpp": 8080, "sglang": 30000}
"""Default ports of the OpenAI-compatible servers (vLLM and SGLang quick starts, Ollama FAQ, llama-server README)."""

_CHROMA = (
    "python3 -c \"import chromadb; c = chromadb.EphemeralClient().create_collection('probe'); "
    "c.add(ids=['a', 'b'], embeddings=[[1, 0], [0, 1]], documents=['x', 'y']); "
    "print(c.query(query_embeddings=[[0.9, 0.1]], n_results=1)['ids'])\"  # [['a']]"
)
_QDRANT = (
    "python3 -c \"from qdrant_client import QdrantClient, models as m; q = QdrantClient(':memory:'); "
    "q.create_collection('probe', vectors_config=m.VectorParams(size=2, distance=m.Distance.COSINE)); "
    "q.upsert('probe', [m.PointStruct(id=1, vector=[1, 0]), m.PointStruct(id=2, vector=[0, 1])]); "
    "print(q.query_points('probe', [0.9, 0.1], limit=1).points[0].id)\"  # 1"
)


def service_phase(subject: Subject, backends: list[str]) -> Part | None:
    """Concurrent requests to the first backend with a server, then the vector stores; POSIX shells only."""
    if value_of(subject.snapshot.os.family) == "windows":
        return None
    blocks: list[Block] = []
    states = subject.judgement.backends
    first = sorted(backends, key=lambda name: name not in states or states[name].status != "ready")
    served = next((name for name in first if name in PORTS), None)
    if served:
        blocks.append(_load(served))
    names = {package.name for package in subject.tables.packages}
    stores = tuple(line for name, line in (("chromadb", _CHROMA), ("qdrant-client", _QDRANT)) if name in names)
    if stores:
        says = "Vector stores in the process, without a server: the nearest of two vectors must come back."
        blocks.append(Commands(says=says, lines=stores))
    if not blocks:
        return None
    text = (
        "Done when every request returns 200 and each search finds the expected id. A gateway of your own (chat, "
        "embedding, health routes) is measured the same way, with its address in place of the engine's: the difference "
        "between the two is what it costs."
    )
    return Part(id="plan-services", title="service integration", blocks=(*blocks, Paragraph(text=text)))


_ASK = '{"model": "\'"$MODEL"\'", "max_tokens": 64, "messages": [{"role": "user", "content": "Count to ten."}]}'
_SUMMARY = (
    "awk '{n[$1]++; s[$1]+=$2; if ($2>m) m=$2} "
    'END {for (c in n) print c": "n[c]" requests, mean "s[c]/n[c]" s"; print "slowest "m" s"}\''
)
_FIRST_ID = "import json, sys; print(json.load(sys.stdin)['data'][0]['id'])"


def _load(backend: str) -> Commands:
    url = f"http://127.0.0.1:{PORTS[backend]}/v1"
    return Commands(
        says=f"With {backend_title(backend)} running: the model it serves, then 32 requests, 8 at a time: how many got "
        "which status, and how long they took.",
        lines=(
            f'MODEL=$(curl -fsS {url}/models | python3 -c "{_FIRST_ID}")',
            "seq 32 | xargs -P 8 -I{} curl -sS -o /dev/null -w '%{http_code} %{time_total}\\n' "
            f"-H 'Content-Type: application/json' -d '{_ASK}' {url}/chat/completions \\",
            f"  | {_SUMMARY}",
        ),
    )
