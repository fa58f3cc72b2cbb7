"""A campus's laboratory behind HL7: what goes out, what comes back, and what is refused.

申请只在可以开始时送出，且只送一次；结果只收给申请的那位患者。
"""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from plugward.boards.billing.contract import (
    Bill,
    BillSettled,
    BillState,
    Category,
    PaidLine,
    Refund,
    RefundId,
    RefundLine,
    RefundMade,
    RefundState,
)
from plugward.boards.encounters.contract import (
    Encounter,
    EncounterArrived,
    EncounterKind,
    EncounterState,
)
from plugward.boards.lab.contract import (
    Collect,
    CriticalAcknowledged,
    CriticalEscalated,
    CriticalRaised,
    Flag,
    Lab,
    ReportIssued,
    ReportWithdrawn,
    RequestState,
    Result,
    SpecimenCollected,
)
from plugward.boards.orders.contract import (
    GroupSigned,
    LineWithdrawn,
    OrderGroup,
    OrderLine,
    WithdrawReason,
)
from plugward.boards.patients.contract import RegisterPatient
from plugward.boards.patients.fakes import FakePatients
from plugward.kernel.refusals import NotOffered, Unavailable
from plugward.kernel.testing import TRANSPORTS, Bench, a_tester
from plugward.kit.ids import new_id
from plugward.kit.money import ZERO, Money
from plugward.vocabulary import (
    BillId,
    CampusCode,
    ChargeId,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    ReportId,
    Sex,
    SpecimenId,
)
from plugward_lab_hl7.board import board
from plugward_lab_hl7.contract import (
    LabHl7,
    OutsideReport,
    PlacerUnknown,
    Progress,
    TestCancelled,
    TestsPlaced,
    WrongPatient,
)

C2 = CampusCode("C2")
GHB, UACR, UNMAPPED = "L0026", "L0162", "L9999"


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    made = Bench(board, fakes=[FakePatients()], transport=request.param, now="2026-03-02 09:00")
    made.actor = a_tester(campuses=("C2",))
    return made


def an_emergency(visit: "Visit") -> Encounter:
    return Encounter(
        id=visit.encounter, patient=visit.patient, patient_name="沈玉兰", campus=C2,
        department=DepartmentCode("C2-EMER"), kind=EncounterKind.EMERGENCY,
        day=date(2026, 3, 2), state=EncounterState.ARRIVED,
    )  # fmt: skip


def settled(visit: "Visit", group: OrderGroup) -> BillSettled:
    now = visit.bench.clock.now()
    bill = Bill(
        id=BillId(new_id()), encounter=visit.encounter, campus=C2, state=BillState.SETTLED,
        total=ZERO, fund=ZERO, supplement=ZERO, self_pay=ZERO, opened_at=now,
        opened_by="staff:cashier", expires_at=now,
    )  # fmt: skip
    lines = tuple(
        PaidLine(
            charge=ChargeId(new_id()), line=line.id, category=Category.LAB, item="",
            quantity=Decimal(1), amount=Money(fen=800),
        )
        for line in group.lines
    )  # fmt: skip
    return BillSettled(bill=bill, lines=lines, legs=())


def refunded(visit: "Visit", group: OrderGroup) -> RefundMade:
    lines = tuple(
        RefundLine(
            charge=ChargeId(new_id()), line=line.id, category=Category.LAB, item="",
            units=1, amount=Money(fen=800), fund=ZERO, supplement=ZERO, self_pay=ZERO,
        )
        for line in group.lines
    )  # fmt: skip
    refund = Refund(
        id=RefundId(new_id()), bill=BillId(new_id()), encounter=visit.encounter, campus=C2,
        number="R1", state=RefundState.DONE, amount=ZERO, fund=ZERO, supplement=ZERO,
        self_pay=ZERO, rounding=ZERO, lines=lines, reason="退费", asked_by="staff:cashier",
        asked_at=visit.bench.clock.now(),
    )  # fmt: skip
    return RefundMade(refund=refund, legs=())


