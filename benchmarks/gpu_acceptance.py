"""Acceptance on one GPU: does it compute right, and do memory and speed come out as predicted?

    python benchmarks/gpu_acceptance.py                      on a machine with a GPU, torch and transformers; no network
    python benchmarks/gpu_acceptance.py --rehearse           the same path on the processor with tiny models
    python benchmarks/gpu_acceptance.py --complete FILE.json adds predictions where the GPU machine could not make them

Real architectures are built from the catalog with random weights, each in a process of its own. Predictions are made
before anything is measured. Every result is on disk as soon as it is there, a signal keeps what there is, and whatever
still runs after --budget seconds (default 430) is stopped.
Writes gpu-acceptance-<date>-<device>.json and .md to reports/measured/. Exit code 0 passed, 1 something failed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import acceptance_models as models
from benchmarks import acceptance_report as report

Document = dict[str, Any]
CONTEXTS = [512, 4096, 16384]
NEW_TOKENS = 64
TINY_CONTEXTS = [32, 96]
NARROWED = "Llama-3.1-8B"
"""Built once more each with 8- and 4-bit weights."""
MIB = 1024 * 1024
CASE_LIMIT_S = {"compute": 90.0, "parity": 60.0, "model": 100.0}
CASE_LEAST_S = 20.0
"""A case is not begun with less time left than this."""
LOOK_LIMIT_S = 40.0
"""For everything before the first case but torch itself: the snapshot, and as much for the predictions."""
ROOM = 1.25
"""A model is not built unless this many times its weights is free, for cache and activations of the contexts above."""
_FACTS = """
import json, torch
try:
    import transformers
    version = transformers.__version__
except Exception as error:
    version = f"unusable: {error}"
device = {"kind": "cpu", "name": "cpu"}
if torch.cuda.is_available():
    found, (free, total) = torch.cuda.get_device_properties(0), torch.cuda.mem_get_info(0)
    device = {"kind": "cuda:0", "name": found.name, "total_mib": total / 2**20, "free_mib": free / 2**20,
              "capability": f"{found.major}.{found.minor}", "count": torch.cuda.device_count()}
print(json.dumps({"device": device, "torch": torch.__version__, "cuda": torch.version.cuda,
                  "hip": torch.version.hip, "transformers": version}))
"""


def facts() -> Document:
    """Device and versions as a child process sees them, so that this one never holds GPU memory."""
    ended = subprocess.run([sys.executable, "-c", _FACTS], capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no words"])[-1]
        raise SystemExit(f"torch cannot be used by {sys.executable}: {last}")
    found: Document = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def snapshot() -> Document:
    """envcheck's own level-3 snapshot where its packages are installed, else what nvidia-smi says."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "snapshot.json"
        argv = [sys.executable, "-m", "envcheck", "snapshot", "--level", "3", "--limit", "10", "-o", str(file)]
        why = ended_words(argv, LOOK_LIMIT_S)
        if file.is_file():
            return {"by": "envcheck snapshot --level 3", "snapshot": json.loads(file.read_text())}
    fields = "name,driver_version,memory.total,memory.used,pcie.link.gen.current,pcie.link.width.current,power.draw"
    fields += ",power.limit,temperature.gpu,clocks.sm,clocks.mem,ecc.mode.current,mig.mode.current,persistence_mode"
    try:
        asked = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        says = asked.stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        says = str(error)
    return {"by": f"nvidia-smi, because envcheck could not look ({why})", "nvidia_smi": says}


def ended_words(argv: list[str], limit_s: float) -> str:
    """Run a command; its last words, or how it did not end."""
    try:
        ended = subprocess.run(
            argv, capture_output=True, text=True, timeout=limit_s, check=False, env=report.with_root()
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)[:200]
    return (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1][:200]


