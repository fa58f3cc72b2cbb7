"""SEC-OPS-08: whichever board is away, the others give the answers they declare, and no fault."""

import pytest

from plugward.kernel.contracts import Operation
from plugward.rack.discover import board_entries
from tests.security.conftest import All, Hospital, Outcome, person
from tests.security.samples import Pool, request_of

ANSWERS = {"ok", "unavailable", "not-found", "conflict", "invalid", "forbidden"}


@pytest.fixture(scope="module")
def pool(hospital: Hospital) -> Pool:
    found: Pool = hospital.run(hospital.pool("C1"))
    found.codes = {"CampusCode": "C1", "DepartmentCode": "C1-CARD"}
    return found


@pytest.mark.full
@pytest.mark.parametrize("away", sorted(board_entries()))
def test_sec_ops_08_a_board_that_is_away_costs_only_what_is_declared(
    hospital: Hospital, pool: Pool, away: str
) -> None:
    board = next(one for one in hospital.boards if one.name == away)
    hospital.run(hospital.runtime.unplug(away))
    try:
        outcomes = {one: _ask(hospital, pool, one) for one in hospital.operations()}
    finally:
        hospital.run(hospital.runtime.plug(board))
    gone = {found.kind for one, found in outcomes.items() if one.board == away}
    others = {one.full_name: o for one, o in outcomes.items() if one.board != away}
    assert gone <= {"unavailable"}
    assert {name: found for name, found in others.items() if found.kind not in ANSWERS} == {}
    assert {"ok", "not-found"} <= {found.kind for found in others.values()}  # they do work


def _ask(hospital: Hospital, pool: Pool, operation: Operation) -> Outcome:
    actor = person(("C1",), All(), "away")
    found: Outcome = hospital.run(hospital.ask(operation, request_of(operation, pool), actor))
    return found
