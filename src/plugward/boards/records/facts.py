"""What the data centre learns from this board: how events become rows of facts."""

from datetime import date

from plugward.kernel import Message, fact
from plugward.kit.message import Plain
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import CampusCode, DepartmentCode, EncounterId, NoteId, PatientId

from .contract import NoteSigned


class SignedNote(Message):
    """One signed version of a note 一版已签名病历, on the day it was signed."""

    note: NoteId
    version: int
    day: date
    signed_at: Instant
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    patient: PatientId
    encounter: EncounterId
    main_icd10: Plain
    is_correction: bool


class NotedDiagnosis(Message):
    """One diagnosis of a note 一条诊断; a correction replaces those at the same places."""

    note: NoteId
    position: int
    day: date
    campus: CampusCode
    department: DepartmentCode
    patient: PatientId
    encounter: EncounterId
    icd10: Plain
    is_main: bool


@fact(NoteSigned, table="records_signed", key=("note", "version"))
def signed_note(event: NoteSigned) -> SignedNote:
    return SignedNote(
        note=event.note,
        version=event.version,
        day=hospital_date(event.signed_at),
        signed_at=event.signed_at,
        campus=event.campus,
        department=event.department,
        author=event.author,
        patient=event.patient,
        encounter=event.encounter,
        main_icd10=event.icd10[0] if event.icd10 else "",
        is_correction=event.corrects is not None,
    )


@fact(NoteSigned, table="records_diagnoses", key=("note", "position"))
def noted_diagnoses(event: NoteSigned) -> tuple[NotedDiagnosis, ...]:
    return tuple(
        NotedDiagnosis(
            note=event.note,
            position=position,
            day=hospital_date(event.signed_at),
            campus=event.campus,
            department=event.department,
            patient=event.patient,
            encounter=event.encounter,
            icd10=icd10,
            is_main=position == 0,
        )
        for position, icd10 in enumerate(event.icd10)
    )
