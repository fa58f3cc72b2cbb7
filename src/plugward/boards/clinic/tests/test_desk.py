"""A doctor's desk from the open visit to the signature, told as the doctor would.

Every scenario runs twice: calls made directly, and calls encoded as between two processes. The
boards whose work is put together here are faked with the fakes their owners publish.
"""

from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest

from plugward.boards.calling.contract import QueueCode, TicketState
from plugward.boards.calling.fakes import FakeCalling
from plugward.boards.clinic.board import board
from plugward.boards.clinic.contract import (
    Clinic,
    Desk,
    DeskNotFound,
    DiagnosisNotFound,
    NoEarlierNote,
    NoteIncomplete,
    NoteText,
    NothingToSign,
    VitalUnreadable,
)
from plugward.boards.encounters.fakes import FakeEncounters
from plugward.boards.orders.contract import NewLine, OrderableItem, SaveDraft
from plugward.boards.orders.fakes import FakeOrders
from plugward.boards.patients.contract import PatientMerged, PatientUnmerged
from plugward.boards.patients.fakes import FakePatients
from plugward.boards.records.contract import DiagnosisChoice
from plugward.boards.records.fakes import FakeRecords
from plugward.kernel import NotFound
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import EncounterId, OrderKind, OrderLineId, PatientId

ZHOU, SHEN = PatientId(new_id()), PatientId(new_id())
HIS_VISIT, HER_VISIT = EncounterId(new_id()), EncounterId(new_id())
DR_LIN = UUID("01930000-0000-7000-8000-000000010247")
NOW = "2026-11-18 10:24:30"
HBA1C = OrderableItem(
    kind=OrderKind.LAB,
    item="L0026",
    name_zh="糖化血红蛋白",
    name_en="HbA1c",
    pinyin="THXHDB",
    spec="",
    unit="次",
)
HYPERTENSION = DiagnosisChoice(icd10="I10", name_zh="高血压", name_en="Hypertension", pinyin="GXY")
DIABETES = DiagnosisChoice(icd10="E11.9", name_zh="2型糖尿病", name_en="Diabetes", pinyin="2XTNB")
NOTE = NoteText(complaint="头胀 1 周", plan="4 周后复诊", pressure="158/94", body="74/170")


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    encounters, patients, calling = FakeEncounters(), FakePatients(), FakeCalling()
    for patient, visit, name in ((ZHOU, HIS_VISIT, "周建民"), (SHEN, HER_VISIT, "沈玉兰")):
        patients.add(name, id=patient)
        encounters.visit(patient, id=visit)
        calling.check_in("C1-CARD:2026-11-18", patient, visit, name)
    at = hospital_time(NOW)
    fakes = [
        encounters,
        patients,
        calling,
        FakeRecords((HYPERTENSION, DIABETES), now=at),
        FakeOrders((HBA1C,), now=at),
    ]
    return Bench(board, fakes=fakes, transport=request.param, now=NOW)


async def opened(bench: Bench, visit: EncounterId = HIS_VISIT) -> Desk:
    return await bench.client(Clinic).open(visit)


async def order_a_test(bench: Bench, desk: Desk) -> None:
    """HbA1c into the basket."""
    line = NewLine(id=OrderLineId(new_id()), kind=OrderKind.LAB, item="L0026")
    await bench.fake(FakeOrders).save_draft(
        SaveDraft(encounter=desk.encounter, patient=desk.patient, campus=desk.campus, lines=(line,))
    )


def unplug(bench: Bench, name: str) -> None:
    bench.runtime.dispatcher.detach(name)


async def test_a_desk_is_found_again_as_it_was_left(bench: Bench) -> None:
    """打开就诊两次：草稿还在；同一患者换一位医生，是另一张案头。"""
    clinic = bench.client(Clinic)
    desk = await opened(bench)
    await clinic.keep(HIS_VISIT, desk.note, NOTE)
    again = await opened(bench)
    assert (again.note, again.text) == (desk.note, NOTE)
    assert (again.patient, again.campus, again.department) == (ZHOU, "C1", "C1-CARD")

    with bench.acting(id="colleague"):
        with pytest.raises(DeskNotFound):
            await clinic.desk(HIS_VISIT)
        assert (await opened(bench)).text == NoteText()


