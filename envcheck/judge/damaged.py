"""Installed packages that a backend needs and whose modules or libraries are gone from the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from envcheck.judge.scene import Scene
from envcheck.schema.facts import Known, Observation, value_of
from envcheck.schema.snapshot import Damage, Package
from envcheck.schema.verdict import Remedy, Verdict

SOURCE = "https://packaging.python.org/en/latest/specifications/recording-installed-packages/"
CHECKED = "2026-11-21"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOADED = re.compile(r"(?!(?:.*/)?tests?/).*\.(?:py|pyd|dll|so(?:\.[\d.]+)?)$")
"""What an import needs. A missing licence or header is worth the warning about the whole machine, no more."""
_WORDS = {"missing": "gone from the disk", "truncated": "cut short"}
MOST_NAMED = 5


def damage_verdicts(scene: Scene) -> Iterator[Verdict]:
    """One broken requirement where the backend, or something it imports, is installed and not whole."""
    damage = scene.snapshot.python.damage
    if scene.backend.kind != "package" or not isinstance(damage, Known):
        return
    lost = [each for each in damage.value if each.kind in _WORDS and _LOADED.match(each.example)]
    if not lost:
        return
    installed = {package.name: package for package in value_of(scene.snapshot.python.packages) or ()}
    needed = _needed(scene, installed)
    broken = [each for each in lost if each.package in needed]
    if broken:
        yield _verdict(scene, broken, damage.source, pins([each.package for each in broken], installed.values()))


def _verdict(scene: Scene, broken: list[Damage], source: str, again: list[str]) -> Verdict:
    said = [f"{each.package} ({each.count} {_WORDS[each.kind]}, such as {each.example})" for each in broken]
    return Verdict(
        id=f"{scene.backend.name}.wheel.files",
        backend=scene.backend.name,
        title=f"All files of {', '.join(dict.fromkeys(each.package for each in broken[:MOST_NAMED]))}",
        status="not_met",
        severity="blocker",
        link="wheel",
        says=f"Modules of packages that {scene.backend.title} needs are not whole: {'; '.join(said[:MOST_NAMED])}.",
        expected="every module and library that was installed",
        actual=f"{sum(each.count for each in broken)} are not whole",
        evidence=tuple(Observation(source=source, value=line) for line in said),
        source=SOURCE,
        checked=CHECKED,
        remedy=Remedy(
            says="Reinstall these packages in the versions they have; `envcheck verify` lists every file.",
            commands=(f"pip install --force-reinstall --no-deps {arguments(again)}",) if again else (),
        ),
        fixed_by_install=True,
    )


def _needed(scene: Scene, installed: dict[str, Package]) -> set[str]:
    """Installed packages that the backend imports: its own, those it pins, and what their metadata asks for in turn."""
    release = scene.release
    names = [*scene.backend.packages, *(release.packages if release else ()), *(["torch"] if _on_torch(scene) else ())]
    found: set[str] = set()
    while names:
        package = installed.get(names.pop())
        if package is not None and package.name not in found:
            found.add(package.name)
            names += [normalised(line) for line in package.requires if "extra ==" not in line]
    return found


def _on_torch(scene: Scene) -> bool:
    return bool(scene.release and scene.release.torch)


def normalised(requirement: str) -> str:
    """The normalised name (PEP 503) at the beginning of a requirement line."""
    name = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", name.group(0)).lower() if name else ""


def pins(names: Iterable[str], packages: Iterable[Package]) -> list[str]:
    """NAME==VERSION of those packages, once each; only what a shell takes as plain words."""
    wanted = set(names)
    said = [f"{package.name}=={package.version}" for package in packages if package.name in wanted]
    return [pin for pin in said if pin.isascii() and pin.translate(_PLAIN).isalnum()]


def arguments(again: Iterable[str]) -> str:
    """Those pins for pip's command line, with the index that alone serves builds such as torch 2.13.0+cpu."""
    named = list(again)
    tags = dict.fromkeys(found[1] for pin in named if (found := _TORCH_BUILD.match(pin)))
    return " ".join([*named, *(f"--extra-index-url https://download.pytorch.org/whl/{tag}" for tag in tags)])


_PLAIN = str.maketrans("", "", "=.-_+!")
_TORCH_BUILD = re.compile(r"torch(?:vision|audio)?==[^+]*\+(cpu|xpu|cu\d{2,3}|rocm[\d.]+)$")
