"""The shape of the code: what a reviewer would otherwise have to say again and again."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "plugward"

FUNCTION_LINES_MAX = 70
SERVICE_LINES_MAX = 400
PARAMETERS_MAX = 5
FOREIGN_EXCEPTION_BORDERS_MAX = 2

Function = ast.FunctionDef | ast.AsyncFunctionDef


def product_files() -> Iterator[Path]:
    for path in sorted(SOURCE.rglob("*.py")):
        if "tests" not in path.relative_to(SOURCE).parts:
            yield path


@cache
def trees() -> tuple[tuple[str, ast.Module], ...]:
    return tuple(
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8")))
        for path in product_files()
    )


def ring(name: str) -> str:
    """``boards``, ``kernel``, ``commons/hub`` …: the part of the product a file belongs to."""
    parts = name.removeprefix("src/plugward/").split("/")
    return "/".join(parts[:2]) if parts[0] == "commons" else parts[0]


def test_no_service_outgrows_four_hundred_lines() -> None:
    """When it does, it becomes a package with one module a process."""
    too_long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in product_files()
        if path.stem == "service" or path.parent.name == "service"
        if (lines := len(path.read_text("utf-8").splitlines())) > SERVICE_LINES_MAX
    }
    assert too_long == {}


def test_no_function_outgrows_seventy_lines() -> None:
    too_long = [
        f"{name}:{node.lineno} {node.name} ({lines})"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, Function)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert too_long == []


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    found = [p.relative_to(ROOT).as_posix() for p in product_files() if p.stem in drawers]
    found += [
        p.relative_to(ROOT).as_posix()
        for p in SOURCE.rglob("*")
        if p.is_dir() and p.name in drawers
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, tree in trees() if tree.body and not ast.get_docstring(tree)] == []


def catches_everything(node: ast.ExceptHandler) -> bool:
    caught = node.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        name is None or (isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"})
        for name in names
    )


def hands_on(node: ast.ExceptHandler) -> bool:
    last = node.body[-1]
    if isinstance(last, ast.Raise):
        return last.exc is None or last.cause is not None
    return isinstance(last, ast.Return | ast.Expr) and any(
        isinstance(part, ast.Name) and part.id == node.name for part in ast.walk(last)
    )


def test_foreign_exceptions_are_caught_at_the_kernels_two_borders_only() -> None:
    """The transport border and the event runner. Elsewhere: catch only what you can answer.

    A handler that ends by raising, or by handing the very error on, cleans up and hides nothing;
    it is not a border.
    """
    borders = [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
        if not hands_on(node)
    ]
    outside = [border for border in borders if not border.startswith("src/plugward/kernel/")]
    assert outside == []
    assert len(borders) <= FOREIGN_EXCEPTION_BORDERS_MAX, borders


# Real time, randomness, the environment and the network come in by injection (style guide, rule 8).
OUTSIDE_WORLD = {
    ("time", "time"), ("time", "time_ns"), ("time", "sleep"), ("time", "monotonic"),
    ("asyncio", "sleep"), ("asyncio", "wait_for"),
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("os", "environ"), ("os", "getenv"), ("os", "urandom"),
    ("uuid", "uuid4"), ("uuid", "uuid1"),
}  # fmt: skip
OUTSIDE_WORLD_MODULES = {"random", "secrets", "socket", "subprocess", "urllib", "http"}


def names_used(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Every ``module.name`` a file uses or imports, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.lineno, node.value.id, node.attr
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield node.lineno, (node.module or "").split(".")[0], alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0], "*"


def outside_world_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for line, module, name in names_used(tree):
        if (module, name) in OUTSIDE_WORLD or module in OUTSIDE_WORLD_MODULES:
            yield line, f"{module}.{name}"


def test_boards_reach_no_clock_dice_environment_or_network_of_their_own() -> None:
    """So that a hospital day can be replayed from a seed."""
    found = [
        f"{name}:{line} {what}"
        for name, tree in trees()
        if ring(name) in {"boards", "commons/masterdata", "vocabulary"}
        for line, what in outside_world_of(tree)
    ]
    assert found == []


def test_time_is_slept_away_only_in_the_kernel_and_the_hub() -> None:
    sleepers = {"asyncio.sleep", "asyncio.wait_for", "time.sleep"}
    allowed = {"kernel", "commons/hub", "sim", "cli", "rack"}
    found = [
        f"{name}:{line} {what}"
        for name, tree in trees()
        if ring(name) not in allowed
        for line, what in outside_world_of(tree)
        if what in sleepers
    ]
    assert found == []


def test_the_outside_world_finder_finds_what_it_is_for() -> None:
    planted = ast.parse(
        "import random\nfrom time import time\nimport asyncio\n"
        "async def f():\n    await asyncio.sleep(1)\n    datetime.now()\n"
    )
    found = [what for _, what in outside_world_of(planted)]
    assert sorted(found) == ["asyncio.sleep", "datetime.now", "random.*", "time.time"]


def test_no_table_is_named_by_another_boards_sql() -> None:
    """A table belongs to one board; text that names another board's table is a hidden join."""
    boards = {p.parent.name for p in SOURCE.glob("*/*/board.toml")}
    found = []
    for name, tree in trees():
        if ring(name).split("/")[0] not in {"boards", "commons"}:
            continue
        own = name.split("/")[3]
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            if not re.search(r"\b(select|insert|update|delete)\b", node.value, re.IGNORECASE):
                continue
            tables = re.findall(
                r"\b(?:from|join|into|update)\s+([a-z_]+)", node.value, re.IGNORECASE
            )
            for other in boards - {own}:
                found += [f"{name}:{node.lineno} {t}" for t in tables if t.startswith(f"{other}_")]
    assert found == []


