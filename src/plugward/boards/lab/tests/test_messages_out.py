"""Reports on their way out as ORU^R01: issued, corrected, withdrawn."""

from typing import Any

import pytest

from plugward.boards.lab.contract import ReportIssued, ReportWithdrawn, WithdrawReason
from plugward.boards.lab.interop import send_report, send_withdrawal
from plugward.boards.lab.tests.ward import POTASSIUM, Person, Ward, patient_of
from plugward.boards.patients.contract import Patient
from plugward.boards.patients.fakes import FakePatients
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode, ReportId, Sex


class OnePatient(FakePatients):
    """Knows whoever it is asked for."""

    async def get(self, patient: Any) -> Patient:
        return _as_known(patient)


def _as_known(id: Any) -> Patient:
    person = Person("周建民")
    person.id = id
    return patient_of(person, Ward())


def field(message: Any, segment: str, number: int) -> Any:
    return next(values for name, values in message.segments if name == segment)[number]


async def test_a_report_its_correction_and_its_withdrawal_leave_as_oru() -> None:
    """第 1 版 F → 更正版 C → 撤回无新版 W。"""
    ward, person = Ward(), Person("周建民", Sex.MALE)
    await ward.open(person)
    first = await ward.report(person, POTASSIUM, "7.1")
    patients = OnePatient()

    [message] = await send_report(ReportIssued(report=first), patients)
    assert message.kind == "ORU^R01^ORU_R01"
    assert (message.campus, message.key) == (CampusCode("C1"), str(person.id))
    assert [name for name, _ in message.segments] == ["PID", "PV1", "ORC", "OBR", "OBX", "SPM"]
    assert field(message, "PID", 5) == ("周建民",)
    assert field(message, "OBR", 25) == "F"
    assert field(message, "OBX", 2) == "NM"
    assert field(message, "OBX", 3)[0] == "2823-3"
    assert [field(message, "OBX", n) for n in (5, 6, 7, 8, 11)] == [
        "7.1",
        "mmol/L",
        "3.5-5.3",
        "HH",
        "F",
    ]
    assert field(message, "SPM", 2) == (first.barcode,)

    second = first.replace(id=ReportId(new_id()), version=2, replaces=first.id)
    [corrected] = await send_report(ReportIssued(report=second), patients)
    assert (field(corrected, "OBR", 25), field(corrected, "OBX", 11)) == ("C", "C")

    await ward.lab.withdraw(first.id, WithdrawReason.WRONG_RESULT)
    [fact] = ward.bench.published(ReportWithdrawn)
    [void] = await send_withdrawal(fact, patients)
    assert (field(void, "OBR", 25), field(void, "OBX", 11)) == ("X", "W")
    replaced = fact.report.replace(replaced_by=second.id)
    assert await send_withdrawal(ReportWithdrawn(report=replaced, readers=()), patients) == ()


@pytest.mark.parametrize(("value", "kind"), [("<0.5", "ST"), ("7.1", "NM"), ("-2", "NM")])
async def test_only_a_plain_number_is_sent_as_one(value: str, kind: str) -> None:
    ward, person = Ward(), Person("周建民")
    await ward.open(person)
    report = await ward.report(person, POTASSIUM, value)
    [message] = await send_report(ReportIssued(report=report), OnePatient())
    assert field(message, "OBX", 2) == kind
