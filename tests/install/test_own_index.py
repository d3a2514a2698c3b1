"""A wheel with a local version label, which lies in an index of its own: resolved, locked, fetched, bundled, or named
as out of reach with what there is instead."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from envcheck.host import Host
from envcheck.install import bundle, uv
from envcheck.install.layout import Layout, open_target
from envcheck.install.receipt import Receipt
from envcheck.install.resolve import Target, UnresolvableError, resolve
from envcheck.install.transaction import ONLINE, Offline, index_arguments, install, wheelhouse_only
from envcheck.install.uv import UnreachableError
from envcheck.judge.decide import Decided
from envcheck.locking import resolved
from envcheck.schema.plan import Decision, OwnIndex, PlannedPackage
from envcheck.schema.recipe import Choice
from envcheck.verify import installed
from tests.install.wheels import wheel

HERE = Target(python=f"{sys.version_info.major}.{sys.version_info.minor}")
SILENT = "http://127.0.0.1:1/cu129"
"""Nobody listens on the first port."""


def index(folder: Path, *releases: tuple[str, str, tuple[str, ...]], hashes: bool = True) -> str:
    """A package index of files (PEP 503): an address of it."""
    for name, version, requires in releases:
        path = wheel(folder / "files", name, version, requires=requires)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        page = folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        address = f"../../files/{path.name.replace('+', '%2B')}{f'#sha256={digest}' if hashes else ''}"
        with page.open("a") as file:
            file.write(f'<a href="{address}">{path.name}</a>\n')
    return (folder / "simple").as_uri()


class World:
    """The default index, an index that has the labelled wheel, and what is decided over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        default = index(
            folder / "default",
            ("engine", "3.0", ("beside>=2",)),
            ("engine", "1.0", ("beside<2",)),
            ("beside", "1.0", ()),
            ("beside", "2.0", ()),
        )
        self.own = index(folder / "own", ("engine", "3.0+cu129", ("beside>=2",)), ("beside", "9.0", ()))
        cache = {
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_HTTP_RETRIES": "0",
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
        }
        self.host = Host(env={"UV_DEFAULT_INDEX": default, **cache}, limit_s=60.0)

    def choice(self, url: str, version: str = "3.0+cu129") -> Choice:
        """The labelled wheel, from that index and no other."""
        own = (OwnIndex(package="engine", url=url),)
        return Choice(requirements=(f"engine=={version}", "beside"), imports=("engine",), indexes=own)

    def decided(self, url: str, version: str = "3.0+cu129") -> Decided:
        """With what the default index has for an older driver."""
        older = Decided(Decision(), Choice(requirements=("engine==1.0",), imports=("engine",)))
        return Decided(Decision(), self.choice(url, version), (), older, "engine 1.0 runs here, older than engine 3.0")


@pytest.fixture
def indexes(tmp_path: Path) -> World:
    return World(tmp_path)


def versions(packages: Sequence[PlannedPackage]) -> dict[str, str]:
    return {package.name: package.version for package in packages}


@pytest.mark.parametrize("hashes", [True, False])
def test_the_wheel_comes_from_its_index_and_nothing_else_does(indexes: World, tmp_path: Path, hashes: bool) -> None:
    url = indexes.own if hashes else index(tmp_path / "bare", ("engine", "3.0+cu129", ()), hashes=False)
    work = tmp_path / "work"
    work.mkdir()
    found = resolve(indexes.host, indexes.choice(url), HERE, work)
    assert versions(found.packages) == {"engine": "3.0+cu129", "beside": "2.0"}
    assert found.indexes == (url,)
    assert all(package.hash.startswith("sha256:") for package in found.packages)
    assert "engine==3.0+cu129 --hash=sha256:" in found.text


