"""Instruction sets by the name of an x86 CPU, where nobody printed its flags."""

from __future__ import annotations

import re

# Intel's generations: AVX came with Sandy Bridge, AVX2 with Haswell; Pentium and Celeron of the Core families got both
# only with Tiger Lake, the Atom line with Gracemont. AMD's: AVX with Bulldozer, AVX2 with Excavator and Zen.
# https://en.wikipedia.org/wiki/Advanced_Vector_Extensions#CPUs_with_AVX ; checked 2026-11-21.
_NO_AVX = re.compile(
    r"xeon\D{0,40}\b[xelw]?[357][3-6]\d\d\b(?! ?v\d)"
    r"|xeon\D{0,40}\b[xl]?34[3-8]\d\b"
    r"|core(?:\(tm\))?[ -]?i[357](?:\(tm\))?(?: cpu)?[ -]+(?:[ms] ?)?[5-9]\d\d\b(?!\d)"
    r"|core(?:\(tm\))? ?2 (?:duo|quad|extreme)|\bcore2"
    r"|celeron\D{0,24}\b[gjnu]?(?:[1-4]\d{3}|5\d{3}u?|n5[01]\d5)\b|celeron\D{0,12}n5[01]\d5"
    r"|pentium\D{0,24}\b(?:[gjn]?[2-6]\d{3}|n6\d{3})\b|pentium\D{0,12}dual|\batom\b\D{0,16}\d"
    r"|phenom|athlon\D{0,8}(?:ii|64)|opteron\D{0,24}\b(?:[28]3|[468]1|24|84)\d\d\b",
    re.IGNORECASE,
)
_NO_AVX2 = re.compile(
    r"core(?:\(tm\))?[ -]?i[357](?:\(tm\))?(?: cpu)?[ -]+[23]\d{3}[a-z]{0,2}\b"
    r"|\bi[357]-[23]\d{3}[a-z]{0,2}\b"
    r"|xeon\D{0,40}\be[357]-\d{4}l?\b(?! ?v[2-9])|xeon\D{0,40}\be[357]-\d{4}l? ?v2\b"
    r"|\bfx[ (a-z)-]{0,6}[4689]\d{3}\b|opteron\D{0,24}\b[346][23]\d\d\b",
    re.IGNORECASE,
)


def lacks(name: str) -> str | None:
    """The oldest instruction set that the CPU called `name` does not have: "AVX", "AVX2", or None."""
    if _NO_AVX.search(name):
        return "AVX"
    return "AVX2" if _NO_AVX2.search(name) else None
