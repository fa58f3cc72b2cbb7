"""The rules of giving numbers: pure functions, no database, no clock."""

from datetime import date, timedelta
from itertools import pairwise

from plugward.kernel import Identifying, Lifecycle, Message, Plain
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import ChargeRequest, PatientId

from .contract import (
    Appointment,
    AppointmentState,
    BookAppointment,
    Channel,
    PublishSession,
    Session,
    Slot,
    SlotsInvalid,
)

SLOTS_MAX = 100
CAPACITY_MAX = 500
DEPARTMENT_PLACES_MAX = 24
QUEUE_PLACES_MAX = 32

LIFECYCLE = Lifecycle(
    {
        AppointmentState.HELD: {
            AppointmentState.BOOKED,
            AppointmentState.EXPIRED,
            AppointmentState.CANCELLED,
            AppointmentState.FULFILLED,
        },
        AppointmentState.BOOKED: {
            AppointmentState.CHECKED_IN,
            AppointmentState.STOPPED,
            AppointmentState.CANCELLED,
            AppointmentState.FULFILLED,
        },
        AppointmentState.CHECKED_IN: {AppointmentState.STOPPED, AppointmentState.FULFILLED},
        AppointmentState.STOPPED: {
            AppointmentState.BOOKED,
            AppointmentState.CANCELLED,
            AppointmentState.FULFILLED,  # the doctor saw the patient after all
        },
        AppointmentState.EXPIRED: {AppointmentState.BOOKED},  # late money, number still free
        AppointmentState.CANCELLED: set(),
        AppointmentState.FULFILLED: set(),
    }
)

HOLDING = frozenset(
    {
        AppointmentState.HELD,
        AppointmentState.BOOKED,
        AppointmentState.CHECKED_IN,
        AppointmentState.STOPPED,
        AppointmentState.FULFILLED,
    }
)
"""The states in which an appointment has a number of its slot."""


_FROM_SESSION = (
    "campus",
    "department",
    "department_name",
    "doctor",
    "doctor_name",
    "doctor_title",
    "day",
    "period",
    "kind",
    "room",
    "queue",
)


class Booker(Message):
    """What a booking needs to know of the patient."""

    person: PatientId
    name: Identifying
    birth_date: date | None


class Fee(Message):
    """A version of a registration fee, as master data published it."""

    code: Plain
    version: int
    name_zh: Plain
    price: UnitPrice | None
    valid_from: Instant
    is_retired: bool


def check_slots(request: PublishSession) -> None:
    """Refuse a session whose slots cannot be given."""
    if len(request.department) > DEPARTMENT_PLACES_MAX or len(request.queue) > QUEUE_PLACES_MAX:
        raise SlotsInvalid(problem="科室编码或队列名称过长")
    parts = sorted(request.slots, key=lambda slot: slot.starts_at)
    if not 1 <= len(parts) <= SLOTS_MAX:
        raise SlotsInvalid(problem=f"时段数须在 1 至 {SLOTS_MAX} 之间")
    if any(part.ends_at <= part.starts_at for part in parts):
        raise SlotsInvalid(problem="时段的结束须晚于开始")
    if any(hospital_date(part.starts_at) != request.day for part in parts):
        raise SlotsInvalid(problem="时段须在出诊当日")
    if any(before.ends_at > after.starts_at for before, after in pairwise(parts)):
        raise SlotsInvalid(problem="时段不能重叠")
    if any(part.capacity < 1 for part in parts):
        raise SlotsInvalid(problem="每个时段至少一个号")
    if sum(part.capacity for part in parts) > CAPACITY_MAX:
        raise SlotsInvalid(problem=f"一次出诊至多 {CAPACITY_MAX} 个号")


def pays_first(channel: Channel, setting: str) -> bool:
    """Whether a number taken by this channel is only held until the money comes."""
    return channel.value in {name.strip() for name in setting.split(",")}


def charge_of(appointment: Appointment) -> ChargeRequest:
    """The request for the registration fee; its charge follows from the appointment."""
    return ChargeRequest(
        encounter=appointment.encounter,
        item=appointment.fee_item,
        quantity=1,
        performed_at=appointment.booked_at,
        line=appointment.id,
    )


def taken_number(
    request: BookAppointment, booker: Booker, session: Session, slot: Slot, *, now: Instant
) -> Appointment:
    """The appointment a request makes; held or booked is the caller's to say."""
    return Appointment(
        **{name: getattr(session, name) for name in _FROM_SESSION},
        id=request.id,
        encounter=request.encounter,
        patient=request.patient,
        patient_name=booker.name,
        birth_date=booker.birth_date,
        session=session.id,
        slot=slot.id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
        fee_item=session.fee_item,
        channel=request.channel,
        state=AppointmentState.BOOKED,
        is_paid=False,
        held_until=None,
        booked_at=now,
        author="",
    )


def at_clinic(appointment: Appointment, session: Session, slot: Slot) -> Appointment:
    """The appointment with the place and time of this slot; the fee stays what it was."""
    return appointment.replace(
        **{name: getattr(session, name) for name in _FROM_SESSION},
        session=session.id,
        slot=slot.id,
        starts_at=slot.starts_at,
        ends_at=slot.ends_at,
    )


def fee_in_force(fees: tuple[Fee, ...], code: str, now: Instant) -> Fee | None:
    """The version of a fee that is in force."""
    begun = [fee for fee in fees if fee.code == code and fee.valid_from <= now]
    latest = max(begun, key=lambda fee: fee.version, default=None)
    return None if latest is None or latest.is_retired else latest


def price_of(fee: Fee | None) -> Money | None:
    return fee.price.extend(1) if fee is not None and fee.price is not None else None


def held_until(now: Instant, minutes: int) -> Instant:
    return now + timedelta(minutes=minutes)
