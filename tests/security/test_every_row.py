"""Every P0 row of the security checks has a test that names it, or a reason why it has none yet."""

import ast
import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {
    row["id"]: row["asks"]
    for row in csv.DictReader(Path(__file__).with_name("checks.csv").open(encoding="utf-8"))
}
TABLE = (ROOT / "docs" / "operate" / "security.md").read_text("utf-8")
LINE = re.compile(r"^\| (SEC-[A-Z]+-\d\d) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/.]+\.py)::(test_\w+)`")
SHOWN = {id_: (asks, shown) for id_, asks, shown in LINE.findall(TABLE)}
NOT_BUILT = {"SEC-WEB-07"}
"""Rows about parts that do not exist: nothing in the product makes PDF."""


def test_the_table_has_every_row_once_and_no_other() -> None:
    assert [id_ for id_, _, _ in LINE.findall(TABLE)] == list(ROWS)
    assert {id_: asks for id_, (asks, _) in SHOWN.items()} == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_shown_by_tests_that_name_it(row: str) -> None:
    _, shown = SHOWN[row]
    if row in NOT_BUILT:
        assert shown.startswith("not built: ")
        return
    tests = NAMED.findall(shown)
    assert tests, f"{row} is shown by nothing"
    for path, name in tests:
        assert name in _functions(ROOT / path), f"{row}: {path} has no {name}"
        assert _names(row, name), f"{name} does not name {row}"


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _names(row: str, name: str) -> bool:
    """``test_sec_hub_01_04_…`` names SEC-HUB-01 and SEC-HUB-04."""
    _, area, number = row.lower().split("-")
    found = re.search(rf"_{area}((?:_(?:and_)?\d\d)+)_", name)
    return found is not None and number in re.findall(r"\d\d", found[1])


def test_nothing_makes_pdf_yet() -> None:
    """SEC-WEB-07 begins to concern us with the first engine that is installed for it."""
    wanted = (ROOT / "pyproject.toml").read_text("utf-8") + (ROOT / "constraints.txt").read_text()
    engines = ("typst", "weasyprint", "reportlab", "wkhtmltopdf", "pdfkit", "fpdf")
    assert [engine for engine in engines if engine in wanted.lower()] == []
