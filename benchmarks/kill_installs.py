"""Kill real installations at random moments and look at what the next command makes of it.

    python benchmarks/kill_installs.py [--kills 200] [--seed 1] [--in-place] [--command]

`--in-place` changes an existing environment instead of building a generation beside the old one. `--command` kills the
command line itself, `envcheck install web --offline --wheelhouse DIR`, with a wheelhouse of each state.

Each round starts an installation on an environment in one of two states, with several packages going up, down, in
and out, kills the whole process group with SIGKILL after a random delay within the time such an installation takes,
then does what a user does next (installs again, or rolls back) and compares every file with a clean installation of the
old and of the new state. Installing again must end in the new state; rolling back in the old one, or in the new one
where rolling back found nothing to take back.
The verification (RECORD, `uv pip check`, imports) is part of the killed run, so kills fall into it, too.
Everything comes from wheels written on the spot: no network.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from envcheck.host import Host  # noqa: E402
from envcheck.install.in_place import install_in_place, open_environment, rollback_in_place  # noqa: E402
from envcheck.install.journal import Journal  # noqa: E402
from envcheck.install.layout import Layout, open_target  # noqa: E402
from envcheck.install.soundness import unsound  # noqa: E402
from envcheck.install.transaction import install, rollback  # noqa: E402
from envcheck.judge.decide import Decided  # noqa: E402
from envcheck.schema.errors import EnvcheckError  # noqa: E402
from envcheck.schema.plan import Decision  # noqa: E402
from envcheck.schema.recipe import Choice  # noqa: E402
from envcheck.verify import verify  # noqa: E402
from tests.install.conftest import NEW, OLD, World  # noqa: E402
from tests.install.houses import Houses  # noqa: E402
from tests.install.houses import installed as installed_by_command  # noqa: E402
from tests.install.wheels import tree  # noqa: E402

FILES = 400
"""Modules per package: enough that linking them takes a good part of the run."""
STATES = {"old": OLD, "new": NEW}


def quiet(line: str) -> None:
    """No progress."""


def sound(world: World, state: str) -> Callable[[str], list[str]]:
    """The verification that `envcheck install` does, for the packages of a state."""
    names = tuple(STATES[state])
    choice = Choice(requirements=names, imports=names)
    decided = Decided(Decision(), choice)

    def wrong(python: str) -> list[str]:
        found = verify(Host(target_python=python, level=1, ports=False)).damage
        damaged = [d.package for d in found if d.kind not in ("foreign", "no_record")]
        return damaged + unsound(world.host, python, decided, quiet)

    return wrong


def put(world: World, root: Path, state: str, in_place: bool) -> None:
    """Install a state, as `envcheck install` does."""
    lock, receipt = world.lock(STATES[state]), world.receipt(STATES[state])
    if in_place:
        place = open_environment(root / "bin" / "python")
        wrong = sound(world, state)
        install_in_place(world.host, place, lock, receipt=receipt, verify=wrong, progress=quiet, sources=world.sources)
        return
    install(
        world.host,
        open_target(root),
        lock,
        world.python,
        receipt=receipt,
        verify=sound(world, state),
        progress=quiet,
        sources=world.sources,
    )


def installed(root: Path, in_place: bool) -> dict[str, str]:
    """Every installed file and its hash."""
    layout = Layout(root)
    number = layout.current_number()
    base = root if in_place else layout.folder(number) if number is not None else root / "none"
    found = tree(base / "lib") if base.exists() else {}
    return {path: digest for path, digest in found.items() if not path.startswith(".envcheck")}


def fresh(world: World, root: Path, state: str, in_place: bool) -> None:
    """A new environment that holds one state and nothing else."""
    if in_place:
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(root)], check=True)
        arguments = [
            "pip",
            "sync",
            "-q",
            "--python",
            str(root / "bin" / "python"),
            *world.sources,
            str(world.lock(STATES[state])),
        ]
        subprocess.run([uv, *arguments], check=True)
    else:
        put(world, root, state, in_place)


def child(world: World, root: Path, state: str, in_place: bool) -> subprocess.Popen[bytes]:
    """The installation that will be killed, in a process group of its own."""
    argv = [sys.executable, __file__, "--child", str(world.folder), str(root), state, str(int(in_place))]
    return subprocess.Popen(argv, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def one_round(
    world: World, clean: dict[str, dict[str, str]], root: Path, delay: float, again: bool, in_place: bool
) -> str:
    """Kill one installation old → new after `delay`; "old", "new" or "MIXED" after the next command."""
    fresh(world, root, "old", in_place)
    process = child(world, root, "new", in_place)
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    try:
        if again:
            put(world, root, "new", in_place)
        elif in_place:
            rollback_in_place(open_environment(root / "bin" / "python"), quiet)
        else:
            rollback(Layout(root), None, quiet)
    except EnvcheckError:
        pass  # nothing to roll back: the killed installation had not got that far, and was undone
    after = installed(root, in_place)
    found = next((name for name, files in clean.items() if files == after), "MIXED")
    return f"{found}, WRONG" if again and found == "old" else found


def command_rounds(folder: Path, kills: int, seed: int, in_place: bool) -> None:
    """Kill the command line at random moments and print the tally."""
    houses, chance = Houses(folder, files=FILES // 4), random.Random(seed)
    clean = houses.clean(in_place)
    houses.copy(folder / "timing", in_place)
    started = time.perf_counter()
    houses.finish(*houses.install(folder / "timing", "new", in_place))
    span = (time.perf_counter() - started) * 1.1
    tally: collections.Counter[str] = collections.Counter()
    for number in range(kills):
        root, again = folder / f"round-{number}", chance.random() < 0.5
        houses.copy(root, in_place)
        process = houses.start(*houses.install(root, "new", in_place))
        time.sleep(chance.uniform(0, span))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if again:
            houses.finish(*houses.install(root, "new", in_place))
        else:
            # 2: there is nothing to take back, because the killed installation had not got that far.
            houses.finish(*houses.rollback(root, in_place), codes=(0, 2))
        after = installed_by_command(root, in_place)
        outcome = next((name for name, files in clean.items() if files == after), "MIXED")
        wanted = "new" if again else "old"
        tally[f"{'install again' if again else 'rollback'} → {outcome}{'' if outcome == wanted else ', WRONG'}"] += 1
        shutil.rmtree(root)
        print(f"{number + 1}/{kills} {dict(tally)}", file=sys.stderr, flush=True)
    mode = "in place" if in_place else "generations"
    files = {state: len(each) for state, each in clean.items()}
    print(f"\n{kills} kills of the command, {mode}, seed {seed}, delays 0 to {span:.2f} s, files {files}")
    for outcome, count in sorted(tally.items()):
        print(f"  {outcome}: {count}")


def main() -> None:
    """Run the rounds and print the tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("--command", action="store_true")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, root, state, in_place = options.child
        put(World(Path(folder), files=FILES, write=False), Path(root), state, in_place == "1")
        return
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        os.environ["UV_CACHE_DIR"] = str(Path(folder) / "uv-cache")
        if options.command:
            command_rounds(Path(folder), options.kills, options.seed, options.in_place)
            return
        world = World(Path(folder), files=FILES)
        clean: dict[str, dict[str, str]] = {}
        for state in STATES:
            fresh(world, Path(folder) / f"clean-{state}", state, options.in_place)
            clean[state] = installed(Path(folder) / f"clean-{state}", options.in_place)
        if options.in_place:
            # In place, packages outside the lock stay: the new state is the old one with the lock applied.
            fresh(world, Path(folder) / "both", "old", True)
            put(world, Path(folder) / "both", "new", True)
            clean["new"] = installed(Path(folder) / "both", True)
        started = time.perf_counter()
        fresh(world, Path(folder) / "timing", "old", options.in_place)
        middle = time.perf_counter()
        code = child(world, Path(folder) / "timing", "new", options.in_place).wait()
        span = (time.perf_counter() - middle) * 1.1
        if code != 0 or installed(Path(folder) / "timing", options.in_place) != clean["new"]:
            raise SystemExit("An installation that nobody killed did not reach the new state.")
        tally: collections.Counter[str] = collections.Counter()
        stood: collections.Counter[str] = collections.Counter()
        for number in range(options.kills):
            root = Path(folder) / f"round-{number}"
            again = chance.random() < 0.5
            outcome = one_round(world, clean, root, chance.uniform(0, span), again, options.in_place)
            tally[f"{'install again' if again else 'rollback'} → {outcome}"] += 1
            last = Journal(root / ".envcheck" / "journal.jsonl").entries()
            stood.update(e.state for e in last if e.state in ("abandoned", "restored", "rolled_back"))
            subprocess.run(["rm", "-rf", str(root)], check=True)
            print(f"\r{number + 1}/{options.kills}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    mode = "in place" if options.in_place else "generations"
    took = f"delays 0 to {span:.2f} s, {time.perf_counter() - started:.0f} s in all"
    print(f"{options.kills} kills, {mode}, seed {options.seed}, {took}")
    for outcome, count in sorted(tally.items()):
        print(f"  {outcome}: {count}")
    bad = sum(count for outcome, count in tally.items() if "MIXED" in outcome or "WRONG" in outcome)
    print(f"  neither old nor new, or not what was asked for: {bad}; journal: {dict(stood)}")


if __name__ == "__main__":
    main()
