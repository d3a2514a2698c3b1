"""Any server that speaks OpenAI's wire: gateways, LM Studio, and servers nobody has a file for.

Asked only when its address is given. A remote address is allowed because it was named; the run says that the prompts
left this machine.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from envcheck.backends import _abilities, _exchange, _http, _openai
from envcheck.schema.backend import Ability, Candidate, Claim, DeviceWords, Exchange, Progress, Request
from envcheck.schema.errors import EnvcheckError, InputError

if TYPE_CHECKING:
    from envcheck.host import Host


class OpenAiEngine:
    """A server at an address; nothing of it belongs to us."""

    load_ms: float | None = None
    version = "OpenAI-compatible server"

    def __init__(self, to: _http.Address, model: str, headers: dict[str, str]) -> None:
        self._to = to
        self._headers = headers
        self.model = model
        self.url = to.url

    def pids(self) -> tuple[int, ...]:
        return ()

    def device(self) -> DeviceWords:
        return DeviceWords(device="unknown", says="the protocol does not tell where the model runs")

    def settings(self) -> dict[str, str]:
        where = "this machine" if self._to.is_loopback else "another machine: the prompts left this one"
        return {"runs_on": where}

    def ask(self, request: Request, limit_s: float, stall_s: float) -> Exchange:
        route, payload = _openai.body(request, self.model)
        return _exchange.ask(self._to, route, payload, limit_s, stall_s, self._headers, _openai.events)

    def claims(self, ability: Ability) -> Claim:
        """The protocol has no claims: only what a route answers is known."""
        if ability == "text":
            return _abilities.TEXT
        if ability == "embedding":
            return _abilities.claims_embedding(self._to, "/embeddings", self.model, self._headers)
        return _abilities.unsaid(f"the model offers {ability}: the protocol cannot tell")

    def embed(self, texts: tuple[str, ...], limit_s: float) -> _abilities.Vectors:
        return _abilities.embed(self._to, "/embeddings", self.model, texts, limit_s, self._headers)

    def greedy(self, text: str, count: int, limit_s: float) -> tuple[int, ...]:  # noqa: ARG002
        raise EnvcheckError("the protocol gives no token ids")

    def close(self) -> None:
        return


def key_headers(host: Host) -> dict[str, str]:
    """The key of a named server, from OPENAI_API_KEY; never shown, stored or sent anywhere else."""
    key = host.env.get("OPENAI_API_KEY", "")
    return {"Authorization": f"Bearer {key}"} if key else {}


def listed_models(to: _http.Address, headers: dict[str, str]) -> list[str]:
    """Ids of `GET /models`. Raises EnvcheckError with one sentence when the server does not answer it."""
    try:
        found = _http.get(to, "/models", limit_s=5.0, headers=headers)
    except _http.Refused as refusal:
        raise EnvcheckError(f"The server at {to.url} answered {refusal}.") from refusal
    except (OSError, http.client.HTTPException) as fault:
        raise EnvcheckError(f"Nothing answers at {to.url} ({fault}): start the server, or give its address.") from fault
    rows = found.get("data") if isinstance(found, dict) else None
    return [row["id"] for row in rows or [] if isinstance(row, dict) and isinstance(row.get("id"), str)]


class OpenAiCompatible:
    """A server named by its address."""

    name = "openai_compatible"

    def discover(self, host: Host) -> tuple[Candidate, ...]:  # noqa: ARG002
        return (Candidate(backend=self.name, state="missing", why="no server was named: give its address with --url"),)

    def at(self, host: Host, url: str, model: str | None) -> Candidate:
        """The candidate for a named server; without `model`, the only one it lists. Raises InputError otherwise."""
        to = _http.address(url)
        listed = listed_models(to, key_headers(host)) if model is None else [model]
        if len(listed) != 1:
            names = ", ".join(listed[:20]) or "none"
            raise InputError(f"Name the model with --model: {to.url} lists {names}.")
        return Candidate(
            backend=self.name, state="running", why=f"named by its address {to.url}", model=listed[0], url=to.url
        )

    def open(self, host: Host, candidate: Candidate, progress: Progress) -> OpenAiEngine:
        to = _http.address(candidate.url)
        if not to.is_loopback:
            progress(f"sending prompts to {to.host}: they leave this machine")
        return OpenAiEngine(to, candidate.model, key_headers(host))


BACKEND = OpenAiCompatible()
