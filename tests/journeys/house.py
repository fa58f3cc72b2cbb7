"""A whole hospital for journeys: every board on one runtime, a clock set by hand, staff to act.

Sentences of the scenarios become calls of the real contracts; nothing is faked but the payment
channel, which lies outside the hospital.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from plugward.boards.billing.contract import (
    Account,
    Billing,
    ChannelAction,
    ChannelAnswer,
    ChannelOutcome,
    ChannelRequest,
    LegId,
    LineState,
    OpenBill,
    Pay,
)
from plugward.boards.billing.contract import Channel as MoneyChannel
from plugward.boards.calling.contract import Calling, Ticket
from plugward.boards.orders.contract import NewLine, OrderGroup, Orders, SignGroup
from plugward.boards.patients.contract import ID_CARD, Patients, RegisterPatient, Registration
from plugward.boards.registration.contract import (
    Appointment,
    ArrivalMarks,
    BookAppointment,
    Channel,
    Registrations,
)
from plugward.kernel.audit import audit_runtime
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.binding import NOTHING_BOUND, Bindings
from plugward.kernel.board import Board
from plugward.kernel.clock import ManualClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.envelope import Actor, acting_as
from plugward.kernel.refusals import Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import Databases
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date
from plugward.rack.discover import discover
from plugward.sim.cast import Cast, Ids, Member
from plugward.sim.clinics import sessions_of
from plugward.sim.foundation import lay_foundation, planner
from plugward.sim.people import id_card
from plugward.sim.staff import demo_members
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    Identifier,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    Sex,
)

T = TypeVar("T")
LEFT_OUT = frozenset({"portal", "hub", "datacentre", "identity"})
MORNING = "2026-03-02 08:30"
CARDIOLOGY = DepartmentCode("C1-CARD")
C1 = CampusCode("C1")
AMLODIPINE, METFORMIN, SIMVASTATIN = "D0034", "D0171", "D0052"
URINE_ACR, HBA1C, ECHO = "L0162", "L0026", "E0039"


class PaymentChannel:
    """Stands outside the hospital. It remembers serials; it can be told to stay silent."""

    def __init__(self) -> None:
        self.charged: dict[str, int] = {}
        self.refunded: dict[str, int] = {}
        self.reversed: set[str] = set()
        self.silent = False
        self.takes_money_silently = True
        self.before_answer: Callable[[ChannelRequest], Awaitable[None]] | None = None

    async def send(self, service: str, body: msgspec.Struct, answer: type[Any]) -> Any:
        assert service == "payment-channel"
        assert isinstance(body, ChannelRequest)
        assert answer is ChannelAnswer
        outcome = self._do(body)
        if self.before_answer is not None:
            await self.before_answer(body)
        if self.silent:
            raise Unavailable(service, "time-out")
        return ChannelAnswer(serial=body.serial, outcome=outcome, channel_no=f"CH{body.serial}")

    def _do(self, body: ChannelRequest) -> ChannelOutcome:
        if body.action is ChannelAction.CHARGE:
            if body.serial in self.reversed:
                return ChannelOutcome.DECLINED
            if not self.silent or self.takes_money_silently:
                self.charged[body.serial] = body.amount.fen
            return ChannelOutcome.PAID
        if body.action is ChannelAction.QUERY:
            there = body.serial in self.charged and body.serial not in self.reversed
            return ChannelOutcome.PAID if there else ChannelOutcome.NOT_FOUND
        if body.action is ChannelAction.REVERSE:
            self.reversed.add(body.serial)
            return ChannelOutcome.REVERSED
        self.refunded[body.serial] = body.amount.fen
        return ChannelOutcome.REFUNDED

    @property
    def kept_fen(self) -> int:
        """What the channel holds of the patients' money in the end."""
        charged = sum(fen for serial, fen in self.charged.items() if serial not in self.reversed)
        return charged - sum(abs(fen) for fen in self.refunded.values())


