"""Whatever goes wrong around an installation, the environment is what it was, and one sentence says what happened."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from envcheck.importers import assume
from envcheck.install import bundle
from envcheck.install.in_place import mend, open_environment
from envcheck.install.journal import Entry, Journal
from envcheck.install.layout import Layout, open_target
from envcheck.install.lockfile import exclusive
from envcheck.install.planning import cost_of, require_room
from envcheck.install.receipt import Receipt
from envcheck.install.transaction import Offline, install, recover, rollback, wheelhouse_only
from envcheck.installing import ChangedMeanwhileError, Wanted, execute, prepare
from envcheck.judge.policy import Policy
from envcheck.locking import forbidden
from envcheck.schema.errors import EnvcheckError, InputError
from envcheck.schema.plan import PlannedPackage
from envcheck.schema.recipe import Choice
from tests.install.conftest import NEW, OLD, World
from tests.install.wheels import tree, wheel

Progress = Callable[[str], None]
ROOT = Path(__file__).resolve().parent.parent.parent


def put(world: World, root: Path, state: dict[str, str], sources: Offline | None = None) -> int:
    layout = open_target(root)
    return install(
        world.host, layout, world.lock(state), world.python, receipt=world.receipt(state), verify=lambda _: (),
        progress=lambda _: None, sources=world.sources if sources is None else sources,
    )  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_changes_nothing(world: World, small_disk: Path) -> None:
    root = small_disk / "env"
    put(world, root, OLD)
    before = tree(root / "generations" / "0001")
    (small_disk / "ballast").write_bytes(b"x" * 2_000_000)
    big = wheel(world.wheels, "alpha", "2.0", files=400, size=5000)
    world.hashes["alpha", "2.0"] = hashlib.sha256(big.read_bytes()).hexdigest()
    with pytest.raises(EnvcheckError, match=r"No space left|nothing was changed|No environment was made"):
        put(world, root, NEW)
    assert tree(root / "generations" / "0001") == before
    (small_disk / "ballast").unlink()
    with contextlib.suppress(EnvcheckError):
        put(world, root, NEW)
    recover(Layout(root), Journal(root / ".envcheck" / "journal.jsonl"), lambda _: None)
    assert Layout(root).current_number() == 1
    assert Layout(root).numbers() == [1]


def test_a_read_only_target_is_refused(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match="cannot be written"):
        open_target(small_disk / "env")


def test_too_little_room_is_said_up_front() -> None:
    packages = [
        PlannedPackage(name="torch", version="2", size_bytes=900_000_000),
        PlannedPackage(name="x", version="1"),
    ]
    cost = cost_of(packages, free_bytes=1_000_000_000)
    assert (cost.download_bytes, cost.unknown_sizes, cost.seconds) == (900_000_000, 1, None)
    with pytest.raises(EnvcheckError, match="1000 MB free and needs about 3650 MB"):
        require_room(cost, "env")
    require_room(cost_of(packages, free_bytes=2_000_000_000), "env")
    require_room(cost_of(packages, free_bytes=None), "env")


class Dying(http.server.SimpleHTTPRequestHandler):
    """An index that hands out one wheel, and half of the next."""

    served: int
    pages: int
    dies = True

    def do_GET(self) -> None:
        if not self.path.endswith(".whl"):
            type(self).pages += 1
            super().do_GET()
            return
        type(self).served += 1
        content = (Path(self.directory) / self.path.lstrip("/")).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.served == 1 or not self.dies else content[: len(content) // 2])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def dying_index(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offline]:
    Dying.served = Dying.pages = 0
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a: Dying(*a, directory=str(world.folder))
    )  # fmt: skip
    for name in {*OLD, *NEW}:
        page = world.folder / "simple" / name / "index.html"
        page.parent.mkdir(parents=True)
        files = sorted(path.name for path in world.wheels.glob(f"{name}-*.whl"))
        page.write_text("".join(f'<a href="/wheels/{file}">{file}</a>\n' for file in files))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    world.host.env.update(UV_HTTP_RETRIES="0", NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
    yield Offline(("--default-index", f"http://127.0.0.1:{server.server_address[1]}/simple", "--no-config"))
    server.shutdown()
    server.server_close()


def test_an_index_that_dies_half_way_changes_nothing(world: World, tmp_path: Path, dying_index: Offline) -> None:
    root = tmp_path / "env"
    put(world, root, OLD)
    before = tree(root / "generations" / "0001")
    with pytest.raises(EnvcheckError, match="nothing was changed"):
        put(world, root, NEW, dying_index)
    assert Dying.served >= 2, "the index was asked, and broke off"
    assert tree(root / "generations" / "0001") == before
    assert Layout(root).numbers() == [1]
    assert put(world, root, NEW) > 1, "the next attempt finds nothing in its way"


def test_what_is_in_the_cache_needs_no_index(
    world: World, tmp_path: Path, dying_index: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dying, "dies", False)
    put(world, tmp_path / "one", OLD, dying_index)
    assert Dying.served == len(OLD)
    monkeypatch.setattr(Dying, "dies", True)
    asked = Dying.pages
    put(world, tmp_path / "other", OLD, dying_index)
    assert (Dying.served, Dying.pages) == (len(OLD), asked), "nobody was asked again"
    assert tree(tmp_path / "other" / "generations" / "0001" / "lib") == tree(
        tmp_path / "one" / "generations" / "0001" / "lib"
    )


def test_the_order_of_the_journal_is_that_of_its_lines(world: World, tmp_path: Path, quiet: Progress) -> None:
    root = tmp_path / "env"
    put(world, root, OLD)
    layout = Layout(root)
    journal = Journal(layout.state / "journal.jsonl")
    journal.append(Entry(state="started", generation=2, previous=1, at="1999-01-01T00:00:00+00:00"))
    (layout.folder(2) / "lib").mkdir(parents=True)
    recover(layout, journal, quiet)
    assert (layout.current_number(), layout.numbers()) == (1, [1])


_INTERRUPTED = """
import sys
from pathlib import Path
from envcheck.host import Host
from envcheck.install.layout import open_target
from envcheck.install.transaction import install
from tests.install.conftest import NEW, World
world = World(Path(sys.argv[1]), write=False)
def verify(python):
    print("verifying", flush=True)
    Host().run(["sleep", sys.argv[3]], timeout=300)
    return ()
