"""What the data centre learns from this board: one row a visit, as it stands."""

from datetime import date

from plugward.kernel import Identifying, Message, Plain
from plugward.kernel.facts import fact
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, PatientId, StaffId

from .contract import (
    Encounter,
    EncounterArrived,
    EncounterCancelled,
    EncounterFinished,
    EncounterPlanned,
    EncounterStarted,
)


class Visit(Message):
    """A visit 一次就诊 with the times of its steps; a later fact replaces the row."""

    encounter: EncounterId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    doctor: StaffId | None
    doctor_name: Identifying
    kind: Plain
    day: date
    state: Plain
    arrived_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    disposition: Plain | None


def _visit(encounter: Encounter) -> Visit:
    return Visit(
        encounter=encounter.id,
        patient=encounter.patient,
        campus=encounter.campus,
        department=encounter.department,
        doctor=encounter.doctor,
        doctor_name=encounter.doctor_name,
        kind=encounter.kind.value,
        day=encounter.day,
        state=encounter.state.value,
        arrived_at=encounter.arrived_at,
        started_at=encounter.started_at,
        finished_at=encounter.finished_at,
        disposition=encounter.disposition.value if encounter.disposition else None,
    )


@fact(EncounterPlanned, table="visits", key=("encounter",))
def planned_visit(event: EncounterPlanned) -> Visit:
    return _visit(event.encounter)


@fact(EncounterArrived, table="visits", key=("encounter",))
def arrived_visit(event: EncounterArrived) -> Visit:
    return _visit(event.encounter)


@fact(EncounterStarted, table="visits", key=("encounter",))
def started_visit(event: EncounterStarted) -> Visit:
    return _visit(event.encounter)


@fact(EncounterFinished, table="visits", key=("encounter",))
def finished_visit(event: EncounterFinished) -> Visit:
    return _visit(event.encounter)


@fact(EncounterCancelled, table="visits", key=("encounter",))
def cancelled_visit(event: EncounterCancelled) -> Visit:
    return _visit(event.encounter)
