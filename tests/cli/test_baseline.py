"""`envcheck baseline`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from envcheck.cli.baseline import COMMAND
from envcheck.judge.policy import load_policy

MACHINES = Path(__file__).parent.parent / "machines"


def run(*arguments: str) -> tuple[int, str, str]:
    outcome = CliRunner().invoke(COMMAND, list(arguments), standalone_mode=False, catch_exceptions=False)
    return outcome.return_value or 0, outcome.stdout, outcome.stderr


def test_a_machine_that_works_gives_a_policy_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "envcheck.toml"
    code, output, _ = run("--assume", str(MACHINES / "h100-slurm-node.toml"), "-o", str(path))
    assert (code, output) == (0, "")
    assert "vllm==0.10.2" in load_policy(path).pins
    assert "ready there: transformers, vllm" in path.read_text()


def test_a_machine_on_which_nothing_is_ready_is_no_model() -> None:
    code, output, message = run("--assume", str(MACHINES / "wsl2-titan-v.toml"))
    assert (code, output) == (1, "")
    assert "--force" in message
    assert run("--assume", str(MACHINES / "wsl2-titan-v.toml"), "--force")[0] == 0
