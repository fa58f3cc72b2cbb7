"""What the data centre learns from this board: persons without their names, and merges."""

from datetime import date

from plugward.kernel import Message, Plain
from plugward.kernel.facts import fact
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, PatientId

from .contract import (
    ID_CARD,
    Patient,
    PatientMerged,
    PatientRegistered,
    PatientUnmerged,
    PatientUpdated,
)


class PersonRow(Message):
    """A patient 一位患者 as a dimension: nothing that names anybody."""

    patient: PatientId
    campus: CampusCode
    sex: Plain
    birth_date: date | None
    coverage: Plain
    has_id_card: bool
    has_phone: bool
    allergy_state: Plain
    registered_at: Instant


class MergedRow(Message):
    """An id that is part of another person 已合并的编号; unmerged again, it leads itself."""

    patient: PatientId
    person: PatientId


def _row(patient: Patient) -> PersonRow:
    return PersonRow(
        patient=patient.id,
        campus=patient.campus,
        sex=patient.sex.value,
        birth_date=patient.birth_date,
        coverage=patient.coverage.kind.value,
        has_id_card=bool(patient.identifier(ID_CARD)),
        has_phone=bool(patient.phone),
        allergy_state=patient.allergy_state.value,
        registered_at=patient.registered_at,
    )


@fact(PatientRegistered, table="patients", key=("patient",))
def registered_patient(event: PatientRegistered) -> PersonRow:
    return _row(event.patient)


@fact(PatientUpdated, table="patients", key=("patient",))
def updated_patient(event: PatientUpdated) -> PersonRow:
    return _row(event.patient)


@fact(PatientMerged, table="patient_persons", key=("patient",))
def merged_patient(event: PatientMerged) -> MergedRow:
    return MergedRow(patient=event.patient, person=event.into)


@fact(PatientUnmerged, table="patient_persons", key=("patient",))
def unmerged_patient(event: PatientUnmerged) -> MergedRow:
    return MergedRow(patient=event.patient, person=event.patient)
