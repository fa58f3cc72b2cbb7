"""What must always be true of the numbers; ``plugward audit`` runs it."""

from collections.abc import Callable
from typing import cast

from sqlalchemy import func, select

from plugward.kernel import Finding, Reading, proof
from plugward.kernel.proofs import pages

from .contract import Appointment, AppointmentState
from .rules import HOLDING
from .tables import appointments, places, slots

BATCH = 1_000
BREACHES_MAX = 1_000


@proof("A1", "号源：剩余不小于零、不大于总数，且总数减剩余等于占号的预约数")
def numbers_add_up(read: Reading) -> Finding:
    given = (
        select(appointments.c.slot, func.count().label("given"))
        .where(appointments.c.state.in_(list(HOLDING)))
        .group_by(appointments.c.slot)
        .subquery()
    )
    taken = func.coalesce(given.c.given, 0)
    wrong = read.rows(
        select(slots.c.id)
        .outerjoin(given, given.c.slot == slots.c.id)
        .where(
            (slots.c.remaining < 0)
            | (slots.c.remaining > slots.c.capacity)
            | (slots.c.capacity - slots.c.remaining != taken),
            *read.visible(slots),
        )
        .limit(BREACHES_MAX)
    )
    return Finding(examined=read.count(slots), breaches=tuple(str(row.id) for row in wrong))


@proof("A2", "同一人在同一门诊至多一个号")
def one_number_a_person_and_clinic(read: Reading) -> Finding:
    wrong = read.rows(
        select(appointments.c.session, appointments.c.person)
        .where(appointments.c.state.in_(list(HOLDING)), *read.visible(appointments))
        .group_by(appointments.c.session, appointments.c.person)
        .having(func.count() > 1)
        .limit(BREACHES_MAX)
    )
    negative = read.rows(
        select(places.c.session).where(places.c.free < 0, *read.visible(places)).limit(1)
    )
    return Finding(
        examined=read.count(places),
        breaches=tuple(str(row.session) for row in (*wrong, *negative)),
    )


@proof("R2", "每个预约都写明患者、院区、科室和记录人")
def every_appointment_names_its_patient(read: Reading) -> Finding:
    return _finding(read, lambda a: not (a.patient.int and a.campus and a.department and a.author))


@proof("A3", "占号必有时限：待支付的号有释放时间，其他状态没有")
def a_hold_has_an_end(read: Reading) -> Finding:
    return _finding(
        read, lambda a: (a.state is AppointmentState.HELD) != (a.held_until is not None)
    )


def _finding(read: Reading, is_wrong: Callable[[Appointment], bool]) -> Finding:
    seen, breaches = 0, []
    for found in pages(
        lambda offset: read.find(
            appointments, Appointment, limit=BATCH, offset=offset, order_by="id"
        ),
        BATCH,
    ):
        appointment = cast("Appointment", found)
        seen += 1
        if is_wrong(appointment):
            breaches.append(str(appointment.id))
    return Finding(examined=seen, breaches=tuple(breaches))
