"""What the scenarios share: patients, a doctor's signature, a technician's hands."""

from decimal import Decimal

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
from plugward.boards.lab.board import board
from plugward.boards.lab.contract import (
    Collect,
    EnterResults,
    Lab,
    NewResult,
    Report,
    Specimen,
)
from plugward.boards.orders.contract import GroupSigned, OrderGroup, OrderLine
from plugward.boards.patients.contract import AllergyState, Coverage, Patient, PatientRegistered
from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel.testing import Bench, Transport
from plugward.kit.ids import new_id
from plugward.kit.money import ZERO, Money
from plugward.kit.time import hospital_date
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

POTASSIUM, SODIUM, HAEMOGLOBIN, HBA1C, HBSAG = "L0033", "L0032", "L0003", "L0026", "L0114"
C1, C2 = CampusCode("C1"), CampusCode("C2")
CARDIOLOGY = DepartmentCode("C1-CARD")
DR_LIN = "staff:lin"

CATALOGUE = (
    *seeded(Domain.LAB_ITEM, POTASSIUM, SODIUM, HAEMOGLOBIN, HBA1C, HBSAG, "L0034", "L0035"),
    *seeded(Domain.LAB_PANEL, "ELEC", "CBC", "INFE", "GLU"),
)


class Person:
    """A patient with one visit at campus 1."""

    def __init__(self, name: str, sex: Sex = Sex.MALE) -> None:
        self.id = PatientId(new_id())
        self.encounter = EncounterId(new_id())
        self.name, self.sex = name, sex


class Ward:
    """The laboratory on its bench, open for business."""

    def __init__(self, transport: Transport = Transport.STRICT, **settings: bool | int) -> None:
        self.bench = Bench(
            board, transport=transport, now="2026-03-02 09:00", settings=dict(settings)
        )
        self.lab = self.bench.client(Lab)

    async def open(
        self, *people: Person, catalogue: tuple[EntryPublished, ...] = CATALOGUE
    ) -> None:
        for fact in catalogue:
            await self.bench.receive(fact)
        for person in people:
            await self.bench.receive(PatientRegistered(patient=patient_of(person, self)))

    async def order(
        self,
        person: Person,
        *items: str,
        is_urgent: bool = False,
        is_paid: bool = True,
        campus: CampusCode = C1,
    ) -> tuple[OrderLineId, ...]:
        """The doctor signs laboratory lines; unless said otherwise they are paid at once."""
        group = group_of(person, items, self, is_urgent, campus)
        await self.bench.receive(GroupSigned(group=group, charges=()))
        lines = tuple(line.id for line in group.lines)
        if is_paid:
            await self.pay(person, *lines)
        return lines

    async def pay(self, person: Person, *lines: OrderLineId, times: int = 1) -> None:
        await self.bench.receive(_settled(person, lines, self), times=times)

    async def refund(self, person: Person, *lines: OrderLineId) -> None:
        await self.bench.receive(_refunded(person, lines, self))

    async def arrives_as_emergency(self, person: Person) -> None:
        await self.bench.receive(EncounterArrived(encounter=_emergency(person, self)))

    async def draw(self, *lines: OrderLineId) -> Specimen:
        specimen = await self.lab.collect(Collect(id=SpecimenId(new_id()), requests=lines))
        return await self.lab.receive(specimen.barcode)

    async def measure(self, specimen: Specimen, **values: str) -> None:
        await self.lab.enter(
            EnterResults(
                specimen=specimen.id,
                results=tuple(NewResult(item=item, value=v) for item, v in values.items()),
            )
        )

    async def report(self, person: Person, item: str, value: str) -> Report:
        """Order, draw, measure and verify one test."""
        specimen = await self.draw(*await self.order(person, item))
        await self.measure(specimen, **{item: value})
        return await self.lab.verify(specimen.id, ReportId(new_id()))


def patient_of(person: Person, ward: Ward) -> Patient:
    return Patient(
        id=person.id,
        person=person.id,
        name=person.name,
        pinyin="",
        sex=person.sex,
        birth_date=None,
        identifiers=(),
        local_numbers=(),
        contacts=(),
        coverage=Coverage(),
        allergy_state=AllergyState.NOT_ASKED,
        allergies=(),
        campus=C1,
        registered_at=ward.bench.clock.now(),
    )


def group_of(
    person: Person, items: tuple[str, ...], ward: Ward, is_urgent: bool, campus: CampusCode
) -> OrderGroup:
    group = OrderGroupId(new_id())
    lines = tuple(
        OrderLine(
            id=OrderLineId(new_id()),
            kind=OrderKind.LAB,
            item=item,
            is_urgent=is_urgent,
            group=group,
            encounter=person.encounter,
            patient=person.id,
            campus=campus,
            name_zh=item,
            name_en=item,
            spec="",
            unit="次",
        )
        for item in items
    )
    return OrderGroup(
        id=group,
        encounter=person.encounter,
        patient=person.id,
        campus=campus,
        department=CARDIOLOGY,
        author=DR_LIN,
        signed_at=ward.bench.clock.now(),
        indication="高血压 3 级",
        lines=lines,
    )


def _settled(person: Person, lines: tuple[OrderLineId, ...], ward: Ward) -> BillSettled:
    now = ward.bench.clock.now()
    bill = Bill(
        id=BillId(new_id()),
        encounter=person.encounter,
        campus=C1,
        state=BillState.SETTLED,
        total=ZERO,
        fund=ZERO,
        supplement=ZERO,
        self_pay=ZERO,
        opened_at=now,
        opened_by="staff:cashier",
        expires_at=now,
    )
    paid = tuple(
        PaidLine(
            charge=ChargeId(new_id()),
            line=line,
            category=Category.LAB,
            item="",
            quantity=Decimal(1),
            amount=Money(fen=800),
        )
        for line in lines
    )
    return BillSettled(bill=bill, lines=paid, legs=())


def _refunded(person: Person, lines: tuple[OrderLineId, ...], ward: Ward) -> RefundMade:
    refund = Refund(
        id=RefundId(new_id()),
        bill=BillId(new_id()),
        encounter=person.encounter,
        campus=C1,
        number="R1",
        state=RefundState.DONE,
        amount=ZERO,
        fund=ZERO,
        supplement=ZERO,
        self_pay=ZERO,
        rounding=ZERO,
        lines=tuple(
            RefundLine(
                charge=ChargeId(new_id()),
                line=line,
                category=Category.LAB,
                item="",
                units=1,
                amount=ZERO,
                fund=ZERO,
                supplement=ZERO,
                self_pay=ZERO,
            )
            for line in lines
        ),
        reason="患者不接受",
        asked_by="staff:cashier",
        asked_at=ward.bench.clock.now(),
    )
    return RefundMade(refund=refund, legs=())


def _emergency(person: Person, ward: Ward) -> Encounter:
    return Encounter(
        id=person.encounter,
        patient=person.id,
        patient_name=person.name,
        campus=C1,
        department=DepartmentCode("C1-EM"),
        kind=EncounterKind.EMERGENCY,
        day=hospital_date(ward.bench.clock.now()),
        state=EncounterState.ARRIVED,
    )