install(world.host, open_target(Path(sys.argv[2])), world.lock(NEW), world.python, receipt=world.receipt(NEW),
        verify=verify, progress=lambda _: None, sources=world.sources)
"""


def test_an_interrupt_leaves_nothing_running_and_nothing_changed(world: World, tmp_path: Path) -> None:
    root = tmp_path / "env"
    put(world, root, OLD)
    before = tree(root / "generations" / "0001")
    seconds = f"257.{os.getpid():07}"
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, str(world.folder), str(root), seconds],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"verifying\n"
    wait_for(lambda: bool(running(seconds)))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    process.stdout.close()
    wait_for(lambda: not running(seconds))
    assert tree(root / "generations" / "0001") == before
    assert (Layout(root).current_number(), Layout(root).numbers()) == (1, [1])
    last = Journal(root / ".envcheck" / "journal.jsonl").last()
    assert last is not None
    assert (last.state, last.says.split(":")[0]) == ("failed", "KeyboardInterrupt")


def running(argument: str) -> list[int]:
    """Processes that have this argument and have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if argument.encode() in (folder / "cmdline").read_bytes().split(b"\0") and folder.name != str(os.getpid()):
                found.append(int(folder.name))
    return [pid for pid in found if b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]]


def wait_for(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until, "it did not happen within 60 s"
        time.sleep(0.02)


def test_the_second_of_two_installations_waits_or_says_who_is_at_work(tmp_path: Path) -> None:
    said: list[str] = []
    entered = threading.Event()
    path = tmp_path / "env" / ".envcheck" / "lock"
    path.parent.mkdir(parents=True)

    def second() -> None:
        with exclusive(path, 60, said.append):
            entered.set()

    with exclusive(path, 0, said.append):
        with (
            pytest.raises(EnvcheckError, match=rf"process {os.getpid()}\) works on .*env: try again"),
            exclusive(path, 0, said.append),
        ):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        wait_for(lambda: bool(said))
        assert not entered.is_set()
    thread.join(60)
    assert entered.is_set()
    assert said == [f"waiting for another installation (process {os.getpid()})"]


def test_a_line_break_in_an_interpreters_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line break"):
        open_environment(tmp_path / "a\nb" / "bin" / "python")


def test_a_rollback_in_place_that_died_is_mended(world: World, tmp_path: Path, quiet: Progress) -> None:
    prefix = tmp_path / "users env"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "pyvenv.cfg").write_text("home = x\n")
    saved = prefix / ".envcheck" / "saved" / "lib"
    saved.mkdir(parents=True)
    (saved / "module.py").write_text("old")
    place = open_environment(prefix / "bin" / "python")
    Journal(place.state / "journal.jsonl").append(Entry(state="restoring", generation=1))
    mend(place, quiet)
    assert (prefix / "lib" / "module.py").read_text() == "old"
    mend(place, quiet)
    last = Journal(place.state / "journal.jsonl").last()
    assert last is not None
    assert last.state == "rolled_back"


