"""What the tables of the matrix say about one machine, for a report to print: packages, torch builds, ages."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from envcheck.judge import tables
from envcheck.judge.rows import backend, backend_names
from envcheck.judge.wheels import WheelFacts, best_torch, variants_for, wheel_facts
from envcheck.schema.report import AcceleratorBuild, PackageRequirement, TableAge, Tables
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.tables import Platform, TorchRelease

Answer = Literal["yes", "no", "unknown"]


def tables_for(snapshot: Snapshot) -> Tables:
    """The rows that concern this machine (pure)."""
    facts = wheel_facts(snapshot)
    return Tables(packages=_packages(facts), builds=_builds(facts), ages=_ages())


def _packages(facts: WheelFacts) -> tuple[PackageRequirement, ...]:
    torch = best_torch(facts).build
    found = []
    for group in tables.package_groups():
        for row in group.package:
            recommended = torch.release.version if row.name == "torch" and torch else row.recommended
            found.append(
                PackageRequirement(
                    group=group.name,
                    title=group.title,
                    name=row.name,
                    required=f">={row.required}",
                    recommended=f">={recommended}",
                    python=row.python if recommended == row.recommended else "",
                    says=f"newest that runs here: {torch.version}" if row.name == "torch" and torch else row.note,
                    source=row.source,
                    checked=row.checked,
                )
            )
    return tuple(found)


def _builds(facts: WheelFacts) -> tuple[AcceleratorBuild, ...]:
    if facts.accelerator not in ("nvidia", "amd"):
        return ()
    judged = [_build(facts, row, v) for row in tables.torch_wheels().release for v in variants_for(facts, row)]
    return _merged(judged)


def _build(facts: WheelFacts, release: TorchRelease, variant: str) -> AcceleratorBuild:
    platform: Platform = "linux_x86_64" if facts.platform in (None, "none") else facts.platform  # type: ignore[assignment]
    row = tables.arch_list(release.version, variant, platform)
    cuda = tables.cuda_of(variant)
    served = (
        tables.serving(cuda, driver=facts.driver, cuda_driver=facts.cuda_driver, windows=facts.windows_driver)
        if cuda
        else None
    )
    gpus = facts.capabilities if facts.accelerator == "nvidia" else facts.gfx
    kernels: Literal["native", "ptx", "none", "unknown"] = "unknown"
    if row is not None and gpus and None not in gpus:
        if facts.accelerator == "amd":
            kernels = "native" if all(g in row.kernels for g in gpus) else "none"
        elif all(tables.kernels_serve(g or "", row.kernels) for g in gpus):
            kernels = "native"
        else:
            kernels = "ptx" if all(tables.kernels_serve(g or "", row.kernels, row.ptx) for g in gpus) else "none"
    minor = None if facts.python is None else ".".join(facts.python.split(".")[:2])
    return AcceleratorBuild(
        torch=release.line,
        variant=variant,
        kernels=kernels,
        driver=_answer(served.runs if served else None),
        python=_answer(None if minor is None else minor in release.python),
        says="by minor-version compatibility" if served and served.runs and served.in_full is False else "",
        source=row.source if row else release.source,
        checked=row.checked if row else release.checked,
    )


def _answer(state: bool | None) -> Answer:
    return "unknown" if state is None else "yes" if state else "no"


def _merged(builds: list[AcceleratorBuild]) -> tuple[AcceleratorBuild, ...]:
    """Neighbouring releases that are judged alike become one row, "2.12–2.14"."""
    runs: list[list[AcceleratorBuild]] = []
    for build in sorted(builds, key=lambda b: b.variant, reverse=True):
        alike = ("variant", "kernels", "driver", "python", "says")
        if runs and all(getattr(runs[-1][0], f) == getattr(build, f) for f in alike):
            runs[-1].append(build)
        else:
            runs.append([build])
    return tuple(
        msgspec.structs.replace(run[0], torch=run[0].torch if len(run) == 1 else f"{run[-1].torch}–{run[0].torch}")
        for run in runs
    )


def _ages() -> tuple[TableAge, ...]:
    shared: dict[str, Any] = {
        "drivers": tables.drivers(),
        "torch wheels": tables.torch_wheels(),
        "packages": tables.package_groups(),
    }
    for name in backend_names():
        shared[name] = backend(name)
    return tuple(age for name, table in shared.items() if (age := _age(name, table)))


def _age(name: str, table: Any) -> TableAge | None:
    dates = sorted(_dates(msgspec.to_builtins(table)))
    return TableAge(name=name, rows=len(dates), oldest=dates[0], newest=dates[-1]) if dates else None


def _dates(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["checked"]] if isinstance(value.get("checked"), str) and value["checked"] else []
        return own + [d for child in value.values() for d in _dates(child)]
    if isinstance(value, list | tuple):
        return [d for child in value for d in _dates(child)]
    return []