# ── the tree as a whole ──────────────────────────────────────────────────────────────────────

TEXT = {".py", ".toml", ".md", ".txt", ".html", ".css", ".js", ".csv", ".yaml", ".yml", ".json", ""}
SKIPPED_FOLDERS = {
    ".git",
    ".venv",
    "plugward-data",
    "data",
    "build",
    "dist",
    "vendor",
    "node_modules",
    "__pycache__",
}


def tree_files() -> Iterator[Path]:
    def walk(folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if path.name not in SKIPPED_FOLDERS and not path.name.startswith("."):
                    yield from walk(path)
            elif path.suffix in TEXT:
                yield path

    yield from walk(ROOT)


# Written in pieces, or this file would be the first to break its own rule.
REGISTRIES = (r"py" r"pi\.", r"python" r"hosted", r"npm" r"js\.", r"npm" r"mirror", r"tu" r"na\.")
MACHINES = (r"(?<![\w./])/wo" "rk/", "/ro" r"ot/\.", r"/ho" r"me/\w+/", "/opt/wheels")
UNFINISHED = ("TODO", "FIXME", "XXX")
FORBIDDEN = {
    "host of a registry": re.compile("|".join(REGISTRIES)),
    "path of one machine": re.compile("|".join(MACHINES)),
    "unfinished work": re.compile(rf"\b({'|'.join(UNFINISHED)})\b"),
    "type: ignore without code and reason": re.compile(r"# type: ignore(?!\[[\w, -]+\]  ?# \w)"),
    "noqa without code and reason": re.compile(r"# noqa(?!: [A-Z]+\d+(, ?[A-Z]+\d+)* (#|-) \w)"),
    "unfinished merge": re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_the_tree_holds_no(what: str) -> None:
    pattern = FORBIDDEN[what]
    found = []
    for path in tree_files():
        if path == Path(__file__):
            continue
        text = path.read_text("utf-8")
        found += [
            f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
            for hit in pattern.finditer(text)
        ]
    assert found == []


def test_constraints_pin_every_version_and_no_address() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", line)] == []
    names = [line.split("==")[0].lower() for line in lines]
    assert all(first < second for first, second in pairwise(names))


def test_every_board_is_an_entry_point_and_every_entry_point_a_board() -> None:
    """The runtime finds built-in and installed boards the same way."""
    entries = dict(
        re.findall(
            r'^(\w+) = "plugward\.(?:boards|commons)\.(\w+)\.board:board"$',
            (ROOT / "pyproject.toml").read_text("utf-8"),
            re.MULTILINE,
        )
    )
    folders = {p.parent.name for p in SOURCE.glob("*/*/board.toml")}
    assert set(entries.values()) == folders
    assert all(name == folder for name, folder in entries.items())
