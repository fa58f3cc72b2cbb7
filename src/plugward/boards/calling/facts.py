"""What the data centre learns from this board: one row a ticket, as it stands."""

from datetime import date

from plugward.kernel import Message, Plain
from plugward.kernel.facts import fact
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, StaffId, TicketId

from .contract import (
    Ticket,
    TicketCalled,
    TicketClosed,
    TicketIssued,
    TicketMissed,
    TicketRejoined,
    TicketServed,
)


class WaitingTicket(Message):
    """A ticket 一张候诊号 with the times that make the waiting time; a later fact replaces it."""

    ticket: TicketId
    encounter: EncounterId
    campus: CampusCode
    department: DepartmentCode
    day: date
    number: Plain
    priority: Plain
    state: Plain
    calls: int
    issued_at: Instant
    called_at: Instant | None
    served_at: Instant | None
    doctor: StaffId | None


def _row(ticket: Ticket) -> WaitingTicket:
    return WaitingTicket(
        ticket=ticket.id,
        encounter=ticket.encounter,
        campus=ticket.campus,
        department=ticket.department,
        day=ticket.day,
        number=ticket.number,
        priority=ticket.priority.value,
        state=ticket.state.value,
        calls=ticket.calls,
        issued_at=ticket.issued_at,
        called_at=ticket.called_at,
        served_at=ticket.served_at,
        doctor=ticket.doctor,
    )


@fact(TicketIssued, table="tickets", key=("ticket",))
def issued_ticket(event: TicketIssued) -> WaitingTicket:
    return _row(event.ticket)


@fact(TicketCalled, table="tickets", key=("ticket",))
def called_ticket(event: TicketCalled) -> WaitingTicket:
    return _row(event.ticket)


@fact(TicketServed, table="tickets", key=("ticket",))
def served_ticket(event: TicketServed) -> WaitingTicket:
    return _row(event.ticket)


@fact(TicketMissed, table="tickets", key=("ticket",))
def missed_ticket(event: TicketMissed) -> WaitingTicket:
    return _row(event.ticket)


@fact(TicketRejoined, table="tickets", key=("ticket",))
def rejoined_ticket(event: TicketRejoined) -> WaitingTicket:
    return _row(event.ticket)


@fact(TicketClosed, table="tickets", key=("ticket",))
def closed_ticket(event: TicketClosed) -> WaitingTicket:
    return _row(event.ticket)
