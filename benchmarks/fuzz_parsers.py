"""Hand every parser of the probes cut, garbled and hostile inputs, and count what it does with them.

    python benchmarks/fuzz_parsers.py [--inputs 100000] [--seed 1] [--only NAME]…

Evidence parsers get damaged copies of the cases under `tests/cases/probes`; readers of foreign bytes (ELF headers,
RECORD, HTTP answers, nvidia-smi, values of variables) get damaged copies of good ones. A reading must also survive
being written as JSON and read back. Exits 1 at the first input that raises, and prints the seed that repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

from envcheck import discover, loopback  # noqa: E402
from envcheck.host import Host  # noqa: E402
from envcheck.probes import _acs, _compiled, _elf, _json_lines, _nvidia_smi, _presence, _record, _redact, _versions  # noqa: E402  # noqa: E402
from envcheck.schema.snapshot import Snapshot  # noqa: E402
from tests.probes.hostile import damaged, seeds  # noqa: E402

Attempt = Callable[[Random], None]

_RECORD = 'torch/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"a,b ""c"".py",,\n../../bin/x,,12\n'
_HTTP = b'HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'


def sections() -> dict[str, Attempt]:
    """One attempt per evidence parser."""
    types = {field.name: field.type for field in msgspec.structs.fields(Snapshot)}

    def attempt(name: str, random: Random) -> None:
        reading = discover.load("envcheck.probes", name, "PROBE").parse(damaged(random.choice(seeds()[name]), random))
        if msgspec.json.decode(msgspec.json.encode(reading), type=types[name]) != reading:
            raise AssertionError("the reading changes when it is written and read back")

    return {name: (lambda random, name=name: attempt(name, random)) for name in seeds()}  # type: ignore[misc]


def garbled(content: bytes, random: Random) -> bytes:
    """Bytes with pieces flipped, cut out, doubled or exchanged for noise."""
    parts = bytearray(content[: random.randrange(len(content) + 1)] if random.random() < 0.3 else content)
    for _ in range(random.randrange(1, 12)):
        place = random.randrange(len(parts) + 1)
        size = random.randrange(1, 9)
        parts[place : place + random.randrange(size)] = (
            random.randbytes(size) if random.random() < 0.7 else parts[:size]
        )
    return bytes(parts)


def readers(folder: Path) -> dict[str, Attempt]:
    """One attempt per reader of foreign bytes."""
    module = next(
        Path(sys.executable).resolve().parent.parent.glob("lib/python3*/lib-dynload/_struct*.so"), Path(sys.executable)
    )
    elf = module.read_bytes()
    redact = _redact.Redactor(Host(root=folder, env={"HOME": "/home/someone", "USER": "someone"}))

    def of_elf(random: Random) -> None:
        content = garbled(elf[:65536], random) + elf[65536:]
        _elf.needs(lambda start, size: content[start : start + size])

    def of_record(random: Random) -> None:
        content = garbled(_RECORD.encode(), random).decode("utf-8", "replace")
        with contextlib.suppress(csv.Error):  # what it documents for text that is no CSV
            _record.lines_of(content, "/v/lib/python3.12/site-packages")

    def of_presence(random: Random) -> None:
        lines = _RECORD.encode() + b"torch/nn/modules/__init__.py,sha256=x,0\ntorch/lib/libc10.so.2,sha256=x,500\n"
        files = _presence.recorded(garbled(lines, random))
        if any(".." in folder.split("/") or folder.startswith("/") for folder in files):
            raise AssertionError("a path outside site-packages was taken from a RECORD")

    def of_configuration_space(random: Random) -> None:
        space = bytearray(random.randbytes(64) + bytes(4096 - 64))
        for at in range(256, 4096, 64):
            space[at : at + 8] = random.choice((b"\x0d\x00\x01\x14\x1f\x00\x1d\x00", random.randbytes(8)))
        _acs.control_register(garbled(bytes(space), random))

    def of_child(random: Random) -> None:
        said = b'{"init":0}\n{"gpu":0,"name":"NVIDIA H100","total":85899345920}\n{"links":{"0-1":"NV18"}}\n'
        _json_lines.decoded(garbled(said, random).decode("utf-8", "replace"))

    def of_smi(random: Random) -> None:
        rows = garbled(b"0, NVIDIA H100, 580.1, 81559\n1, x, y, [N/A]\n", random).decode("latin-1").splitlines()
        _nvidia_smi.gpus({"fields": ["index", "name", "driver_version", "memory.total"], "lines": rows})

    def of_text(random: Random) -> None:
        shown = garbled(b"https://u:p@h/x /home/someone/y 10.0.0.1 gcc (Debian) 12.2.0 hf_abcdefghijklmnopqrst", random)
        _versions.first_version(redact(shown.decode("utf-8", "replace")))

    def of_answer(random: Random) -> None:
        loopback.http_body(garbled(_HTTP, random))
        _compiled.numpy_abi(garbled(b"numpy.core._multiarray_umath", random))

    named: dict[str, Attempt] = {
        "(elf)": of_elf,
        "(record)": of_record,
        "(record at level 1)": of_presence,
        "(nvidia-smi)": of_smi,
    }
    named |= {"(configuration space)": of_configuration_space, "(child's lines)": of_child}
    return named | {"(redaction)": of_text, "(http)": of_answer}


def main() -> int:
    """Run and print one line a parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        attempts = sections() | readers(Path(folder))
        for name, attempt in attempts.items():
            if options.only and name.strip("()") not in options.only:
                continue
            started = time.perf_counter()
            for n in range(options.inputs):
                seed = options.seed * 1_000_003 + n
                try:
                    attempt(Random(seed))
                except Exception as error:  # noqa: BLE001  any exception at all is what this program looks for
                    print(f"{name}: seed {seed} raised {type(error).__name__}: {error}")
                    return 1
            print(f"{name:14} {options.inputs} inputs, none raised, {time.perf_counter() - started:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
