"""No wheel for, or code that is not valid on, this Python."""

from __future__ import annotations

from collections.abc import Iterator

from envcheck.judge.rule import Case, Rule, Sign, spoken
from envcheck.judge.rules._common import quotes
from envcheck.judge.rules._pythons import supported
from envcheck.judge.version import dotted, version
from envcheck.schema.facts import value_of
from envcheck.schema.verdict import Finding, Remedy

CAUSE = "python_version_unsupported"
REMEDY = Remedy(says="Make an environment with a Python that the backend supports (3.12 serves all of them) and install there.", commands=("uv venv --python 3.12",))
SIGNS = (
    Sign("requires a different python", "The package does not support this Python."),
    Sign("requires-python", "The package does not support this Python.", r"requires-python.{0,80}(?:not|does|incompat|unsatisf|because|conflict)", confidence="likely"),
    Sign("requires python", "The package does not support this Python.", r"requires python ?[<>=~]|requires python '|ignored the following versions that require a different python", confidence="likely"),
    Sign("ignored the following versions that require a different python", "The package's releases do not support this Python.", confidence="likely"),
    Sign("python version", "The program does not support this Python.", r"(?:unsupported|requires|not supported|incompatible|needs|must be).{0,40}python version|python version.{0,40}(?:is not supported|not supported|unsupported|is required|or (?:higher|newer|later|above))|current python version .{0,60}does not satisfy", confidence="likely"),
    Sign("python>=", "The package does not support this Python.", r"(?:depends on|requires|needs) python>=.{0,60}(?:but|current|unsatisf|cannot)", confidence="likely"),
    Sign("and python>=", "The package does not support this Python.", r"(?:because|we can conclude).{0,200}python>=", confidence="likely"),
    Sign("unsupported operand type(s) for |", "The code uses a type notation that this Python does not know.", r"'(?:type|_GenericAlias|types\.GenericAlias|ABCMeta|ModelMetaclass|NoneType|_SpecialForm)'", confidence="likely"),
    Sign("'type' object is not subscriptable", "The code uses a type notation that this Python does not know."),
    Sign("object is not subscriptable", "The code uses a type notation that this Python does not know.", r"'(?:type|ABCMeta|_?collections\.\w+|function)' object is not subscriptable", confidence="likely"),
    Sign("cannot import name 'annotated' from 'typing'", "The code needs a newer Python."),
    Sign("from 'typing'", "The code needs a newer Python.", r"cannot import name '\w+' from 'typing'"),
    Sign("from 'collections'", "The code is too old for this Python.", r"cannot import name '(?:Mapping|MutableMapping|Iterable|Callable|Sequence)' from 'collections'"),
    Sign("no module named 'distutils'", "The code is too old for this Python (3.12 dropped distutils)."),
    Sign("no module named 'imp'", "The code is too old for this Python (3.12 dropped imp)."),
    Sign("no module named 'tomllib'", "The code needs Python 3.11."),
    Sign("has no attribute 'impimporter'", "The code is too old for this Python."),
    Sign("is not a supported wheel on this platform", "The wheel is made for another Python or platform.", confidence="likely"),
    Sign("no matching distribution found for", "There is no wheel for this Python or platform.", severity="warning", confidence="possible"),
    Sign("dynamo is not supported on python", "torch.compile does not support this Python."),
    Sign("torch.compile is not supported on python", "torch.compile does not support this Python."),
    Sign("python 3.", "The program does not support this Python.", r"python 3\.\d+\S* (?:is|are) not (?:yet )?supported|not (?:yet )?support(?:ed)? (?:for |on |by )?python 3\.|only supports? python|requires? (?:at least )?python 3\.\d+ (?:or|and)|doesn't support python 3|does not support python 3", confidence="likely"),
    Sign("python_abi", "The package has no build for this Python.", r"not (?:a )?match|conflict|nothing provides|does not exist", confidence="likely"),
    Sign("has no wheels with a matching python", "There is no wheel for this Python.", confidence="certain"),
    Sign("no wheels with a matching python", "There is no wheel for this Python."),
    Sign("syntaxerror: invalid syntax", "The code uses syntax that this Python does not know.", severity="warning", confidence="possible"),
    Sign("match statement", "The code needs Python 3.10.", severity="warning", confidence="possible"),
    Sign("py_limited_api", "The extension does not support this Python.", r"python \d|not supported", severity="warning", confidence="possible"),
)  # fmt: skip


def judge(case: Case) -> Iterator[Finding]:
    """Signs, then the interpreter against what the backend and torch support."""
    yield from spoken(case, CAUSE, SIGNS, REMEDY)
    fact = case.snapshot.python.version
    python = version(value_of(fact))
    for name, span in supported(case):
        if python and not span.low <= python[:2] <= span.high:
            yield Finding(
                cause=CAUSE,
                severity="blocker" if span.certain else "warning",
                says=f"{name} supports Python {dotted(span.low)} to {dotted(span.high)}; here it is {dotted(python)}.",
                evidence=quotes(case.quote("Python", fact), case.package_quote(name.split(" ")[0]) if case.package(name.split(" ")[0]) else None),
                remedy=REMEDY,
                confidence="likely" if span.certain else "possible",
            )


RULE = Rule(cause=CAUSE, link="runtime", judge=judge, explains=("dependency_missing", "dependency_version_conflict"))
