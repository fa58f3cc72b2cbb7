"""SEC-API-04: whatever is typed into any text of any operation is only a text.

Two nets: ruff's S608 forbids SQL put together from strings, and here quotes, wildcards, templates,
control characters and the like go through every operation of every board.
"""

from typing import Any

import pytest

from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.kernel.contracts import Operation
from plugward.kernel.envelope import acting_as
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, PatientId
from tests.security.conftest import All, Hospital, person
from tests.security.samples import Pool, request_of
from tests.security.test_patient_data_stays_inside import _Saying

CORPUS = (
    "' OR '1'='1",
    "x'; DROP TABLE patients_patient; --",
    '"; DELETE FROM lab_report; /*',
    "\\' OR 1=1 #",
    "%_[a-z]%",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "<img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A1",
    ":r $1 ? %s {0}",
    "a\u0000b\u001f\u202e\ufeff",
    "𠮷 👩‍⚕️ ﷽",
    "x" * 399,
)


def tables_of(hospital: Hospital) -> dict[str, int]:
    """How many tables each board has: nobody dropped one."""
    return {
        name: len(hospital.run(plugged.store.engine.read(_table_names)))
        for name, plugged in hospital.runtime.plugged.items()
    }


def _table_names(connection: Any) -> list[str]:
    from sqlalchemy import inspect

    return list(inspect(connection).get_table_names())


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_sec_api_04_no_text_is_more_than_a_text(hospital: Hospital, text: str) -> None:
    before = tables_of(hospital)
    pool: Pool = hospital.run(hospital.pool("C1"))
    pool.codes = {"CampusCode": "C1", "DepartmentCode": "C1-CARD"}
    home = person(("C1",), All(), "quotes")
    faults = [
        f"{operation.full_name}: {outcome.answer}"
        for operation in hospital.operations()
        if (outcome := _ask(hospital, operation, _Saying(pool, text), home)).kind == "fault"
    ]
    assert faults == []
    assert tables_of(hospital) == before


def _ask(hospital: Hospital, operation: Operation, pool: Pool, actor: Any) -> Any:
    return hospital.run(hospital.ask(operation, request_of(operation, pool), actor))


@pytest.mark.parametrize("text", CORPUS[:9], ids=range(9))
def test_sec_api_04_what_was_typed_is_what_is_read(hospital: Hospital, text: str) -> None:
    """A name with quotes is kept as it is, and finds nobody else."""
    request = RegisterPatient(id=PatientId(new_id()), campus=CampusCode("C1"), name=f"甲{text}")

    async def there_and_back() -> str:
        with acting_as(person(("C1",), All(), "quotes")):
            patients = hospital.runtime.client(Patients)
            await patients.register(request)
        with acting_as(person(("C1",), All(), "quotes")):
            name: str = (await patients.get(request.id)).name
            return name

    assert hospital.run(there_and_back()) == request.name
