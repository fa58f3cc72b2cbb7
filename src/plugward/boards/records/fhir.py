"""FHIR: the diagnoses of signed notes as Condition. They are written by signing a note."""

from uuid import UUID

from plugward.boards.patients.contract import Patients
from plugward.kernel.fhir import (
    Found,
    Json,
    Query,
    Resource,
    actor,
    concept,
    moment,
    refer,
    reference,
    stamp,
    tidy,
    token,
)
from plugward.vocabulary import EncounterId, NoteId, PatientId

from .contract import Certainty, Diagnosis, NoteVersion, Records

ICD10 = "urn:oid:2.16.156.10011.2.3.3.11"
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CERTAINTIES = {Certainty.CONFIRMED: "confirmed", Certainty.SUSPECTED: "provisional"}
NOTES_MAX = 50
HEX_PLACES = 32


def condition_resource(note: NoteVersion, diagnosis: Diagnosis) -> Json:
    text = " ".join(filter(None, (diagnosis.name, diagnosis.addition)))
    return tidy(
        {
            "resourceType": "Condition",
            "id": _id(note.note, diagnosis.icd10),
            "clinicalStatus": concept(CLINICAL, "active"),
            "verificationStatus": concept(VERIFIED, CERTAINTIES[diagnosis.certainty]),
            "category": [concept(CATEGORY, "encounter-diagnosis")],
            "code": concept(ICD10, diagnosis.icd10, diagnosis.name, text),
            "subject": refer("Patient", note.patient),
            "encounter": refer("Encounter", note.encounter),
            "recordedDate": stamp(note.signed_at),
            "recorder": actor(note.author),
        }
    )


def _id(note: NoteId, icd10: str) -> str:
    """The note and the code: a code's signs are not all allowed in an id."""
    return f"{note.hex}{icd10.encode().hex()}"


def _conditions(notes: tuple[NoteVersion, ...]) -> list[Json]:
    return [condition_resource(note, d) for note in notes for d in note.content.diagnoses]


async def read_condition(id_: str, records: Records) -> Json | None:
    try:
        note = NoteId(UUID(id_[:HEX_PLACES]))
    except ValueError:
        return None
    newest = await records.versions(note)
    return next((c for c in _conditions(newest[:1]) if c["id"] == id_), None)


async def find_conditions(query: Query, records: Records, patients: Patients) -> Found:
    persons = {
        own
        for id_ in query.ids("patient", "subject")
        for own in await patients.person_of(PatientId(id_))
    }
    if "encounter" in query:
        found = [
            note
            for id_ in query.ids("encounter")
            for note in await records.for_encounter(EncounterId(id_))
            if not ("patient" in query or "subject" in query) or note.patient in persons
        ]
        return Found(_conditions(tuple(found)), len(found) < NOTES_MAX)
    if not persons:
        return Found(())
    notes = await records.for_patient(tuple(persons), NOTES_MAX)
    return Found(_conditions(notes), len(notes) < NOTES_MAX)


resources = (
    Resource(
        type="Condition",
        read=read_condition,
        search=find_conditions,
        params={
            "patient": reference("subject", "Patient", is_kept=True),
            "subject": reference("subject", "Patient", is_kept=True),
            "encounter": reference("encounter", "Encounter"),
            "code": token("code"),
            "clinical-status": token("clinicalStatus"),
            "verification-status": token("verificationStatus"),
            "category": token("category"),
            "recorded-date": moment("recordedDate"),
        },
        starts=(("patient",), ("subject",), ("encounter",)),
        note="The diagnoses of the newest version of each signed note.",
    ),
)
