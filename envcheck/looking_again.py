"""After installing, envcheck looks again: are the files, the packages and the verdicts what the plan said?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from envcheck import api
from envcheck.host import Host
from envcheck.install import profiles as recipes
from envcheck.install import proven
from envcheck.install.receipt import Receipt
from envcheck.install.soundness import disagreements, unsound
from envcheck.judge.decide import Decided
from envcheck.schema.recipe import Profile
from envcheck.schema.snapshot import Snapshot
from envcheck.verify import installed, verify


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished environment is held against."""

    host: Host
    decided: Decided
    receipt: Receipt
    serves: set[str]
    """Verdicts that the plan was to turn to met."""
    recheck: bool
    """Look at everything although the same files were found sound here before."""
    progress: Callable[[str], None]

    def wrong(self, python: str) -> list[str]:
        """What is wrong with the environment of `python`; empty when nothing is."""
        with ThreadPoolExecutor(1) as beside:
            compared = beside.submit(disagreements, self.host, python, self.decided.choice).result
            key = self._key(python)
            if key is not None and (ago := proven.when(self.host, key)) is not None:
                self.progress(f"these very files were found sound here {_spoken(ago)} ago: only versions are compared")
                return compared() + self._unmet(python)
            others = (lambda: damage(python), lambda: self._unmet(python))
            found = unsound(self.host, python, self.decided, self.progress, others, compared)
        if key is not None and not found:
            proven.remember(self.host, key)
        return found

    def _key(self, python: str) -> str | None:
        """What names these files; None where all is to be looked at: GPUs and their drivers come and go."""
        if self.recheck or self.receipt.choice.torch_backend is not None:
            return None
        return proven.key_of(self.host, python, self.receipt.choice.imports)

    def _unmet(self, python: str) -> list[str]:
        """Look again, with the new environment as the target: what the plan served and is still not met."""
        if not self.serves:
            return []
        env, limit = self.host.env, self.host.limit_s
        looking = Host(env=env, target_python=python, limit_s=limit, level=1, ports=self.host.ports)
        backends = [profile.backend for profile in recipes.load(self.receipt.profiles) if profile.backend]
        verdicts = api.judge(api.this_machine(looking), backends=backends).verdicts
        return [v.says for v in verdicts if v.id in self.serves and v.status == "not_met"]


def _spoken(seconds: float) -> str:
    """A span as people say it."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def drifted(python: str, receipt: Receipt) -> bool:
    """Whether files are damaged, or somebody has since changed a version that the receipt states."""
    there = installed(Host(target_python=python, level=1, ports=False))
    return any(there.get(p.name) != p.version for p in receipt.packages) or bool(damage(python))


def served_by(snapshot: Snapshot, chosen: Sequence[Profile]) -> tuple[str, ...]:
    """The verdicts that installing these profiles is meant to turn to met."""
    backends = [profile.backend for profile in chosen if profile.backend]
    if not backends:
        return ()
    verdicts = api.judge(snapshot, backends=backends).verdicts
    return tuple(v.id for v in verdicts if v.status == "not_met" and v.fixed_by_install)


def damage(python: str) -> list[str]:
    """Files of installed packages that are not what their RECORD says (existence and size: uv has just hashed them)."""
    found = verify(Host(target_python=python, level=1, ports=False), hashes=False).damage
    broken = [d for d in found if d.kind not in ("foreign", "no_record")]
    return [f"{d.package}: {d.count} files {d.kind}, for example {d.example}" for d in broken]