class House:
    """The hospital, opened in the morning."""

    def __init__(
        self,
        folder: Path,
        transport: Transport,
        *,
        left_out: frozenset[str] = LEFT_OUT,
        settings: dict[str, dict[str, Any]] | None = None,
        database: str = "",
        more: Sequence[Board] = (),
        bindings: Bindings = NOTHING_BOUND,
    ) -> None:
        """``more`` are boards of other distributions; ``bindings``: who answers where."""
        self.clock = ManualClock(MORNING)
        databases = Databases(database) if database else Databases(folder, durable=False)
        self.boards = {b.name: b for b in (*discover(left_out).boards, *more)}
        self.runtime = Runtime(
            databases,
            self.clock,
            AuditLog(None, self.clock),
            transport=transport,
            settings=settings,
            bindings=bindings,
        )
        self.channel = PaymentChannel()
        self.runtime.outside = self.channel
        self.ids = Ids(self.clock, Random(7))
        self.cast = Cast(self.runtime, self.ids)
        self.members = demo_members()

    async def start(self) -> None:
        """Plug the boards in; what is in their stores stays."""
        await self.runtime.start(self.boards.values())
        await self.quiet()

    async def open(self, packs: int = 400) -> None:
        """Catalogues, stock and today's clinics are there."""
        await self.runtime.start(self.boards.values())
        await lay_foundation(self.runtime, self.cast, self.ids, packs=packs)
        doctors = tuple(m for m in self.members if m.role == "doctor")
        names = {m.department: m.department for m in doctors}
        for session in sessions_of(doctors, hospital_date(self.clock.now()), names, per_slot=6):
            with acting_as(planner(self.cast), campus=session.campus, request=new_id()):
                await self.client(Registrations).publish_session(session)
        await self.quiet()

    async def close(self) -> None:
        await self.runtime.stop()

    def client(self, protocol: type[T]) -> T:
        return self.runtime.client(protocol)

    async def quiet(self) -> None:
        """Every fact has reached whom it concerns."""
        await self.runtime.quiet(patience_s=20)

    async def later(self, **wait: float) -> None:
        """Time passes, timers ring, facts arrive."""
        await self.clock.advance(timedelta(**wait))
        await self.quiet()

    async def audit(self) -> None:
        """Everything that must hold, holds."""
        await self.quiet()
        report = await audit_runtime(self.runtime)
        assert [line for line in report.lines if line.breaches] == []

    # ── people ──────────────────────────────────────────────────────────────────────────────
    def member(self, role: str, campus: str = "C1", number: int = 0) -> Member:
        return [m for m in self.members if m.role == role and m.campus == campus][number]

    def actor(self, role: str, campus: str = "C1", number: int = 0) -> Actor:
        return self.cast.actor(self.member(role, campus, number))

    @contextmanager
    def acting(
        self, role: str, campus: str = "C1", *, number: int = 0, request: UUID | None = None
    ) -> Iterator[None]:
        """One request by somebody of this role."""
        with acting_as(self.actor(role, campus, number), request=request or new_id()):
            yield

    # ── sentences ───────────────────────────────────────────────────────────────────────────
    async def register(
        self, name: str, number: int, campus: str = "C1", **changes: Any
    ) -> Registration:
        """Somebody with an ID card stands at the desk."""
        born = hospital_date(self.clock.now()).replace(year=1959)
        request = RegisterPatient(
            id=PatientId(new_id()),
            campus=CampusCode(campus),
            name=name,
            sex=Sex.MALE,
            birth_date=born,
            identifiers=(Identifier(system=ID_CARD, value=id_card(born, Sex.MALE, number)),),
        ).replace(**changes)
        role = "registrar" if campus == "C1" else "doctor"
        with self.acting(role, campus):
            return await self.client(Patients).register(request)

    async def book(self, patient: PatientId, doctor: int = 0) -> Appointment:
        """A number with a cardiologist this morning, from the triage desk: pay later."""
        day, member = hospital_date(self.clock.now()), self.member("doctor", number=doctor)
        with self.acting("triage-nurse"):
            offers = await self.client(Registrations).offers(C1, day, member.department)
        slot = next(
            s
            for offer in offers
            if offer.session.doctor == member.id
            for s in offer.slots
            if s.remaining and s.ends_at > self.clock.now()
        )
        with self.acting("triage-nurse"):
            return await self.client(Registrations).book(
                BookAppointment(
                    id=AppointmentId(new_id()),
                    encounter=EncounterId(new_id()),
                    patient=patient,
                    slot=slot.id,
                    channel=Channel.NURSE,
                )
            )

    async def arrive(self, patient: PatientId, doctor: int = 0) -> Appointment:
        """Booked and checked in; the ticket is there."""
        booked = await self.book(patient, doctor)
        with self.acting("triage-nurse"):
            arrived = await self.client(Registrations).check_in(booked.id, C1, ArrivalMarks())
        await self.quiet()
        return arrived

    async def call_and_serve(self, doctor: int = 0) -> Ticket:
        """The doctor calls the next patient, who comes in."""
        member, calling = self.member("doctor", number=doctor), self.client(Calling)
        with self.acting("doctor", number=doctor):
            desks = await calling.queues_of(member.id, hospital_date(self.clock.now()))
        for queue in dict.fromkeys(desk.queue for desk in desks):
            with self.acting("doctor", number=doctor):
                view = await calling.queue(queue)
            if view.waiting:
                with self.acting("doctor", number=doctor):
                    ticket = await calling.call_next(queue, member.id)
                with self.acting("doctor", number=doctor):
                    served = await calling.serve(ticket.id)
                await self.quiet()
                return served
        raise AssertionError("nobody waits")

    async def sign(
        self,
        visit: Appointment,
        lines: tuple[NewLine, ...],
        request: UUID | None = None,
        group: OrderGroupId | None = None,
    ) -> OrderGroup:
        """The doctor signs these lines together."""
        with self.acting("doctor", request=request):
            return await self.client(Orders).sign(
                SignGroup(
                    id=group or OrderGroupId(new_id()),
                    encounter=visit.encounter,
                    patient=visit.patient,
                    campus=visit.campus,
                    department=visit.department,
                    lines=lines,
                )
            )

    async def account(self, encounter: EncounterId) -> Account:
        with self.acting("cashier"):
            return await self.client(Billing).account(encounter)

    async def pay_all(
        self, encounter: EncounterId, channel: MoneyChannel = MoneyChannel.CASH
    ) -> BillId:
        """Everything that is pending goes on one bill and is paid."""
        account = await self.account(encounter)
        charges = tuple(line.id for line in account.lines if line.state is LineState.PENDING)
        bill = BillId(new_id())
        with self.acting("cashier"):
            await self.client(Billing).open_bill(
                OpenBill(id=bill, encounter=encounter, campus=C1, charges=charges)
            )
        with self.acting("cashier"):
            await self.client(Billing).pay(Pay(id=LegId(new_id()), bill=bill, channel=channel))
        await self.quiet()
        return bill


def drug(item: str, packs: int, dose: str = "10", unit: str = "mg") -> NewLine:
    return NewLine(
        id=OrderLineId(new_id()),
        kind=OrderKind.DRUG,
        item=item,
        quantity=packs,
        dose=Decimal(dose),
        dose_unit=unit,
        route="PO",
        frequency="QD",
        days=28,
    )


def lab(item: str) -> NewLine:
    return NewLine(id=OrderLineId(new_id()), kind=OrderKind.LAB, item=item)


def exam(item: str) -> NewLine:
    return NewLine(id=OrderLineId(new_id()), kind=OrderKind.EXAM, item=item)
