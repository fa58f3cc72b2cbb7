"""The registration fee was paid: in time, late, twice, or for a number that is gone."""

from plugward.kernel import Work
from plugward.vocabulary import BillId

from ..contract import (
    AlreadyBooked,
    Appointment,
    AppointmentPaid,
    AppointmentRefundDue,
    AppointmentReinstated,
    AppointmentState,
    ClinicStopped,
    NoneLeft,
    NothingLeft,
    Slot,
    SlotNotFound,
    SlotOver,
)
from ..tables import slots
from .numbers import move, person_of, session_of, take_number, take_place


def note(work: Work, appointment: Appointment, bill: BillId) -> None:
    """Attach the money to the number, or say that it has to go back. Never neither."""
    if appointment.bill == bill:
        return
    if appointment.is_paid or appointment.state is AppointmentState.CANCELLED:
        _owe(work, appointment, bill)
    elif appointment.state is AppointmentState.EXPIRED:
        _attach_late(work, appointment, bill)
    else:
        _attach(work, appointment, bill)


def _attach(work: Work, appointment: Appointment, bill: BillId) -> None:
    paid = appointment.replace(is_paid=True, bill=bill, held_until=None)
    if appointment.state is AppointmentState.HELD:
        paid = paid.replace(state=AppointmentState.BOOKED)
    work.publish(AppointmentPaid(appointment=move(work, appointment, paid), bill=bill))


def _attach_late(work: Work, expired: Appointment, bill: BillId) -> None:
    slot = work.get(slots, Slot, expired.slot)
    try:
        take_number(work, session_of(work, expired.session), slot)
    except (NoneLeft, NothingLeft, ClinicStopped, SlotOver):
        _owe(work, expired, bill)
        return
    try:
        take_place(work, expired, person_of(work, expired))
    except AlreadyBooked:  # meanwhile the patient took another number of the same clinic
        work.shift(slots, slot.id, {"remaining": 1}, floors={}, refuse=SlotNotFound)
        _owe(work, expired, bill)
        return
    again = move(
        work,
        expired,
        expired.replace(state=AppointmentState.BOOKED, is_paid=True, bill=bill),
    )
    work.publish(AppointmentReinstated(appointment=again, bill=bill))


def _owe(work: Work, appointment: Appointment, bill: BillId) -> None:
    """This bill's money bought nothing. A number that is gone remembers that it was paid for."""
    if not appointment.is_paid:
        move(work, appointment, appointment.replace(is_paid=True, bill=bill))
    work.publish(
        AppointmentRefundDue(appointment=appointment.id, encounter=appointment.encounter, bill=bill)
    )
