"""What the data centre learns from this board: one row an appointment, as it stands."""

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
