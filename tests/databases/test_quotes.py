"""SEC-API-04 on servers: whatever is typed into any text is only a text, in each dialect."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugward.boards.patients.board import board
from plugward.boards.patients.contract import Patients, RegisterPatient
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import Refusal
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, PatientId
from tests.security.conftest import All, person
from tests.security.samples import Pool, request_of
from tests.security.test_quotes import CORPUS

pytestmark = [pytest.mark.databases, pytest.mark.full]
ME = person(("C1",), All(), "quotes")


@pytest.fixture
async def office(database: str, tmp_path: Path) -> AsyncIterator[Runtime]:
    clock = ManualClock("2026-03-02 08:00")
    where = tmp_path if database == "file" else database
    runtime = Runtime(Databases(where), clock, AuditLog(None, clock))
    await runtime.start([board])
    yield runtime
    await runtime.stop()


async def test_sec_api_04_on_every_database_what_was_typed_is_what_is_read(
    office: Runtime,
) -> None:
    patients = office.client(Patients)
    known: dict[PatientId, str] = {}
    for text in CORPUS:
        request = RegisterPatient(id=PatientId(new_id()), campus=CampusCode("C1"), name=f"甲{text}")
        try:
            with acting_as(ME):
                made = await patients.register(request)
        except Refusal:
            continue  # a character that this database cannot keep is refused by name
        known[made.patient.id] = made.patient.name
    assert len(known) >= len(CORPUS) - 2
    for id_, name in known.items():
        with acting_as(ME):
            assert (await patients.get(id_)).name == name
    for text in CORPUS:
        pool = Pool()
        pool.codes = {"CampusCode": "C1"}
        pool.texts = dict.fromkeys(("text", "name", "value", "system", "reason", "substance"), text)
        assert board.contract is not None
        for operation in board.contract.operations.values():
            request = request_of(operation, pool)
            arguments = [getattr(request, name) for name in operation.parameters]
            try:
                with acting_as(ME):
                    await getattr(patients, operation.name)(*arguments)
            except Refusal:
                continue  # any other end is ours to mend
    with acting_as(ME):
        assert len(await patients.summaries(tuple(known))) == len(known)
