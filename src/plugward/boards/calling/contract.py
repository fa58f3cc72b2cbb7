"""Calling 智能呼叫: who is next, called once, by one doctor.

A check-in gives a ticket with a number people can read (A036) in the queue of the doctor, or in one
that several doctors share. Calling the next hands one waiting ticket to one caller. Who does not
come in three calls is missed, and re-enters after the next two when they show up; who comes back
with results re-enters with a B number. A visit has one ticket, so it has one position only.
"""

from datetime import date
from enum import StrEnum
from typing import NewType, Protocol

from plugward.kernel import (
    Conflict,
    Event,
    Identifying,
    Message,
    NotFound,
    Plain,
    command,
    contract,
    query,
)
from plugward.kit.time import Instant
from plugward.vocabulary import (
    AppointmentId,
    CampusCode,
    DepartmentCode,
    EncounterId,
    PatientId,
    StaffId,
    TicketId,
)

QueueCode = NewType("QueueCode", str)
"""``C1-CARD:2026-03-02:morning:general``: a department's queue on one day."""


class PriorityClass(StrEnum):
    """Why somebody goes ahead 优先类别."""

    URGENT = "urgent"  # 急危
    MILITARY = "military"  # 军人优先
    ELDERLY = "elderly"  # 80 岁及以上
    RETURN_VISIT = "return-visit"  # 检查后回诊
    ORDINARY = "ordinary"  # 普通


class TicketState(StrEnum):
    WAITING = "waiting"  # 候诊
    CALLED = "called"  # 已呼叫
    SERVED = "served"  # 就诊中
    DONE = "done"  # 已完成
    MISSED = "missed"  # 过号
    CLOSED = "closed"  # 已关闭


class Ticket(Message):
    """One visit's place in a queue. ``number`` is what the patient reads."""

    id: TicketId
    queue: QueueCode
    campus: CampusCode
    department: DepartmentCode
    day: date
    number: Plain  # A036
    priority: PriorityClass
    state: TicketState
    patient: PatientId
    patient_name: Identifying
    encounter: EncounterId
    appointment: AppointmentId
    calls: int
    has_rejoined: bool
    issued_at: Instant
    called_at: Instant | None = None
    served_at: Instant | None = None
    doctor: StaffId | None = None
    room: Plain = ""
    closed_because: Plain = ""
    author: Plain = ""  # who made the last move


class Queue(Message):
    """A queue as its doctors see it."""

    code: QueueCode
    waiting: tuple[Ticket, ...]  # in the order they will be called
    called: tuple[Ticket, ...]  # called or with a doctor now
    missed: tuple[Ticket, ...]
    as_of: Instant


class Desk(Message):
    """A doctor who calls from a queue, and the room the patients come to."""

    queue: QueueCode
    doctor: StaffId
    doctor_name: Plain
    doctor_title: Plain
    room: Plain
    campus: CampusCode
    department: DepartmentCode
    department_name: Plain
    day: date


class ScreenTicket(Message):
    """A ticket on the public screen: its number, and a name nobody can be found by."""

    number: Plain
    masked_name: Plain  # 沈*兰
    room: Plain = ""


class ScreenRoom(Message):
    """One room's line on the public screen."""

    room: Plain
    doctor_name: Plain
    doctor_title: Plain
    now: ScreenTicket | None
    next: tuple[ScreenTicket, ...]
    wait_minutes: int
    is_calling: bool  # the ticket was called last of all


class Screen(Message):
    """The waiting hall's screen of one department. It names no patient."""

    campus: CampusCode
    department: DepartmentCode
    department_name: Plain
    calling: ScreenTicket | None
    rooms: tuple[ScreenRoom, ...]
    missed: tuple[ScreenTicket, ...]
    as_of: Instant


class TicketIssued(Event, tag="calling.ticket.issued.v1", key="ticket.queue"):
    """Somebody who has checked in waits in a queue."""

    ticket: Ticket


class TicketCalled(Event, tag="calling.ticket.called.v1", key="ticket.queue"):
    """Called, for the ``ticket.calls``-th time."""

    ticket: Ticket


class TicketServed(Event, tag="calling.ticket.served.v1", key="ticket.queue"):
    """The patient is with the doctor."""

    ticket: Ticket


class TicketMissed(Event, tag="calling.ticket.missed.v1", key="ticket.queue"):
    """Called often enough, and nobody came."""

    ticket: Ticket


class TicketRejoined(Event, tag="calling.ticket.rejoined.v1", key="ticket.queue"):
    """Back in the queue: after being missed, or with results."""

    ticket: Ticket


class TicketClosed(Event, tag="calling.ticket.closed.v1", key="ticket.queue"):
    """Over: the visit is finished, or the clinic was stopped (``ticket.closed_because``)."""

    ticket: Ticket


class TicketNotFound(NotFound):
    """没有这张候诊号。"""


class NobodyWaits(Conflict):
    """当前没有候诊患者。"""

    queue: QueueCode


class StillCalling(Conflict):
    """{number} 号已呼叫 {calls} 次，尚未到诊；请再次呼叫或确认到诊。"""

    number: Plain
    calls: int
    ticket: TicketId


class CalledTooFew(Conflict):
    """{number} 号只呼叫了 {calls} 次，满 {calls_max} 次未到才能记为过号。"""

    number: Plain
    calls: int
    calls_max: int


@contract("calling")
class Calling(Protocol):
    """Tickets and calls."""

    @command(permission="calling.call")
    async def call_next(self, queue: QueueCode, doctor: StaffId, room: Plain = "") -> Ticket:
        """Call the next waiting ticket: two callers get two. Whoever this doctor called three times
        without an answer is missed. Refuses with ``NobodyWaits`` or ``StillCalling``."""
        ...

    @command(permission="calling.call")
    async def recall(self, ticket: TicketId) -> Ticket:
        """Call the same ticket once more. Refuses with ``TicketNotFound``."""
        ...

    @command(permission="calling.call")
    async def serve(self, ticket: TicketId) -> Ticket:
        """The patient has come in. Refuses with ``TicketNotFound``."""
        ...

    @command(permission="calling.call")
    async def miss(self, ticket: TicketId) -> Ticket:
        """Nobody came. Refuses with ``TicketNotFound`` or ``CalledTooFew``."""
        ...

    @command(permission="calling.triage")
    async def rejoin(self, ticket: TicketId) -> Ticket:
        """A missed patient has shown up: after the next two. Refuses with ``TicketNotFound``."""
        ...

    @command(permission="calling.triage")
    async def come_back(self, ticket: TicketId) -> Ticket:
        """Back with results: the same visit, a B number. Refuses with ``TicketNotFound``."""
        ...

    @query(permission="calling.read")
    async def queue(self, queue: QueueCode) -> Queue:
        """One queue: who waits, in order, who was called, who was missed; at most 200 each."""
        ...

    @query(permission="calling.read")
    async def queues_of(self, doctor: StaffId, day: date) -> tuple[Desk, ...]:
        """The queues a doctor calls from on a day."""
        ...

    @query(permission="calling.read")
    async def desks(
        self, campus: CampusCode, day: date, department: DepartmentCode | None = None
    ) -> tuple[Desk, ...]:
        """All queues of a day with their doctors, at most 500."""
        ...

    @query(permission="calling.read")
    async def ticket_of(self, encounter: EncounterId) -> Ticket | None:
        """The ticket of a visit, if it has one."""
        ...

    @query(permission="calling.screen", audited=False)
    async def screen(self, campus: CampusCode, department: DepartmentCode) -> Screen:
        """The public screen of a department today."""
        ...
