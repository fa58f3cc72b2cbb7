"""What the data centre learns from the pharmacy: drugs handed out, returned and not supplied."""

from datetime import date
from uuid import UUID

from plugward.kernel import Message, Plain, fact
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import CampusCode, EncounterId, PatientId

from .contract import LineUnsupplied, PrescriptionDispensed, PrescriptionReturned


class DispensedDrug(Message):
    """One line that was handed out 发药明细."""

    task: UUID
    line: UUID
    day: date
    campus: CampusCode
    encounter: EncounterId
    patient: PatientId
    item: Plain
    name_zh: Plain
    quantity: int
    window: Plain
    dispensed_by: Plain
    paid_at: Instant
    dispensed_at: Instant


class ReturnedDrug(Message):
    """One line that came back 退药明细."""

    document: UUID
    line: UUID
    day: date
    campus: CampusCode
    encounter: EncounterId
    item: Plain
    quantity: int
    at: Instant


class UnsuppliedDrug(Message):
    """One paid line that could not be supplied 缺药明细."""

    line: UUID
    campus: CampusCode
    encounter: EncounterId
    item: Plain
    quantity: int
    reason: Plain


@fact(PrescriptionDispensed, table="pharmacy_dispensed", key=("task", "line"))
def dispensed_drug(event: PrescriptionDispensed) -> tuple[DispensedDrug, ...]:
    task = event.task
    at = task.dispensed_at or task.paid_at
    return tuple(
        DispensedDrug(
            task=task.id,
            line=line.line,
            day=hospital_date(at),
            campus=task.campus,
            encounter=task.encounter,
            patient=task.patient,
            item=line.item,
            name_zh=line.name_zh,
            quantity=line.quantity,
            window=task.window,
            dispensed_by=task.dispensed_by,
            paid_at=task.paid_at,
            dispensed_at=at,
        )
        for line in event.lines
    )


@fact(PrescriptionReturned, table="pharmacy_returned", key=("document", "line"))
def returned_drug(event: PrescriptionReturned) -> tuple[ReturnedDrug, ...]:
    document = event.document
    return tuple(
        ReturnedDrug(
            document=document.id,
            line=line.line,
            day=hospital_date(document.at),
            campus=document.campus,
            encounter=document.encounter,
            item=line.item,
            quantity=line.quantity,
            at=document.at,
        )
        for line in document.lines
    )


@fact(LineUnsupplied, table="pharmacy_unsupplied", key=("line", "quantity", "reason"))
def unsupplied_drug(event: LineUnsupplied) -> UnsuppliedDrug:
    return UnsuppliedDrug(
        line=event.line,
        campus=event.campus,
        encounter=event.encounter,
        item=event.item,
        quantity=event.quantity,
        reason=event.reason,
    )
