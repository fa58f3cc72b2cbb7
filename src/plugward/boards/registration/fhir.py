"""FHIR: a number that was taken as Appointment, a clinic as Schedule, its stretches as Slot."""

from datetime import date
from uuid import UUID

from plugward.boards.patients.contract import Patients
from plugward.kernel.fhir import (
    Ask,
    Concept,
    Element,
    Found,
    Json,
    Made,
    Query,
    Reference,
    Resource,
    Sent,
    Unfit,
    moment,
    pair,
    parted,
    refer,
    reference,
    stamp,
    take,
    target_of,
    tidy,
    token,
    uuid_of,
)
from plugward.vocabulary import AppointmentId, EncounterId, PatientId, SlotId

from .contract import (
    Appointment,
    AppointmentState,
    BookAppointment,
    Channel,
    Registrations,
    Session,
    SessionId,
    SessionState,
    Slot,
)

STATES = {
    AppointmentState.HELD: "pending",
    AppointmentState.BOOKED: "booked",
    AppointmentState.CHECKED_IN: "arrived",
    AppointmentState.FULFILLED: "fulfilled",
    AppointmentState.STOPPED: "proposed",
    AppointmentState.EXPIRED: "cancelled",
    AppointmentState.CANCELLED: "cancelled",
}
"""A stopped clinic leaves the patient with a choice: nothing is agreed any more."""
EVER = date(1900, 1, 1)
LOOKED_AT_MAX = 200


def appointment_resource(appointment: Appointment) -> Json:
    who = (
        refer("Patient", appointment.patient, appointment.patient_name),
        refer("Practitioner", appointment.doctor, appointment.doctor_name),
        refer("Location", appointment.campus),
    )
    return tidy(
        {
            "resourceType": "Appointment",
            "id": str(appointment.id),
            "status": STATES[appointment.state],
            "specialty": [{"text": appointment.department_name}],
            "start": stamp(appointment.starts_at),
            "end": stamp(appointment.ends_at),
            "slot": [refer("Slot", pair(appointment.session, appointment.slot))],
            "created": stamp(appointment.booked_at),
            "participant": [{"actor": one, "status": "accepted"} for one in who],
        }
    )


def schedule_resource(session: Session) -> Json:
    actors = (
        refer("Practitioner", session.doctor, session.doctor_name),
        refer("Location", session.campus),
    )
    return tidy(
        {
            "resourceType": "Schedule",
            "id": str(session.id),
            "active": session.state is SessionState.OPEN,
            "specialty": [{"text": session.department_name}],
            "actor": list(actors),
            "planningHorizon": {
                "start": session.day.isoformat(),
                "end": session.day.isoformat(),
            },
        }
    )


def slot_resource(slot: Slot, session: Session) -> Json:
    is_free = slot.remaining > 0 and session.state is SessionState.OPEN
    stopped = "busy" if session.state is SessionState.OPEN else "busy-unavailable"
    return tidy(
        {
            "resourceType": "Slot",
            "id": pair(session.id, slot.id),
            "schedule": refer("Schedule", session.id),
            "status": "free" if is_free else stopped,
            "start": stamp(slot.starts_at),
            "end": stamp(slot.ends_at),
            "comment": f"{slot.remaining}/{slot.capacity}",
        }
    )


async def read_appointment(id_: str, registration: Registrations) -> Json | None:
    own = uuid_of(id_)
    return appointment_resource(await registration.get(AppointmentId(own))) if own else None


async def find_appointments(query: Query, registration: Registrations, patients: Patients) -> Found:
    persons = [
        own for id_ in query.ids("patient") for own in await patients.person_of(PatientId(id_))
    ]
    if not persons:
        return Found(())
    found = await registration.of_patients(tuple(dict.fromkeys(persons)), EVER, LOOKED_AT_MAX)
    return Found([appointment_resource(one) for one in found], len(found) < LOOKED_AT_MAX)


async def read_schedule(id_: str, registration: Registrations) -> Json | None:
    own = uuid_of(id_)
    if own is None:
        return None
    return schedule_resource((await registration.session(SessionId(own))).session)


