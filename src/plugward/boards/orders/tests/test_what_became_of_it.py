"""What other boards' facts make of a signed line, told as the patient's way through the house."""

from datetime import date
from decimal import Decimal

import pytest

from plugward.boards.billing.contract import (
    Bill,
    BillSettled,
    BillState,
    Category,
    PaidLine,
)
from plugward.boards.encounters.fakes import FakeEncounters
from plugward.boards.lab.contract import (
    Report,
    ReportIssued,
    ReportState,
    ReportWithdrawn,
    Specimen,
    SpecimenCollected,
    SpecimenState,
)
from plugward.boards.orders.board import board
from plugward.boards.orders.contract import (
    AlreadyCarriedOut,
    LineState,
    OrderGroup,
    OrderLine,
    Orders,
    WithdrawReason,
)
from plugward.boards.pharmacy.contract import (
    DispensedLine,
    DispenseTask,
    DrugReturn,
    LineUnsupplied,
    PrescriptionDispensed,
    PrescriptionReturned,
    ReturnedLine,
    ReturnId,
    TaskId,
    TaskState,
)
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import ZERO
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    BillId,
    ChargeId,
    OrderKind,
    OrderLineId,
    PrescriptionId,
    ReportId,
    SpecimenId,
)

from .test_signing import C1, CATALOGUE, HIS_VISIT, ZHOU_JIANMIN, amlodipine, group_of, test_of

NOON = hospital_time("2026-11-18 12:00")
CARDIOLOGY = group_of().department
BILL = Bill(
    id=BillId(new_id()),
    encounter=HIS_VISIT,
    campus=C1,
    state=BillState.SETTLED,
    total=ZERO,
    fund=ZERO,
    supplement=ZERO,
    self_pay=ZERO,
    opened_at=NOON,
    opened_by="staff:cashier",
    expires_at=NOON,
)
TASK = DispenseTask(
    id=TaskId(new_id()),
    number="Y118",
    day=date(2026, 11, 18),
    campus=C1,
    prescription=PrescriptionId(new_id()),
    bill=BILL.id,
    encounter=HIS_VISIT,
    patient=ZHOU_JIANMIN,
    patient_name="周建民",
    state=TaskState.DISPENSED,
    paid_at=NOON,
    packs=2,
)


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    encounters = FakeEncounters()
    encounters.visit(ZHOU_JIANMIN, id=HIS_VISIT)
    made = Bench(board, fakes=[encounters], transport=request.param, now="2026-11-18 10:24:30")
    for fact in CATALOGUE:
        await made.receive(fact)
    return made


async def signed(bench: Bench) -> OrderGroup:
    """Two packs of amlodipine and one HbA1c."""
    return await bench.client(Orders).sign(
        group_of(amlodipine(quantity=2), test_of(OrderKind.LAB, "L0026"))
    )


def paid(*lines: OrderLine) -> BillSettled:
    fee = PaidLine(
        charge=ChargeId(new_id()),
        line=None,
        category=Category.REGISTRATION,
        item="RF02",
        quantity=Decimal(1),
        amount=ZERO,
    )
    return BillSettled(
        bill=BILL,
        lines=(
            fee,
            *(fee.replace(line=line.id, item=line.item, category=Category.DRUG) for line in lines),
        ),
        legs=(),
    )


def dispensed(line: OrderLine) -> PrescriptionDispensed:
    given = DispensedLine(
        line=line.id, item=line.item, name_zh=line.name_zh, quantity=2, reservation=None
    )
    return PrescriptionDispensed(task=TASK, lines=(given,))


def returned(line: OrderLine, packs: int) -> PrescriptionReturned:
    back = ReturnedLine(
        line=line.id, item=line.item, name_zh=line.name_zh, quantity=packs, reservation=None
    )
    return PrescriptionReturned(
        document=DrugReturn(
            id=ReturnId(new_id()),
            task=TASK.id,
            encounter=HIS_VISIT,
            patient=ZHOU_JIANMIN,
            campus=C1,
            lines=(back,),
            reason="未拆封",
            approved_by="staff:tester",
            taken_by="staff:pharmacist",
            at=NOON,
        )
    )


def unsupplied(line: OrderLine, packs: int) -> LineUnsupplied:
    return LineUnsupplied(
        encounter=HIS_VISIT,
        campus=C1,
        line=line.id,
        item=line.item,
        name_zh=line.name_zh,
        quantity=packs,
        reason="缺药",
    )


