"""`envcheck fit` and `envcheck estimate memory` as a user meets them: names, searches, formats, exit codes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from envcheck import api_fit
from envcheck.cli import _fit_table
from envcheck.cli.estimate import COMMAND as ESTIMATE
from envcheck.cli.fit import COMMAND as FIT
from envcheck.fit.fitting import fit
from envcheck.fit.row_speed import with_speed
from envcheck.schema.errors import InputError
from envcheck.schema.fit import FitRow, Room
from tests.fit.gguf_bytes import gguf, small_llama
from tests.fit.made import PLAIN, room
from tests.fit.test_local_models import MODEL_LAYER, ollama_store
from tests.fit.test_memory_llama import request

MACHINE = 'os = "linux"\nram_gib = 64\ngpus = [{name = "NVIDIA GeForce RTX 4090", memory_gib = 24}]\n'
KEYS = {
    "model", "params_b", "backend", "quant", "context", "concurrency", "status", "memory_mib", "interval_mib",
    "max_context", "max_concurrency", "gpu_layers", "speed", "command", "assumptions", "basis",
}  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> str:
    path = tmp_path / "machine.toml"
    path.write_text(MACHINE)
    return str(path)


def rows(machine: str, *words: str) -> tuple[int, list[dict[str, object]]]:
    """Exit code and rows of one call, as the program would leave them."""
    done = CliRunner().invoke(FIT, [*words, "--assume", machine, "--format", "json"], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, json.loads(done.stdout)


def test_a_row_has_the_keys_that_were_promised(machine: str) -> None:
    code, found = rows(machine, "Qwen2.5-7B-Instruct")
    assert code == 0
    assert [row["backend"] for row in found] == ["llama.cpp", "ollama", "vllm", "transformers"]
    assert all(row.keys() >= KEYS for row in found)
    memory = found[0]["memory_mib"]
    assert isinstance(memory, dict)
    assert set(memory) == {
        "weights", "kv", "recurrent_state", "compute", "overhead", "total", "available", "headroom",
    }  # fmt: skip
    assert {row["model"] for row in found} == {"Qwen2.5-7B-Instruct"}


def test_the_file_of_a_published_mixture_to_the_megabyte(machine: str) -> None:
    # What llama.cpp printed for this model and file type on one GPU (case lc-52384c95ab-01): 8148.38 MiB.
    _, found = rows(machine, "Qwen2.5-14B-Instruct", "--backend", "llama.cpp", "--quant", "Q4_K_M")
    memory = found[0]["memory_mib"]
    assert isinstance(memory, dict)
    assert memory["weights"] == pytest.approx(8148.38, abs=0.01)


def test_a_known_card_gets_a_speed(machine: str) -> None:
    _, found = rows(machine, "7B", "--backend", "llama.cpp")
    speed = found[0]["speed"]
    assert isinstance(speed, dict)
    assert speed["decode_tps"]["low"] < speed["decode_tps"]["value"] < speed["decode_tps"]["high"]


def test_exit_code_one_when_nothing_fits(machine: str) -> None:
    code, found = rows(machine, "Llama-3.3-70B-Instruct", "--backend", "vllm")
    assert (code, found[0]["status"], found[0]["command"]) == (1, "no", None)


def test_exit_code_three_when_nobody_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "bare.toml"
    path.write_text('os = "linux"\n')
    code, found = rows(str(path), "7B", "--backend", "vllm")
    assert (code, found[0]["status"]) == (3, "unknown")


def test_without_gpus_the_processor_is_asked(machine: str) -> None:
    code, found = rows(machine, "7B", "--backend", "llama.cpp", "--gpus", "0")
    assert (code, found[0]["gpu_layers"]) == (0, 0)


def test_the_best_quantization_is_the_most_faithful_that_fits(machine: str) -> None:
    _, found = rows(machine, "32B", "--backend", "llama.cpp", "--best-quant", "--context", "8192")
    assert [(row["quant"], row["status"]) for row in found] == [("Q4_K_M", "fits")]


def test_the_longest_context_fits(machine: str) -> None:
    _, found = rows(machine, "8B", "--backend", "vllm", "--quant", "bf16", "--max-context")
    assert found[0]["status"] in ("fits", "tight")
    assert found[0]["context"] == found[0]["max_context"]


def test_the_largest_models_come_first(machine: str) -> None:
    _, found = rows(machine, "--largest", "--context", "4096")
    sizes = [row["params_b"] for row in found]
    assert sizes == sorted(sizes, key=lambda size: -float(str(size)))
    assert all(row["status"] in ("fits", "tight") for row in found)


@pytest.mark.parametrize(("preset", "least"), [("memory_optimized", 1), ("balanced", 2), ("performance", 5)])
def test_presets_ask_for_more_and_more(machine: str, preset: str, least: int) -> None:
    code, found = rows(machine, "7B", "--backend", "vllm", "--preset", preset)
    assert code == 0
    assert int(str(found[0]["concurrency"])) >= least


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nosuchmodel-9",), "not a known model"),
        (("Qwen2.5-7B-Instruct", "--context", "900000"), "trained for"),
        (("7B", "--gpus", "3"), "this machine has 1"),
        (("7B", "--backend", "abacus"), "No memory rules"),
        (("7B", "--quant", "Q9"), "loads Q9"),
        (("./missing.gguf",), "no such file"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(machine: str, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        rows(machine, *words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form", ["console", "markdown"])
def test_tables_for_people(machine: str, form: str, tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    words = ["7B", "--assume", machine, "--format", form, "-o", str(target)]
    done = CliRunner().invoke(FIT, words, standalone_mode=False)
    assert done.return_value == 0
    text = target.read_text()
    assert "Qwen2.5-7B-Instruct" in text
    assert "Assumed:" in text


def test_a_narrow_terminal_gets_a_list_no_wider_than_itself(machine: str) -> None:
    _, shown = rows(machine, "7B")
    found = msgspec.convert(shown, list[FitRow])
    wide = _fit_table.console(found)
    assert wide.splitlines()[0].split()[:3] == list(_fit_table.HEADINGS[:3])
    narrow = _fit_table.console(found, 40).split("\nStart with:")[0]
    assert max(map(len, narrow.splitlines())) <= 40
    for row in found:
        assert f"{row.backend}" in narrow
    assert _fit_table.console(found, 4000) == wide


def test_more_gpus_than_there_are_are_refused() -> None:
    assert len(api_fit.limited(room(24, 24), 1).devices) == 1
    with pytest.raises(InputError, match="this machine has 2"):
        api_fit.limited(room(24, 24), 3)


def test_a_batch_answers_line_by_line(tmp_path: Path) -> None:
    batch = tmp_path / "requests.jsonl"
    batch.write_text(json.dumps(request()) + "\n\n" + json.dumps({"id": "odd", "engine": "abacus"}) + "\n")
    done = CliRunner().invoke(ESTIMATE, ["memory", "--batch", str(batch)], standalone_mode=False)
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.return_value == 0
    low, high = first["interval_mib"]["total_gpu"]
    assert low < sum(first["memory_mib"].values()) < high
    assert second == {"id": "odd", "unknown": "no memory rules for the engine 'abacus'"}


@pytest.mark.parametrize(("text", "said"), [("{", "line 1"), ("[1]", "line 1")])
def test_a_broken_batch_names_its_line(tmp_path: Path, text: str, said: str) -> None:
    batch = tmp_path / "requests.jsonl"
    batch.write_text(text)
    done = CliRunner().invoke(ESTIMATE, ["memory", "--batch", str(batch)], standalone_mode=False)
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)


def test_one_model_of_several_with_a_short_context_does_not_spoil_the_others(machine: str) -> None:
    code, found = rows(machine, "7B", "13B", "--context", "8192", "--backend", "llama.cpp")
    assert code == 0
    assert [row["status"] for row in found] == ["fits", "no"]
    assert "trained for 4096" in str(found[1]["why"])
    with pytest.raises(InputError, match="trained for 4096"):
        rows(machine, "13B", "--context", "8192", "--backend", "llama.cpp")


def test_the_command_for_transformers_is_one_shell_word_of_python(machine: str) -> None:
    _, found = rows(machine, "7B", "--backend", "transformers")
    words = shlex.split(str(found[0]["command"]))
    assert words[:2] == ["python", "-c"]
    compile(words[2], "command", "exec")
    assert str(found[0]["command"]).count("'") == 2


@pytest.mark.parametrize("listed", [True, False])
def test_measured_bandwidth_gives_a_processor_a_speed(listed: bool) -> None:
    name = "AMD Ryzen 9 7950X 16-Core Processor" if listed else "Nobody's Chip 1"
    here = Room(ram_mib=65536, cores=8, cpu=name, ram_bandwidth_gbs=40)
    row = with_speed(fit(PLAIN, "llama.cpp", "Q4_K_M", 4096, 1, here), PLAIN, here)
    assert row.speed is not None
    assert row.speed.decode_tps is not None
    assert row.speed.prefill_tps is not None
    assert any("is in no table: 8 cores" in note and "assumed" in note for note in row.assumptions) != listed
    assert any("measured here" in note for note in row.assumptions)
    slow = with_speed(row, PLAIN, msgspec.structs.replace(here, ram_bandwidth_gbs=20)).speed
    assert slow is not None
    assert slow.decode_tps is not None
    assert slow.decode_tps.value < row.speed.decode_tps.value


def test_without_any_bandwidth_the_row_says_how_to_find_out() -> None:
    here = Room(ram_mib=65536, cores=8, cpu="Nobody's Chip 1")
    row = with_speed(fit(PLAIN, "llama.cpp", "Q4_K_M", 4096, 1, here), PLAIN, here)
    assert row.speed is None
    assert any("--level 3" in note for note in row.assumptions)


def test_a_model_too_large_as_published_says_what_four_bits_would_need(machine: str) -> None:
    _, found = rows(machine, "Qwen2.5-32B-Instruct", "--backend", "vllm")
    assert (found[0]["status"], found[0]["quant"]) == ("no", "bf16")
    assert "in awq it needs" in str(found[0]["why"])
    _, preset = rows(machine, "Qwen2.5-32B-Instruct", "--backend", "vllm", "--preset", "balanced")
    assert (preset[0]["status"], preset[0]["quant"]) == ("tight", "awq")


def test_the_largest_are_not_cut_below_four_bits_unless_asked(machine: str) -> None:
    _, found = rows(machine, "--largest", "--backend", "llama.cpp")
    assert not {row["quant"] for row in found} & {"Q2_K", "Q3_K_M"}
    _, asked = rows(machine, "--largest", "--backend", "llama.cpp", "--quant", "Q2_K")
    assert {row["quant"] for row in asked} == {"Q2_K"}


@pytest.mark.parametrize(
    ("quant", "said"),
    [
        ("fp8", "FineGrainedFP8Config()"),
        ("bnb-4bit", "BitsAndBytesConfig(load_in_4bit=True)"),
        ("gptq-int4", 'model="Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4"'),
        ("int4", 'model="./Qwen2.5-7B-Instruct-INT4"'),
        ("bf16", 'model="Qwen/Qwen2.5-7B-Instruct", dtype="bfloat16", device_map="auto")'),
    ],
)
def test_the_command_loads_what_was_counted(machine: str, quant: str, said: str) -> None:
    _, found = rows(machine, "Qwen2.5-7B-Instruct", "--backend", "transformers", "--quant", quant)
    code = shlex.split(str(found[0]["command"]))[2]
    compile(code, "command", "exec")
    assert said in code


def test_a_copy_in_ollamas_store_counts_with_its_own_tensors(tmp_path: Path) -> None:
    ollama_store(tmp_path, "mistral", [MODEL_LAYER], gguf(*small_llama()))
    stores = api_fit.stores_of({"HOME": str(tmp_path / "nowhere"), "OLLAMA_MODELS": str(tmp_path)})
    assert (stores.hf_cache, stores.ollama) == (None, str(tmp_path))
    local, catalog = api_fit._meanings("mistral", stores)
    assert (local.origin, catalog.facts.name) == ("ollama", "Mistral-7B-v0.3")
    assert api_fit._meanings("qwen2.5:14b", stores)[0].origin != "ollama"
    question = api_fit.Question(models=("mistral",), stores=stores, context=32)
    found = {row.backend: row for row in api_fit._rows_of((local, catalog), question, room(24))}
    assert set(found) == {"llama.cpp", "ollama", "vllm", "transformers"}
    assert found["vllm"].params_b == pytest.approx(7.2, abs=0.1)
    assert (found["ollama"].params_b or 0) < 1
    assert (found["ollama"].command or "").endswith("ollama run mistral")


def test_the_variables_of_hub_and_ollama_say_where_models_lie(tmp_path: Path) -> None:
    hub = tmp_path / ".cache" / "huggingface" / "hub"
    other = tmp_path / "other"
    hub.mkdir(parents=True)
    (other / "hub").mkdir(parents=True)
    assert api_fit.stores_of({"HOME": str(tmp_path)}).hf_cache == str(hub)
    assert api_fit.stores_of({"HOME": str(tmp_path), "HF_HOME": str(other)}).hf_cache == str(other / "hub")
    assert api_fit.stores_of({"HOME": str(tmp_path), "HF_HUB_CACHE": str(other)}).hf_cache == str(other)
    assert api_fit.stores_of({}).ollama is None