def cases(device: Document, rehearsal: bool, names: list[str]) -> list[Document]:
    """Everything to run, most telling first: the device itself, parity, then models by size."""
    contexts, new_tokens = (TINY_CONTEXTS, 4) if rehearsal else (CONTEXTS, NEW_TOKENS)
    common = {"device": device["kind"], "tiny": rehearsal, "contexts": contexts, "new_tokens": new_tokens}
    chosen = [
        {"kind": "compute", "name": device["name"], **common},
        *({"kind": "parity", "name": name, **common} for name in ("Llama-3.1-8B", "Gemma-3-12B") if name in names),
        *({"kind": "model", "name": name, **common} for name in names),
    ]
    if NARROWED in names:
        shorter = {**common, "contexts": contexts[:2]}
        chosen += [{"kind": "model", "name": NARROWED, "bits": bits, **shorter} for bits in (8, 4)]
    return chosen


def lacks_room(case: Document, device: Document) -> str:
    """Why a model is not built, or "": known before anything is allocated."""
    if case["kind"] != "model" or case["tiny"] or "free_mib" not in device:
        return ""
    needed = models.text_parameters(models.row(case["name"])) * models.BYTES * ROOM / MIB
    free = device["free_mib"]
    return "" if needed <= free else f"needs about {needed / 1024:.0f} GiB, {free / 1024:.0f} GiB are free"


def run_case(case: Document, limit_s: float) -> Document:
    """One case in its own process; killed with its children at the limit, keeping the points it had.

    A signal that ends this script ends the case first: what it had is in the exception's `found`.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "case.json", Path(folder) / "result.json"
        given.write_text(json.dumps(case))
        argv = [sys.executable, str(Path(__file__).with_name("acceptance_case.py")), str(given), str(result)]
        started = time.monotonic()
        ended: Stopped | None = None
        with (Path(folder) / "err").open("wb+") as err:
            process = subprocess.Popen(argv, stdout=err, stderr=err, start_new_session=True)
            try:
                code: int | None = process.wait(timeout=limit_s)
            except subprocess.TimeoutExpired:
                code = None
            except Stopped as stopped:
                code, ended = None, stopped
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(timeout=10)
            err.seek(0)
            words = err.read().decode("utf-8", "replace").strip().splitlines()
        found: Document = json.loads(result.read_text()) if result.is_file() else {"status": "failed"}
    if code is None:
        found |= {"status": "failed", "why": str(ended) if ended else f"stopped after {limit_s:.0f} s"}
    elif code:
        found |= {"status": "failed", "why": f"ended with code {code}: {(words or ['no words'])[-1][:300]}"}
    whole = {**case, **found, "seconds": round(time.monotonic() - started, 1)}
    if ended:
        ended.found = whole
        raise ended
    return whole


class Stopped(BaseException):
    """A signal asked this script to end."""

    found: Document | None = None


def stop(number: int, frame: object) -> None:
    """The handler of SIGTERM, SIGINT and SIGHUP. A second signal finds the default again."""
    del frame
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(f"stopped by {signal.Signals(number).name}")


def concluded(document: Document) -> None:
    """The status of the whole: a case that found no room or no time is named, not failed."""
    failed = [label(case) for case in document["cases"] if case["status"] == "failed"]
    left_out = [label(case) for case in document["cases"] if case["status"] == "skipped"]
    done = len(document["cases"]) - len(failed) - len(left_out)
    unfinished = document.get("planned", 0) - len(document["cases"])
    document["status"] = "failed" if failed or unfinished > 0 or not done else "passed"
    words = [f"{done} of {max(document.get('planned', 0), len(document['cases']))} cases passed"]
    words += [f"failed: {', '.join(failed)}"] if failed else []
    words += [f"left out: {', '.join(left_out)}"] if left_out else []
    words += [f"{unfinished} not begun"] if unfinished > 0 else []
    document["why"] = "; ".join(words)


def label(case: Document) -> str:
    """A case in a few words."""
    bits = f" int{case['bits']}" if case.get("bits") else ""
    return case["name"] + bits if case["kind"] == "model" else f"{case['kind']} of {case['name']}"


def write(document: Document, folder: Path) -> Path:
    """JSON and Markdown, each in one move; returns the Markdown's path."""
    slug = re.sub(r"[^a-z0-9]+", "-", document["device"]["name"].lower()).strip("-")
    kind = "rehearsal" if document["rehearsal"] else "gpu-acceptance"
    base = folder / f"{kind}-{document['date']}-{slug}"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(document, indent=1) + "\n"), (".md", report.markdown(document))):
        beside = base.with_name(base.name + suffix + ".part")
        beside.write_text(text, encoding="utf-8")
        beside.replace(base.with_name(base.name + suffix))
    return base.with_name(base.name + ".md")


