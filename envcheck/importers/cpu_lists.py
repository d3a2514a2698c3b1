"""`lscpu` and `/proc/cpuinfo`: the processor's name, its flags and whether it is virtual."""

from __future__ import annotations

from envcheck.importers._draft import Draft, Importer, after
from envcheck.schema.paste import Line, Paste

_MAX_CONTINUED = 30


def read(paste: Paste, draft: Draft) -> bool:
    """Take name, architecture, cores, flags and hypervisor."""
    found = False
    for literal in ("model name", "brand_raw"):
        for line in paste.having(literal):
            if line.text.lower().lstrip(" #>*").startswith(literal) and ":" in line.text:
                draft.put("cpu.name", after(line.text), line)
                found = True
    for line in paste.having("architecture:"):
        value = after(line.text).split(" ")[0]
        if value in ("x86_64", "aarch64", "arm64", "armv7l", "ppc64le", "i686"):
            draft.put("os.arch", value, line)
    for line in paste.having("cpu(s):"):
        if line.text.lower().strip().startswith("cpu(s):") and after(line.text).isdigit():
            draft.put("cpu.cores", int(after(line.text)), line)
    for line in paste.having("hypervisor vendor:"):
        draft.put("cpu.hypervisor", after(line.text), line)
    for literal in ("flags", "features"):
        for line in paste.having(literal):
            found = _flags(paste, draft, line) or found
    return found


def _flags(paste: Paste, draft: Draft, line: Line) -> bool:
    """Flags may be wrapped over several lines by the terminal they were copied from."""
    key, separator, value = line.text.partition(":")
    if not separator or key.strip(" >*").lower() not in ("flags", "features"):
        return False
    words = value.split()
    if not {"fpu", "fp", "sse", "asimd", "neon"} & set(words):
        return False
    for number in range(line.number + 1, min(len(paste.lines), line.number + _MAX_CONTINUED) + 1):
        text = paste.lines[number - 1]
        more = text.split()
        if (
            not more
            or ":" in text
            or not all(word.replace("_", "").isalnum() and word == word.lower() for word in more)
        ):
            break
        words += more
    complete = len(words) > 40 or "asimd" in words
    if complete:
        draft.put("cpu.flags", tuple(words), line)
    return complete


IMPORTER = Importer("cpu_lists", read)
