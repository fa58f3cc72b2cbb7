"""A visit's note, prescription and report leave the hospital as documents that conform."""

from decimal import Decimal
from uuid import UUID

import pytest

from plugward.boards.lab.contract import Collect, Lab, NewResult, OutsideResults, WithdrawReason
from plugward.boards.records.contract import (
    CorrectNote,
    Diagnosis,
    NoteContent,
    Records,
    SignNote,
    Vitals,
)
from plugward.boards.registration.contract import Appointment
from plugward.commons.documents.cda import read
from plugward.commons.documents.contract import (
    DocumentNotFound,
    Documents,
    KindUnknown,
    NotShareable,
    Severity,
    WrittenDocument,
)
from plugward.kernel.documents import Amount, Coded, Text
from plugward.kernel.envelope import Actor, ActorKind, acting_as
from plugward.kernel.refusals import NotAllowed, NotFound
from plugward.kit.ids import new_id
from plugward.vocabulary import NoteId, ReportId, SpecimenId

from .house import AMLODIPINE, HBA1C, House, drug, lab

ANALYSER = Actor(
    id="system:LIS",
    kind=ActorKind.SYSTEM,
    permissions=frozenset({"lab.interface"}),
    campuses=("C1",),
)
CONTENT = NoteContent(
    complaint="头晕 3 天",
    present_illness="3 天前起头晕，晨起明显。",
    vitals=Vitals(systolic_mmhg=168, diastolic_mmhg=96, temperature_c=Decimal("36.5")),
    diagnoses=(Diagnosis(icd10="I10", addition="3 级"),),
    plan="低盐饮食。" * 30,
)


@pytest.fixture
async def visit(house: House) -> Appointment:
    registered = await house.register("周建民", 41)
    arrived = await house.arrive(registered.patient.id)
    await house.call_and_serve()
    return arrived


async def signed_note(house: House, visit: Appointment) -> NoteId:
    note = NoteId(new_id())
    with house.acting("doctor"):
        await house.client(Records).sign(
            SignNote(
                id=note,
                encounter=visit.encounter,
                patient=visit.patient,
                campus=visit.campus,
                department=visit.department,
                content=CONTENT,
            )
        )
    return note


async def written(house: House, code: str, id: UUID) -> WrittenDocument:
    with house.acting("doctor"):
        return await house.client(Documents).write(code, id)


def errors(document: WrittenDocument) -> list[str]:
    return [f"{f.at} {f.words}" for f in document.findings if f.severity is Severity.ERROR]


async def test_a_signed_note_becomes_a_record_others_can_read(
    house: House, visit: Appointment
) -> None:
    document = await written(house, "C0002", await signed_note(house, visit))
    assert errors(document) == []
    said = read(document.xml.encode())
    assert (said.person.name, said.encounter) == ("周建民", visit.encounter)
    assert [section.code for section in said.sections] == [
        "48765-2", "10154-3", "10164-2", "29545-1", "29548-5", "46209-3",
    ]  # fmt: skip
    assert said.sections[0].entries[0].elements[0].value == Text("未询问")
    assert said.sections[3].entries[0].elements[0].value == Text("血压 168/96 mmHg，体温 36.5 ℃")
    code = said.sections[4].entries[0].elements[0].value
    assert isinstance(code, Coded)
    assert code.code == "I10"
    plan = [entry.elements[0].value for entry in said.sections[5].entries]
    assert "".join(value.text for value in plan if isinstance(value, Text)) == "低盐饮食。" * 30


async def test_what_was_shared_stays_and_a_correction_stands_beside_it(
    house: House, visit: Appointment
) -> None:
    note = await signed_note(house, visit)
    with house.acting("doctor"):
        first = await house.client(Documents).share("C0002", note)
    with house.acting("doctor"):
        assert await house.client(Documents).share("C0002", note) == first
    with house.acting("doctor"):
        await house.client(Records).correct(
            CorrectNote(
                note=note,
                version=1,
                content=CONTENT.replace(complaint="头晕 4 天"),
                reason="天数有误",
            )
        )
    with house.acting("doctor"):
        second = await house.client(Documents).share("C0002", note)
    assert (second.version, second.set, second.replaces) == (2, first.set, first.id)
    with house.acting("doctor"):
        listed = await house.client(Documents).shared(visit.patient)
    assert [line.id for line in listed] == [second.id, first.id]
    with house.acting("doctor"):
        kept = await house.client(Documents).document(first.id)
    assert "头晕 3 天" in kept.xml
    await house.audit()