class Visit:
    """A patient of campus C2 whose doctor orders tests."""

    def __init__(self, bench: Bench, name: str = "沈玉兰") -> None:
        self.bench = bench
        self.name = name
        self.patient = PatientId(new_id())
        self.encounter = EncounterId(new_id())
        self.number = ""

    async def arrive(self) -> "Visit":
        fake: Any = self.bench.fake(FakePatients)
        registered = await fake.register(
            RegisterPatient(id=self.patient, campus=C2, name=self.name, sex=Sex.FEMALE)
        )
        self.number = registered.patient.local_number(C2)
        return self

    def group(self, *items: str, urgent: bool = False) -> OrderGroup:
        group = OrderGroupId(new_id())
        lines = tuple(
            OrderLine(
                id=OrderLineId(new_id()), kind=OrderKind.LAB, item=item, is_urgent=urgent,
                group=group, encounter=self.encounter, patient=self.patient, campus=C2,
                name_zh=item, name_en=item, spec="", unit="次",
            )
            for item in items
        )  # fmt: skip
        return OrderGroup(
            id=group, encounter=self.encounter, patient=self.patient, campus=C2,
            department=DepartmentCode("C2-ENDO"), author="staff:li", lines=lines,
            indication="2型糖尿病", signed_at=self.bench.clock.now(),
        )  # fmt: skip

    async def order(self, *items: str, urgent: bool = True) -> OrderGroup:
        group = self.group(*items, urgent=urgent)
        await self.bench.receive(GroupSigned(group=group, charges=()), times=2)
        return group

    @property
    def sent(self) -> list[str]:
        """The codes that went out."""
        return [r.code for e in self.bench.published(TestsPlaced) for r in e.requests]

    def placer(self) -> str:
        return self.bench.published(TestsPlaced)[-1].requests[0].placer

    def told(self, **changes: Any) -> OutsideReport:
        """What the other system says of the last request; ``value`` and ``flag`` of its result."""
        flag, value = changes.pop("flag", Flag.HIGH), changes.pop("value", "7.1")
        result = Result(
            item="GHB1", value=value, name_zh="糖化血红蛋白", name_en="HbA1c", loinc="",
            unit="%", low=Decimal("4.0"), high=Decimal("6.0"), flag=flag,
        )  # fmt: skip
        told = OutsideReport(
            id=ReportId(new_id()), placer=self.placer(), number="L1", barcode="", results=(result,),
            foreign_patient="B000001", our_patient=self.number, progress=Progress.FINAL,
            verified_by="王检验", measured_at=None, source="system:LIS-C2",
        )  # fmt: skip
        return told.replace(**changes)


async def test_a_request_goes_out_once_when_it_may_start(bench: Bench) -> None:
    """先缴费后送出：未缴费不送，急诊直接送，重复事实只送一次。"""
    visit = await Visit(bench).arrive()
    await visit.order(GHB, urgent=False)
    assert visit.sent == []
    await visit.order(UACR, urgent=True)
    assert visit.sent == ["UACR"]
    with bench.acting(campuses=("C2",)):
        await bench.client(Lab).credit(visit.encounter, "绿色通道")
    assert visit.sent == ["UACR", "GHB1"]
    assert len({r.placer for e in bench.published(TestsPlaced) for r in e.requests}) == 2
    assert all(len(r.placer) <= 12 for e in bench.published(TestsPlaced) for r in e.requests)


async def test_money_sends_a_request_whichever_is_known_first(bench: Bench) -> None:
    """缴费先到、医嘱后到也送出；未送出前退费则不送。"""
    visit = await Visit(bench).arrive()
    early, late = visit.group(GHB), visit.group(UACR)
    await bench.receive(settled(visit, early), times=2)
    await bench.receive(GroupSigned(group=early, charges=()))
    assert visit.sent == ["GHB1"]
    await bench.receive(settled(visit, late))
    await bench.receive(refunded(visit, late), times=2)
    await bench.receive(GroupSigned(group=late, charges=()))
    assert visit.sent == ["GHB1"]
    await bench.receive(settled(visit, late), times=2)
    assert visit.sent == ["GHB1", "UACR"]


async def test_an_emergency_that_arrived_before_its_orders_has_credit(bench: Bench) -> None:
    visit = await Visit(bench).arrive()
    await bench.receive(EncounterArrived(encounter=an_emergency(visit)), times=2)
    await visit.order(GHB, urgent=False)
    assert visit.sent == ["GHB1"]


async def test_an_item_the_other_system_has_no_code_for_stays_and_is_listed(bench: Bench) -> None:
    """没有对照的项目绝不默默丢失：不送出，稽核列出。"""
    visit = await Visit(bench).arrive()
    await visit.order(UNMAPPED)
    assert visit.sent == []
    assert [r.state for r in await bench.client(Lab).requests_of(visit.encounter)] == [
        RequestState.REQUESTED
    ]
    [listed] = [p for p in await bench.runtime.prove() if p.id == "L3"]
    assert len(listed.finding.breaches) == 1


async def test_a_withdrawn_line_is_cancelled_there_only_if_it_went_there(bench: Bench) -> None:
    visit = await Visit(bench).arrive()
    waiting, sent = await visit.order(GHB, urgent=False), await visit.order(UACR)
    for group in (waiting, sent):
        [line] = group.lines
        fact = LineWithdrawn(
            line=line, reason=WithdrawReason.ENTERED_BY_MISTAKE, withdrawn_by="staff:li",
            withdrawn_at=bench.clock.now(),
        )  # fmt: skip
        await bench.receive(fact, times=2)
    [cancelled] = bench.published(TestCancelled)
    assert cancelled.request.id == sent.lines[0].id


