"""`envcheck check` and `snapshot`: the contract of the JSON, the exit codes, and everything a user may get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Envcheck

MACHINES = sorted((ROOT / "tests" / "machines").glob("*.toml"))
CODES = {"met": 0, "warning": 0, "not_met": 1, "unknown": 3}
KEYS = {
    "id", "backend", "status", "severity", "cause", "says", "expected", "actual", "evidence", "source", "checked",
    "remedy", "requires", "skipped_because",
}  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES, ids=[m.stem for m in MACHINES])
def test_the_json_of_every_machine_keeps_the_contract(envcheck: Envcheck, machine: Path) -> None:
    done = envcheck("check", "--assume", str(machine), "--format", "json")
    document = json.loads(done.stdout)
    assert {"schema_version", "machine", "worst", "backends", "verdicts", "fit"} <= set(document)
    assert done.returncode == CODES[document["worst"]]
    assert set(document["backends"]) >= {"llama.cpp", "ollama", "transformers", "vllm"}
    ids = [verdict["id"] for verdict in document["verdicts"]]
    assert len(ids) == len(set(ids))
    for verdict in document["verdicts"]:
        assert set(verdict) >= KEYS
        assert verdict["source"], verdict["id"]
        assert verdict["checked"], verdict["id"]
        assert set(verdict["requires"]) <= set(ids)
        if verdict["status"] == "skipped":
            assert verdict["skipped_because"] in ids
    for state in document["backends"].values():
        assert state["status"] in ("ready", "ready_after_install", "limited", "blocked", "unknown")
        assert state["first_broken"] is None or state["first_broken"] in ids


def test_the_verdict_is_the_same_in_every_format(envcheck: Envcheck) -> None:
    machine = str(ROOT / "tests" / "machines" / "wsl2-titan-v.toml")
    codes = {
        f: envcheck("check", "--assume", machine, "--format", f).returncode for f in ("console", "json", "markdown")
    }
    assert set(codes.values()) == {1}
    assert "blocked" in envcheck("check", "--assume", machine, "--backend", "sglang").stdout


def test_a_snapshot_gives_byte_equal_verdicts_later(envcheck: Envcheck, tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    assert envcheck("snapshot", "-o", str(file), "--no-ports").returncode == 0
    outputs = {envcheck("check", "--from", str(file), "--format", "json").stdout for _ in range(2)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    outputs.add(
        envcheck("check", "--from", str(file), "--format", "json", cwd=elsewhere, env={"HOME": "/proc/none"}).stdout
    )
    assert len(outputs) == 1
    assert json.loads(outputs.pop())["verdicts"]


OLD = """os = "linux"
python = "3.12.3"
driver = "535.216.01"
gpus = [{ name = "NVIDIA GeForce RTX 4090" }]
packages = { torch = "2.7.0+cu126" }
env = { CUDA_VISIBLE_DEVICES = "0" }
"""
NEW = (
    OLD.replace("535.216.01", "580.95.05")
    .replace("2.7.0+cu126", "2.14.1+cu130")
    .replace("CUDA_VISIBLE_DEVICES", "HF_HOME")
)
CHANGED = (
    ("GPU driver", "NVIDIA 535.216.01", "NVIDIA 580.95.05"),
    ("package torch", "2.7.0+cu126", "2.14.1+cu130"),
    ("variable CUDA_VISIBLE_DEVICES", "0", "not set"),
    ("variable HF_HOME", "not set", "0"),
    ("ollama.driver.version", "not met", "met"),
)


@pytest.mark.parametrize("form", ["toml", "json"])
def test_diff_says_what_changed_in_every_format(envcheck: Envcheck, tmp_path: Path, form: str) -> None:
    old, new = tmp_path / f"old.{form}", tmp_path / "new.toml"
    new.write_text(NEW)
    (tmp_path / "old.toml").write_text(OLD)
    if form == "json":
        envcheck("check", "--assume", str(tmp_path / "old.toml"), "--format", "json", "-o", str(old))
    plain = envcheck("check", "--assume", str(new), "--format", "json")
    for name in ("json", "console", "markdown", "html", "junit", "sarif", "prometheus"):
        done = envcheck("check", "--assume", str(new), "--diff", str(old), "--format", name)
        assert done.returncode == plain.returncode
        if name == "json":
            document = json.loads(done.stdout)
            found = {(c["what"], c["before"], c["after"]) for c in document["changes"]["found"]}
            assert set(CHANGED) <= found
            assert document["verdicts"] == json.loads(plain.stdout)["verdicts"]
        else:
            assert all(what in done.stdout and before in done.stdout for what, before, _ in CHANGED)
    assert json.loads(plain.stdout)["changes"] is None


def test_diff_compares_only_backends_that_both_looks_judged(envcheck: Envcheck, tmp_path: Path) -> None:
    machine, old = tmp_path / "m.toml", tmp_path / "old.json"
    machine.write_text(OLD)
    envcheck("check", "--assume", str(machine), "--backend", "vllm", "--format", "json", "-o", str(old))
    done = envcheck("check", "--assume", str(machine), "--diff", str(old), "--format", "json")
    assert json.loads(done.stdout)["changes"]["found"] == []
    assert "Nothing that matters changed." in envcheck("check", "--assume", str(machine), "--diff", str(old)).stdout


def test_diff_refuses_what_is_no_result(envcheck: Envcheck, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("[]")
    done = envcheck("check", "--assume", str(MACHINES[0]), "--diff", str(tmp_path / "old.json"))
    assert done.returncode == 2
    assert "old.json" in done.stderr
    assert done.stdout == ""


BAD = {
    "missing": (None, "cannot be read"),
    "empty": (b"", "is empty"),
    "binary": (b"\x7fELF\x00\xff\xfe", "not UTF-8"),
    "truncated": (b'{"kind": "envcheck-sn', ""),
    "other version": (b'{"kind":"envcheck-snapshot","schema_version":"99","evidence":{}}', ""),
    "deep": (b"[" * 200_000, ""),
}


@pytest.mark.parametrize("option", ["--from", "--assume"])
@pytest.mark.parametrize("name", BAD)
def test_bad_machine_files_get_one_sentence_and_code_2(
    envcheck: Envcheck, tmp_path: Path, name: str, option: str
) -> None:
    content, says = BAD[name]
    file = tmp_path / "bad.json"
    if content is not None:
        file.write_bytes(content)
    done = envcheck("check", option, str(file))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "bad.json" in done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("check", "--backend", "vlmm"), "vlmm"),
        (("check", "--format", "pdf"), "pdf"),
        (("check", "--from", "a", "--assume", "b"), "two machines"),
        (("check", "--python", "/no/such/python"), "/no/such/python"),
        (("check", "--context", "0"), "0"),
        (("dance",), "There is no verb 'dance'"),
        (("chek",), "did you mean check?"),
        (("check", "--context", "8192"), "--model or --size"),
        (("check", "--model", "no-such-model-xyz"), "no-such-model-xyz"),
        (("check", "--policy", "/no/such/policy.toml"), "policy.toml"),
    ],
)
def test_usage_errors(envcheck: Envcheck, arguments: tuple[str, ...], says: str) -> None:
    done = envcheck(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_output_goes_to_a_file_or_says_why_not(envcheck: Envcheck, tmp_path: Path) -> None:
    machine = str(ROOT / "tests" / "machines" / "h100-slurm-node.toml")
    target = tmp_path / "out.json"
    assert envcheck("check", "--assume", machine, "--format", "json", "-o", str(target)).stdout == ""
    assert json.loads(target.read_text())["backends"]
    done = envcheck("check", "--assume", machine, "-o", "/proc/none/out.json")
    assert done.returncode in (2, 4)
    assert "/proc/none/out.json" in done.stderr


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_narrow_and_colourless_terminals(envcheck: Envcheck, columns: str) -> None:
    machine = str(ROOT / "tests" / "machines" / "wsl2-titan-v.toml")
    done = envcheck(
        "check", "--assume", machine, env={"COLUMNS": columns, "NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii()


def test_a_read_only_home_changes_nothing(envcheck: Envcheck, tmp_path: Path) -> None:
    machine = str(ROOT / "tests" / "machines" / "h100-slurm-node.toml")
    normal = envcheck("check", "--assume", machine, "--format", "json")
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none/cache"}
    assert envcheck("check", "--assume", machine, "--format", "json", env=nowhere).stdout == normal.stdout


@pytest.fixture
def connections(envcheck: Envcheck, tmp_path: Path) -> Callable[..., list[str]]:
    """Where `check` with these options connects to: a hook in the interpreter records every socket it uses."""
    seen = tmp_path / "seen"
    hook = tmp_path / "hook"
    hook.mkdir()
    events = "socket.connect", "socket.getaddrinfo", "socket.sendto"
    (hook / "sitecustomize.py").write_text(
        "import sys\n"
        "def watch(event, args):\n"
        f"    if event in {events!r}:\n"
        f"        open({str(seen)!r}, 'a').write(repr(args[-1]) + chr(10))\n"
        "sys.addaudithook(watch)\n"
    )

    def call(*options: str) -> list[str]:
        seen.write_text("")
        done = envcheck("check", "--format", "json", *options, env={"PYTHONPATH": f"{hook}:{ROOT}"})
        assert json.loads(done.stdout)
        return seen.read_text().splitlines()

    return call


def test_nothing_but_loopback_is_connected_to(connections: Callable[..., list[str]]) -> None:
    seen = connections()
    assert "('127.0.0.1', 6333)" in seen, "the hook sees what is asked"
    assert all(line.startswith(("('127.0.0.1', ", "('::1', ", "'/")) for line in seen), seen


def test_loopback_ports_can_be_left_alone(connections: Callable[..., list[str]]) -> None:
    assert [line for line in connections("--no-ports") if not line.startswith("'/")] == []


def test_a_remedy_has_all_its_keys(envcheck: Envcheck) -> None:
    machine = str(ROOT / "tests" / "machines" / "wsl2-titan-v.toml")
    document = json.loads(envcheck("check", "--assume", machine, "--format", "json").stdout)
    remedies = [verdict["remedy"] for verdict in document["verdicts"] if verdict["remedy"]]
    assert remedies
    assert all(set(remedy) == {"says", "commands", "risk", "needs_root", "scope"} for remedy in remedies)
    assert all(v["remedy"] == v["ways_out"][0] for v in document["verdicts"] if v["remedy"])


def test_forty_columns_are_enough(tmp_path: Path) -> None:
    """Every line of a check on a narrow terminal fits it, but for commands, which are there to be copied."""
    from envcheck import api
    from envcheck.formats import render
    from envcheck.machine_files import read_assumption
    from envcheck.report_files import read_earlier
    from envcheck.schema.format import Style

    (tmp_path / "old.toml").write_text(OLD)
    for machine in MACHINES:
        earlier = read_earlier(tmp_path / "old.toml")
        document = api.check(read_assumption(machine), models=["7B"], earlier=earlier)
        lines = render(document, "console", Style(width=40, colour=False, unicode=True)).splitlines()
        assert [line for line in lines if len(line) > 40 and not line.startswith("  $ ")] == []


@pytest.mark.parametrize(
    ("arguments", "plain", "strict"),
    [
        (("fit", "7B", "--backend", "vllm"), 0, 0),
        (("diagnose", "WARNS"), 0, 1),
        (("install", "transformers", "--dry-run"), 0, 0),
    ],
)
def test_strict_and_output_are_the_same_in_every_verb(
    envcheck: Envcheck, tmp_path: Path, arguments: tuple[str, ...], plain: int, strict: int
) -> None:
    (tmp_path / "WARNS").write_text("docker: shared memory is small, increase --shm-size\n")
    machine = ["--assume", str(ROOT / "tests" / "machines" / "h100-slurm-node.toml")]
    words = [*arguments, *([] if arguments[0] == "diagnose" else machine)]
    assert envcheck(*words, cwd=tmp_path).returncode == plain
    done = envcheck(*words, "--strict", "-o", "said.txt", cwd=tmp_path)
    assert done.returncode == strict
    assert done.stdout == ""
    assert (tmp_path / "said.txt").read_text().strip()
