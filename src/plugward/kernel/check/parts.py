"""Parts 部件: the manifest against the code, tables, pages, keys, settings and the README."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import String, Table
from sqlalchemy.types import TypeDecorator

from ..board import Board
from ..masking import hides, permission_of
from ..pages import Page
from ..runtime import Runtime
from .findings import Finding, Findings

# The portal's own keys; F2 finds a patient unless a page has its own (portal pages guide).
TAKEN_KEYS = frozenset({"F1", "Esc", "Ctrl+K", "Ctrl+S", "Alt+L"})


def check_manifest(board: Board) -> Findings:
    """[needs] and [permissions] are what the code asks for, no less and no more."""
    asked = set(board.needed_contracts())
    finds_by_itself = Runtime in _injected(board)  # the portal asks for whatever is plugged in
    for need in sorted(set(board.manifest.needs) - asked) if not finds_by_itself else ():
        yield Finding(
            "needs", f"{board.name} [needs]", f"{need} is declared, but no part asks for it"
        )
    used = {page.permission for page in board.pages} | {part.permission for part in board.home}
    if board.contract is not None:
        operations = board.contract.operations.values()
        used |= {operation.permission for operation in operations}
        sees = permission_of(board.name)
        if any(map(hides, operations)):
            used.add(sees)
            if sees not in board.manifest.permissions:
                yield Finding(
                    "SEC-DATA-09",
                    f"{board.name} [permissions]",
                    f"its answers have masked fields; declare {sees}, which shows them whole",
                )
    for permission in sorted(set(board.manifest.permissions) - used - _written(board)):
        yield Finding(
            "permissions", f"{board.name} [permissions]", f"{permission} allows nothing; drop it"
        )
    if not board.manifest.owners:
        yield Finding("owners", f"{board.name} [board]", "a board without an owner is nobody's")


def _injected(board: Board) -> list[Any]:
    asked = list(board.constructor.values())
    for page in board.pages:
        asked += page.parameters.values()
    return asked


def _written(board: Board) -> set[str]:
    """Permissions that code or templates ask about by name."""
    files = [*board.folder.rglob("*.py"), *board.folder.rglob("*.html")]
    texts = [
        f.read_text("utf-8") for f in files if "tests" not in f.relative_to(board.folder).parts
    ]
    return {p for p in board.manifest.permissions if any(f'"{p}"' in text for text in texts)}


def check_tables(board: Board) -> Findings:
    """Whose rows a table holds is said for each, and texts have a length on every database."""
    for table in board.tables.own.values():
        if table.info.get("scope") == "shared" and not table.info.get("why_shared"):
            yield Finding(
                "tables",
                table.name,
                'says nothing about campuses; give it scope="campus" and a campus column, or '
                "why_shared",
            )
        yield from _check_columns(table)


def _check_columns(table: Table) -> Findings:
    for column in table.columns:
        kind = column.type
        if isinstance(kind, TypeDecorator):
            continue
        if type(kind) is String and kind.length is None:
            yield Finding("tables", f"{table.name}.{column.name}", "a String needs a length")


def check_pages(board: Board) -> Findings:
    """Pages stand under the board's name, do not hide each other, and have an English title."""
    seen = Counter((page.method, _shape(page.path)) for page in board.pages)
    for (method, path), count in seen.items():
        if count > 1:
            yield Finding("pages", f"{board.name} {method} {path}", f"is declared {count} times")
    for page in board.pages:
        yield from _check_page(board, page)


def _shape(path: str) -> str:
    """Paths that a request cannot tell apart look the same."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _check_page(board: Board, page: Page) -> Findings:
    where = f"{board.name} {page.method} {page.path}"
    first = page.path.strip("/").partition("/")[0]
    if first != board.name and board.package != "plugward.commons.portal":
        yield Finding("pages", where, f"its path must begin with /{board.name}")
    if page.method == "GET" and page.title_en == page.title:
        english = board.strings.get("en", {}).get("pages", {})
        if page.function.__name__ not in english:
            yield Finding(
                "strings",
                where,
                f"has no English title; write title_en=… or {page.function.__name__} under "
                f"[pages] in strings/en.toml",
            )
    pressed = Counter(key.key for key in page.keys)
    for key, count in pressed.items():
        if count > 1:
            yield Finding("keys", where, f"{key} does {count} things on one page")
        if key in TAKEN_KEYS:
            yield Finding("keys", where, f"{key} belongs to the portal; take another key")


def check_templates(board: Board) -> Findings:
    """Every template a page names is there."""
    for path in sorted(board.folder.glob("pages*")):
        for file in [path] if path.suffix == ".py" else sorted(path.rglob("*.py")):
            for name, line in _views(file):
                if not (board.folder / "templates" / name).exists():
                    yield Finding("pages", f"{file.name}:{line}", f"there is no templates/{name}")


def _views(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            if node.func.id in ("view", "View") and isinstance(first, ast.Constant):
                yield str(first.value), node.lineno


def check_settings(board: Board) -> Findings:
    """Every setting the code reads is declared."""
    for file in sorted(board.folder.rglob("*.py")):
        if "tests" in file.relative_to(board.folder).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)):
                continue
            owner = node.value
            name = getattr(owner, "attr", getattr(owner, "id", ""))
            key = node.slice.value
            if str(name).strip("_") == "settings" and key not in board.manifest.settings:
                yield Finding(
                    "settings",
                    f"{file.relative_to(board.folder)}:{node.lineno}",
                    f"reads the setting {key!r}, which is not in board.toml",
                )


def check_readme(board: Board) -> Findings:
    """The README tells the process, and what still works while a needed board is away."""
    path = board.folder / "README.md"
    if not path.exists():
        yield Finding("readme", board.name, "has no README.md; tell its process and its outages")
        return
    text = path.read_text("utf-8")
    if board.manifest.title not in text:
        yield Finding("readme", f"{board.name}/README.md", f"never says {board.manifest.title}")
    for need in board.manifest.needs:
        if need not in text:
            yield Finding(
                "readme", f"{board.name}/README.md", f"does not say what happens without {need}"
            )
