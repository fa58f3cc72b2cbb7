"""Whatever number is sent in any field of any operation, it is taken or refused: never a fault.

Negative, zero and huge quantities go through every operation of every board, as they would come
over the wire; what a rule let through must still leave every proof of every board holding.
"""

from decimal import Decimal
from typing import Any

import pytest

from plugward.kernel.audit import audit_runtime
from tests.security.conftest import All, Hospital, person
from tests.security.samples import Pool, request_of

FULL = pytest.mark.full
NUMBERS = (-1, 2**63, *(pytest.param(n, marks=FULL) for n in (0, 10**9, 2**63 - 1, -(2**63))))


class _Counting(Pool):
    """Answers every number with the same one."""

    def __init__(self, pool: Pool, number: int) -> None:
        super().__init__()
        self.ids, self.codes, self.texts = pool.ids, pool.codes, pool.texts
        self.numbers = {int: number, Decimal: Decimal(number), float: float(number)}


@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_breaks_anything(hospital: Hospital, number: int) -> None:
    """负数、零与超大数量：接受或拒绝，不出故障，账物相符。"""
    pool: Pool = hospital.run(hospital.pool("C1"))
    pool.codes = {"CampusCode": "C1", "DepartmentCode": "C1-CARD"}
    home = person(("C1",), All(), "numbers")
    outcomes = {
        operation.full_name: hospital.run(
            hospital.ask(operation, request_of(operation, _Counting(pool, number)), home)
        )
        for operation in hospital.operations()
    }
    assert {name: o.answer for name, o in outcomes.items() if o.kind == "fault"} == {}
    assert _breaches(hospital) == []


def _breaches(hospital: Hospital) -> list[Any]:
    hospital.run(hospital.runtime.quiet(patience_s=60))
    report = hospital.run(audit_runtime(hospital.runtime))
    return [line for line in report.lines if line.breaches]
