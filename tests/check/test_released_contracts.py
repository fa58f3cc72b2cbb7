"""The contracts of this hospital's boards are written down as released, and only grow."""

import msgspec
import pytest

from plugward.kernel.board import Board
from plugward.kernel.check.schema import (
    ContractSchema,
    FieldSchema,
    broken_promises,
    released_schema,
    schema_of,
)
from plugward.rack.discover import discover

BOARDS = [board for board in discover().boards if board.contract is not None]


@pytest.mark.parametrize("board", BOARDS, ids=[board.name for board in BOARDS])
def test_every_board_keeps_what_it_released(board: Board) -> None:
    """``plugward check --export`` has been run for it, and nothing of it was taken back."""
    released, now = released_schema(board), schema_of(board)
    assert released is not None, f"run: plugward check {board.name} --export"
    assert now is not None
    assert [str(finding) for finding in broken_promises(released, now)] == []


def released(change: dict[str, FieldSchema], *, type: str) -> tuple[ContractSchema, ContractSchema]:
    """Today's contract of orders, and a released one that differs from it in one type."""
    board = next(board for board in BOARDS if board.name == "orders")
    now = schema_of(board)
    assert now is not None
    types = {**now.types, type: {**now.types[type], **change}}
    return msgspec.structs.replace(now, types=types), now


def test_f04_a_removed_or_retyped_field_of_a_built_in_board_is_refused() -> None:
    """F04: a removed or re-typed field is refused at install time by the contract check."""
    before, now = released({"ward": FieldSchema("str", required=False)}, type="SignGroup")
    [removed] = broken_promises(before, now)
    assert "orders.SignGroup.ward: was removed" in str(removed)

    before, now = released({"campus": FieldSchema("int", required=True)}, type="SignGroup")
    [retyped] = broken_promises(before, now)
    assert "orders.SignGroup.campus: was int; it is CampusCode now" in str(retyped)
