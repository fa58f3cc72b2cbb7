"""A fake of the calling board for other boards' tests: one plain queue a code, in memory."""

from datetime import date

from plugward.kernel import Plain
from plugward.kit.ids import new_id
from plugward.kit.time import Instant, hospital_date, hospital_time
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    PatientId,
    StaffId,
    TicketId,
)

from .contract import (
    CalledTooFew,
    Calling,
    Desk,
    NobodyWaits,
    PriorityClass,
    Queue,
    QueueCode,
    Screen,
    StillCalling,
    Ticket,
    TicketNotFound,
    TicketState,
)

CALLS_MAX = 3


class FakeCalling(Calling):
    """``fake.check_in(queue, patient, encounter)`` gives a ticket; the rest is the contract."""

    def __init__(self, now: str = "2026-03-02 08:00") -> None:
        self.tickets: dict[TicketId, Ticket] = {}
        self.rooms: list[Desk] = []
        self._now: Instant = hospital_time(now)

    def check_in(
        self, queue: str, patient: PatientId, encounter: EncounterId, name: str = "沈玉兰"
    ) -> Ticket:
        """Give one ticket."""
        made = Ticket(
            id=TicketId(new_id()),
            queue=QueueCode(queue),
            campus=CampusCode("C1"),
            department=DepartmentCode("C1-CARD"),
            day=hospital_date(self._now),
            number=f"A{len(self.tickets) + 1:03d}",
            priority=PriorityClass.ORDINARY,
            state=TicketState.WAITING,
            patient=patient,
            patient_name=name,
            encounter=encounter,
            appointment=AppointmentId(new_id()),
            calls=0,
            has_rejoined=False,
            issued_at=self._now,
        )
        return self._put(made)

    async def call_next(self, queue: QueueCode, doctor: StaffId, room: Plain = "") -> Ticket:
        for ticket in self._in(queue, TicketState.CALLED):
            if ticket.doctor == doctor and ticket.calls < CALLS_MAX:
                raise StillCalling(number=ticket.number, calls=ticket.calls, ticket=ticket.id)
            if ticket.doctor == doctor:
                self._put(ticket.replace(state=TicketState.MISSED))
        waiting = self._in(queue, TicketState.WAITING)
        if not waiting:
            raise NobodyWaits(queue=queue)
        return self._put(
            waiting[0].replace(state=TicketState.CALLED, doctor=doctor, room=room, calls=1)
        )

    async def recall(self, ticket: TicketId) -> Ticket:
        found = self._get(ticket)
        return self._put(found.replace(calls=found.calls + 1))

    async def serve(self, ticket: TicketId) -> Ticket:
        return self._put(self._get(ticket).replace(state=TicketState.SERVED, served_at=self._now))

    async def miss(self, ticket: TicketId) -> Ticket:
        found = self._get(ticket)
        if found.calls < CALLS_MAX:
            raise CalledTooFew(number=found.number, calls=found.calls, calls_max=CALLS_MAX)
        return self._put(found.replace(state=TicketState.MISSED))

    async def rejoin(self, ticket: TicketId) -> Ticket:
        return self._put(
            self._get(ticket).replace(state=TicketState.WAITING, has_rejoined=True, calls=0)
        )

    async def come_back(self, ticket: TicketId) -> Ticket:
        return self._put(
            self._get(ticket).replace(
                state=TicketState.WAITING, priority=PriorityClass.RETURN_VISIT, calls=0
            )
        )

    async def queue(self, queue: QueueCode) -> Queue:
        return Queue(
            code=queue,
            waiting=self._in(queue, TicketState.WAITING),
            called=self._in(queue, TicketState.CALLED, TicketState.SERVED),
            missed=self._in(queue, TicketState.MISSED),
            as_of=self._now,
        )

    async def queues_of(self, doctor: StaffId, day: date) -> tuple[Desk, ...]:
        return tuple(d for d in self.rooms if (d.doctor, d.day) == (doctor, day))

    async def desks(
        self, campus: CampusCode, day: date, department: DepartmentCode | None = None
    ) -> tuple[Desk, ...]:
        return tuple(
            d
            for d in self.rooms
            if (d.campus, d.day) == (campus, day) and department in (None, d.department)
        )

    async def ticket_of(self, encounter: EncounterId) -> Ticket | None:
        return next((t for t in self.tickets.values() if t.encounter == encounter), None)

    async def screen(self, campus: CampusCode, department: DepartmentCode) -> Screen:
        return Screen(
            campus=campus,
            department=department,
            department_name="",
            calling=None,
            rooms=(),
            missed=(),
            as_of=self._now,
        )

    def _in(self, queue: QueueCode, *states: TicketState) -> tuple[Ticket, ...]:
        return tuple(t for t in self.tickets.values() if t.queue == queue and t.state in states)

    def _get(self, ticket: TicketId) -> Ticket:
        if ticket not in self.tickets:
            raise TicketNotFound
        return self.tickets[ticket]

    def _put(self, ticket: Ticket) -> Ticket:
        self.tickets[ticket.id] = ticket
        return ticket
