"""Grades 分级: what a machine can see of each grade's promises (docs/boards/grades)."""

import re
from collections.abc import Iterator

from ..board import Board
from ..manifest import GRADES

UNGRADED = "none"
ABOVE = "the findings above"


def earned(board: Board, *, clean: bool) -> tuple[str, tuple[str, ...]]:
    """The highest grade whose promises are seen, and what the next one lacks."""
    grade = UNGRADED
    for wanted, lacking in (
        ("bronze", tuple(_bronze(board, clean=clean))),
        ("silver", tuple(_silver(board))),
        ("gold", tuple(_gold(board))),
    ):
        if lacking:
            return grade, lacking
        grade = wanted
    return grade, ("platinum is granted by review, not by this check",)


def is_higher(declared: str, found: str) -> bool:
    """Whether a board claims more than it shows. Platinum is a review's word on top of gold."""
    ladder = (UNGRADED, *GRADES)
    if declared == "platinum":
        declared = "gold"
    return ladder.index(declared) > ladder.index(found)


def tests_of(board: Board) -> str:
    """The text of the board's own tests; empty where they are not installed."""
    folder = board.folder / "tests"
    if not folder.is_dir():
        folder = board.folder.parent.parent / "tests"  # an out-of-tree board's usual layout
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.rglob("*.py")))


def _bronze(board: Board, *, clean: bool) -> Iterator[str]:
    tests = tests_of(board)
    if not clean:
        yield ABOVE
    if "TRANSPORTS" not in tests:
        yield "scenario tests on both transports (TRANSPORTS)"
    if not re.search(r"^(async )?def test_\w{15,}", tests, re.MULTILINE):
        yield "tests whose names are sentences"


def _silver(board: Board) -> Iterator[str]:
    tests = tests_of(board)
    if board.contract is not None and not ("request(" in tests or "times=2" in tests):
        yield "a test that a request sent twice happens once (bench.request)"
    if board.reactions and not re.search(r"times=[2-9]", tests):
        yield "a test with doubled delivery (bench.receive(…, times=2))"
    for need, declared in sorted(board.manifest.needs.items()):
        fake = f"Fake{need.title().replace('_', '')}"
        if "Unavailable" not in tests and "is_away" not in tests:
            yield f"a test of what happens while {need} is away ({declared.away.value}; {fake})"
    if not (board.proofs or "given(" in tests or "product(" in tests):
        yield "an invariant: a proof, or a test over all short sequences"
    if board.proofs and "prove()" not in tests:
        yield "a test that runs the board's proofs (bench.prove())"
    if board.tables.own and "queries(" not in tests:
        yield "a guard against too many statements (bench.queries)"


def _gold(board: Board) -> Iterator[str]:
    if not list((board.folder / "reports").glob("*.toml")):
        yield "report definitions (reports/*.toml)"
    if not board.interop:
        yield "an HL7/FHIR profile (interop)"
    if not board.facts:
        yield "facts for the data centre"
    if not (board.folder / "migrations").is_dir():
        yield "migrations"
