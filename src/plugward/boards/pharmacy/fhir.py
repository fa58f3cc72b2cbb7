"""FHIR: what the pharmacy hands out of a paid line, as MedicationDispense."""

from uuid import UUID

from plugward.kernel.fhir import (
    Found,
    Json,
    Query,
    Resource,
    actor,
    concept,
    moment,
    pair,
    parted,
    refer,
    reference,
    stamp,
    system,
    tidy,
    token,
)
from plugward.vocabulary import EncounterId, PatientId

from .contract import DispenseTask, LineState, Pharmacy, PrescriptionLine

STATES = {
    LineState.PAID: "preparation",
    LineState.DISPENSED: "completed",
    LineState.RETURNED: "completed",
    LineState.UNSUPPLIED: "cancelled",
}
"""A line that is not paid for has no dispense yet."""
LINES_MAX = 200


def dispense_resource(
    line: PrescriptionLine, patient: PatientId, task: DispenseTask | None
) -> Json:
    back = f"已退回 {line.returned}{line.unit}" if line.returned else ""
    return tidy(
        {
            "resourceType": "MedicationDispense",
            "id": pair(line.encounter, line.id),
            "status": STATES[line.state],
            "medicationCodeableConcept": concept(
                system("item"), line.item, line.name_zh, line.name_zh
            ),
            "subject": refer("Patient", patient),
            "context": refer("Encounter", line.encounter),
            "performer": [{"actor": actor(task.dispensed_by)}]
            if task and task.dispensed_by
            else None,
            "authorizingPrescription": [refer("MedicationRequest", line.id)],
            "quantity": {"value": line.dispensed or line.open, "unit": line.unit},
            "whenHandedOver": stamp(task.dispensed_at) if task else None,
            "note": [{"text": back}] if back else None,
        }
    )


async def _of_visit(encounter: UUID, pharmacy: Pharmacy) -> tuple[list[Json], bool]:
    lines = await pharmacy.lines(EncounterId(encounter))
    shown = [line for line in lines if line.state in STATES]
    if not shown:
        return [], True
    patient = (await pharmacy.prescriptions(EncounterId(encounter)))[0].patient
    wanted = dict.fromkeys(line.task for line in shown if line.task is not None)
    tasks = {id_: (await pharmacy.task(id_)).task for id_ in wanted}
    found = [
        dispense_resource(line, patient, tasks[line.task] if line.task else None) for line in shown
    ]
    return found, len(lines) < LINES_MAX


async def read_dispense(id_: str, pharmacy: Pharmacy) -> Json | None:
    ids = parted(id_)
    if ids is None:
        return None
    found, _ = await _of_visit(ids[0], pharmacy)
    return next((one for one in found if one["id"] == id_), None)


async def find_dispenses(query: Query, pharmacy: Pharmacy) -> Found:
    found: list[Json] = []
    is_whole = True
    for id_ in query.ids("context"):
        some, whole = await _of_visit(id_, pharmacy)
        found += some
        is_whole = is_whole and whole
    return Found(found, is_whole)


resources = (
    Resource(
        type="MedicationDispense",
        read=read_dispense,
        search=find_dispenses,
        params={
            "context": reference("context", "Encounter"),
            "prescription": reference("authorizingPrescription", "MedicationRequest"),
            "subject": reference("subject", "Patient"),
            "patient": reference("subject", "Patient"),
            "status": token("status"),
            "code": token("medicationCodeableConcept"),
            "whenhandedover": moment("whenHandedOver"),
        },
        starts=(("context",),),
        note="Of paid lines; one dispense a line. What came back stands in a note.",
    ),
)
