"""A visit as the pharmacy hears of it: what the doctor signed, what the cashier settled."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from plugward.boards.billing.contract import (
    Bill,
    BillSettled,
    BillState,
    BillVoided,
    Category,
    PaidLine,
)
from plugward.boards.drug_store.fakes import FakeDrugStore
from plugward.boards.orders.contract import GroupSigned, LineWithdrawn, OrderGroup, OrderLine
from plugward.boards.orders.contract import WithdrawReason as Why
from plugward.boards.pharmacy.board import board
from plugward.boards.pharmacy.contract import (
    DispenseTask,
    Pharmacy,
    ReservedLines,
    ReserveLines,
    TaskId,
)
from plugward.boards.pharmacy.service import PharmacyService
from plugward.boards.pharmacy.service.prescribing import Drug
from plugward.kernel.testing import Bench, Transport
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
)

C1 = CampusCode("C1")
WINDOW = "2 号窗"
AMLODIPINE, METFORMIN, SIMVASTATIN, ATORVASTATIN = "D0034", "D0171", "D0052", "D0053"
NAMES = {
    AMLODIPINE: "苯磺酸氨氯地平片",
    METFORMIN: "盐酸二甲双胍缓释片",
    SIMVASTATIN: "辛伐他汀片",
    ATORVASTATIN: "阿托伐他汀钙片",
}


def pharmacy_bench(transport: Transport) -> Bench:
    store = FakeDrugStore()  # type: ignore[abstract]  # it has what the pharmacy calls
    return Bench(board, fakes=[store], transport=transport, now="2026-03-02 10:30")


class Visit:
    """MR ZHOU's visit: 周建民, three drugs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.encounter = EncounterId(new_id())
        self.patient = PatientId(new_id())
        self.bill = BillId(new_id())
        self.lines: dict[str, OrderLine] = {}

    @property
    def pharmacy(self) -> Pharmacy:
        return self.bench.client(Pharmacy)

    @property
    def drug_store(self) -> FakeDrugStore:
        return self.bench.fake(FakeDrugStore)

    def line(self, item: str) -> OrderLineId:
        return self.lines[item].id

    async def sign(self, drugs: dict[str, int], *, times: int = 1) -> "Visit":
        """The doctor signs drugs, so many packs of each."""
        group = OrderGroupId(new_id())
        made = tuple(self._order(group, item, quantity) for item, quantity in drugs.items())
        self.lines |= {line.item: line for line in made}
        signed = OrderGroup(
            id=group,
            encounter=self.encounter,
            patient=self.patient,
            campus=C1,
            department=DepartmentCode("C1-CARD"),
            author="staff:lin",
            signed_at=datetime(2026, 3, 2, 2, 26, tzinfo=UTC),
            indication="高血压 3 级；2 型糖尿病",
            lines=made,
        )
        await self.bench.receive(GroupSigned(group=signed, charges=()), times=times)
        return self

    async def withdraw(self, item: str) -> None:
        await self.bench.receive(
            LineWithdrawn(
                line=self.lines[item],
                reason=Why.CONDITION_CHANGED,
                withdrawn_by="staff:lin",
                withdrawn_at=self.bench.clock.now(),
            )
        )

    async def reserve(self, *items: str, bill: BillId | None = None) -> ReservedLines:
        return await self.pharmacy.reserve(
            ReserveLines(
                bill=bill or self.bill,
                encounter=self.encounter,
                campus=C1,
                lines=tuple(self.line(item) for item in items or self.lines),
            )
        )

    async def settle(self, *items: str, times: int = 1) -> None:
        """The cashier has the money."""
        paid = tuple(self._paid(item) for item in items or self.lines)
        settled = BillSettled(bill=self._bill(BillState.SETTLED), lines=paid, legs=())
        await self.bench.receive(settled, times=times, id=new_id())

    async def void(self) -> None:
        await self.bench.receive(BillVoided(bill=self._bill(BillState.VOIDED), lines=()))

    async def paid(self, drugs: dict[str, int]) -> "Visit":
        """Signed, reserved and paid."""
        await self.sign(drugs)
        await self.reserve()
        await self.settle()
        return self

    async def task(self) -> DispenseTask:
        found = await self.pharmacy.queue(C1)
        return next(task for task in found if task.encounter == self.encounter)

    async def scan_all(self, task: TaskId) -> None:
        for line in (await self.pharmacy.task(task)).lines:
            for _ in range(line.open - line.scanned):
                await self.pharmacy.scan(task, line.item)

    async def hand_out(self) -> DispenseTask:
        """Call, scan everything, dispense."""
        task = await self.pharmacy.call((await self.task()).id, WINDOW)
        await self.scan_all(task.id)
        return await self.pharmacy.dispense(task.id)

    async def know_drugs(self, controlled: tuple[str, ...] = ()) -> None:
        await self.bench.ready()
        service: PharmacyService = self.bench.service
        for item, name in NAMES.items():
            await service.note_drug(
                Drug(item=item, name_zh=name, spec="20mg*7片", is_controlled=item in controlled)
            )

    def _order(self, group: OrderGroupId, item: str, quantity: int) -> OrderLine:
        return OrderLine(
            id=OrderLineId(new_id()),
            kind=OrderKind.DRUG,
            item=item,
            quantity=quantity,
            dose=Decimal("5"),
            dose_unit="mg",
            route="PO",
            frequency="QD",
            days=28,
            group=group,
            encounter=self.encounter,
            patient=self.patient,
            campus=C1,
            name_zh=NAMES[item],
            name_en=item,
            spec="5mg*28片",
            unit="盒",
        )

    def _bill(self, state: BillState) -> Bill:
        now = self.bench.clock.now()
        return Bill(
            id=self.bill,
            encounter=self.encounter,
            campus=C1,
            state=state,
            total=Money(fen=9272),
            fund=ZERO,
            supplement=ZERO,
            self_pay=Money(fen=9272),
            opened_at=now,
            opened_by="staff:gu",
            expires_at=now,
            settled_at=now,
        )

    def _paid(self, item: str) -> PaidLine:
        line = self.lines[item]
        return PaidLine(
            charge=_charge(line.id),
            line=line.id,
            category=Category.DRUG,
            item=item,
            quantity=Decimal(line.quantity),
            amount=Money(fen=100),
        )


def _charge(line: UUID) -> ChargeId:
    return ChargeId(line)


LAST_DAY = date(2026, 3, 2)
