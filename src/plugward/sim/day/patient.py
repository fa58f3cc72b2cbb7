"""Patients 患者: come, take a number, pay, wait, are seen, pay again, collect and go home."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from plugward.boards.billing.contract import (
    Account,
    BillState,
    LegId,
    LineState,
    OpenBill,
    Pay,
)
from plugward.boards.billing.contract import (
    Channel as MoneyChannel,
)
from plugward.boards.orders.contract import NewLine
from plugward.boards.patients.contract import (
    ID_CARD,
    Contact,
    ContactKind,
    Coverage,
    CoverageKind,
    RegisterPatient,
)
from plugward.boards.registration.contract import (
    ArrivalMarks,
    BookAppointment,
    Channel,
    NoneLeft,
    Slot,
)
from plugward.kernel.refusals import Refusal
from plugward.kit.time import Instant
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    ChargeId,
    DepartmentCode,
    EncounterId,
    Identifier,
    OrderKind,
    PatientId,
    SlotId,
    StaffId,
)

from ..people import Person
from .hospital import Hospital

LOOK_S = 20
PATIENCE = timedelta(hours=4)
EARLY = timedelta(minutes=25)
OLD_SYSTEM_CAMPUS = "C1"
ANNOUNCED = 4  # one patient in so many
TRIES_MAX = 3
# Shares of patients: assumptions, not measurements.
RETURN_VISITS = 0.1
AWAY_WHEN_CALLED = 0.03
BACK_A_MINUTE = 0.1


class Visit:
    """One visit as everybody in the hospital sees it with their own eyes."""

    def __init__(self, person: Person, campus: CampusCode, department: DepartmentCode) -> None:
        self.person = person
        self.campus = campus
        self.department = department
        self.patient = PatientId(person.id)
        self.encounter = EncounterId(person.id)
        self.doctor: StaffId | None = None
        self.checked_in_at: Instant | None = None
        self.seen_at: Instant | None = None
        self.lines: tuple[NewLine, ...] = ()
        self.comes_back = False
        self.told_to_return = False
        self.is_elsewhere = False
        self.is_finished = False
        self.has_drugs = False
        self.is_paid = False  # what the doctor ordered
        self.results_due = 0
        self.is_back = False  # with results, in the queue again

    @property
    def waited_s(self) -> float:
        assert self.seen_at is not None
        assert self.checked_in_at is not None
        return (self.seen_at - self.checked_in_at).total_seconds()

    @property
    def waits_for_drugs(self) -> bool:
        return self.is_paid and not self.has_drugs and self.wants(OrderKind.DRUG)

    @property
    def is_owed(self) -> bool:
        """Whether drugs or results are to come."""
        return self.waits_for_drugs or (self.is_paid and self.results_due > 0)

    def wants(self, kind: OrderKind) -> bool:
        return any(line.kind is kind for line in self.lines)


class Visits:
    """Who is in the house."""

    def __init__(self) -> None:
        self._by_encounter: dict[UUID, Visit] = {}
        self._at_doctor: dict[StaffId, list[Visit]] = defaultdict(list)
        self._at_campus: dict[CampusCode, list[Visit]] = defaultdict(list)

    def add(self, visit: Visit) -> None:
        self._by_encounter[visit.encounter] = visit
        assert visit.doctor is not None
        self._at_doctor[visit.doctor].append(visit)
        self._at_campus[visit.campus].append(visit)

    def of(self, encounter: EncounterId) -> Visit | None:
        return self._by_encounter.get(encounter)

    def has_drugs(self, encounter: EncounterId) -> None:
        if (visit := self.of(encounter)) is not None:
            visit.has_drugs = True

    def somebody_for(self, doctor: StaffId) -> bool:
        """Whether the hall has somebody for this doctor, as a glance at the screen tells."""
        return any(
            v.checked_in_at is not None and (v.seen_at is None or v.is_back)
            for v in self._unfinished(doctor)
        )

    def drugs_due(self, campus: CampusCode) -> bool:
        """Whether somebody who has paid waits for drugs."""
        return any(v.waits_for_drugs for v in self._in_the_house(campus))

    def tubes_due(self, campus: CampusCode) -> bool:
        """Whether somebody who has paid waits to be drawn or for a result."""
        return any(v.is_paid and v.results_due for v in self._in_the_house(campus))

    def nobody_waits(self, doctor: StaffId) -> bool:
        return all(v.checked_in_at is None for v in self._unfinished(doctor))

    def _unfinished(self, doctor: StaffId) -> list[Visit]:
        left = [v for v in self._at_doctor[doctor] if not v.is_finished]
        self._at_doctor[doctor] = left
        return left

    def _in_the_house(self, campus: CampusCode) -> list[Visit]:
        """Who is still here, or has gone home with something still owed."""
        left = [v for v in self._at_campus[campus] if not v.is_finished or v.is_owed]
        self._at_campus[campus] = left
        return left

    def __iter__(self) -> Iterator[Visit]:
        return iter(self._by_encounter.values())


class PatientPath:
    """The way of one patient through the hospital."""

    def __init__(self, hospital: Hospital, visit: Visit, visits: Visits) -> None:
        self._hospital = hospital
        self._visit = visit
        self._visits = visits
        self._chance = hospital.world.chance
        self._desk = hospital.actor("registrar", visit.campus)
        self._cashier = hospital.actor("cashier", visit.campus)

    async def live(self, arrives: Instant) -> None:
        """From the door to the door. A refusal the patient cannot get round ends the visit."""
        await self._hospital.world.until(arrives)
        try:
            await self._come()
        except Refusal:
            self._hospital.journal.did("left without what they came for")
        self._visit.is_finished = True

    async def _come(self) -> None:
        await self._be_announced()
        await self._register()
        appointment = await self._book()
        if appointment is None:
            return
        if not await self._pay("pay registration"):
            return
        await self._check_in(appointment)
        if not await self._until_seen():
            return
        if self._visit.lines:
            self._visit.is_paid = await self._pay("pay bill")
            await self._collect()

    # ── the desk ────────────────────────────────────────────────────────────────────────────
    async def _be_announced(self) -> None:
        """Some were registered in the main campus's old system: it tells the hub, by HL7."""
        hospital, person = self._hospital, self._visit.person
        old = hospital.old_system
        if old is None or self._visit.campus != OLD_SYSTEM_CAMPUS or person.id.int % ANNOUNCED:
            return
        answer = await old.announce(
            number=f"P{person.id.hex[-12:]}",
            name=person.name,
            sex=person.sex,
            born=person.born,
            id_card=person.id_card,
            phone=person.phone,
        )
        hospital.journal.did(f"told by HL7: {answer}")

    async def _register(self) -> None:
        hospital, person = self._hospital, self._visit.person
        with hospital.step("register patient", self._desk):
            registered = await hospital.patients.register(
                RegisterPatient(
                    id=PatientId(person.id),
                    campus=self._visit.campus,
                    name=person.name,
                    sex=person.sex,
                    birth_date=person.born,
                    identifiers=(Identifier(system=ID_CARD, value=person.id_card),),
                    contacts=(Contact(kind=ContactKind.PHONE, value=person.phone),),
                    coverage=Coverage(
                        kind=CoverageKind.EMPLOYEE if person.is_insured else CoverageKind.SELF_PAY
                    ),
                )
            )
        self._visit.patient = registered.patient.id

    async def _book(self) -> AppointmentId | None:
        hospital, visit = self._hospital, self._visit
        slot = await self._choose_slot()
        for _ in range(TRIES_MAX):
            if slot is None:
                break
            request = BookAppointment(
                id=AppointmentId(hospital.ids.new()),
                encounter=EncounterId(hospital.ids.new()),
                patient=visit.patient,
                slot=slot,
                channel=self._chance.choice(
                    (Channel.WINDOW, Channel.APP, Channel.APP, Channel.KIOSK)
                ),
            )
            try:
                with hospital.step("book", self._desk):
                    booked = await hospital.registration.book(request)
            except NoneLeft as full:
                slot = full.next_slot
                continue
            visit.encounter, visit.doctor = booked.encounter, booked.doctor
            self._starts_at = booked.starts_at
            self._visits.add(visit)
            return booked.id
        hospital.journal.did("no number left")
        return None

    async def _choose_slot(self) -> SlotId | None:
        """The earliest free number of the department, more often than not."""
        hospital, visit = self._hospital, self._visit
        with hospital.cast.acting(self._desk):
            offers = await hospital.registration.offers(
                visit.campus, hospital.today, visit.department
            )
        now = hospital.world.now()
        free: list[Slot] = sorted(
            (s for offer in offers for s in offer.slots if s.remaining and s.ends_at > now),
            key=lambda s: s.starts_at,
        )
        if not free:
            return None
        return free[min(int(self._chance.expovariate(0.5)), len(free) - 1)].id

    async def _check_in(self, appointment: AppointmentId) -> None:
        hospital, visit = self._hospital, self._visit
        await hospital.world.until(self._starts_at - EARLY)
        await hospital.world.sleep(self._chance.uniform(0, 600))
        marks = ArrivalMarks(is_return_visit=self._chance.random() < RETURN_VISITS)
        with hospital.step("check in", self._desk):
            await hospital.registration.check_in(appointment, visit.campus, marks)
        visit.checked_in_at = hospital.world.now()
        visit.is_elsewhere = self._chance.random() < AWAY_WHEN_CALLED

    async def _until_seen(self) -> bool:
        """Wait in the hall; who went for a coffee comes back and re-enters by rule."""
        hospital, visit = self._hospital, self._visit
        limit = hospital.world.now() + PATIENCE
        while visit.seen_at is None and hospital.world.now() < limit:
            await hospital.world.sleep(60)
            if visit.is_elsewhere and self._chance.random() < BACK_A_MINUTE:
                visit.is_elsewhere = False
                await self._rejoin()
        while visit.seen_at and not (visit.is_finished or visit.told_to_return):
            await hospital.world.sleep(30)
            if hospital.world.now() > limit:
                return False
        if visit.seen_at is None:
            hospital.journal.did("left without being seen")
        return visit.seen_at is not None

    async def _rejoin(self) -> None:
        hospital, visit = self._hospital, self._visit
        triage = hospital.actor("triage-nurse", visit.campus)
        with hospital.cast.acting(triage):
            ticket = await hospital.calling.ticket_of(visit.encounter)
        if ticket is not None and ticket.state == "missed":
            with hospital.step("rejoin the queue", triage):
                await hospital.calling.rejoin(ticket.id)

    # ── money ───────────────────────────────────────────────────────────────────────────────
    async def _pay(self, what: str) -> bool:
        """Wait until the charges are there, then pay them all; says whether they are paid."""
        hospital, visit = self._hospital, self._visit
        limit = hospital.world.now() + timedelta(minutes=30)
        begun = hospital.world.now()
        account = await self._account()
        while not _payable(account) and hospital.world.now() < limit:
            await hospital.world.sleep(LOOK_S)
            account = await self._account()
        charges = _payable(account)
        if not charges:
            hospital.journal.did(f"{what}: nothing to pay")
            return False
        await hospital.world.sleep(self._chance.uniform(20, 240))
        bill = BillId(hospital.ids.new())
        with hospital.step("open bill", self._cashier):
            opened = await hospital.billing.open_bill(
                OpenBill(id=bill, encounter=visit.encounter, campus=visit.campus, charges=charges)
            )
        if opened.state is not BillState.SETTLED:
            with hospital.step(what, self._cashier):
                await hospital.billing.pay(
                    Pay(id=LegId(hospital.ids.new()), bill=bill, channel=self._money_channel())
                )
        paid = await self._until_settled(bill, limit)
        hospital.journal.waited(what, (hospital.world.now() - begun).total_seconds())
        return paid

    def _money_channel(self) -> MoneyChannel:
        return self._chance.choice((MoneyChannel.PHONE, MoneyChannel.PHONE, MoneyChannel.CASH))

    async def _until_settled(self, bill: BillId, limit: Instant) -> bool:
        hospital = self._hospital
        while True:
            with hospital.cast.acting(self._cashier):
                sheet = await hospital.billing.bill(bill)
            if sheet.bill.state is not BillState.OPEN or hospital.world.now() > limit:
                return sheet.bill.state is BillState.SETTLED
            await hospital.world.sleep(LOOK_S)

    async def _account(self) -> Account:
        with self._hospital.cast.acting(self._cashier):
            return await self._hospital.billing.account(self._visit.encounter)

    # ── what was ordered ────────────────────────────────────────────────────────────────────
    async def _collect(self) -> None:
        """Wait for drugs; results come by themselves. Who must, goes back to the doctor."""
        hospital, visit = self._hospital, self._visit
        limit = hospital.world.now() + PATIENCE
        while hospital.world.now() < limit:
            drugs = visit.has_drugs or not visit.wants(OrderKind.DRUG)
            if drugs and not visit.results_due:
                break
            await hospital.world.sleep(60)
        if visit.told_to_return and not visit.is_finished:
            await self._return_to_doctor(limit)

    async def _return_to_doctor(self, limit: Instant) -> None:
        hospital, visit = self._hospital, self._visit
        triage = hospital.actor("triage-nurse", visit.campus)
        with hospital.cast.acting(triage):
            ticket = await hospital.calling.ticket_of(visit.encounter)
        if ticket is None:
            return
        with hospital.step("come back with results", triage):
            await hospital.calling.come_back(ticket.id)
        visit.is_back = True
        while not visit.is_finished and hospital.world.now() < limit:
            await hospital.world.sleep(60)


def _payable(account: Account) -> tuple[ChargeId, ...]:
    """The charges that can be paid now, once nothing is waiting for its price."""
    if account.awaited:
        return ()
    return tuple(line.id for line in account.lines if line.state is LineState.PENDING)