def envcheck(*argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, "-m", "envcheck", *argv], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("how", "says"),
    [((), "nothing was changed"), (("--upgrade",), "No versions were chosen")],
    ids=["shipped lock", "resolved"],
)
def test_no_network_is_one_sentence(tmp_path: Path, how: tuple[str, ...], says: str) -> None:
    target = tmp_path / "env"
    dead = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0", "NO_PROXY": "127.0.0.1"}
    done = envcheck("install", "web", "--target", str(target), "--yes", *how, **dead)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert says in done.stderr
    assert "the package index cannot be reached" in done.stderr
    assert "--wheelhouse" in done.stderr
    assert Layout(target).current_number() is None
    assert Layout(target).numbers() == []


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("install", "wep"), "did you mean web"),
        (("install",), "Name at least one profile"),
        (("install", "web", "--offline"), "--wheelhouse DIR"),
        (("install", "web", "--wheelhouse", "nowhere at all"), "is not a folder"),
        (("install", "web", "--target", "x", "--python", "y"), "give one of them"),
        (("install", "web", "--pin", "fastapi==1.0", "--pin", "fastapi==2.0"), "fastapi==1.0 (--pin) and fastapi==2.0"),
        (("install", "web", "--pin", "==1.0"), "is not a package with a version"),
        (("install", "web", "--python", "no/such/python"), "There is no interpreter no/such/python"),
        (("install", "web", "--python", "tests"), "is a folder: --python names an interpreter"),
        (("install", "web", "--target", "pyproject.toml"), "is a file: --target names a folder"),
        (("install", "web", "--target", "pyproject.toml/env"), "would be inside it"),
        (("install", "web", "--target", "tests"), "is not empty and not an environment of envcheck"),
        (("install", "web", "--target", "a\nb"), "has a line break in it"),
    ],
)
@pytest.mark.parametrize("act", ["--dry-run", "--yes"])
def test_bad_input_is_one_sentence(argv: tuple[str, ...], says: str, act: str) -> None:
    before = sorted(path.name for path in ROOT.iterdir())
    done = envcheck(*argv, act)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("[")]) == 1
    assert sorted(path.name for path in ROOT.iterdir()) == before, "nothing was written"


_HOLDING = """
import sys
from pathlib import Path
from envcheck.host import Host
from envcheck.install.lockfile import exclusive
with exclusive(Path(sys.argv[1]), 0, print) as held:
    print("holding", flush=True)
    Host().run(["sleep", sys.argv[2]], timeout=300, held=(held,))
"""


def test_the_lock_lasts_as_long_as_what_a_killed_installation_started(tmp_path: Path) -> None:
    path = tmp_path / "env" / ".envcheck" / "lock"
    path.parent.mkdir(parents=True)
    seconds = f"258.{os.getpid():07}"
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDING, str(path), seconds], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"holding\n"
    wait_for(lambda: bool(running(seconds)))
    process.kill()
    process.wait(60)
    process.stdout.close()
    with pytest.raises(EnvcheckError, match="try again later"), exclusive(path, 0, lambda _: None):
        pass
    for pid in running(seconds):
        os.kill(pid, signal.SIGKILL)
    with exclusive(path, 60, lambda _: None):
        pass


