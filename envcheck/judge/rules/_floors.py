"""Drivers and CUDA levels, until every rule reads them from the tables of the matrix."""

from __future__ import annotations

from envcheck.judge.version import Version

OLLAMA_DRIVER_FLOOR = (550,)
"""https://github.com/ollama/ollama/blob/main/docs/gpu.mdx"""

# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html : CUDA major -> (Linux, Windows)
_FLOORS: dict[int, tuple[Version, Version]] = {
    13: ((580,), (580,)),
    12: ((525, 60, 13), (528, 33)),
    11: ((450, 80, 2), (452, 39)),
    10: ((410, 48), (411, 31)),
}

# Linux driver branch -> newest CUDA level it serves in full: CUDA release notes, table 3.
# https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html
_LEVELS: tuple[tuple[int, Version], ...] = (
    (610, (13, 3)), (595, (13, 2)), (590, (13, 1)), (580, (13, 0)), (575, (12, 9)), (570, (12, 8)), (560, (12, 6)), (555, (12, 5)), (550, (12, 4)),
    (545, (12, 3)), (535, (12, 2)), (530, (12, 1)), (525, (12, 0)), (520, (11, 8)), (515, (11, 7)), (510, (11, 6)), (495, (11, 5)), (470, (11, 4)),
    (465, (11, 3)), (460, (11, 2)), (455, (11, 1)), (450, (11, 0)), (440, (10, 2)), (418, (10, 1)), (410, (10, 0)),
)  # fmt: skip


def driver_floor(cuda: Version, windows: bool) -> Version:
    """The oldest driver that starts a runtime of this CUDA major (minor-version compatibility)."""
    linux, other = _FLOORS.get(cuda[0], _FLOORS[13] if cuda[0] > 13 else ((0,), (0,)))
    return other if windows else linux


def cuda_of_driver(driver: Version) -> Version | None:
    """The newest CUDA level a driver serves in full."""
    return next((level for branch, level in _LEVELS if driver[0] >= branch), None)