def perform(arguments: argparse.Namespace) -> Document:
    """The whole run; the document is written before the first case and after every one."""
    began = time.monotonic()
    found = facts()
    device = {"kind": "cpu", "name": "cpu"} if arguments.rehearse else found["device"]
    if device["kind"] == "cpu" and not arguments.rehearse:
        raise SystemExit("torch sees no GPU: nothing was measured (--rehearse runs the same path on the processor).")
    planned = cases(device, arguments.rehearse, arguments.models)
    document: Document = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rehearsal": arguments.rehearse,
        "device": device,
        "versions": {"python": platform.python_version(), **{k: v for k, v in found.items() if k != "device"}},
        "machine": snapshot(),
        "prediction": "",
        "planned": len(planned),
        "cases": [],
    }
    predictions: Document = {}
    try:
        predictions = report.predictions(document, planned, LOOK_LIMIT_S)
        for case in planned:
            document["seconds"] = time.monotonic() - began
            concluded(document)
            write(document, arguments.out)
            document["cases"].append(performed(case, document, predictions, arguments.budget))
    except Stopped as stopped:
        if stopped.found is not None:
            document["cases"].append(report.beside(stopped.found, predictions))
        print(stopped, flush=True)
    document["seconds"] = time.monotonic() - began
    concluded(document)
    return document


def performed(case: Document, document: Document, predictions: Document, budget_s: float) -> Document:
    """One case run, or the reason why it was not begun; with what was predicted of it."""
    left = budget_s - document["seconds"]
    why = lacks_room(case, document["device"])
    if not why and left < CASE_LEAST_S:
        why = f"only {max(left, 0):.0f} s of the budget were left"
    print(f"{document['seconds']:6.1f} s  {label(case)}{': ' + why if why else ''}", flush=True)
    if why:
        return {**case, "status": "skipped", "why": why}
    return report.beside(run_case(case, min(CASE_LIMIT_S[case["kind"]], left)), predictions)


def main() -> None:
    """Parse, run or complete, write, and leave with 0 or 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=models.ROOT / "reports" / "measured")
    parser.add_argument("--budget", type=float, default=430.0, help="seconds for everything")
    parser.add_argument("--models", nargs="+", choices=list(models.MODELS), default=list(models.MODELS))
    parser.add_argument("--rehearse", action="store_true", help="tiny models on the processor")
    parser.add_argument("--complete", type=Path, metavar="FILE", help="add predictions to a finished run")
    arguments = parser.parse_args()
    if arguments.complete:
        document = json.loads(arguments.complete.read_text())
        predictions = report.predictions(document, document["cases"], 120.0)
        document["cases"] = [report.beside(case, predictions) for case in document["cases"]]
        arguments.out = arguments.complete.parent
    else:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)
        try:
            document = perform(arguments)
        except Stopped as stopped:
            raise SystemExit(f"{stopped} before anything was measured") from None
    path = write(document, arguments.out)
    print(f"{document['status']}: {document['why']}\n{path}", flush=True)
    raise SystemExit(0 if document["status"] == "passed" else 1)


if __name__ == "__main__":
    main()