def collected(line: OrderLine) -> SpecimenCollected:
    return SpecimenCollected(
        specimen=Specimen(
            id=SpecimenId(new_id()),
            barcode="C1261118000001",
            encounter=HIS_VISIT,
            patient=ZHOU_JIANMIN,
            campus=C1,
            department=CARDIOLOGY,
            author="staff:tester",
            requests=(line.id,),
            title_zh="糖化血红蛋白",
            title_en="HbA1c",
            container="紫管",
            is_urgent=False,
            state=SpecimenState.COLLECTED,
            collected_by="staff:nurse",
            collected_at=NOON,
        )
    )


def report(line: OrderLine, replaced_by: ReportId | None = None) -> Report:
    return Report(
        id=ReportId(new_id()),
        number="26111800001",
        version=1,
        specimen=SpecimenId(new_id()),
        barcode="C1261118000001",
        encounter=HIS_VISIT,
        patient=ZHOU_JIANMIN,
        campus=C1,
        department=CARDIOLOGY,
        author="staff:tester",
        requests=(line.id,),
        title_zh="糖化血红蛋白",
        title_en="HbA1c",
        indication="",
        results=(),
        state=ReportState.ISSUED,
        collected_at=NOON,
        received_at=NOON,
        entered_by="staff:technician",
        verified_by="staff:colleague",
        issued_at=NOON,
        content_hash="",
        replaced_by=replaced_by,
    )


async def state_of(bench: Bench, line: OrderLineId) -> LineState:
    return (await bench.client(Orders).line(line)).state


async def test_a_paid_and_dispensed_drug_cannot_be_withdrawn(bench: Bench) -> None:
    """缴费 → 已缴费，仍可撤回；发药 → 已发药，不能撤回。事件重复也一样。"""
    drug, test = (await signed(bench)).lines
    await bench.receive(paid(drug), times=2)
    assert await state_of(bench, drug.id) is LineState.PAID
    assert await state_of(bench, test.id) is LineState.SIGNED

    await bench.receive(dispensed(drug), times=2)
    await bench.receive(paid(drug))  # late, or told again
    assert await state_of(bench, drug.id) is LineState.DISPENSED
    with pytest.raises(AlreadyCarriedOut):
        await bench.client(Orders).withdraw(drug.id, WithdrawReason.CONDITION_CHANGED)


async def test_what_was_withdrawn_stays_so_although_it_is_paid_meanwhile(bench: Bench) -> None:
    """撤回与缴费同时发生：医嘱仍是已撤回，由收费退款。"""
    drug, _ = (await signed(bench)).lines
    await bench.client(Orders).withdraw(drug.id, WithdrawReason.ENTERED_BY_MISTAKE)
    await bench.receive(paid(drug))
    assert await state_of(bench, drug.id) is LineState.WITHDRAWN


async def test_a_drug_is_returned_when_all_of_it_came_back(bench: Bench) -> None:
    """退一盒仍是已发药，全退才是已退药。"""
    drug, _ = (await signed(bench)).lines
    await bench.receive(dispensed(drug))
    await bench.receive(returned(drug, 1))
    assert await state_of(bench, drug.id) is LineState.DISPENSED
    await bench.receive(returned(drug, 2))
    assert await state_of(bench, drug.id) is LineState.RETURNED


async def test_a_drug_that_cannot_be_supplied_at_all_is_marked_so(bench: Bench) -> None:
    drug, _ = (await signed(bench)).lines
    await bench.receive(paid(drug))
    await bench.receive(unsupplied(drug, 1))
    assert await state_of(bench, drug.id) is LineState.PAID
    await bench.receive(unsupplied(drug, 2))
    assert await state_of(bench, drug.id) is LineState.UNSUPPLIED


async def test_an_urgent_specimen_is_taken_before_anybody_has_paid(bench: Bench) -> None:
    """急查先采样：已执行；报告发出 → 已报告；报告撤回且无新版 → 回到已执行。"""
    _, test = (await signed(bench)).lines
    await bench.receive(collected(test))
    assert await state_of(bench, test.id) is LineState.PERFORMED
    await bench.receive(paid(test))
    assert await state_of(bench, test.id) is LineState.PERFORMED
    await bench.receive(ReportIssued(report=report(test)))
    assert await state_of(bench, test.id) is LineState.REPORTED
    await bench.receive(
        ReportWithdrawn(report=report(test, replaced_by=ReportId(new_id())), readers=())
    )
    assert await state_of(bench, test.id) is LineState.REPORTED
    await bench.receive(ReportWithdrawn(report=report(test), readers=()))
    assert await state_of(bench, test.id) is LineState.PERFORMED
    await bench.prove()
