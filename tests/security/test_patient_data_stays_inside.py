"""SEC-DATA-11, SEC-AUDIT-03: nothing that names a patient stands in logs, metrics or the audit log.

The hospital lives a day; a patient with unique words comes to it, and every way to fail is tried on
him. Then everything that was written down outside the boards' own tables is searched.
"""

import re
from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import text

from plugward.boards.patients.contract import (
    ID_CARD,
    Contact,
    ContactKind,
    Patients,
    RegisterPatient,
)
from plugward.kernel.codec import from_json
from plugward.kernel.envelope import acting_as
from plugward.kernel.message import tag_of
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kit.ids import new_id
from plugward.sim.people import id_card
from plugward.vocabulary import CampusCode, Identifier, PatientId, Sex
from tests.security.conftest import All, Hospital, person
from tests.security.samples import Pool, request_of, walk

NAME = "审计测试唯一串"
PHONE = "13900071234"
ADDRESS = "示范市不存在路七十七号之九"
WORDS = "唯一主诉：左侧第七颗牙在月圆之夜作痛"
BORN = date(1959, 3, 7)
NUMBER_ON_CARD = id_card(BORN, Sex.MALE, 717)
PLANTED = (NAME, PHONE, ADDRESS, WORDS, NUMBER_ON_CARD)
NUMBER = re.compile(r"\d{8,}[\dX]?")


def plant() -> RegisterPatient:
    return RegisterPatient(
        id=PatientId(new_id()),
        campus=CampusCode("C1"),
        name=NAME,
        sex=Sex.MALE,
        birth_date=BORN,
        identifiers=(Identifier(system=ID_CARD, value=NUMBER_ON_CARD),),
        contacts=(
            Contact(kind=ContactKind.PHONE, value=PHONE),
            Contact(kind=ContactKind.ADDRESS, value=ADDRESS),
        ),
    )


async def _suffer(hospital: Hospital) -> int:
    """Register him well and badly, and put his words into every text of every operation."""
    home = person(("C1",), All(), "leak")
    failed = 0
    for request in (plant(), plant(), plant().replace(name=NAME * 40)):
        try:
            with acting_as(home):
                await hospital.runtime.client(Patients).register(request)
        except (Refusal, Unavailable):
            failed += 1
    for words in PLANTED:
        pool = Pool()
        pool.codes = {"CampusCode": "C1", "DepartmentCode": "C1-CARD"}
        for operation in hospital.operations():
            made = request_of(operation, _Saying(pool, words))
            outcome = await hospital.ask(operation, made, home)
            failed += outcome.kind != "ok"
    return failed


async def _break(hospital: Hospital) -> None:
    """His registration fails by a fault of ours: the worst moment for what is logged."""
    engine = hospital.runtime.plugged["patients"].store.engine
    rename = "ALTER TABLE {} RENAME TO {}"
    home = person(("C1",), All(), "leak")
    await engine.system(lambda c: c.execute(text(rename.format("patients_patient", "gone"))))
    try:
        for request in (plant(), plant().replace(name=NAME * 2)):
            with pytest.raises(Fault), acting_as(home):
                await hospital.runtime.client(Patients).register(request)
    finally:
        await engine.system(lambda c: c.execute(text(rename.format("gone", "patients_patient"))))


class _Saying(Pool):
    """Answers every text with the same words."""

    def __init__(self, pool: Pool, text: str) -> None:
        super().__init__()
        self.ids, self.codes, self.texts = pool.ids, pool.codes, _Always(text)


class _Always(dict[str, str]):
    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]  # narrower is enough
        del key, default
        return self._text


def _personal(hospital: Hospital) -> set[str]:
    """Names, numbers and clinical words of the day's facts, as far as they are unmistakable."""
    events = {
        tag_of(event): event
        for board in hospital.boards
        if board.contract is not None
        for event in board.contract.events
    }
    found: set[str] = set()
    for frame in hospital.run(hospital.frames()):
        event = events.get(frame.tag)
        if event is None:
            continue
        for part in walk(from_json(frame.body, event), event, ""):
            if part.is_personal and isinstance(part.value, str):
                found.update(_unmistakable(part.value))
    return found


def _unmistakable(text: str) -> Iterator[str]:
    is_name = len(text) >= 2 and all("一" <= c <= "鿿" for c in text)
    if is_name or len(text) >= 6 or NUMBER.fullmatch(text):
        yield text


def test_sec_data_11_no_patient_data_in_logs_metrics_or_the_audit_log(hospital: Hospital) -> None:
    failed = hospital.run(_suffer(hospital))
    assert failed > 100  # the ways to fail have been tried
    hospital.run(_break(hospital))
    hospital.run(hospital.runtime.quiet())
    personal = {*PLANTED, *_personal(hospital)}
    assert len(personal) > 20
    assert {NAME, PHONE, NUMBER_ON_CARD} <= _personal(hospital)  # he did come

    log = "\n".join(hospital.log.lines)
    assert "fault in patients.register" in log, "what was looked at is not the log"
    audit = "\n".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in hospital.folder.glob("audit.sqlite*")
    )
    assert "billing." in audit
    meters = hospital.meters_of_the_day + hospital.meters()
    assert hospital.meters_of_the_day, "the day was not measured"
    for where, written in (("log", log), ("audit log", audit), ("meters", meters)):
        leaked = sorted(word for word in personal if word in written)
        assert leaked == [], f"{where}: {leaked[:5]}"


def test_sec_data_11_refusals_name_their_fields_and_not_their_values(hospital: Hospital) -> None:
    """What is logged of a refusal is its text; the values stay with who asked."""
    for board in hospital.boards:
        for refusal in board.contract.refusals if board.contract else ():
            hints = refusal.fields_type.__struct_fields__
            made = refusal(**{name: NAME for name in hints})
            assert NAME not in str(made), refusal.__name__
            assert NAME not in repr(made), refusal.__name__