def test_it_is_installed_with_its_label_and_its_hash(indexes: World, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    _, receipt = resolved(indexes.host, indexes.decided(indexes.own), ("engine",), HERE, work)
    number, place = put(indexes.host, receipt, tmp_path / "env")
    there = installed(Host(target_python=str(place.python), level=1, ports=False))
    assert number == 1
    assert {name: there[name] for name in ("engine", "beside")} == {"engine": "3.0+cu129", "beside": "2.0"}


def test_a_bundle_of_it_installs_without_any_index(indexes: World, tmp_path: Path) -> None:
    work, house = tmp_path / "work", tmp_path / "house"
    work.mkdir()
    found, receipt = resolved(indexes.host, indexes.decided(indexes.own), ("engine",), HERE, work)
    stamp = "2026-11-21T00:00:00+00:00"
    manifest = bundle.Manifest(platform="", receipt=receipt)
    bundle.write(house, manifest, bundle.wheels_of(found.lock, work), stamp, lambda _: None)
    assert {path.name for path in house.glob("*.whl")} == {
        "engine-3.0+cu129-py3-none-any.whl",
        "beside-2.0-py3-none-any.whl",
    }
    assert "pkg:pypi/engine@3.0%2Bcu129" in (house / "sbom.cdx.json").read_text()
    bare = Host(env={k: v for k, v in indexes.host.env.items() if k != "UV_DEFAULT_INDEX"}, limit_s=60.0)
    sources = wheelhouse_only(house)
    found, receipt = resolved(bare, indexes.decided(SILENT), ("engine",), HERE, work, sources)
    assert versions(found.packages)["engine"] == "3.0+cu129"
    put(bare, receipt, tmp_path / "env", sources)


@pytest.mark.parametrize(
    ("url", "version", "says"),
    [(SILENT, "3.0+cu129", "cannot be reached from here"), ("", "3.1+cu129", "does not resolve")],
)
def test_where_the_index_does_not_give_it_the_older_one_is_offered(
    indexes: World, tmp_path: Path, url: str, version: str, says: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    decided = indexes.decided(url or indexes.own, version)
    found, receipt = resolved(indexes.host, decided, ("engine",), HERE, work)
    assert versions(found.packages) == {"engine": "1.0", "beside": "1.0"}
    assert decided.taken(receipt.choice) is decided.instead
    (note,) = found.notes
    assert note == found.warnings[0]
    assert says in note
    assert note.endswith("engine 1.0 runs here, older than engine 3.0")
    assert receipt.indexes == ()
    put(indexes.host, receipt, tmp_path / "env")


def test_a_bundle_made_where_the_index_was_out_of_reach_installs_what_it_has(indexes: World, tmp_path: Path) -> None:
    work, house = tmp_path / "work", tmp_path / "house"
    work.mkdir()
    found, receipt = resolved(indexes.host, indexes.decided(SILENT), ("engine",), HERE, work)
    manifest, stamp = bundle.Manifest(platform="", receipt=receipt), "2026-11-21T00:00:00+00:00"
    bundle.write(house, manifest, bundle.wheels_of(found.lock, work), stamp, lambda _: None)
    bundle.require_whole(house, bundle.read(house))
    sources = wheelhouse_only(house)
    found, receipt = resolved(indexes.host, indexes.decided(indexes.own), ("engine",), HERE, work, sources)
    assert versions(found.packages) == {"engine": "1.0", "beside": "1.0"}
    assert "is not in the wheelhouse: engine 1.0 runs here" in found.notes[0]
    put(indexes.host, receipt, tmp_path / "env", sources)


def test_the_same_wheel_within_reach_is_taken_before_an_older_one(indexes: World, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    env = {**indexes.host.env, "UV_INDEX": f"mirror={indexes.own}"}
    found, receipt = resolved(Host(env=env, limit_s=60.0), indexes.decided(SILENT), ("engine",), HERE, work)
    assert versions(found.packages)["engine"] == "3.0+cu129"
    assert receipt.indexes == ()
    assert "within reach elsewhere" in found.notes[0]


def test_where_nothing_is_within_reach_one_sentence_names_the_index(indexes: World, tmp_path: Path) -> None:
    alone = Decided(Decision(), indexes.choice(SILENT))
    with pytest.raises(UnreachableError, match=rf"engine of {SILENT} is in no other index.*--wheelhouse"):
        resolved(indexes.host, alone, ("engine",), HERE, tmp_path)


def test_what_contradicts_itself_everywhere_is_said_of_the_decision(indexes: World, tmp_path: Path) -> None:
    choice = indexes.choice(indexes.own)
    decided = Decided(
        Decision(),
        Choice(requirements=(*choice.requirements, "beside<2"), indexes=choice.indexes),
        (),
        Decided(Decision(), Choice(requirements=("engine==1.0", "beside>2"))),
        "x",
    )
    with pytest.raises(UnresolvableError, match=r"engine==3\.0\+cu129"):
        resolved(indexes.host, decided, ("engine",), HERE, tmp_path)


@pytest.mark.parametrize(
    ("there", "elsewhere", "found"),
    [
        (("2.0", "2.0+cu999"), ("2.0+cu999", "2.0"), "2.0+cu999"),
        (("2.0",), ("2.0+cu999", "2.0"), "2.0"),
        (("2.0",), ("2.0+cu999",), None),
        (("2.0", "2.0+cpu"), ("2.0+cu999", "2.0"), None),
    ],
)
def test_a_torch_from_elsewhere_is_of_the_variant_or_is_not_taken(
    tmp_path: Path, there: tuple[str, ...], elsewhere: tuple[str, ...], found: str | None
) -> None:
    default = index(tmp_path / "default", *(("torch", version, ()) for version in there))
    cache = {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_HTTP_RETRIES": "0"}
    host = Host(env={"UV_DEFAULT_INDEX": default, **cache}, limit_s=60.0)
    choice = Choice(requirements=("torch==2.0",), torch_backend="cu999", torch_index=SILENT, torch_elsewhere=elsewhere)
    if found is None:
        with pytest.raises(UnreachableError, match=r"no other index has 2\.0\+cu999"):
            resolve(host, choice, HERE, tmp_path)
        return
    got = resolve(host, choice, HERE, tmp_path)
    assert versions(got.packages) == {"torch": found}
    assert got.torch_backend is None
    assert got.notes == (f"the index of torch cu999 builds could not be reached: torch {found} was within reach",)


def test_an_index_of_ours_does_not_hide_the_users_own(indexes: World) -> None:
    host = Host(env={"UV_INDEX": "a=https://a.example/x https://b.example/y"})
    line = uv._with_users_indexes(("pip", "sync", "--index", "https://own.example"), host)
    assert line[2:] == [
        *("--index", "a=https://a.example/x", "--index", "https://b.example/y"),
        *("--index", "https://own.example"),
    ]
    assert uv._with_users_indexes(("pip", "check"), host) == ["pip", "check"]


def put(host: Host, receipt: Receipt, root: Path, sources: Offline = ONLINE) -> tuple[int, Layout]:
    """Install what a receipt locks, from its indexes or from a wheelhouse."""
    lock = root.parent / "lock.txt"
    lock.write_text(receipt.lock)
    layout = open_target(root)
    assert ("--index" in index_arguments(receipt)) == bool(receipt.indexes)
    number = install(
        host, layout, lock, sys.executable, receipt=receipt, verify=lambda _: (),
        progress=lambda _: None, sources=sources,
    )  # fmt: skip
    return number, layout