async def test_a_report_is_issued_once_however_often_it_is_told(bench: Bench) -> None:
    visit = await Visit(bench).arrive()
    group = await visit.order(GHB)
    told, request = visit.told(), new_id()
    for _ in range(2):
        with bench.request(request):
            await bench.client(LabHl7).take(told)
    await bench.client(LabHl7).take(told.replace(id=ReportId(new_id())))  # another message
    [issued] = bench.published(ReportIssued)
    [collected] = bench.published(SpecimenCollected)
    assert issued.report.requests == collected.specimen.requests == (group.lines[0].id,)
    assert (issued.report.version, issued.report.results[0].value) == (1, "7.1")
    with bench.queries(at_most=1):
        [line] = await bench.client(Lab).reports_of((visit.patient,))
    assert (line.abnormal, line.critical) == (1, 0)
    await bench.prove()


async def test_word_that_the_work_has_begun_protects_the_line_and_issues_nothing(
    bench: Bench,
) -> None:
    visit = await Visit(bench).arrive()
    group = await visit.order(GHB)
    await bench.client(LabHl7).take(visit.told(progress=Progress.WORKING, results=()))
    assert bench.published(ReportIssued) == []
    assert len(bench.published(SpecimenCollected)) == 1
    await bench.receive(
        LineWithdrawn(
            line=group.lines[0],
            reason=WithdrawReason.ENTERED_BY_MISTAKE,
            withdrawn_by="staff:li",
            withdrawn_at=bench.clock.now(),
        )
    )
    assert bench.published(TestCancelled) == []


async def test_a_correction_is_a_new_version_and_whoever_read_the_old_one_is_told(
    bench: Bench,
) -> None:
    visit = await Visit(bench).arrive()
    await visit.order(GHB)
    first = await bench.client(LabHl7).take(visit.told())
    assert first is not None
    await bench.client(Lab).report(first.id)
    second = await bench.client(LabHl7).take(visit.told(value="6.1", progress=Progress.CORRECTED))
    assert second is not None
    assert (second.version, second.replaces) == (2, first.id)
    [withdrawn] = bench.published(ReportWithdrawn)
    assert (withdrawn.report.replaced_by, withdrawn.readers) == (second.id, ("staff:tester",))
    [told] = await bench.client(Lab).withdrawals_for_me()
    assert told.report == first.id
    await bench.client(Lab).notice_withdrawal(first.id)
    assert await bench.client(Lab).withdrawals_for_me() == ()
    await bench.client(LabHl7).take(visit.told(progress=Progress.WRONG, results=()))
    assert await bench.client(Lab).reports_of((visit.patient,)) == ()
    third = await bench.client(LabHl7).take(visit.told(value="6.2"))
    assert third is not None
    assert third.version == 3
    await bench.prove()


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.replace(our_patient="C2-999999"),
        lambda told: told.replace(foreign_patient="B000009"),
    ],
)
async def test_a_result_is_taken_for_the_requests_patient_and_nobody_else(
    bench: Bench, change: Callable[[OutsideReport], OutsideReport]
) -> None:
    """换人的结果拒收：本院号不符，或对方号一直指另一位患者。"""
    other = await Visit(bench, "陈建国").arrive()
    await other.order(GHB)
    await bench.client(LabHl7).take(other.told(foreign_patient="B000009"))
    visit = await Visit(bench).arrive()
    await visit.order(GHB)
    with pytest.raises(WrongPatient):
        await bench.client(LabHl7).take(change(visit.told()))
    assert await bench.client(Lab).reports_of((visit.patient,)) == ()
    with pytest.raises(PlacerUnknown):
        await bench.client(LabHl7).take(visit.told(placer="C2Q99999999"))


async def test_a_critical_value_is_escalated_until_a_clinician_takes_it_over(bench: Bench) -> None:
    visit = await Visit(bench).arrive()
    await visit.order(GHB)
    await bench.client(LabHl7).take(visit.told(value="18.0", flag=Flag.CRITICAL_HIGH))
    [raised] = bench.published(CriticalRaised)
    await bench.clock.advance(timedelta(minutes=10))
    await bench.tick()
    await bench.tick()
    assert [e.critical.level for e in bench.published(CriticalEscalated)] == [1]
    await bench.client(Lab).acknowledge(raised.critical.id, "已通知医生")
    assert len(bench.published(CriticalAcknowledged)) == 1
    assert await bench.client(Lab).critical_values(C2) == ()


async def test_what_the_other_system_does_itself_is_refused_in_words(bench: Bench) -> None:
    with pytest.raises(NotOffered):
        await bench.client(Lab).collect(Collect(id=SpecimenId(new_id()), requests=()))


async def test_without_the_patient_index_a_result_is_kept_by_the_sender(bench: Bench) -> None:
    visit = await Visit(bench).arrive()
    await visit.order(GHB)
    bench.detach(FakePatients)
    with pytest.raises(Unavailable):
        await bench.client(LabHl7).take(visit.told())
    assert bench.published(ReportIssued) == []
