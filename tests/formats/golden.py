"""The example reports: `python -m tests.formats.golden` writes them anew, `test_golden.py` compares.

Time and command are fixed, so a difference is a difference in what envcheck knows or says.
"""

from __future__ import annotations

from pathlib import Path

from envcheck import main_job
from envcheck.compose.report import compose
from envcheck.formats import render
from envcheck.judge.policy import load_policy
from envcheck.machine_files import read_assumption
from envcheck.schema.report import Header, Report

ROOT = Path(__file__).parent.parent.parent
MACHINES = ROOT / "tests" / "machines"
POLICIES = ROOT / "tests" / "policies"
EXAMPLES = ROOT / "reports" / "examples"
SUFFIXES = {"markdown": ".md", "html": ".html"}

SPRINTS = {
    "wsl2-titan-v": "2.6 - Environment Preparation & Deployment Readiness",
    "rtx-5080-workstation": "Week 1-2 - LLM Backend Foundation",
    "h100-slurm-node": "Evaluation framework - awaiting GPU allocation",
    "cpu-box": "2.6 - Environment Preparation & Deployment Readiness",
    "8xh100-node": "2.6 - Environment Preparation & Deployment Readiness",
    "macbook-m3-max": "2.6 - Environment Preparation & Deployment Readiness",
}


def report_of(name: str) -> Report:
    """The example report about one of the machines."""
    file = POLICIES / f"{name}.toml"
    policy = load_policy(file) if file.is_file() else None
    option = f" --policy tests/policies/{name}.toml" if policy else ""
    command = f"envcheck report --from tests/machines/{name}.toml{option} -o reports/examples/{name}.md"
    header = Header(
        sprint=SPRINTS[name], agent="llm-specialist", timestamp="2026-11-21T06:00:00+00:00", version="", command=command
    )
    return compose(main_job.subject_of(read_assumption(MACHINES / f"{name}.toml"), policy=policy), header)


def main() -> None:
    """Write every example in every format that is shown."""
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    for name in SPRINTS:
        report = report_of(name)
        for format_name, suffix in SUFFIXES.items():
            (EXAMPLES / f"{name}{suffix}").write_text(render(report, format_name), encoding="utf-8")


if __name__ == "__main__":
    main()
