"""What calling does: a ticket at check-in, one caller for each, and a way back for the missed."""

from datetime import date
from typing import Any

from plugward.boards.registration.contract import Appointment, ArrivalMarks, Session
from plugward.kernel import (
    Event,
    Plain,
    Reading,
    Settings,
    Store,
    Work,
    WrongState,
    in_work,
    reading,
)
from plugward.kit.ids import derive
from plugward.kit.time import Clock, Instant, hospital_date
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
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
    TicketCalled,
    TicketClosed,
    TicketIssued,
    TicketMissed,
    TicketNotFound,
    TicketRejoined,
    TicketServed,
    TicketState,
)
from .rules import (
    BAND,
    GAP,
    LIFECYCLE,
    RETURN_LETTER,
    Standing,
    letter_of,
    number_text,
    priority_of,
    queue_of,
    rejoining_place,
    screen_of,
    series_of,
)
from .tables import desks, tickets

LIST_MAX = 200
HALL_MAX = 1_000
DESKS_MAX = 500
_ORDER = ("band", "place")
_OVER = "就诊已结束"
_SHOWN = (TicketState.WAITING, TicketState.CALLED, TicketState.SERVED, TicketState.MISSED)


class CallingService(Calling):
    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self.store = store
        self._clock = clock
        self._calls_max: int = settings["calls_max"]
        self._rejoin_after: int = settings["rejoin_after"]
        self._elderly_years: int = settings["elderly_years"]
        self._consult_minutes: int = settings["consult_minutes"]

    # ── calling ─────────────────────────────────────────────────────────────────────────────
    @in_work
    def call_next(self, work: Work, queue: QueueCode, doctor: StaffId, room: Plain = "") -> Ticket:
        for called in work.find(
            tickets, Ticket, limit=LIST_MAX, queue=queue, state=TicketState.CALLED, doctor=doctor
        ):
            if called.calls < self._calls_max:
                raise StillCalling(number=called.number, calls=called.calls, ticket=called.id)
            self._miss(work, called)
        claimed = work.claim(
            tickets,
            Ticket,
            order_by=_ORDER,
            values={
                "state": TicketState.CALLED,
                "doctor": doctor,
                "room": room or self._room(work, queue, doctor),
                "calls": 1,
                "called_at": work.now,
                "author": work.actor.id,
            },
            queue=queue,
            state=TicketState.WAITING,
        )
        if claimed is None:
            raise NobodyWaits(queue=queue)
        work.publish(TicketCalled(ticket=claimed))
        return claimed

    @in_work
    def recall(self, work: Work, ticket: TicketId) -> Ticket:
        found = self._get(work, ticket)
        if found.state is not TicketState.CALLED:
            raise WrongState(state=found.state.value, to=TicketState.CALLED.value)
        again = found.replace(calls=found.calls + 1, called_at=work.now)
        return self._say(work, found, again, TicketCalled)

    @in_work
    def serve(self, work: Work, ticket: TicketId) -> Ticket:
        found = self._get(work, ticket)
        if found.state is TicketState.SERVED:
            return found
        if found.state is TicketState.WAITING:  # called first, so that it has a doctor
            raise WrongState(state=found.state.value, to=TicketState.SERVED.value)
        return self._serve(work, found, found.doctor, work.now)

    @in_work
    def miss(self, work: Work, ticket: TicketId) -> Ticket:
        found = self._get(work, ticket)
        LIFECYCLE.check(found.state, TicketState.MISSED)
        if found.calls < self._calls_max:
            raise CalledTooFew(number=found.number, calls=found.calls, calls_max=self._calls_max)
        return self._miss(work, found)

    # ── the way back ────────────────────────────────────────────────────────────────────────
    @in_work
    def rejoin(self, work: Work, ticket: TicketId) -> Ticket:
        found = self._get(work, ticket)
        if found.state is not TicketState.MISSED:
            raise WrongState(state=found.state.value, to=TicketState.WAITING.value)
        waiting = work.find(
            tickets,
            Standing,
            limit=LIST_MAX,
            order_by=_ORDER,
            queue=found.queue,
            state=TicketState.WAITING,
        )
        standing = rejoining_place(waiting, self._rejoin_after)
        back = found.replace(
            state=TicketState.WAITING, has_rejoined=True, calls=0, doctor=None, room=""
        )
        if standing is None:
            standing = (BAND[found.priority], self._next_place(work, found.queue))
        return self._wait(work, found, back, standing, TicketRejoined)

    @in_work
    def come_back(self, work: Work, ticket: TicketId) -> Ticket:
        found = self._get(work, ticket)
        if found.state is not TicketState.SERVED:
            raise WrongState(state=found.state.value, to=TicketState.WAITING.value)
        back = found.replace(
            state=TicketState.WAITING,
            priority=PriorityClass.RETURN_VISIT,
            number=self._next_number(work, found.department, found.day, RETURN_LETTER),
            calls=0,
            has_rejoined=False,
            doctor=None,
            room="",
        )
        standing = (BAND[back.priority], self._next_place(work, found.queue))
        return self._wait(work, found, back, standing, TicketRejoined)

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def queue(self, read: Reading, queue: QueueCode) -> Queue:
        there = read.find(
            tickets,
            Ticket,
            limit=HALL_MAX,
            order_by=_ORDER,
            queue=queue,
            state=_SHOWN,
        )
        called = (TicketState.CALLED, TicketState.SERVED)
        return Queue(
            code=queue,
            waiting=tuple(t for t in there if t.state is TicketState.WAITING)[:LIST_MAX],
            called=tuple(t for t in there if t.state in called)[:LIST_MAX],
            missed=tuple(t for t in there if t.state is TicketState.MISSED)[:LIST_MAX],
            as_of=read.now,
        )

    @reading
    def queues_of(self, read: Reading, doctor: StaffId, day: date) -> tuple[Desk, ...]:
        return read.find(
            desks, Desk, limit=LIST_MAX, order_by="queue", doctor=doctor, day=day, is_open=True
        )

    @reading
    def desks(
        self, read: Reading, campus: CampusCode, day: date, department: DepartmentCode | None = None
    ) -> tuple[Desk, ...]:
        return self._desks(read, campus, day, department)

    @reading
    def ticket_of(self, read: Reading, encounter: EncounterId) -> Ticket | None:
        return read.get_or_none(tickets, Ticket, ticket_id(encounter))

    @reading
    def screen(self, read: Reading, campus: CampusCode, department: DepartmentCode) -> Screen:
        today = hospital_date(read.now)
        there = read.find(
            tickets,
            Ticket,
            limit=HALL_MAX,
            order_by=_ORDER,
            campus=campus,
            day=today,
            department=department,
            state=_SHOWN,
        )
        rooms = self._desks(read, campus, today, department)
        return screen_of(
            rooms,
            there,
            place=(campus, department),
            now=read.now,
            consult_minutes=self._consult_minutes,
        )

    # ── what registration and encounters tell (facts are never refused) ─────────────────────
    @in_work
    def open_desk(self, work: Work, session: Session) -> None:
        """A clinic was published: its doctor calls from its queue."""
        work.save_copy(desks, session, session=session.id, queue=queue_of(session), is_open=True)

    @in_work
    def close_desk(self, work: Work, session: Session) -> None:
        work.save_copy(desks, session, session=session.id, queue=queue_of(session), is_open=False)

    @in_work
    def issue(self, work: Work, checked_in: Appointment, marks: ArrivalMarks) -> None:
        """The patient is here: a ticket, unless the visit has one."""
        found = work.get_or_none(tickets, Ticket, ticket_id(checked_in.encounter))
        if found is not None and found.state is not TicketState.CLOSED:
            return
        priority = priority_of(
            marks, checked_in.birth_date, checked_in.day, elderly_years=self._elderly_years
        )
        letter = letter_of(checked_in.kind)
        ticket = Ticket(
            id=ticket_id(checked_in.encounter),
            queue=queue_of(checked_in),
            campus=checked_in.campus,
            department=checked_in.department,
            day=checked_in.day,
            number=self._next_number(work, checked_in.department, checked_in.day, letter),
            priority=priority,
            state=TicketState.WAITING,
            patient=checked_in.patient,
            patient_name=checked_in.patient_name,
            encounter=checked_in.encounter,
            appointment=checked_in.id,
            calls=0,
            has_rejoined=False,
            issued_at=work.now,
            author=work.actor.id,
        )
        standing = (BAND[priority], self._next_place(work, ticket.queue))
        if found is None:
            work.insert(tickets, ticket, band=standing[0], place=standing[1])
            work.publish(TicketIssued(ticket=ticket))
        else:  # the clinic was stopped and the patient has checked in at another
            self._wait(work, found, ticket, standing, TicketIssued)

    @in_work
    def close(self, work: Work, encounter: EncounterId, reason: Plain) -> None:
        """The clinic was stopped or the visit called off: who still waits, waits no longer."""
        found = work.get_or_none(tickets, Ticket, ticket_id(encounter))
        if found is not None and LIFECYCLE.allows(found.state, TicketState.CLOSED):
            closed = found.replace(state=TicketState.CLOSED, closed_because=reason)
            self._say(work, found, closed, TicketClosed)

    @in_work
    def note_started(
        self, work: Work, encounter: EncounterId, doctor: StaffId | None, at: Instant
    ) -> None:
        """The doctor has begun without saying so here."""
        found = work.get_or_none(tickets, Ticket, ticket_id(encounter))
        if (
            found is not None
            and found.served_at is None
            and LIFECYCLE.allows(found.state, TicketState.SERVED)
        ):
            self._serve(work, found, found.doctor or doctor, at)

    @in_work
    def note_finished(self, work: Work, encounter: EncounterId) -> None:
        """The visit is over: the ticket is done, wherever it stood."""
        found = work.get_or_none(tickets, Ticket, ticket_id(encounter))
        if found is None:
            return
        if found.state is TicketState.SERVED:
            self._say(work, found, found.replace(state=TicketState.DONE), TicketClosed)
        elif LIFECYCLE.allows(found.state, TicketState.CLOSED):
            closed = found.replace(state=TicketState.CLOSED, closed_because=_OVER)
            self._say(work, found, closed, TicketClosed)

    # ── one place for each move ─────────────────────────────────────────────────────────────
    def _serve(self, work: Work, found: Ticket, doctor: StaffId | None, at: Instant) -> Ticket:
        served = found.replace(state=TicketState.SERVED, doctor=doctor, served_at=at)
        return self._say(work, found, served, TicketServed)

    def _miss(self, work: Work, found: Ticket) -> Ticket:
        return self._say(work, found, found.replace(state=TicketState.MISSED), TicketMissed)

    def _wait(
        self,
        work: Work,
        before: Ticket,
        after: Ticket,
        standing: tuple[int, int],
        said: type[Event],
    ) -> Ticket:
        waiting = self._say(work, before, after, said)
        band, place = standing
        work.set_where(tickets, tickets.c.id == before.id, band=band, place=place)
        return waiting

    def _say(self, work: Work, before: Ticket, after: Ticket, said: type[Event]) -> Ticket:
        """Move a ticket and say so."""
        if before.state is not after.state:
            LIFECYCLE.check(before.state, after.state)
        moved = after.replace(author=work.actor.id)
        work.update(tickets, before=before, after=moved)
        work.publish(said(ticket=moved))
        return moved

    def _get(self, work: Work, ticket: TicketId) -> Ticket:
        return work.get(tickets, Ticket, ticket, missing=TicketNotFound)

    def _next_number(self, work: Work, department: str, day: date, letter: str) -> str:
        return number_text(letter, work.next_number(series_of(department, day, letter)))

    def _next_place(self, work: Work, queue: str) -> int:
        return work.next_number(f"place:{queue}"[:80]) * GAP

    def _room(self, read: Reading, queue: QueueCode, doctor: StaffId) -> str:
        desk = read.first(desks, Desk, queue=queue, doctor=doctor)
        return desk.room if desk else ""

    def _desks(
        self, read: Reading, campus: CampusCode, day: date, department: DepartmentCode | None
    ) -> tuple[Desk, ...]:
        narrowed: dict[str, Any] = {"department": department} if department is not None else {}
        return read.find(
            desks,
            Desk,
            limit=DESKS_MAX,
            order_by=("department", "room", "doctor_name"),
            campus=campus,
            day=day,
            is_open=True,
            **narrowed,
        )


def ticket_id(encounter: EncounterId) -> TicketId:
    """A visit's one ticket: its id follows from the visit, so there cannot be two."""
    return TicketId(derive(encounter, "ticket"))