async def test_what_is_typed_for_one_patient_never_shows_at_another(bench: Bench) -> None:
    """患者之间互不串：病历、诊断各归各的。"""
    clinic = bench.client(Clinic)
    his, hers = await opened(bench), await opened(bench, HER_VISIT)
    await clinic.keep(HIS_VISIT, his.note, NOTE)
    await clinic.diagnose(HIS_VISIT, "I10")
    await clinic.keep(HER_VISIT, hers.note, NoteText(complaint="续方"))
    await clinic.keep(HER_VISIT, his.note, NoteText(complaint="串了"))  # a form left open

    assert (await clinic.desk(HIS_VISIT)).text == NOTE
    her_desk = await clinic.desk(HER_VISIT)
    assert (her_desk.text.complaint, her_desk.diagnoses) == ("续方", ())


async def test_note_and_basket_are_signed_with_one_key(bench: Bench) -> None:
    """签名提交：病历与医嘱一起签；叫到的患者记为到诊；案头清空。"""
    clinic, records, orders = bench.client(Clinic), bench.fake(FakeRecords), bench.fake(FakeOrders)
    calling = bench.fake(FakeCalling)
    ticket = await calling.call_next(QueueCode("C1-CARD:2026-11-18"), DR_LIN)  # type: ignore[arg-type]  # a staff id
    desk = await opened(bench)
    await clinic.diagnose(HIS_VISIT, "gxy")
    await clinic.diagnose(HIS_VISIT, "E11")
    await order_a_test(bench, desk)

    signed = await clinic.sign(HIS_VISIT, NOTE)

    [[note]] = records.notes.values()
    [group] = orders.groups.values()
    assert (signed.note, signed.group, signed.lines) == (note.note, group.id, 1)
    assert [d.icd10 for d in note.content.diagnoses] == ["I10", "E11.9"]
    assert (note.content.vitals.systolic_mmhg, note.content.vitals.weight_kg) == (158, Decimal(74))
    assert (note.patient, group.patient) == (ZHOU, ZHOU)
    assert group.indication == "高血压；2型糖尿病"
    assert calling.tickets[ticket.id].state is TicketState.SERVED
    after = await clinic.desk(HIS_VISIT)
    assert (after.text, after.diagnoses, after.saved_at) == (NoteText(), (), None)
    assert after.note != desk.note


async def test_a_repeat_prescription_needs_no_note(bench: Bench) -> None:
    """续方：只有医嘱，没有写病历，照样签名。"""
    clinic = bench.client(Clinic)
    await order_a_test(bench, await opened(bench))
    signed = await clinic.sign(HIS_VISIT, NoteText())
    assert (signed.note, signed.lines) == (None, 1)
    assert bench.fake(FakeRecords).notes == {}


async def test_a_signature_sent_again_signs_nothing_twice(bench: Bench) -> None:
    """B07：双击与重试，一份病历、一组医嘱。"""
    clinic = bench.client(Clinic)
    await order_a_test(bench, await opened(bench))
    await clinic.diagnose(HIS_VISIT, "I10")
    key = new_id()
    answers = []
    for _ in range(3):
        with bench.request(key):
            answers.append(await clinic.sign(HIS_VISIT, NOTE))
    assert answers == [answers[0]] * 3
    assert len(bench.fake(FakeRecords).notes) == len(bench.fake(FakeOrders).groups) == 1


@pytest.mark.parametrize(
    ("text", "diagnosed", "refusal"),
    [
        (NOTE.replace(complaint=" "), True, NoteIncomplete),
        (NOTE, False, NoteIncomplete),
        (NOTE.replace(pressure="一百五"), True, VitalUnreadable),
        (NOTE.replace(body="74公斤"), True, VitalUnreadable),
        (NOTE.replace(temperature="36.55.1"), True, VitalUnreadable),
    ],
)
async def test_an_incomplete_note_leaves_the_orders_unsigned_too(
    bench: Bench, text: NoteText, diagnosed: bool, refusal: type[Exception]
) -> None:
    """病历不完整：什么都不签，什么都不丢。"""
    clinic = bench.client(Clinic)
    await order_a_test(bench, await opened(bench))
    if diagnosed:
        await clinic.diagnose(HIS_VISIT, "I10")
    with pytest.raises(refusal):
        await clinic.sign(HIS_VISIT, text)
    assert not bench.fake(FakeOrders).groups
    assert not bench.fake(FakeRecords).notes
    assert await bench.fake(FakeOrders).draft(HIS_VISIT) is not None


