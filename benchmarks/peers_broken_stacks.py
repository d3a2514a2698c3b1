"""What envcheck and other tools say of the same broken machines, as a Markdown table.

    python benchmarks/peers_broken_stacks.py [--env-doctor PROGRAM] [--cuda-doctor PROGRAM] [--llmfit PROGRAM]

Each stack of `peers_stacks.py` is laid out on disk (see `peers_fake_machine.py`), then every tool is run on it. A tool
is right where its complaints name the decisive fact (the pattern `words`) and, on the
sound stacks, where it raises no error. A peer that was not given is "not run". `--python` of the peers cannot be set:
they judge the interpreter they run in, so a stack whose fault is the interpreter is out of their sight.
The same machines are also handed to `envcheck check --assume` as descriptions, with nothing on disk.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.peers_fake_machine import Machine, build
from benchmarks.peers_stacks import STACKS, Stack

ROOT = Path(__file__).resolve().parent.parent
ENVCHECK = [sys.executable, "-m", "envcheck", "check", "--format", "json", "--no-ports"]
SYSTEM_PATH = "/usr/bin:/bin"
WIDTH = 150
# Said of every machine without a CUDA toolkit, TensorFlow or a newer table: no complaint about this stack.
NOISE = re.compile(r"tensorflow|jax|nvcc|LD_LIBRARY_PATH|not in the compatibility DB|last verified|CUDA_HOME|PATH")


class Answer(msgspec.Struct, frozen=True):
    """A tool's complaints, and whether one of them is an error (for envcheck: a requirement is not met)."""

    words: str
    alarm: bool = False


def run(argv: list[str], folder: Path, machine: Machine, python_path: Path) -> str:
    """Standard output of a tool on the faked machine."""
    path = f"{folder / 'bin'}:{SYSTEM_PATH}"
    env = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(python_path), **machine.env}
    done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout


def envcheck(printed: str, stack: Stack) -> Answer:
    """The first broken link of the stack's backend, then every other cause that is not met or warned of."""
    report: dict[str, Any] = msgspec.json.decode(printed)
    verdicts = [
        v
        for v in report["verdicts"]
        if v["status"] in ("not_met", "warning") and v["severity"] != "info" and _concerns(v, stack)
    ]
    first = report["backends"].get(stack.backend, {}).get("first_broken")
    verdicts.sort(key=lambda v: (v["id"] != first, v["status"] != "not_met", v["severity"] != "blocker"))
    alarm = any(v["status"] == "not_met" and v["severity"] == "blocker" for v in verdicts)
    said = [f"`{v['id']}` ({v['cause'] or 'no cause'}): {v['says']}" for v in verdicts]
    return Answer(" // ".join(dict.fromkeys(said)), alarm)


def _concerns(verdict: dict[str, Any], stack: Stack) -> bool:
    return verdict.get("backend") in (stack.backend, None, "machine", "")


def env_doctor(printed: str, _: Stack) -> Answer:
    """Lines of `env-doctor check` that carry a cross or a warning sign."""
    lines = [line.strip(" \u2139\ufe0f") for line in printed.splitlines() if re.search("[\u274c\u26a0]", line)]
    lines = [line for line in lines if not NOISE.search(line)]
    alarm = any("\u274c" in line for line in lines)
    return Answer(" // ".join(re.sub("[\u274c\u26a0\ufe0f\U0001f680]", "", line).strip() for line in lines), alarm)


def cuda_doctor(printed: str, _: Stack) -> Answer:
    """Diagnoses and issues of `cuda-doctor diagnose -f json`, without those about compilers."""
    report = msgspec.json.decode(printed)
    said = [f"{d['title']} ({d.get('cause_class')}): {d['summary']}" for d in report["diagnoses"]]
    issues = [i for i in report["issues"] if i["severity"] != "INFO" and i["category"] not in ("cuda", "compiler")]
    said += [f"{i['title']}: {'; '.join(i['evidence'])}" for i in issues]
    alarm = any(each["severity"] in ("ERROR", "CRITICAL") for each in [*report["diagnoses"], *issues])
    return Answer(" // ".join(said), alarm)


def llmfit(printed: str, _: Stack) -> Answer:
    """`llmfit doctor` prints what it detected and judges nothing."""
    found = re.search(r"gpu_name: Some\(\s*\"([^\"]+)", printed)
    return Answer(f"lists {found.group(1)}" if found else "lists no GPU")


PEERS = {
    "env-doctor": (("check",), env_doctor),
    "cuda-doctor": (("diagnose", "-f", "json"), cuda_doctor),
    "llmfit": (("doctor",), llmfit),
}


def right(answer: Answer, stack: Stack) -> bool:
    """Names the decisive fact; on a sound machine: raises no alarm."""
    if not stack.words:
        return not answer.alarm
    return re.search(stack.words, answer.words, re.IGNORECASE) is not None


def judged(stack: Stack, programs: dict[str, str]) -> list[tuple[str, Answer | None]]:
    """(tool, answer) for one stack; None where the tool was not given."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        site = build(stack.machine, folder)
        if stack.damage:
            stack.damage(site)
        python = str(folder / "venv" / "bin" / "python")
        asked = [*ENVCHECK, "--python", python, "--backend", stack.backend, "--level", str(stack.level)]
        answers: list[tuple[str, Answer | None]] = [
            ("envcheck", envcheck(run(asked, folder, stack.machine, ROOT), stack))
        ]
        described = folder / "machine.json"
        described.write_bytes(msgspec.json.encode(description(stack.machine)))
        asked = [*ENVCHECK, "--assume", str(described), "--backend", stack.backend]
        answers.append(("--assume", envcheck(run(asked, folder, stack.machine, ROOT), stack)))
        for name, (verb, read) in PEERS.items():
            program = programs.get(name)
            said = read(run([program, *verb], folder, stack.machine, site), stack) if program else None
            answers.append((name, said))
        return answers


def description(machine: Machine) -> dict[str, Any]:
    """The same machine in the keys of `--assume`."""
    gpus = [{"name": n, "memory_gib": mib / 1024, "compute_capability": cc} for n, mib, cc in machine.gpus]
    known: dict[str, Any] = {"os": "linux", "glibc": "2.36", "cpu_flags": ["avx2", "avx512f"], "gpus": gpus}
    known |= {"python": machine.python, "packages": machine.packages, "env": machine.env}
    return known | ({"driver": machine.driver} if machine.driver else {})


def cell(answer: Answer | None, stack: Stack) -> str:
    """A table cell: yes or no, and the tool's words, cut."""
    if answer is None:
        return "not run"
    words = answer.words.replace("|", "/").replace("\n", " ") or "nothing"
    shown = words if len(words) <= WIDTH else words[: WIDTH - 1] + "…"
    return f"**{'yes' if right(answer, stack) else 'no'}** {shown}"


def main() -> None:
    """Print the table and the count of right answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in PEERS:
        parser.add_argument(f"--{name}", metavar="PROGRAM", default="")
    programs = {name.replace("_", "-"): program for name, program in vars(parser.parse_args()).items()}
    columns = ["envcheck", "--assume", *PEERS]
    print(f"| stack | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    counts = dict.fromkeys(columns, 0)
    for stack in STACKS:
        answers = judged(stack, programs)
        for name, answer in answers:
            counts[name] += answer is not None and right(answer, stack)
        print(f"| {stack.says} | {' | '.join(cell(answer, stack) for _, answer in answers)} |", flush=True)
    print(f"| right of {len(STACKS)} | {' | '.join(str(counts[name]) for name in columns)} |")


if __name__ == "__main__":
    main()
