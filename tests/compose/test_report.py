"""The report says everything it knows, says what it does not know, and nothing twice or without reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from envcheck.compose.optimisations import applicability, strategies
from envcheck.compose.overview import outcome
from envcheck.compose.report import compose
from envcheck.formats import render
from envcheck.schema.blocks import Block, Commands, Fold, Part, Table
from envcheck.schema.facts import Known, Unknown
from envcheck.schema.plan import Decision, Plan, Rejected, Step
from envcheck.schema.report import Report, Subject, Tables
from envcheck.schema.run import Validation
from envcheck.schema.snapshot import Nvidia, Os
from envcheck.schema.verdict import BackendState, Judgement, Readiness
from tests.compose.fixtures import HEADER, cpu_box, fit_row, small_run, titan_judgement, titan_subject, titan_v, verdict

WANTED = [
    "overview", "compatibility", "packages", "acceleration", "plan", "metrics", "installation", "expectations",
    "models", "optimisations", "measured", "next-steps", "acceptance", "troubleshooting", "local-only", "appendix",
]  # fmt: skip


def blocks_of(report: Report) -> Iterator[Block]:
    """Every block, however deep."""

    def walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
        for block in blocks:
            yield block
            if isinstance(block, Part | Fold):
                yield from walk(block.blocks)

    for section in report.sections:
        yield from walk(section.blocks)


def section_text(report: Report, name: str) -> str:
    """The JSON of one section, to look for words in."""
    return next(msgspec.json.encode(s).decode() for s in report.sections if s.id == name)


def test_sections_come_in_the_order_of_a_readiness_report() -> None:
    report = compose(titan_subject(), HEADER)
    assert [section.id for section in report.sections] == WANTED


def test_no_block_is_empty_and_no_command_is_given_twice() -> None:
    report = compose(titan_subject(), HEADER)
    lines: list[str] = []
    for block in blocks_of(report):
        if isinstance(block, Table):
            assert block.rows
            assert all(len(row) == len(block.columns) for row in block.rows)
        elif isinstance(block, Commands):
            assert block.lines
            lines += block.lines if block.language != "text" else ()
        elif isinstance(block, Part | Fold):
            assert block.blocks
    assert len(lines) == len(set(lines))


def test_what_is_missing_is_said_with_a_way_to_find_out() -> None:
    bare = Subject(snapshot=titan_v(), judgement=titan_judgement())
    report = compose(bare, HEADER)
    assert report.outcome.report_status == "partial"
    assert {text.split(":")[0] for text in report.outcome.missing} >= {
        "measured results", "memory and speed per model", "package versions",
    }  # fmt: skip
    assert "envcheck run" in section_text(report, "measured")
    assert {"packages", "acceleration", "expectations"}.isdisjoint(section.id for section in report.sections)
    assert compose(titan_subject(), HEADER).outcome.missing == ("1 requirement could not be judged",)


@pytest.mark.parametrize(
    ("states", "answer", "status"),
    [
        (("ready", "blocked"), "ready", "READY, NOT PROVED"),
        (("ready_after_install", "blocked"), "ready_after_install", "READY AFTER INSTALL"),
        (("limited", "ready_after_install"), "limited", "LIMITED"),
        (("blocked", "blocked"), "blocked", "NOT READY"),
        (("unknown", "blocked"), "unknown", "UNKNOWN"),
        ((), "unknown", "UNKNOWN"),
    ],
)
def test_the_environment_is_as_good_as_its_best_backend(
    states: tuple[Readiness, ...], answer: str, status: str
) -> None:
    backends = {f"b{i}": BackendState(status=state, why="…") for i, state in enumerate(states)}
    judgement = msgspec.structs.replace(titan_judgement(), backends=backends, verdicts=())
    found = outcome(Subject(snapshot=cpu_box(), judgement=judgement))
    assert (found.readiness, found.environment_status) == (answer, status)


def test_only_a_backend_of_the_machine_proves_the_environment() -> None:
    fallback = outcome(titan_subject())
    assert not fallback.proven
    assert "envcheck's own engine answered instead" in fallback.says
    own = small_run(backend="llama.cpp", is_fallback=False, status="passed", device_used="cuda:0")
    proved = outcome(titan_subject(validation=Validation(runs=(own,))))
    assert proved.proven
    assert proved.environment_status == "READY AND PROVED"
    assert "1 of 2 answers right" in proved.says
    failed = outcome(titan_subject(validation=Validation(runs=(small_run(is_fallback=False, status="failed"),))))
    assert not failed.proven


def test_remedies_that_cannot_help_are_left_out() -> None:
    report = compose(titan_subject(), HEADER)
    judgement = titan_judgement()
    extra = verdict(
        "vllm.backend.installed", "not_met", fixed_by_install=True, remedy=msgspec.structs.replace(
            judgement.verdicts[2].remedy, says="Install vLLM here."  # type: ignore[type-var]
        ),
    )  # fmt: skip
    judgement = msgspec.structs.replace(judgement, verdicts=(*judgement.verdicts, extra))
    report = compose(titan_subject(judgement=judgement), HEADER)
    assert "Install vLLM here." not in render(report, "markdown")


def test_a_machine_without_gpu_hears_only_why_gpu_strategies_do_not_apply() -> None:
    judgement = msgspec.structs.replace(titan_judgement(), verdicts=())
    subject = Subject(snapshot=cpu_box(), judgement=judgement, fits=(fit_row(gpu_layers=None),))
    by_name = {strategy.name: applicability(strategy, subject) for strategy in strategies()}
    assert by_name["FP8 weights and activations"].because == "there is no GPU"
    assert by_name["Threads on physical cores"].applies
    assert not by_name["Tensor parallelism"].applies
    unknown = Subject(snapshot=titan_v(nvidia=Nvidia(gpus=Unknown(why="NVML did not answer"))), judgement=judgement)
    found = {strategy.name: applicability(strategy, unknown) for strategy in strategies()}
    assert found["FP8 weights and activations"].applies is None
    assert "NVML did not answer" in found["FP8 weights and activations"].because


def test_a_plan_gives_its_steps_its_reasons_and_what_was_rejected() -> None:
    plan = Plan(
        profile="transformers",
        target=".envs/transformers",
        decision=Decision(
            accelerator="cu126",
            torch="2.14.1",
            because=("sm_70 is compiled into cu126 up to 2.14",),
            rejected=(Rejected(choice="torch 2.15.0", because="no sm_70 kernels in cu130 and cu132"),),
        ),
        steps=(
            Step(argv=("uv", "pip", "install", "torch==2.14.1", "my folder/x.whl"), says="install PyTorch"),
            Step(argv=("sudo", "apt", "install", "g++"), says="a compiler", needs_root=True, manual=True),
        ),
    )
    text = section_text(compose(titan_subject(plan=plan), HEADER), "installation")
    for words in ("Transformers with PyTorch 2.14.1 (cu126)", "sm_70", "torch 2.15.0", "'my folder/x.whl'", "by hand"):
        assert words in text
    assert "envcheck install transformers --target .envs/transformers --yes" in text


def test_the_planned_install_comes_first_where_nothing_is_ready() -> None:
    judgement = titan_judgement()
    states = {**judgement.backends, "llama.cpp": BackendState(status="blocked", why="No.")}
    judgement = msgspec.structs.replace(judgement, backends=states)
    plan = Plan(
        profile="transformers", target=".envs/transformers", decision=Decision(torch="2.14.1", accelerator="cu126")
    )
    first = outcome(titan_subject(judgement=judgement, plan=plan)).first
    assert first is not None
    assert first.commands == (
        "envcheck install transformers --target .envs/transformers --yes",
        "envcheck run --backend transformers --python .envs/transformers/bin/python",
    )
    assert first.serves == ("transformers.torch",)


def test_prompts_keep_wrong_apart_from_broken() -> None:
    text = section_text(compose(titan_subject(), HEADER), "measured")
    assert "answered, wrong" in text
    assert "no answer" in text
    assert "the engine went away" in text


def test_a_remote_engine_is_never_called_local() -> None:
    for url, local in (
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000", True),
        ("http://localhost:1", True),
        ("http://127.evil.example/v1", False),
        ("https://api.example.org/v1", False),
        ("http://localhost@evil.example:80/v1", False),
    ):
        run = small_run(url=url, is_fallback=False)
        text = section_text(compose(titan_subject(validation=Validation(runs=(run,))), HEADER), "local-only")
        assert ("Nothing left the machine" in text) is local, url


def test_ages_of_tables_are_in_the_appendix() -> None:
    report = compose(titan_subject(), HEADER)
    assert "torch wheels" in section_text(report, "appendix")
    assert "torch wheels" not in section_text(compose(titan_subject(tables=Tables()), HEADER), "appendix")


def cpu_only(**changes: Any) -> Subject:
    """llama.cpp is there and works with limits; nothing else is."""
    backends = {"llama.cpp": BackendState(status="limited", why="no GPU was found")}
    judgement = Judgement(worst="warning", backends=backends, verdicts=(verdict("llama.cpp.backend.installed"),))
    return titan_subject(judgement=judgement, plan=None, **changes)


NO_MODEL = "no GGUF model was found: name one with --model"


@pytest.mark.parametrize(
    ("validation", "first", "next_phase"),
    [
        (None, "Prove with real prompts what is installed (llama.cpp).", "prove an installed backend"),
        (
            Validation(runs=(small_run(),), unready={"llama.cpp": NO_MODEL}),
            f"llama.cpp is there and could not be asked: {NO_MODEL}.",
            "get an answer out of what is installed",
        ),
        (
            Validation(
                runs=(small_run(backend="llama.cpp", is_fallback=False, status="skipped", why=NO_MODEL, prompts=()),)
            ),
            f"llama.cpp is there and could not be asked: {NO_MODEL}.",
            "get an answer out of what is installed",
        ),
        (
            Validation(runs=(small_run(backend="llama.cpp", is_fallback=False, status="failed", why="it hung"),)),
            "Find out why llama.cpp gave no answer: it hung.",
            "get an answer out of what is installed",
        ),
        (
            Validation(
                runs=(small_run(backend="llama.cpp", is_fallback=False, status="failed", why="", interrupted=True),)
            ),
            "Prove with real prompts what is installed (llama.cpp).",
            "prove an installed backend",
        ),
        (
            Validation(runs=(small_run(backend="llama.cpp", is_fallback=False),)),
            "Run the benchmark plan and compare each figure with its prediction.",
            "run the benchmark plan on the proved backend",
        ),
    ],
    ids=["nothing run", "nothing to ask", "skipped", "failed", "interrupted", "proved"],
)
def test_what_comes_first_follows_from_what_was_run(validation: Validation | None, first: str, next_phase: str) -> None:
    answer = outcome(cpu_only(validation=validation))
    assert answer.first is not None
    assert answer.first.says == first
    assert answer.next_phase.startswith(next_phase)


@pytest.mark.parametrize(
    ("family", "lines"),
    [
        ("linux", ("OLLAMA_CONTEXT_LENGTH=8192 OLLAMA_NUM_PARALLEL=1 ollama serve &", "sleep 3")),
        (
            "windows",
            (
                "$env:OLLAMA_CONTEXT_LENGTH = '8192'", "$env:OLLAMA_NUM_PARALLEL = '1'", "Start-Process ollama serve",
                "Start-Sleep 3",
            ),
        ),
    ],
)  # fmt: skip
def test_ollamas_server_is_started_before_its_model_is_fetched(family: str, lines: tuple[str, ...]) -> None:
    command = "OLLAMA_CONTEXT_LENGTH=8192 OLLAMA_NUM_PARALLEL=1 ollama serve & ollama run qwen2.5:7b"
    backends = {"ollama": BackendState(status="ready", why="…")}
    machine = titan_v(os=Os(family=Known(value=family, source="--assume")))
    subject = titan_subject(
        snapshot=machine,
        judgement=Judgement(worst="met", backends=backends, verdicts=()),
        fits=(fit_row("Qwen2.5-7B", "ollama", command=command),),
    )
    report = compose(subject, HEADER)
    blocks = [b for b in blocks_of(report) if isinstance(b, Commands) and b.says.startswith("Ollama: Qwen2.5-7B")]
    assert blocks[0].lines[: len(lines)] == lines
    assert blocks[0].lines[len(lines)] == "envcheck models pull qwen2.5:7b --from ollama"