async def read_slot(id_: str, registration: Registrations) -> Json | None:
    ids = parted(id_)
    if ids is None:
        return None
    offer = await registration.session(SessionId(ids[0]))
    found = (slot_resource(slot, offer.session) for slot in offer.slots if slot.id == ids[1])
    return next(found, None)


async def find_slots(query: Query, registration: Registrations) -> Found:
    found = []
    for id_ in query.ids("schedule"):
        offer = await registration.session(SessionId(id_))
        found += [slot_resource(slot, offer.session) for slot in offer.slots]
    return Found(found)


# ── writing ──────────────────────────────────────────────────────────────────────────────────


class SentParticipant(Element, frozen=True):
    actor: Reference
    status: str


class SentAppointment(Sent, frozen=True):
    status: str = ""
    specialty: tuple[Concept, ...] = ()
    start: str = ""
    end: str = ""
    slot: tuple[Reference, ...] = ()
    created: str = ""
    participant: tuple[SentParticipant, ...] = ()


async def book_number(body: Json, ask: Ask, registration: Registrations) -> Made:
    sent = take(body, SentAppointment)
    if sent.status != "booked":
        raise Unfit(422, "business-rule", "Appointment.status", "only booked can be asked for")
    if sent.start or sent.end or sent.created or sent.specialty:
        raise Unfit(422, "not-supported", "Appointment.start", "the slot says when and where")
    ids = parted(sent.slot[0].reference.rpartition("/")[2]) if len(sent.slot) == 1 else None
    if ids is None:
        raise Unfit(422, "required", "Appointment.slot", "one slot of this server is needed")
    others = [p for p in sent.participant if not p.actor.reference.startswith("Patient/")]
    if len(sent.participant) != 1 or others:
        raise Unfit(422, "required", "Appointment.participant", "the patient, and nobody else")
    patient = target_of(sent.participant[0].actor, "Patient", "Appointment.participant.actor")
    booked = await registration.book(
        BookAppointment(
            id=AppointmentId(ask.derive("appointment")),
            encounter=EncounterId(ask.derive("encounter")),
            patient=PatientId(patient),
            slot=SlotId(ids[1]),
            channel=Channel.APP,
        )
    )
    return Made(appointment_resource(booked))


async def give_back(before: Json, body: Json, ask: Ask, registration: Registrations) -> Json:
    del ask
    kept = ("meta", "text", "language", "status")
    if {k: v for k, v in body.items() if k not in kept} != {
        k: v for k, v in before.items() if k not in kept
    }:
        raise Unfit(422, "business-rule", "Appointment", "only the status can be changed")
    if body.get("status") == before["status"]:
        return before
    if body.get("status") != "cancelled":
        raise Unfit(422, "business-rule", "Appointment.status", "can only become cancelled")
    return appointment_resource(await registration.cancel(AppointmentId(UUID(before["id"]))))


resources = (
    Resource(
        type="Appointment",
        read=read_appointment,
        search=find_appointments,
        create=book_number,
        update=give_back,
        params={
            "patient": reference("participant.actor", "Patient", is_kept=True),
            "actor": reference("participant.actor", "Patient", "Practitioner", "Location"),
            "practitioner": reference("participant.actor", "Practitioner"),
            "slot": reference("slot", "Slot"),
            "status": token("status"),
            "date": moment("start"),
        },
        starts=(("patient",),),
        note="A create takes one number of a slot, to be paid as from a telephone (pending until "
        "then). An update gives the number back (status cancelled).",
    ),
    Resource(type="Schedule", read=read_schedule, note="One doctor's clinic on one day."),
    Resource(
        type="Slot",
        read=read_slot,
        search=find_slots,
        params={
            "schedule": reference("schedule", "Schedule"),
            "status": token("status"),
            "start": moment("start"),
        },
        starts=(("schedule",),),
        note="A stretch of a clinic; the comment says how many numbers of it are left.",
    ),
)
