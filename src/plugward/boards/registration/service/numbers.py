"""Taking a number and giving it back: one conditional write each, and one place for every move."""

from sqlalchemy import case, select

from plugward.kernel import Message, Reading, Work
from plugward.kit.time import Instant
from plugward.vocabulary import AppointmentId, CampusCode, PatientId

from ..contract import (
    AlreadyBooked,
    Appointment,
    AppointmentCancelled,
    AppointmentNotFound,
    AppointmentState,
    CancelReason,
    ClinicStopped,
    NoneLeft,
    NothingLeft,
    Session,
    SessionId,
    SessionNotFound,
    SessionState,
    Slot,
    SlotNotFound,
    SlotOver,
)
from ..rules import LIFECYCLE
from ..tables import appointments, places, sessions, slots, whereabouts


class Whereabouts(Message):
    """Where an appointment is, and when: all that another campus may learn of it."""

    appointment: AppointmentId
    at: CampusCode
    starts_at: Instant


class Place(Message):
    """A person's one place in a clinic."""

    session: SessionId
    person: PatientId
    campus: CampusCode
    free: int
    appointment: AppointmentId | None


class Taker(Message):
    """Whose number it is: the person behind the id it was taken under."""

    id: AppointmentId
    person: PatientId


def session_of(read: Reading, session: SessionId) -> Session:
    return read.get(sessions, Session, session, missing=SessionNotFound)


def appointment_of(read: Reading, appointment: AppointmentId) -> Appointment:
    return read.get(appointments, Appointment, appointment, missing=AppointmentNotFound)


def person_of(read: Reading, appointment: Appointment) -> PatientId:
    return read.get(appointments, Taker, appointment.id).person


def take_number(work: Work, session: Session, slot: Slot) -> None:
    """One number of the slot, or a refusal that says what else there is."""
    if session.state is SessionState.STOPPED:
        raise ClinicStopped(session=session.id)
    if slot.ends_at <= work.now:
        raise SlotOver(ends_at=slot.ends_at)

    def refusal() -> NoneLeft | NothingLeft:
        return next_free(work, session, slot)

    work.take(slots, slot.id, "remaining", 1, slots.c.is_open, refuse=refusal)


def take_place(work: Work, made: Appointment, person: PatientId) -> None:
    """Nobody has two numbers of one clinic: a person's place in it is taken like a number."""
    key = (made.session, person)
    place = Place(
        session=made.session, person=person, campus=made.campus, free=0, appointment=made.id
    )
    if work.insert_new(places, place):
        return  # nobody had it, so it is taken

    def refusal() -> AlreadyBooked:
        there = work.get(places, Place, key)
        return AlreadyBooked(appointment=there.appointment or made.id)

    work.take(places, key, "free", 1, refuse=refusal)
    work.set_where(
        places,
        places.c.session == made.session,
        places.c.person == person,
        appointment=made.id,
    )


def note_whereabouts(work: Work, appointment: Appointment) -> None:
    work.save_copy(
        whereabouts,
        Whereabouts(
            appointment=appointment.id, at=appointment.campus, starts_at=appointment.starts_at
        ),
    )


def free(work: Work, appointment: Appointment, person: PatientId) -> None:
    """Number and place are there for others again."""
    work.shift(slots, appointment.slot, {"remaining": 1}, floors={}, refuse=SlotNotFound)
    work.shift(places, (appointment.session, person), {"free": 1}, floors={}, refuse=SlotNotFound)


def move(work: Work, before: Appointment, after: Appointment) -> Appointment:
    """The only place that changes an appointment."""
    if before.state is not after.state:
        LIFECYCLE.check(before.state, after.state)
    signed = after.replace(author=work.actor.id)
    work.update(appointments, before=before, after=signed)
    return signed


def give_back(
    work: Work, appointment: Appointment, state: AppointmentState, reason: CancelReason
) -> Appointment:
    """The appointment ends without a visit; its number is free."""
    ended = move(work, appointment, appointment.replace(state=state, held_until=None))
    free(work, appointment, person_of(work, appointment))
    work.publish(AppointmentCancelled(appointment=ended, reason=reason))
    return ended


def next_free(read: Reading, session: Session, slot: Slot) -> NoneLeft | NothingLeft:
    """The refusal of a full slot: it names the same doctor's next number, else the department's."""
    nearness = case(
        (slots.c.session == session.id, 0), (sessions.c.doctor == session.doctor, 1), else_=2
    )
    found = read.rows(
        select(slots.c.id, slots.c.starts_at, sessions.c.doctor_name)
        .join_from(slots, sessions, sessions.c.id == slots.c.session)
        .where(
            slots.c.campus == session.campus,
            slots.c.starts_at >= min(slot.starts_at, read.now),
            slots.c.ends_at > read.now,
            slots.c.remaining > 0,
            slots.c.is_open,
            sessions.c.department == session.department,
            *read.visible(slots),
        )
        .order_by(nearness, slots.c.starts_at, slots.c.id)
        .limit(1)
    )
    if not found:
        return NothingLeft(slot=slot.id)
    near = found[0]
    return NoneLeft(
        slot=slot.id,
        next_slot=near.id,
        next_doctor=near.doctor_name,
        next_starts_at=near.starts_at,
    )