async def test_a_prescription_names_drugs_and_the_diagnosis_they_are_for(
    house: House, visit: Appointment
) -> None:
    await signed_note(house, visit)
    group = await house.sign(visit, (drug(AMLODIPINE, 2), lab(HBA1C)))
    document = await written(house, "C0004", group.id)
    assert errors(document) == []
    diagnosis, drugs = read(document.xml.encode()).sections
    assert [len(diagnosis.entries), len(drugs.entries)] == [1, 1]
    values = {element.name: element.value for element in drugs.entries[0].elements}
    assert values["药物名称"] == Text(group.lines[0].name_zh)
    assert values["药物使用总剂量"] == Amount(Decimal(2), "盒")
    assert values["药物使用次剂量"] == Amount(Decimal(10), "mg")
    only_tests = await house.sign(visit, (lab(HBA1C),))
    assert errors(await written(house, "C0004", only_tests.id)) == [
        "section 10160-0 缺少章节“用药”"
    ]


async def test_a_report_is_shared_with_its_limits_until_it_is_withdrawn(
    house: House, visit: Appointment
) -> None:
    report = await reported(house, visit)
    document = await written(house, "C0007", report)
    assert errors(document) == []
    particulars, result = read(document.xml.encode()).sections[0].entries
    assert "标本采样日期时间" in {element.name for element in particulars.elements}
    values = {element.name: element.value for element in result.elements}
    measured = values["检验定量结果"]
    assert isinstance(measured, Amount)
    assert measured.value == Decimal("9.1")
    assert measured.high is not None
    assert values["检验结果代码"] == Coded("2", "异常")
    with house.acting("lab-technician"):
        await house.client(Lab).withdraw(ReportId(report), WithdrawReason.WRONG_PATIENT)
    with pytest.raises(NotShareable):
        await written(house, "C0007", report)


async def reported(house: House, visit: Appointment) -> UUID:
    group = await house.sign(visit, (lab(HBA1C),))
    await house.quiet()
    await house.pay_all(visit.encounter)
    with house.acting("triage-nurse"):
        tube = await house.client(Lab).collect(
            Collect(id=SpecimenId(new_id()), requests=(group.lines[0].id,))
        )
    with house.acting("lab-technician"):
        await house.client(Lab).receive(tube.barcode)
    results = (NewResult(item=HBA1C, value="9.1"),)
    with acting_as(ANALYSER, campus="C1", request=new_id()):
        await house.client(Lab).outside(
            OutsideResults(
                id=new_id(), source="LIS", results=results, barcode=tube.barcode, is_final=True
            )
        )
    await house.quiet()
    with house.acting("doctor"):
        found = await house.client(Lab).reports_of((visit.patient,))
    return found[0].id


async def test_only_who_may_read_the_source_may_write_its_document(
    house: House, visit: Appointment
) -> None:
    note = await signed_note(house, visit)
    with house.acting("cashier"), pytest.raises(NotAllowed):
        await house.client(Documents).write("C0002", note)
    with house.acting("doctor", "C2"), pytest.raises(NotFound):
        await house.client(Documents).write("C0002", note)
    with house.acting("doctor"), pytest.raises(KindUnknown):
        await house.client(Documents).write("C0045", note)
    with house.acting("doctor"), pytest.raises(DocumentNotFound):
        await house.client(Documents).document(new_id())
    with house.acting("doctor"):
        kinds = await house.client(Documents).kinds()
    assert [kind.code for kind in kinds] == ["C0002", "C0004", "C0007"]
