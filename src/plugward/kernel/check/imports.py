"""Imports 引用: the handful of files, and what each of them may lean on.

The built-in boards are held to these rules by import-linter as well; an installed board has only
this check.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from ..board import Board
from .findings import Finding, Findings

FILES = (
    "board",
    "contract",
    "rules",
    "tables",
    "service",
    "reactions",
    "sagas",
    "pages",
    "facts",
    "proofs",
    "interop",
    "fhir",
    "fakes",
    "migrations",
    "tests",
    "__init__",
)
# Lower may not import higher (layout §5): the layer of each file.
_LAYER = {name: 1 for name in FILES} | {
    "contract": 0,
    "rules": 1,
    "tables": 1,
    "migrations": 2,
    "service": 3,
    "pages": 3,
    "facts": 3,
    "interop": 3,
    "fhir": 3,
    "proofs": 3,
    "fakes": 3,
    "sagas": 4,
    "reactions": 5,
    "board": 6,
    "tests": 7,
}
OUTSIDE = frozenset(
    {
        "aiohttp",
        "asyncmy",
        "asyncpg",
        "duckdb",
        "http",
        "httpx",
        "litestar",
        "nats",
        "random",
        "redis",
        "requests",
        "secrets",
        "socket",
        "sqlite3",
        "subprocess",
        "urllib",
        "uvicorn",
    }
)
CLOCKS = frozenset(
    {
        ("asyncio", "sleep"),
        ("asyncio", "wait_for"),
        ("time", "time"),
        ("time", "time_ns"),
        ("time", "sleep"),
        ("time", "monotonic"),
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("os", "environ"),
        ("os", "getenv"),
        ("os", "urandom"),
        ("uuid", "uuid1"),
        ("uuid", "uuid4"),
    }
)
SERVICE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def check_imports(board: Board) -> Findings:
    """No stray file, no other board's inside, no clock or network of its own."""
    if board.package.startswith("plugward.commons."):
        return  # they have files and drivers of their own; import-linter watches them
    for file in sorted(board.folder.rglob("*.py")):
        shown = f"{board.name}/{file.relative_to(board.folder).as_posix()}"
        part = file.relative_to(board.folder).parts[0].removesuffix(".py")
        if part not in FILES:
            yield Finding("files", shown, f"a board has no {part}; see the list in the guide")
            continue
        tree = ast.parse(file.read_text("utf-8"))
        for line, name in _imported(tree, board, file):
            yield from _check_import(board, part, f"{shown}:{line}", name)
        if part != "tests":
            yield from _check_shape(tree, file, shown)


def _imported(tree: ast.Module, board: Board, file: Path) -> Iterator[tuple[int, str]]:
    """Every imported module by its full name; for ``from . import x`` also ``….x``."""
    inside = file.relative_to(board.folder).parent.parts
    package = ".".join((board.package, *inside))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                root = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*root, base]) if base else ".".join(root)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def _check_import(board: Board, part: str, where: str, name: str) -> Findings:
    top = name.split(".", maxsplit=1)[0]
    if part != "tests" and top in OUTSIDE:
        yield Finding("imports", where, f"a board does not import {top}; what it needs is injected")
    inside = f"{board.package}."
    if name.startswith(inside):
        target = name.removeprefix(inside).split(".")[0]
        if target in _LAYER and _LAYER[target] > _LAYER[part]:
            yield Finding("imports", where, f"{part} may not lean on {target}")
        same = part != target and target in _LAYER and _LAYER[target] == _LAYER[part] == 3  # noqa: PLR2004 - the layer of siblings
        if same:
            yield Finding("imports", where, f"{part} may not lean on its sibling {target}")
        return
    words = name.split(".")
    foreign = words[0] == "plugward" and words[1:2] in (["boards"], ["commons"])
    if foreign and not _is_open(words, part):
        yield Finding("imports", where, f"{name} is another board's inside; use its contract")
    extended = board.manifest.implements and words[2:4] == [board.manifest.implements, "contract"]
    if part == "contract" and foreign and not extended:
        yield Finding("imports", where, "a contract imports no other board")
    if words[0] == "plugward" and words[1:2] in (["cli"], ["rack"], ["sim"]):
        yield Finding("imports", where, f"{name} lies further out than boards")


def _is_open(words: list[str], part: str) -> bool:
    """``plugward.boards.orders.contract.X``; for tests also ``….fakes.X``."""
    door = words[3] if len(words) > 3 else ""  # noqa: PLR2004 - ring, board, module
    return door == "contract" or (part == "tests" and door == "fakes")


def _check_shape(tree: ast.Module, file: Path, shown: str) -> Findings:
    lines = len(file.read_text("utf-8").splitlines())
    if "service" in shown and lines > SERVICE_LINES_MAX:
        yield Finding("shape", shown, f"has {lines} lines; split it into one module a process")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield Finding("shape", f"{shown}:{node.lineno}", f"{node.name} has {length} lines")
        elif _is_outside(node):
            yield Finding(
                "injected",
                f"{shown}:{node.lineno}",
                f"{ast.unparse(node)} cannot be replayed; take it from Clock or Store",
            )


def _is_outside(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCKS
    )
