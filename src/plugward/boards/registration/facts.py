"""What the data centre learns: one row an appointment, as it stands, and one a clinic."""

from datetime import date

from plugward.kernel import Message, Plain
from plugward.kernel.facts import fact
from plugward.kit.time import Instant
from plugward.vocabulary import AppointmentId, CampusCode, DepartmentCode, PatientId, StaffId

from .contract import (
    Appointment,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCheckedIn,
    AppointmentMoved,
    AppointmentPaid,
    AppointmentReinstated,
    AppointmentStopped,
    SessionId,
    SessionPublished,
    SessionStopped,
)


class BookedNumber(Message):
    """A number somebody took 一个挂号; a later fact replaces the row."""

    appointment: AppointmentId
    patient: PatientId
    campus: CampusCode
    department: DepartmentCode
    doctor: StaffId
    doctor_name: Plain
    kind: Plain
    day: date
    starts_at: Instant
    booked_at: Instant
    channel: Plain
    state: Plain
    is_paid: bool
    fee_item: Plain
    cancelled_because: Plain = ""


class PublishedClinic(Message):
    """A clinic that was put up 一次出诊, with its numbers and the name of its doctor."""

    session: SessionId
    campus: CampusCode
    department: DepartmentCode
    doctor: StaffId
    doctor_name: Plain
    day: date
    period: Plain
    kind: Plain
    numbers: int


class StoppedClinic(Message):
    """A clinic that was stopped 一次停诊; it may have been put up long before."""

    session: SessionId
    campus: CampusCode
    department: DepartmentCode
    doctor: StaffId
    day: date
    reason: Plain


@fact(SessionPublished, table="clinics_published", key=("session",))
def published_clinic(event: SessionPublished) -> PublishedClinic:
    session = event.session
    return PublishedClinic(
        session=session.id,
        campus=session.campus,
        department=session.department,
        doctor=session.doctor,
        doctor_name=session.doctor_name,
        day=session.day,
        period=session.period.value,
        kind=session.kind.value,
        numbers=event.numbers,
    )


@fact(SessionStopped, table="clinics_stopped", key=("session",))
def stopped_clinic(event: SessionStopped) -> StoppedClinic:
    session = event.session
    return StoppedClinic(
        session=session.id,
        campus=session.campus,
        department=session.department,
        doctor=session.doctor,
        day=session.day,
        reason=event.reason,
    )


def _row(appointment: Appointment) -> BookedNumber:
    return BookedNumber(
        appointment=appointment.id,
        patient=appointment.patient,
        campus=appointment.campus,
        department=appointment.department,
        doctor=appointment.doctor,
        doctor_name=appointment.doctor_name,
        kind=appointment.kind.value,
        day=appointment.day,
        starts_at=appointment.starts_at,
        booked_at=appointment.booked_at,
        channel=appointment.channel.value,
        state=appointment.state.value,
        is_paid=appointment.is_paid,
        fee_item=appointment.fee_item,
    )


@fact(AppointmentBooked, table="appointments", key=("appointment",))
def booked_number(event: AppointmentBooked) -> BookedNumber:
    return _row(event.appointment)


@fact(AppointmentPaid, table="appointments", key=("appointment",))
def paid_number(event: AppointmentPaid) -> BookedNumber:
    return _row(event.appointment)


@fact(AppointmentReinstated, table="appointments", key=("appointment",))
def reinstated_number(event: AppointmentReinstated) -> BookedNumber:
    return _row(event.appointment)


@fact(AppointmentCheckedIn, table="appointments", key=("appointment",))
def checked_in_number(event: AppointmentCheckedIn) -> BookedNumber:
    return _row(event.appointment)


@fact(AppointmentMoved, table="appointments", key=("appointment",))
def moved_number(event: AppointmentMoved) -> BookedNumber:
    return _row(event.appointment)


@fact(AppointmentStopped, table="appointments", key=("appointment",))
def stopped_number(event: AppointmentStopped) -> BookedNumber:
    return _row(event.appointment)


@fact(AppointmentCancelled, table="appointments", key=("appointment",))
def cancelled_number(event: AppointmentCancelled) -> BookedNumber:
    return _row(event.appointment).replace(cancelled_because=event.reason.value)
