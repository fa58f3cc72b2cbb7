"""FHIR: Encounter, one a visit. An update moves the visit on; nothing else of it changes."""

from uuid import UUID

from plugward.boards.patients.contract import Patients
from plugward.kernel.fhir import (
    Ask,
    Coding,
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
    choose,
    concept,
    moment,
    refer,
    reference,
    stamp,
    system,
    take,
    target_of,
    tidy,
    token,
    uuid_of,
)
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, PatientId, StaffId

from .contract import Disposition, Encounter, EncounterKind, Encounters, OpenEncounter

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CLASSES = {EncounterKind.OUTPATIENT: "AMB", EncounterKind.EMERGENCY: "EMER"}
KINDS = {code: kind for kind, code in CLASSES.items()}
DISPOSITIONS = {one.value: one for one in Disposition}
LOOKED_AT_MAX = 200


def encounter_resource(encounter: Encounter) -> Json:
    began = encounter.started_at or encounter.arrived_at
    doctor = refer("Practitioner", encounter.doctor, encounter.doctor_name)
    if doctor is None and encounter.doctor_name:
        doctor = {"display": encounter.doctor_name}
    gone = encounter.disposition
    return tidy(
        {
            "resourceType": "Encounter",
            "id": str(encounter.id),
            "status": encounter.state.value,
            "class": {"system": ACT, "code": CLASSES[encounter.kind]},
            "subject": refer("Patient", encounter.patient, encounter.patient_name),
            "participant": [{"individual": doctor}] if doctor else None,
            "appointment": [refer("Appointment", encounter.appointment)],
            "period": {"start": stamp(began), "end": stamp(encounter.finished_at)},
            "hospitalization": {
                "dischargeDisposition": concept(system("disposition"), gone.value) if gone else None
            },
            "location": [{"location": refer("Location", encounter.campus)}],
            "serviceProvider": refer("Organization", encounter.department),
        }
    )


class SentParticipant(Element, frozen=True):
    individual: Reference


class SentStay(Element, frozen=True):
    discharge_disposition: Concept | None = None


class SentPeriod(Element, frozen=True):
    start: str = ""
    end: str = ""


class SentPlace(Element, frozen=True):
    location: Reference


class SentEncounter(Sent, frozen=True):
    status: str = ""
    class_: Coding = Coding()
    subject: Reference | None = None
    participant: tuple[SentParticipant, ...] = ()
    appointment: tuple[Reference, ...] = ()
    period: SentPeriod | None = None
    hospitalization: SentStay | None = None
    location: tuple[SentPlace, ...] = ()
    service_provider: Reference | None = None


async def read_encounter(id_: str, encounters: Encounters) -> Json | None:
    own = uuid_of(id_)
    return encounter_resource(await encounters.get(EncounterId(own))) if own else None


async def many_encounters(ids: tuple[str, ...], encounters: Encounters) -> list[Json]:
    own = tuple(EncounterId(i) for i in map(uuid_of, ids) if i is not None)
    return [encounter_resource(one) for one in await encounters.many(own)] if own else []


async def find_encounters(query: Query, encounters: Encounters, patients: Patients) -> Found:
    persons: dict[PatientId, None] = {}
    for id_ in query.ids("patient", "subject"):
        persons |= dict.fromkeys(await patients.person_of(PatientId(id_)))
    if not persons:
        return Found(())
    found = await encounters.of_patients(tuple(persons), LOOKED_AT_MAX)
    return Found([encounter_resource(one) for one in found], len(found) < LOOKED_AT_MAX)


async def open_encounter(body: Json, ask: Ask, encounters: Encounters, patients: Patients) -> Made:
    sent = take(body, SentEncounter)
    if sent.status != "arrived":
        raise Unfit(422, "business-rule", "Encounter.status", "a visit is opened as arrived")
    if sent.period or sent.hospitalization or sent.appointment or sent.location:
        raise Unfit(422, "not-supported", "Encounter", "the hospital itself says when and where")
    given = sent.service_provider.reference if sent.service_provider else ""
    kind, _, department = given.rpartition("/")
    if kind != "Organization" or not department:
        raise Unfit(422, "required", "Encounter.serviceProvider", "a department is needed")
    patient = await patients.get(PatientId(target_of(sent.subject, "Patient", "Encounter.subject")))
    opened = await encounters.open(
        OpenEncounter(
            id=EncounterId(ask.derive("encounter")),
            patient=patient.id,
            patient_name=patient.name,
            campus=CampusCode(ask.campus),
            department=DepartmentCode(department),
            kind=choose(sent.class_.code, KINDS, "Encounter.class"),
            doctor=_doctor(sent),
        )
    )
    return Made(encounter_resource(opened))


def _doctor(sent: SentEncounter) -> StaffId | None:
    if not sent.participant:
        return None
    who = sent.participant[0].individual
    return StaffId(target_of(who, "Practitioner", "Encounter.participant.individual"))


async def move_encounter(before: Json, body: Json, ask: Ask, encounters: Encounters) -> Json:
    del ask
    sent, was = take(body, SentEncounter), take(before, SentEncounter)
    own = EncounterId(UUID(before["id"]))
    for name in ("class_", "subject", "appointment", "location", "service_provider"):
        if getattr(sent, name) != getattr(was, name):
            raise Unfit(422, "business-rule", f"Encounter.{name.strip('_')}", "does not change")
    if sent.status == was.status:
        return before
    match sent.status:
        case "in-progress":
            doctor = _doctor(sent)
            if doctor is None:
                raise Unfit(422, "required", "Encounter.participant", "the doctor is needed")
            moved = await encounters.start(own, doctor, sent.participant[0].individual.display)
        case "finished":
            stay = sent.hospitalization or SentStay()
            coded = stay.discharge_disposition or Concept()
            at = "Encounter.hospitalization.dischargeDisposition"
            moved = await encounters.finish(
                own, choose(coded.code_in(system("disposition")), DISPOSITIONS, at)
            )
        case "cancelled":
            moved = await encounters.cancel(own, "fhir")
        case _:
            raise Unfit(
                422, "business-rule", "Encounter.status", "in-progress, finished or cancelled"
            )
    return encounter_resource(moved)


resources = (
    Resource(
        type="Encounter",
        read=read_encounter,
        many=many_encounters,
        search=find_encounters,
        create=open_encounter,
        update=move_encounter,
        params={
            "patient": reference("subject", "Patient", is_kept=True),
            "subject": reference("subject", "Patient", is_kept=True),
            "status": token("status"),
            "class": token("class"),
            "date": moment("period"),
            "appointment": reference("appointment", "Appointment"),
            "practitioner": reference("participant.individual", "Practitioner"),
            "service-provider": reference("serviceProvider", "Organization"),
            "location": reference("location.location", "Location"),
        },
        starts=(("patient",), ("subject",)),
        note="Outpatient and emergency visits. A merged person's visits are found from each id.",
    ),
)