async def test_an_empty_desk_has_nothing_to_sign(bench: Bench) -> None:
    await opened(bench)
    with pytest.raises(NothingToSign):
        await bench.client(Clinic).sign(HIS_VISIT, NoteText())


async def test_while_records_is_away_orders_are_signed_and_the_note_stays_a_draft(
    bench: Bench,
) -> None:
    """病历板离线：医嘱照签，病历留作草稿，恢复后再签同一份。"""
    clinic = bench.client(Clinic)
    await order_a_test(bench, await opened(bench))
    await clinic.diagnose(HIS_VISIT, "I10")
    unplug(bench, "records")
    signed = await clinic.sign(HIS_VISIT, NOTE)
    assert (signed.note, signed.lines, signed.note_waits) == (None, 1, True)
    assert (await clinic.desk(HIS_VISIT)).text == NOTE


async def test_while_orders_is_away_the_note_is_signed_and_the_basket_waits(bench: Bench) -> None:
    """医嘱板离线：病历照签。"""
    clinic = bench.client(Clinic)
    await opened(bench)
    await clinic.diagnose(HIS_VISIT, "I10")
    unplug(bench, "orders")
    signed = await clinic.sign(HIS_VISIT, NOTE)
    assert (signed.note is not None, signed.lines, signed.orders_wait) == (True, 0, True)


@pytest.mark.parametrize("away", ["patients", "calling", "encounters"])
async def test_signing_waits_for_no_other_board(bench: Bench, away: str) -> None:
    """叫号、主索引、就诊任一离线，照样写、照样签。"""
    clinic = bench.client(Clinic)
    await order_a_test(bench, await opened(bench))
    unplug(bench, away)
    await opened(bench)  # opened before: found again although encounters is away
    assert (await clinic.sign(HIS_VISIT, NoteText())).lines == 1


async def test_a_visit_never_opened_cannot_be_opened_while_encounters_is_away(
    bench: Bench,
) -> None:
    await bench.client(Clinic).open(HER_VISIT)
    unplug(bench, "encounters")
    with pytest.raises(DeskNotFound):
        await opened(bench)


async def test_diagnoses_are_added_by_what_is_typed_and_the_first_is_the_main_one(
    bench: Bench,
) -> None:
    clinic = bench.client(Clinic)
    await opened(bench)
    for typed in ("gxy", "2xtnb", "I10"):
        await clinic.diagnose(HIS_VISIT, typed)
    desk = await clinic.make_main(HIS_VISIT, "E11.9")
    assert [d.icd10 for d in desk.diagnoses] == ["E11.9", "I10"]
    desk = await clinic.undiagnose(HIS_VISIT, "E11.9")
    assert [d.icd10 for d in desk.diagnoses] == ["I10"]
    with pytest.raises(DiagnosisNotFound):
        await clinic.diagnose(HIS_VISIT, "没有这种病")


async def test_reusing_the_last_note_keeps_what_is_typed_and_takes_no_vital_signs(
    bench: Bench,
) -> None:
    """引用上次：只填空白；主诉与体征是今天的，不引用。"""
    clinic = bench.client(Clinic)
    await opened(bench)
    with pytest.raises(NoEarlierNote):
        await clinic.reuse_note(HIS_VISIT)
    await clinic.diagnose(HIS_VISIT, "I10")
    await clinic.sign(HIS_VISIT, NOTE.replace(past_history="糖尿病 5 年"))

    desk = await clinic.desk(HIS_VISIT)
    await clinic.keep(HIS_VISIT, desk.note, NoteText(plan="今天写的"))
    desk = await clinic.reuse_note(HIS_VISIT)
    assert (desk.text.past_history, desk.text.plan) == ("糖尿病 5 年", "今天写的")
    assert (desk.text.complaint, desk.text.pressure) == ("", "")
    assert [d.icd10 for d in desk.diagnoses] == ["I10"]


