"""What rows are judged against."""

from __future__ import annotations

from envcheck.judge.operators import AnyFact, PerGpu
from envcheck.schema.facts import Known
from envcheck.schema.requirement import Backend, Release
from envcheck.schema.snapshot import Snapshot
from envcheck.schema.verdict import Intent


class Scene:
    """What a row is judged against: a machine, a wish, and one release of one backend."""

    __slots__ = ("backend", "installed", "intent", "memo", "release", "snapshot")

    def __init__(
        self, snapshot: Snapshot, intent: Intent, backend: Backend, installed: AnyFact, release: Release | None
    ) -> None:
        self.snapshot = snapshot
        self.intent = intent
        self.backend = backend
        self.installed = installed
        self.release = release
        self.memo: dict[str, AnyFact | PerGpu] = {}

    @property
    def version(self) -> str | None:
        """The version judged: the installed one, else that of the release looked at."""
        if isinstance(self.installed, Known):
            return str(self.installed.value)
        return self.release.version if self.release else None
