"""What to do first, and that the check document keeps everything it was given."""

from __future__ import annotations

import msgspec
import pytest

from envcheck.compose.checked import actions, check_document, first_action
from envcheck.formats import render
from envcheck.schema.report import CheckDocument
from envcheck.schema.verdict import BackendState, Judgement, Readiness, Remedy, Status, Verdict
from tests.compose.fixtures import titan_fits, titan_judgement, titan_v, verdict

FIX = Remedy(says="Do it.", commands=("do it",))
DRIVER = Remedy(says="Update the driver.", commands=("update",), risk="restart", needs_root=True)


def judged(state: Readiness, *verdicts: Verdict) -> Judgement:
    """A judgement with one backend in `state`."""
    return Judgement(worst="not_met", backends={"vllm": BackendState(status=state, why="…")}, verdicts=verdicts)


def test_json_holds_the_promised_keys_and_comes_back_identical() -> None:
    document = check_document(titan_v(), titan_judgement(), titan_fits())
    text = render(document, "json")
    promised = ["schema_version", "machine", "worst", "backends", "verdicts", "fit"]
    assert list(msgspec.json.decode(text))[: len(promised)] == promised
    assert render(msgspec.json.decode(text, type=CheckDocument), "json") == text


def test_blockers_come_before_warnings_and_many_backends_before_one() -> None:
    one = Remedy(says="Helps one.")
    warned = Remedy(says="Only a warning.")
    found = actions(
        judged(
            "blocked",
            verdict("machine.a", "warning", severity="warning", remedy=warned),
            verdict("vllm.a", "not_met", remedy=one),
            verdict("ollama.a", "not_met", remedy=FIX),
            verdict("sglang.a", "not_met", remedy=FIX),
        )
    )
    assert [a.says for a in found] == ["Do it.", "Helps one.", "Only a warning."]
    assert found[0].serves == ("ollama.a", "sglang.a")


def test_what_concerns_the_machine_comes_first_where_nothing_runs() -> None:
    verdicts = (
        verdict("vllm.a", "not_met", remedy=FIX),
        verdict("machine.d", "not_met", link="driver", remedy=DRIVER),
    )
    stuck = first_action(judged("blocked", *verdicts))
    assert stuck is not None
    assert (stuck.says, stuck.needs_root) == ("Update the driver.", True)
    safe = first_action(judged("ready_after_install", *verdicts))
    assert safe is not None
    assert safe.says == "Do it."


def test_what_mends_an_installed_backend_comes_before_what_is_not_there() -> None:
    other = Remedy(says="Install vLLM 0.31.0 elsewhere.", commands=("x",))
    found = actions(
        judged(
            "limited",
            verdict("sglang.a", "not_met", remedy=FIX),
            verdict("vllm.backend.installed", "met"),
            verdict("vllm.backend.release", "warning", severity="warning", remedy=other),
        )
    )
    assert [a.says for a in found] == ["Install vLLM 0.31.0 elsewhere.", "Do it."]


def test_where_nothing_is_wrong_something_is_to_be_installed() -> None:
    states = {"ollama": "ready_after_install", "vllm": "ready_after_install", "sglang": "blocked"}
    backends = {name: BackendState(status=status, why="…") for name, status in states.items()}  # type: ignore[arg-type]
    found = first_action(Judgement(worst="met", backends=backends, verdicts=()))
    assert found is not None
    assert found.says == "Install one of what runs here: Ollama and vLLM."
    assert found.commands == ("envcheck install vllm",)


@pytest.mark.parametrize(
    ("installed", "commands"),
    [
        ("not_met", ("envcheck install transformers",)),
        ("met", ("pip install torch",)),
        ("unknown", ("pip install torch",)),
    ],
)
def test_what_is_not_there_at_all_is_installed_whole(installed: Status, commands: tuple[str, ...]) -> None:
    torch = Remedy(says="Install torch.", commands=("pip install torch",))
    verdicts = (
        verdict("transformers.backend.installed", installed, fixed_by_install=True),
        verdict("transformers.wheel.torch", "not_met", link="wheel", remedy=torch, fixed_by_install=True),
    )
    states = {"transformers": BackendState(status="ready_after_install", why="…")}
    found = first_action(Judgement(worst="not_met", backends=states, verdicts=verdicts))
    assert found is not None
    assert found.commands == commands
    assert "transformers.wheel.torch" in found.serves


def test_what_is_ready_is_proved_first() -> None:
    found = first_action(judged("ready", verdict("ollama.a", "not_met", remedy=FIX)))
    assert found is not None
    assert found.commands == ("envcheck run --backend vllm",)


def test_met_skipped_and_waived_verdicts_ask_for_nothing() -> None:
    verdicts = [verdict("a.b", status, remedy=FIX) for status in ("met", "skipped", "waived")]
    assert first_action(judged("blocked", *verdicts)) is None
