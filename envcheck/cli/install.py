"""`envcheck install`: say what would be done and why; with a yes, do it in a way that can be undone."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envcheck.cli._machine import host_of, snapshot_of
from envcheck.cli._output import deliver
from envcheck.cli._progress import shown
from envcheck.schema.errors import InputError
from envcheck.schema.facts import value_of
from envcheck.schema.plan import Blocked, Cost, Plan, Step
from envcheck.schema.snapshot import Snapshot

HERE = ".envcheck-env"
"""Where an environment is made when nobody says otherwise, in the working folder."""
_NOT_YET = "Nothing was changed. Add --yes to do it."
_ELSEWHERE = "This is a plan for another machine: run `envcheck install` there to carry it out."
_ON_WINDOWS = "On Windows these steps are yours to run, in PowerShell and in this order."


@click.command("install")
@click.argument("profiles", nargs=-1, metavar="[PROFILE]...")
@click.option("--target", type=click.Path(path_type=Path), help="Make or update an environment in this folder.")
@click.option(
    "--python", "target_python", type=click.Path(path_type=Path), help="Change this interpreter's environment."
)
@click.option("--assume", "assume_file", type=click.Path(path_type=Path), help="Plan for a hypothetical machine.")
@click.option(
    "--from", "--target-facts", "from_file", type=click.Path(path_type=Path), help="Plan for a snapshot's machine."
)
@click.option("--pin", "pins", multiple=True, metavar="NAME==VERSION", help="Hold a package at a version.")
@click.option("--dry-run", is_flag=True, help="Only show the plan (the default without a terminal and without --yes).")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--offline", is_flag=True, help="Use no network: needs --wheelhouse.")
@click.option("--wheelhouse", type=click.Path(path_type=Path), help="Folder of wheels made by `envcheck bundle`.")
@click.option("--only", is_flag=True, help="Leave out what was installed into the target before.")
@click.option("--upgrade", is_flag=True, help="Look for newer versions of what is there.")
@click.option("--recheck", is_flag=True, help="Verify again what these very files have proven here before.")
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), help="Policy file (default: envcheck.toml).")
@click.option("--format", "format_name", type=click.Choice(("console", "json")), default="console", show_default=True)
@click.option("--strict", is_flag=True, help="Leave with 1 on warnings too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
def COMMAND(  # noqa: N802
    profiles: tuple[str, ...],
    target: Path | None,
    target_python: Path | None,
    assume_file: Path | None,
    from_file: Path | None,
    pins: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    offline: bool,
    wheelhouse: Path | None,
    only: bool,
    upgrade: bool,
    recheck: bool,
    policy_file: Path | None,
    format_name: str,
    strict: bool,
    output: Path | None,
) -> int:
    """Install what a backend needs: versions that agree with this GPU, driver, Python and C library.

    Profiles: transformers, vllm, sglang, llama-cpp, ollama-client, web, vector, embeddings, data, embedded.
    The environment is built beside the current one, verified, and switched to in one step; `envcheck rollback` undoes
    it. What was installed into the target before stays part of it; --only leaves it out.
    """
    from envcheck import api, installing
    from envcheck.install.layout import is_windows

    _require_profiles(profiles)
    if target and target_python:
        raise InputError("--target makes an environment and --python changes one: give one of them.")
    elsewhere = bool(assume_file or from_file)
    wanted = installing.Wanted(
        profiles=profiles,
        target=target if elsewhere else _folder(target, target_python),
        python=target_python,
        pins=pins,
        sources=_sources(offline, wheelhouse),
        only=only,
        upgrade=upgrade,
        recheck=recheck,
    )
    asks = sys.stdin.isatty() and format_name == "console" and not is_windows()
    act = not dry_run and not elsewhere and (yes or asks)
    if not elsewhere:
        _refuse_early(wanted, act)
    interpreter = str(target_python) if target_python else None
    host = host_of(interpreter, 1, 2.0, no_ports=True)
    snapshot = snapshot_of(from_file, assume_file, interpreter, 1, 2.0, no_ports=True)
    policy = api.policy_of(policy_file)
    if wheelhouse is not None:
        from envcheck import bundling

        bundling.require_fitting_bundle(wheelhouse, snapshot)
    with shown() as progress:
        if not elsewhere:
            progress("choosing versions")
        prepared = installing.prepare(snapshot, wanted, policy, None if elsewhere else host)
    made = prepared.plan
    if act and prepared.receipt is not None and (yes or prepared.is_current or _agreed(made, snapshot)):
        with shown() as progress:
            try:
                made = installing.execute(host, wanted, prepared, progress)
            except installing.ChangedMeanwhileError:
                if not yes:
                    raise
                progress("another installation changed the environment meanwhile: choosing versions again")
                made = installing.execute(host, wanted, installing.prepare(snapshot, wanted, policy, host), progress)
    end = _ON_WINDOWS if value_of(snapshot.os.family) == "windows" else _ELSEWHERE if elsewhere else _NOT_YET
    deliver((_as_json(made) if format_name == "json" else _as_text(made, snapshot, end)) + "\n", output)
    return 1 if made.blocked or (strict and made.warnings) else 0


def _require_profiles(names: tuple[str, ...]) -> None:
    """Names of profiles are looked at before anything else is."""
    from envcheck.install import profiles

    if not names:
        raise InputError(f"Name at least one profile: {', '.join(profiles.names())}.")
    profiles.load(names)


def _folder(target: Path | None, python: Path | None) -> Path | None:
    """The folder of the environment to make or to update; None where one is changed in place."""
    return target.absolute() if target else None if python else Path(HERE).absolute()


def _sources(offline: bool, wheelhouse: Path | None) -> installing.Offline:  # type: ignore[name-defined]  # noqa: F821
    from envcheck.install.transaction import ONLINE, wheelhouse_only

    if wheelhouse is None:
        if offline:
            raise InputError("--offline has nothing to install from: give --wheelhouse DIR, made by `envcheck bundle`.")
        return ONLINE
    if not wheelhouse.is_dir():
        raise InputError(f"The wheelhouse {wheelhouse} is not a folder: make one with `envcheck bundle`.")
    return wheelhouse_only(wheelhouse.absolute())


def _refuse_early(wanted: installing.Wanted, act: bool) -> None:  # type: ignore[name-defined]  # noqa: F821
    """What would make the target unusable is said before anything is resolved, and before anything changes."""
    from envcheck.install.in_place import mend, open_environment
    from envcheck.install.layout import require_switchable, require_target

    if act:
        require_switchable()
    if wanted.python is not None:
        place = open_environment(wanted.python)
        if act:
            mend(place, lambda line: click.echo(line, err=True))
    elif wanted.target is not None:
        require_target(wanted.target)


def _agreed(plan: Plan, snapshot: Snapshot) -> bool:
    from rich.console import Console
    from rich.prompt import Confirm

    click.echo(_as_text(plan, snapshot), err=True)
    try:
        return Confirm.ask("Do this?", default=True, console=Console(stderr=True))
    except EOFError:
        return False


def _as_json(plan: Plan) -> str:
    import msgspec

    fields = msgspec.to_builtins(plan)
    fields["packages"] = [{**package, "from": package.pop("origin", "")} for package in fields["packages"]]
    return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode()


def _as_text(plan: Plan, snapshot: Snapshot, end: str = "") -> str:
    from envcheck.schema.describe import machine_line

    decision = plan.decision
    lines = [f"{plan.profile} for {machine_line(snapshot)}", ""]
    if decision.torch:
        lines.append(
            f"torch {decision.torch} ({decision.accelerator}) from {decision.index_url or 'the package index'}"
        )
    lines += [f"  because {reason}" for reason in decision.because]
    lines += [f"  not {r.choice}: {r.because}" for r in decision.rejected[:4]]
    lines += [line for blocked in plan.blocked for line in _blocked_lines(blocked)]
    if plan.packages:
        lines += ["", f"{len(plan.packages)} packages: " + ", ".join(f"{p.name} {p.version}" for p in plan.packages)]
    lines += [_cost_line(plan.cost)] if plan.cost else []
    lines += [f"warning: {warning}" for warning in plan.warnings]
    lines += [f"your setting {name}: {value}" for name, value in plan.mirrors.items()]
    windows = value_of(snapshot.os.family) == "windows"
    lines += ["", *(_step_line(number, step, windows) for number, step in enumerate(plan.steps, 1))]
    if plan.outcome == "done":
        lines += ["", f"Done: change {plan.generation} in {plan.target} is in use. Undo it with `{_undo(plan)}`."]
    elif end and not plan.blocked:
        lines += ["", end]
    return "\n".join(lines)


def _blocked_lines(blocked: Blocked) -> list[str]:
    """Why nothing is planned, the way out, and what to type for it."""
    remedy = blocked.remedy
    ways = [f"  → {remedy.says}", *(f"    {command}" for command in remedy.commands)] if remedy else []
    return [f"BLOCKED {blocked.says}", *ways]


def _cost_line(cost: Cost) -> str:
    """Download, disk and time, with what is not known about them."""
    some = f" and {cost.unknown_sizes} packages whose size the index does not state" if cost.unknown_sizes else ""
    size = f"{cost.download_bytes / 1e6:.0f} MB" if cost.download_bytes else "of"
    free = "" if cost.disk_free_bytes is None else f"; {cost.disk_free_bytes / 1e9:.1f} GB free"
    free = f"; needs {cost.disk_needed_bytes / 1e6:.0f} MB of disk{free}"
    took = f"; about {cost.seconds} s ({cost.assumed})" if cost.seconds is not None else ""
    return f"Download {size}{some.removeprefix(' and') if size == 'of' else some}{free}{took}."


def _undo(plan: Plan) -> str:
    """The command that undoes a plan that was carried out."""
    import shlex

    option = "--target" if Path(plan.target).is_dir() else "--python"
    return shlex.join(["envcheck", "rollback", option, plan.target])


def _step_line(number: int, step: Step, windows: bool) -> str:
    from envcheck.schema.shell import command_line

    who = " (as root)" if step.needs_root else ""
    kind = f"yours to run{who}" if step.manual else "envcheck"
    command = command_line(step.argv, "windows" if windows else None)
    return f"{number}. [{kind}] {step.says}\n   {'>' if windows else '$'} {command}"
