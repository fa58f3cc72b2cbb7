"""Clinics 出诊: today's sessions of the demonstration hospital, published as its planner would."""

from collections.abc import Iterable
from datetime import date, timedelta
from uuid import UUID

from plugward.boards.registration.contract import (
    ClinicKind,
    DayPeriod,
    PublishSession,
    PublishSlot,
    SessionId,
)
from plugward.kit.ids import seeded_id
from plugward.kit.time import hospital_midnight, milliseconds
from plugward.vocabulary import SlotId

from .cast import Member

SLOT_MINUTES = 30
PERIODS = {
    DayPeriod.MORNING: (8 * 60, 12 * 60),
    DayPeriod.AFTERNOON: (14 * 60, 17 * 60 + 30),
}
ROUND_THE_CLOCK = {
    DayPeriod.MORNING: (0, 12 * 60),
    DayPeriod.AFTERNOON: (12 * 60, 18 * 60),
    DayPeriod.EVENING: (18 * 60, 24 * 60),
}
FEES = {"主任医师": "RF03", "副主任医师": "RF02"}


def sessions_of(
    doctors: Iterable[Member],
    day: date,
    names: dict[str, str],
    *,
    per_slot: int,
    periods: dict[DayPeriod, tuple[int, int]] = PERIODS,
) -> Iterable[PublishSession]:
    """One session a doctor and period. Ids follow from doctor, day and period: asked twice, the
    same sessions are published once."""
    for doctor in doctors:
        for period, (opens, closes) in periods.items():
            yield _session(doctor, day, period, names, _slots(doctor, day, opens, closes, per_slot))


def _session(
    doctor: Member,
    day: date,
    period: DayPeriod,
    names: dict[str, str],
    slots: tuple[PublishSlot, ...],
) -> PublishSession:
    expert = doctor.title in FEES
    return PublishSession(
        id=SessionId(_id(day, f"session:{doctor.id}:{period}")),
        campus=doctor.campus,
        department=doctor.department,
        department_name=names.get(doctor.department, doctor.department),
        doctor=doctor.id,
        doctor_name=doctor.name,
        doctor_title=doctor.title,
        day=day,
        period=period,
        kind=ClinicKind.EXPERT if expert else ClinicKind.GENERAL,
        fee_item=FEES.get(doctor.title, "RF01"),
        room=doctor.room,
        slots=slots,
    )


def _slots(
    doctor: Member, day: date, opens: int, closes: int, per_slot: int
) -> tuple[PublishSlot, ...]:
    midnight = hospital_midnight(day)
    return tuple(
        PublishSlot(
            id=SlotId(_id(day, f"slot:{doctor.id}:{minute}")),
            starts_at=midnight + timedelta(minutes=minute),
            ends_at=midnight + timedelta(minutes=minute + SLOT_MINUTES),
            capacity=per_slot,
        )
        for minute in range(opens, closes, SLOT_MINUTES)
    )


def _id(day: date, text: str) -> UUID:
    return seeded_id(milliseconds(hospital_midnight(day)), f"{day}:{text}".encode())
