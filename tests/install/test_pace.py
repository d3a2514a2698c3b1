"""What a download took is remembered where all of it was a download, and wears out."""

from __future__ import annotations

from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.install import pace
from envcheck.install.planning import cost_of
from envcheck.schema.plan import PlannedPackage

BIG = PlannedPackage(name="big", version="1", size_bytes=60_000_000)
SMALL = PlannedPackage(name="small", version="1", size_bytes=20_000)
UNSIZED = PlannedPackage(name="unsized", version="1")
CHATTER = "Resolved 2 packages in 96ms\n{}\nInstalled 2 packages in 9ms\n + big==1\n + small==1\n"


@pytest.mark.parametrize(
    ("said", "packages", "seconds"),
    [
        ("Prepared 2 packages in 3.25s", (BIG, SMALL), 3.25),
        ("Prepared 2 packages in 900ms", (BIG, SMALL), 0.9),
        ("Prepared 2 packages in 2m 05s", (BIG, SMALL), 125.0),
        ("Prepared 1 package in 3.25s", (BIG,), 3.25),
        ("Prepared 1 package in 3.25s", (BIG, SMALL), None),  # the other one was in the cache
        ("Prepared 2 packages in 3.25s", (SMALL, SMALL), None),
        ("Prepared 2 packages in 3.25s", (BIG, UNSIZED), None),
        ("Prepared 2 packages in a moment", (BIG, SMALL), None),
        ("", (BIG, SMALL), None),
    ],
)
def test_what_uv_says_of_a_download(said: str, packages: tuple[PlannedPackage, ...], seconds: float | None) -> None:
    found = pace.download_in(CHATTER.format(said), packages)
    assert (found.seconds if found else None) == seconds
    assert found is None or found.size_bytes == sum(package.size_bytes or 0 for package in packages)


def test_the_last_downloads_count_together_and_wear_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(env={"XDG_CACHE_HOME": str(tmp_path / "kept")})
    assert pace.bytes_per_s(host) is None
    pace.remember(host, "Prepared 1 package in 600s", (BIG,))
    for _ in range(pace.KEPT - 1):
        pace.remember(host, "Prepared 1 package in 6s", (BIG,))
    assert pace.bytes_per_s(host) == pytest.approx(5 * 60e6 / 624)
    pace.remember(host, "Prepared 1 package in 6s", (BIG,))
    assert pace.bytes_per_s(host) == pytest.approx(10e6)
    assert [path.name for path in (tmp_path / "kept" / "envcheck").iterdir()] == ["downloads.json"]
    monkeypatch.setattr(pace, "KEPT_S", 0)
    assert pace.bytes_per_s(host) is None


def test_nothing_is_kept_where_nothing_can_be(tmp_path: Path) -> None:
    said = "Prepared 1 package in 6s"
    pace.remember(Host(env={}), said, (BIG,))
    assert pace.bytes_per_s(Host(env={})) is None
    kept = tmp_path / "envcheck" / "downloads.json"
    kept.parent.mkdir()
    kept.write_text('[{"at": "yesterday"}]')
    host = Host(env={"XDG_CACHE_HOME": str(tmp_path)})
    assert pace.bytes_per_s(host) is None
    pace.remember(host, said, (BIG,))
    assert pace.bytes_per_s(host) == pytest.approx(10e6)


def test_an_estimate_says_what_it_rests_on() -> None:
    guessed, timed = cost_of((BIG,), None), cost_of((BIG,), None, 10e6)
    assert (guessed.seconds, guessed.assumed) == (10, "100 Mbit/s, assumed, and nothing in the cache")
    assert (timed.seconds, timed.assumed) == (11, "80 Mbit/s, as measured here before, and nothing in the cache")
    assert cost_of((BIG, UNSIZED), None, 10e6).seconds is None