def test_an_installation_planned_on_what_is_gone_changes_nothing(world: World, tmp_path: Path) -> None:
    class MovedOnError(EnvcheckError):
        """Somebody else was faster."""

    def refuse() -> None:
        raise MovedOnError

    put(world, tmp_path / "env", OLD)
    before = tree(tmp_path / "env" / "generations")
    layout = open_target(tmp_path / "env")
    with pytest.raises(MovedOnError):
        install(
            world.host, layout, world.lock(NEW), world.python, receipt=world.receipt(NEW), verify=lambda _: (),
            progress=lambda _: None, sources=world.sources, planned_on=refuse,
        )  # fmt: skip
    assert tree(tmp_path / "env" / "generations") == before


def test_two_plans_for_one_environment_do_not_undo_each_other(world: World, tmp_path: Path) -> None:
    """Both were made when nothing was there; the later one knows nothing of the other's packages."""
    house = tmp_path / "house"
    for name, version in {"fastapi": "0.200", "uvicorn": "0.60", "pydantic": "2.40", "ollama": "1.0"}.items():
        wheel(house, name, version)
    lock = "".join(
        f"{path.name.split('-')[0]}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in house.glob("*.whl")
    )
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = ("web", "ollama-client")
    receipt = Receipt(profiles=names, python=python, choice=Choice(requirements=()), packages=(), lock=lock)
    (house / bundle.MANIFEST).write_bytes(msgspec.json.encode(bundle.Manifest(platform="", receipt=receipt)))
    snapshot = assume.to_snapshot(assume.read(f'os = "linux"\npython = "{python}.1"\ngpus = []\n', "m.toml"))
    root, sources = tmp_path / "env", wheelhouse_only(house)
    web = Wanted(profiles=("web",), target=root, sources=sources)
    client = Wanted(profiles=("ollama-client",), target=root, sources=sources)
    one, other = (prepare(snapshot, wanted, None, world.host) for wanted in (web, client))
    assert execute(world.host, web, one, lambda _: None).generation == 1
    with pytest.raises(ChangedMeanwhileError, match=r"meanwhile \(change 1\): run the same command again"):
        execute(world.host, client, other, lambda _: None)
    again = prepare(snapshot, client, None, world.host)
    assert execute(world.host, client, again, lambda _: None).profile == "web+ollama-client"


def test_a_lost_journal_costs_no_generation(world: World, tmp_path: Path) -> None:
    root = tmp_path / "env"
    put(world, root, OLD)
    put(world, root, NEW)
    (root / ".envcheck" / "journal.jsonl").write_bytes(b"")
    assert rollback(Layout(root), None, lambda _: None) == 1
    assert Layout(root).numbers() == [1, 2]


def test_what_the_project_forbids_is_not_installed_whoever_brings_it() -> None:
    packages = tuple(PlannedPackage(name=name, version="1") for name in ("fastapi", "annotated-types"))
    receipt = Receipt(profiles=("web",), python="3.12", choice=Choice(requirements=()), packages=packages, lock="")
    assert forbidden(receipt, None) is None
    assert forbidden(receipt, Policy(forbidden=("xformers",))) is None
    banned = forbidden(receipt, Policy(forbidden=("Annotated_Types",)))
    assert banned is not None
    assert banned.says == "the versions chosen for web bring annotated-types, which envcheck.toml forbids"
    assert banned.remedy is not None


def test_every_verb_of_an_environment_ends_without_a_traceback(world: World, tmp_path: Path) -> None:
    put(world, tmp_path / "env", OLD)
    put(world, tmp_path / "env", NEW)
    for verb, code in (("rollback", 0), ("gc", 0), ("rollback", 2)):
        done = envcheck(verb, "--target", str(tmp_path / "env"))
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