async def test_a_desk_of_another_campus_cannot_be_opened(bench: Bench) -> None:
    await opened(bench)
    with bench.acting(campuses=("C2",)), pytest.raises(NotFound):
        await opened(bench)


async def test_a_merged_persons_numbers_are_known_however_the_merges_arrive(bench: Bench) -> None:
    """合并先后乱序、重复，再拆分：面板始终按同一人的全部编号取数。"""
    clinic, third = bench.client(Clinic), PatientId(new_id())
    await opened(bench)
    assert await clinic.person(HIS_VISIT) == (ZHOU,)

    def merge(patient: PatientId, *ids: PatientId) -> PatientMerged:
        return PatientMerged(patient=patient, into=ZHOU, ids=ids, reason="同一人", author="steward")

    await bench.receive(merge(third, ZHOU, SHEN, third))
    await bench.receive(merge(SHEN, ZHOU, SHEN), times=2)  # happened first, told last
    assert set(await clinic.person(HIS_VISIT)) == {ZHOU, SHEN, third}

    apart = PatientUnmerged(
        patient=SHEN, out_of=ZHOU, ids=(SHEN,), reason="不是同一人", author="steward"
    )
    await bench.receive(apart, times=2)
    assert set(await clinic.person(HIS_VISIT)) == {ZHOU, third}
    await opened(bench, HER_VISIT)
    assert await clinic.person(HER_VISIT) == (SHEN,)


async def test_a_desk_costs_few_statements_however_much_is_on_it(bench: Bench) -> None:
    """打开、暂存各两条语句，不随诊断与文字增多。"""
    clinic = bench.client(Clinic)
    desk = await opened(bench)
    for typed in ("I10", "E11.9"):
        await clinic.diagnose(HIS_VISIT, typed)
    with bench.queries(at_most=2):
        await clinic.keep(HIS_VISIT, desk.note, NOTE)
    with bench.queries(at_most=2):
        await opened(bench)
    with bench.queries(at_most=1):
        await clinic.desk(HIS_VISIT)


async def test_old_desks_are_cleared_away(bench: Bench) -> None:
    await opened(bench)
    await bench.clock.advance("2026-12-19 10:24:30")
    await bench.tick()
    with pytest.raises(DeskNotFound):
        await bench.client(Clinic).desk(HIS_VISIT)


STEPS = ("type A", "type B", "sign", "lose the answer of signing")


async def test_whatever_happens_no_text_is_signed_twice_and_none_is_lost(bench: Bench) -> None:
    """The board's invariant, over every sequence of three steps."""
    clinic, records = bench.client(Clinic), bench.fake(FakeRecords)
    for steps in product(STEPS, repeat=3):
        visit = bench.fake(FakeEncounters).visit(ZHOU).id
        await clinic.open(visit)
        await clinic.diagnose(visit, "I10")
        wanted: list[str] = []
        for step in steps:
            await take_step(bench, visit, step, wanted)
        signed = [v[0].content.complaint for v in records.notes.values() if v[0].encounter == visit]
        typed = (await clinic.desk(visit)).text.complaint
        assert [*signed, *([typed] if typed else [])] == wanted


async def take_step(bench: Bench, visit: EncounterId, step: str, wanted: list[str]) -> None:
    """One step; ``wanted`` is every text in the order it must be found, signed or still typed."""
    clinic = bench.client(Clinic)
    desk = await clinic.desk(visit)
    if step.startswith("type"):
        text = NoteText(complaint=f"{step} of note {desk.note}")
        await clinic.keep(visit, desk.note, text)
        if desk.text.complaint:
            wanted.pop()
        wanted.append(text.complaint)
        return
    if not desk.text.complaint:
        with pytest.raises(NothingToSign):
            await clinic.sign(visit, desk.text)
        return
    if not desk.diagnoses:
        await clinic.diagnose(visit, "I10")
    key = new_id()
    for _ in range(2 if step.startswith("lose") else 1):
        with bench.request(key):
            await clinic.sign(visit, desk.text)
