"""Moving 移板: which boards share a process, as an operator changed it while the rack ran.

``seating.json`` in the data folder says so over ``rack.toml``, until the file is changed to match.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from .plan import RackPlan

SEATING = "seating.json"


def seating_of(data: Path) -> dict[str, str]:
    """Board → the seat it was moved to; a seat of its own has its own name."""
    try:
        return msgspec.json.decode((data / SEATING).read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}


def keep_seating(data: Path, seating: Mapping[str, str]) -> None:
    part = data / f"{SEATING}.new"
    part.write_bytes(msgspec.json.encode(dict(sorted(seating.items()))))
    part.replace(data / SEATING)


def reseated(plan: RackPlan, seating: Mapping[str, str]) -> RackPlan:
    """The plan with these boards moved."""
    groups = {
        group: tuple(board for board in boards if board not in seating)
        for group, boards in plan.groups.items()
    }
    for board, seat in seating.items():
        if seat != board:
            groups[seat] = (*groups.get(seat, (seat,)), board)
    return msgspec.structs.replace(plan, groups={g: b for g, b in groups.items() if b})


def group_in(plan: RackPlan, board: str) -> str:
    """The group that a plan puts a board in; its own name when it is in none."""
    return next((group for group, boards in plan.groups.items() if board in boards), board)
