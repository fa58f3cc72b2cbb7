"""A note from its signature to its correction, told as the doctor and the record room would.

Every scenario runs twice: calls made directly, and calls encoded as between two processes.
"""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest

from plugward.boards.records.board import board
from plugward.boards.records.contract import (
    ComplaintMissing,
    CorrectedMeanwhile,
    CorrectNote,
    Diagnosis,
    DiagnosisMissing,
    DiagnosisTwice,
    DiagnosisUnknown,
    NoteContent,
    NoteNotFound,
    NoteSigned,
    NoteVersion,
    NothingCorrected,
    ReasonMissing,
    Records,
    SignNote,
    VitalImplausible,
    Vitals,
)
from plugward.boards.records.rules import hash_of
from plugward.boards.records.tables import versions as table
from plugward.commons.masterdata.contract import Domain
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel import AlreadyThere, NotFound, Refusal, Work
from plugward.kernel.codec import to_json
from plugward.kernel.refusals import NotAllowed
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, NoteId, PatientId

ZHOU_JIANMIN, HIS_OLD_NUMBER = PatientId(new_id()), PatientId(new_id())
HIS_VISIT = EncounterId(new_id())
HYPERTENSION, DIABETES = Diagnosis(icd10="I10", addition="3 级 很高危"), Diagnosis(icd10="E11.9")
CONTENT = NoteContent(
    complaint="发现血压升高 8 年，头胀 1 周。",
    present_illness="8 年前体检发现血压升高，最高 182/104 mmHg。",
    vitals=Vitals(systolic_mmhg=158, diastolic_mmhg=94, temperature_c=Decimal("36.5")),
    diagnoses=(HYPERTENSION, DIABETES),
    plan="低盐饮食，调整降压方案，4 周后复诊。",
)


def note_of(content: NoteContent = CONTENT, patient: PatientId = ZHOU_JIANMIN) -> SignNote:
    return SignNote(
        id=NoteId(new_id()),
        encounter=HIS_VISIT,
        patient=patient,
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        content=content,
    )


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(board, transport=request.param, now="2026-11-18 10:24:30")
    for fact in seeded(Domain.DIAGNOSIS, "I10", "E11.9"):
        await made.receive(fact)
    return made


async def correct(
    bench: Bench, version: NoteVersion, *, reason: str = "补充既往史", **changes: Any
) -> NoteVersion:
    content = version.content.replace(**(changes or {"past_history": "2 型糖尿病 5 年。"}))
    return await bench.client(Records).correct(
        CorrectNote(note=version.note, version=version.version, content=content, reason=reason)
    )


async def test_a_signed_note_names_its_author_its_time_and_todays_names(bench: Bench) -> None:
    """签名：作者、时间、哈希；诊断名称取自目录；事件不含正文。"""
    signed = await bench.client(Records).sign(note_of())

    assert (signed.version, signed.author) == (1, "staff:tester")
    assert signed.signed_at == hospital_time("2026-11-18 10:24:30")
    assert signed.content_hash == hash_of(signed)
    assert [d.icd10 for d in signed.content.diagnoses] == ["I10", "E11.9"]
    assert all(d.name for d in signed.content.diagnoses)
    [told] = bench.published(NoteSigned)
    assert (told.note, told.icd10) == (signed.note, ("I10", "E11.9"))
    assert told.content_hash == signed.content_hash
    for text in (CONTENT.complaint, CONTENT.present_illness, CONTENT.plan, "很高危"):
        assert text not in to_json(told).decode()
    await bench.prove()


async def test_a_correction_is_a_new_version_and_both_stay_readable(bench: Bench) -> None:
    """R1：更正另立新版，指向原版；原版一字未改。"""
    first = await bench.client(Records).sign(note_of())
    await bench.clock.advance("2026-11-18 11:00")
    with bench.acting(id="colleague"):
        second = await correct(bench, first)

    assert (second.version, second.corrects, second.corrects_hash) == (2, 1, first.content_hash)
    assert (second.author, second.reason) == ("staff:colleague", "补充既往史")
    assert await bench.client(Records).versions(first.note) == (second, first)
    assert await bench.client(Records).for_encounter(HIS_VISIT) == (second,)
    assert [(t.version, t.corrects) for t in bench.published(NoteSigned)] == [(1, None), (2, 1)]
    await bench.prove()


async def test_of_two_corrections_at_once_one_is_signed(bench: Bench) -> None:
    """两人同时更正同一版：一人成功，另一人被告知已有新版。"""
    first = await bench.client(Records).sign(note_of())
    await correct(bench, first)
    with pytest.raises(CorrectedMeanwhile):
        await correct(bench, first, plan="另一位医生的更正")
    assert len(await bench.client(Records).versions(first.note)) == 2


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"complaint": "  "}, ComplaintMissing),
        ({"diagnoses": ()}, DiagnosisMissing),
        ({"diagnoses": (Diagnosis(icd10="I99.999"),)}, DiagnosisUnknown),
        ({"diagnoses": (HYPERTENSION, DIABETES, HYPERTENSION)}, DiagnosisTwice),
        ({"vitals": Vitals(temperature_c=Decimal("3.65"))}, VitalImplausible),
        ({"vitals": Vitals(systolic_mmhg=94, diastolic_mmhg=158)}, VitalImplausible),
        ({"vitals": Vitals(oxygen_percent=980)}, VitalImplausible),
    ],
)
async def test_a_note_that_is_not_whole_is_not_signed_nor_taken_as_a_correction(
    bench: Bench, changes: dict[str, Any], refusal: type[Refusal]
) -> None:
    """缺主诉、缺诊断、编码无效、体征离谱：不能签名，也不能作为更正。"""
    records = bench.client(Records)
    with pytest.raises(refusal):
        await records.sign(note_of(CONTENT.replace(**changes)))
    assert await records.for_encounter(HIS_VISIT) == ()
    first = await records.sign(note_of())
    with pytest.raises(refusal):
        await correct(bench, first, **changes)
    assert await records.versions(first.note) == (first,)


