"""Looks at Python that a model wrote, by its grammar alone: nothing of it is ever executed or imported."""

from __future__ import annotations

import ast
import re
import warnings

from envcheck.schema.facts import Record

SIZE_LIMIT = 20_000
_FENCE = re.compile(r"```[ \t]*(?:python|py|python3)?[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_HELPERS = {
    "sorted",
    "nsmallest",
    "nlargest",
    "heapify",
    "heappush",
    "heappop",
    "insort",
    "insort_left",
    "insort_right",
}
"""Names of the standard library that sort: builtins, heapq and bisect."""


class Sorting(Record):
    """Whether the answer holds a function that sorts by its looks, and why."""

    sorts: bool
    why: str


def sorting(text: str) -> Sorting:
    """Judge an answer: a fenced block, or the text itself where there is no fence."""
    blocks = _FENCE.findall(text) or [text]
    reasons = []
    for block in blocks:
        tree, cut = parse(block)
        if tree is None:
            reasons.append("the code is not valid Python")
            continue
        how = _how_it_sorts(tree)
        if how:
            return Sorting(sorts=True, why=f"valid Python, {how}{'; the answer was cut after it' if cut else ''}")
        reasons.append(_why_not(tree))
    return Sorting(sorts=False, why=reasons[0])


def parse(source: str) -> tuple[ast.Module | None, bool]:
    """The tree of `source` and whether lines at its end had to be dropped (an answer cut by the token limit)."""
    lines = source[:SIZE_LIMIT].expandtabs(4).rstrip().splitlines()
    for end in range(len(lines), max(len(lines) - 12, 0), -1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an odd escape in a model's string is no matter of ours
                tree = ast.parse("\n".join(lines[:end]))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return tree, end < len(lines)
    return None, False


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _why_not(tree: ast.Module) -> str:
    functions = _functions(tree)
    if not functions:
        return "valid Python, but it defines no function"
    return f"valid Python, but nothing in {functions[0].name}() is recognised as sorting"


def _how_it_sorts(tree: ast.Module) -> str:
    for function in _functions(tree):
        arguments = function.args
        if not (arguments.args or arguments.posonlyargs or arguments.vararg or arguments.kwonlyargs):
            continue
        nodes = list(ast.walk(function))
        for rule in (_calls_library, _swaps_in_loop, _divides_and_joins, _builds_in_order):
            if how := rule(function.name, nodes):
                return f"{function.name}() {how}"
    return ""


def _calls_library(name: str, nodes: list[ast.AST]) -> str:
    for node in nodes:
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in _HELPERS and called != name:
                return f"uses {called}()"
            if isinstance(node.func, ast.Attribute) and called == "sort":
                return "uses .sort()"
    return ""


def _swaps_in_loop(_name: str, nodes: list[ast.AST]) -> str:
    """Bubble, selection, insertion: a loop compares and assigns to positions of a list."""
    loops = [node for node in nodes if isinstance(node, ast.For | ast.While)]
    for loop in loops:
        inside = list(ast.walk(loop))
        compares = any(_orders(node) for node in inside)
        moves = any(isinstance(node, ast.Assign) and any(map(_to_position, node.targets)) for node in inside)
        if compares and moves:
            return "compares and moves elements in a loop"
    return ""


def _to_position(target: ast.expr) -> bool:
    return any(isinstance(node, ast.Subscript) for node in ast.walk(target))


def _orders(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and any(isinstance(op, ast.Lt | ast.Gt | ast.LtE | ast.GtE) for op in node.ops)


def _divides_and_joins(name: str, nodes: list[ast.AST]) -> str:
    """Quicksort and mergesort: calls itself and compares for order (or hands over to a merge)."""
    recursive = any(isinstance(node, ast.Call) and getattr(node.func, "id", "") == name for node in nodes)
    merges = any(isinstance(node, ast.Call) and "merge" in getattr(node.func, "id", "") for node in nodes)
    if recursive and (merges or sum(map(_orders, nodes)) >= 2):
        return "divides, sorts the parts and joins them"
    return ""


def _builds_in_order(_name: str, nodes: list[ast.AST]) -> str:
    """Takes the smallest (or largest) out of the rest, again and again."""
    calls = {getattr(n.func, "id", getattr(n.func, "attr", "")) for n in nodes if isinstance(n, ast.Call)}
    loops = any(isinstance(node, ast.For | ast.While) for node in nodes)
    if loops and calls & {"min", "max"} and calls & {"remove", "pop"} and calls & {"append", "insert"}:
        return "takes the smallest out of the rest until none is left"
    return ""
