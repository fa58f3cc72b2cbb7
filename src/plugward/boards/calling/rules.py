"""The rules of a queue: pure functions, no database, no clock."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from plugward.boards.registration.contract import Appointment, ArrivalMarks, ClinicKind, Session
from plugward.kernel import Lifecycle, Message
from plugward.kit.time import Instant, age_years
from plugward.vocabulary import CampusCode, DepartmentCode, TicketId

from .contract import (
    Desk,
    PriorityClass,
    QueueCode,
    Screen,
    ScreenRoom,
    ScreenTicket,
    Ticket,
    TicketState,
)

LIFECYCLE = Lifecycle(
    {
        TicketState.WAITING: {TicketState.CALLED, TicketState.SERVED, TicketState.CLOSED},
        TicketState.CALLED: {TicketState.SERVED, TicketState.MISSED, TicketState.CLOSED},
        TicketState.MISSED: {TicketState.WAITING, TicketState.SERVED, TicketState.CLOSED},
        TicketState.SERVED: {TicketState.WAITING, TicketState.DONE},
        TicketState.DONE: set(),
        TicketState.CLOSED: {TicketState.WAITING},  # late money or another clinic: checked in again
    }
)

BAND = {
    PriorityClass.URGENT: 0,
    PriorityClass.MILITARY: 1,
    PriorityClass.ELDERLY: 1,
    PriorityClass.RETURN_VISIT: 2,
    PriorityClass.ORDINARY: 3,
}
"""In which order the classes are called. Within a band, who came first goes first."""

GAP = 1 << 32
"""The distance between two arrivals: room for thirty-two to re-enter between them."""

RETURN_LETTER = "B"
NEXT_SHOWN = 3


class Standing(Message):
    """A waiting ticket and where it stands."""

    id: TicketId
    band: int
    place: int
    has_rejoined: bool


def queue_of(clinic: Appointment | Session) -> QueueCode:
    """A clinic's queue: the one it shares by name, or the doctor's own."""
    own = clinic.queue or clinic.doctor.hex
    return QueueCode(f"{clinic.department}:{clinic.day}:{clinic.period.value}:{own}")


def letter_of(kind: ClinicKind) -> str:
    """The letter of a ticket: A for experts, C for general clinics; B is for returning."""
    return "A" if kind is ClinicKind.EXPERT else "C"


def series_of(department: str, day: date, letter: str) -> str:
    """One series a hall, day and letter, so that no two tickets of a hall read alike."""
    return f"{department}:{day}:{letter}"


def number_text(letter: str, number: int) -> str:
    return f"{letter}{number:03d}"


def priority_of(
    marks: ArrivalMarks, birth_date: date | None, day: date, *, elderly_years: int
) -> PriorityClass:
    """The class an arriving patient waits in: the most pressing one that fits."""
    if marks.is_urgent:
        return PriorityClass.URGENT
    if marks.is_military:
        return PriorityClass.MILITARY
    if birth_date is not None and age_years(birth_date, day) >= elderly_years:
        return PriorityClass.ELDERLY
    return PriorityClass.RETURN_VISIT if marks.is_return_visit else PriorityClass.ORDINARY


def rejoining_place(waiting: Sequence[Standing], after: int) -> tuple[int, int] | None:
    """Band and place of somebody who re-enters behind the next ``after`` and behind those who
    re-entered before. ``None``: nobody waits, any place will do."""
    if not waiting:
        return None
    index = passed = 0
    while index < len(waiting) and (passed < after or waiting[index].has_rejoined):
        passed += not waiting[index].has_rejoined
        index += 1
    if index == 0:
        return waiting[0].band, waiting[0].place - GAP
    before = waiting[index - 1]
    following = waiting[index] if index < len(waiting) else None
    end = (
        following.place
        if following is not None and following.band == before.band
        else before.place + GAP
    )
    return before.band, (before.place + end) // 2


def masked(name: str) -> str:
    """沈玉兰 → 沈*兰, 秦风 → 秦*: what a hall may read."""
    text = name.strip()
    if len(text) <= 1:
        return "*"
    return f"{text[0]}*" if len(text) == 2 else f"{text[0]}*{text[-1]}"  # noqa: PLR2004 - a name of two characters


def screen_of(
    rooms: Sequence[Desk],
    tickets: Sequence[Ticket],
    *,
    place: tuple[CampusCode, DepartmentCode],
    now: Instant,
    consult_minutes: int,
) -> Screen:
    """The hall's screen from its doctors and tickets, the tickets in calling order."""
    campus, department = place
    called = [t for t in tickets if t.state is TicketState.CALLED and t.called_at is not None]
    latest = max(called, key=lambda t: (t.called_at or now, t.number), default=None)
    desks_of = Counter(desk.queue for desk in rooms)
    waiting: dict[str, list[Ticket]] = {queue: [] for queue in desks_of}
    for ticket in tickets:
        if ticket.state is TicketState.WAITING:
            waiting.setdefault(ticket.queue, []).append(ticket)
    return Screen(
        campus=campus,
        department=department,
        department_name=rooms[0].department_name if rooms else "",
        calling=_shown(latest) if latest else None,
        rooms=tuple(
            ScreenRoom(
                room=desk.room,
                doctor_name=desk.doctor_name,
                doctor_title=desk.doctor_title,
                now=_now_at(desk, tickets),
                next=tuple(map(_shown, waiting[desk.queue][:NEXT_SHOWN])),
                wait_minutes=len(waiting[desk.queue]) * consult_minutes // desks_of[desk.queue],
                is_calling=latest is not None
                and (latest.queue, latest.doctor) == (desk.queue, desk.doctor),
            )
            for desk in rooms
        ),
        missed=tuple(_shown(t) for t in tickets if t.state is TicketState.MISSED),
        as_of=now,
    )


def _now_at(desk: Desk, tickets: Sequence[Ticket]) -> ScreenTicket | None:
    """Whom this doctor called last, and has not finished with."""
    own = [
        t
        for t in tickets
        if (t.queue, t.doctor) == (desk.queue, desk.doctor)
        and t.state in (TicketState.CALLED, TicketState.SERVED)
    ]
    last = max(own, key=lambda t: (t.called_at or t.issued_at, t.number), default=None)
    return _shown(last) if last else None


def _shown(ticket: Ticket) -> ScreenTicket:
    return ScreenTicket(
        number=ticket.number, masked_name=masked(ticket.patient_name), room=ticket.room
    )