async def test_a_correction_needs_a_reason_and_a_change(bench: Bench) -> None:
    first = await bench.client(Records).sign(note_of())
    with pytest.raises(ReasonMissing):
        await correct(bench, first, reason=" ")
    with pytest.raises(NothingCorrected):
        await correct(bench, first, complaint=first.content.complaint)


async def test_a_note_sent_again_is_signed_once(bench: Bench) -> None:
    """同一份病历重发：同一答复；编号相同而内容不同则拒绝。"""
    request, records = note_of(), bench.client(Records)
    key = new_id()
    answers = []
    for _ in range(3):
        with bench.request(key):
            answers.append(await records.sign(request))
    answers.append(await records.sign(request))  # under a new request
    assert answers == [answers[0]] * 4
    with pytest.raises(AlreadyThere):
        await records.sign(request.replace(content=CONTENT.replace(plan="换药")))
    assert len(bench.published(NoteSigned)) == 1


async def test_a_merged_patients_note_opens_from_both_numbers(bench: Bench) -> None:
    """R2：患者合并后，从两个编号都能打开各自签名时的病历。"""
    records = bench.client(Records)
    new = await records.sign(note_of())
    old = await records.sign(note_of(patient=HIS_OLD_NUMBER))
    both = await records.for_patient((ZHOU_JIANMIN, HIS_OLD_NUMBER))
    assert {version.note for version in both} == {new.note, old.note}
    assert {version.patient for version in both} == {ZHOU_JIANMIN, HIS_OLD_NUMBER}


async def test_who_may_read_may_not_sign_and_other_campuses_see_nothing(bench: Bench) -> None:
    records = bench.client(Records)
    first = await records.sign(note_of())
    with bench.acting(permissions={"records.read"}):
        assert await records.versions(first.note) == (first,)
        with pytest.raises(NotAllowed):
            await records.sign(note_of())
    with bench.acting(campuses=("C2",)):
        with pytest.raises(NoteNotFound):
            await records.versions(first.note)
        with pytest.raises(NoteNotFound):
            await correct(bench, first)
        with pytest.raises(NotFound):
            await records.sign(note_of())
        assert await records.for_patient((ZHOU_JIANMIN,)) == ()


FORGERIES = (
    {"content": CONTENT.replace(plan="被改过的处理意见")},
    {"author": "staff:somebody-else"},
    {"reason": "事后编造"},
    {"patient": HIS_OLD_NUMBER},
    {"corrects_hash": "0" * 64},
)


@pytest.mark.parametrize(("forged", "version"), list(product(FORGERIES, (1, 2))))
async def test_whoever_changes_a_signed_version_in_the_database_is_found_out(
    bench: Bench, forged: dict[str, Any], version: int
) -> None:
    """直接改库：审计立刻发现。"""
    first = await bench.client(Records).sign(note_of())
    await correct(bench, first)

    def forge(work: Work) -> int:
        return work.set_where(table, table.c.version == version, **forged)

    assert await bench.service.store.work(forge) == 1
    with pytest.raises(AssertionError, match="R1"):
        await bench.prove()


@pytest.mark.parametrize("wanted", ["I10", "gxy", "高血压", "hypertension"])
async def test_a_diagnosis_is_found_by_code_initials_and_name(bench: Bench, wanted: str) -> None:
    hits = await bench.client(Records).search_diagnoses(wanted)
    assert [hit.icd10 for hit in hits] == ["I10"]


async def test_a_diagnosis_published_twice_is_offered_once_and_a_retired_one_no_more(
    bench: Bench,
) -> None:
    """目录事件重复：只有一条；停用后不能再用，已签名的病历不变。"""
    records = bench.client(Records)
    signed = await records.sign(note_of())
    [published] = seeded(Domain.DIAGNOSIS, "E11.9")
    retired = published.replace(entry=published.entry.replace(version=2, is_retired=True))
    await bench.receive(published, times=2)
    assert len(await records.search_diagnoses("E11.9")) == 1
    await bench.receive(retired, times=2)
    assert await records.diagnoses(("E11.9", "I10")) == await records.diagnoses(("I10",))
    with pytest.raises(DiagnosisUnknown):
        await records.sign(note_of())
    assert await records.versions(signed.note) == (signed,)


async def test_a_patient_with_many_notes_is_listed_in_one_statement(bench: Bench) -> None:
    records = bench.client(Records)
    for _ in range(5):
        await correct(bench, await records.sign(note_of()))
    with bench.queries(at_most=1):
        assert len(await records.for_patient((ZHOU_JIANMIN,), limit=4)) == 4
