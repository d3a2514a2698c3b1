"""`envcheck verify` sees every kind of damage, and nothing on a clean environment (the benchmark, in small)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.verify_damage import EXPECTED, environment, rounds
from envcheck.host import Host
from envcheck.verify import installed, verify

DISTRIBUTIONS = 12


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("uv") is None and not (Path(sys.executable).parent / "uv").is_file():
        pytest.skip("uv is not installed (extra `install`)")
    return environment(tmp_path_factory.mktemp("damaged"), DISTRIBUTIONS, 4)


def test_all_damage_is_seen_and_only_damage(site: Path) -> None:
    host = Host(target_python=str(site.parents[2] / "bin" / "python"), ports=False)
    clean = verify(host)
    assert (clean.packages, clean.damage) == (DISTRIBUTIONS, ())
    tally = rounds(site, host, 60, DISTRIBUTIONS, seed=7)
    assert {line.partition(":")[0] for line in tally} == set(EXPECTED)
    assert not [line for line in tally if "NOT SEEN" in line]
    assert verify(host).damage == ()
    assert installed(host) == {f"part{n:03}": "1.0" for n in range(DISTRIBUTIONS)}
