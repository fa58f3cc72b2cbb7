"""What must always be true of the tickets; ``plugward audit`` runs it."""

from typing import Any

from sqlalchemy import ColumnElement, func, select

from plugward.kernel import Finding, Reading, proof

from .contract import TicketState
from .tables import tickets

BREACHES_MAX = 1_000
_WITH_A_DOCTOR = (TicketState.CALLED, TicketState.SERVED)


@proof("C1", "一次就诊只有一张候诊号")
def one_ticket_a_visit(read: Reading) -> Finding:
    return _groups(read, tickets.c.encounter)


@proof("C2", "同一候诊厅一天之内没有两张相同的号")
def no_two_numbers_alike(read: Reading) -> Finding:
    return _groups(read, tickets.c.department, tickets.c.day, tickets.c.number)


@proof("C3", "已呼叫、就诊中的号有且只有一位医生")
def whoever_is_called_has_a_doctor(read: Reading) -> Finding:
    wrong = read.rows(
        select(tickets.c.id)
        .where(
            tickets.c.state.in_(_WITH_A_DOCTOR),
            tickets.c.doctor.is_(None),
            *read.visible(tickets),
        )
        .limit(BREACHES_MAX)
    )
    return Finding(
        examined=read.count(tickets, state=_WITH_A_DOCTOR),
        breaches=tuple(str(row.id) for row in wrong),
    )


@proof("R2", "每张候诊号都写明患者、院区、科室和记录人")
def every_ticket_names_its_patient(read: Reading) -> Finding:
    wrong = read.rows(
        select(tickets.c.id)
        .where(
            (tickets.c.campus == "")
            | (tickets.c.department == "")
            | (tickets.c.author == "")
            | (tickets.c.patient_name == ""),
            *read.visible(tickets),
        )
        .limit(BREACHES_MAX)
    )
    return Finding(examined=read.count(tickets), breaches=tuple(str(row.id) for row in wrong))


def _groups(read: Reading, *columns: ColumnElement[Any]) -> Finding:
    alike: Any = (
        select(func.min(tickets.c.number).label("number"), func.count().label("times"))
        .where(*read.visible(tickets))
        .group_by(*columns)
        .having(func.count() > 1)
        .limit(BREACHES_MAX)
    )
    wrong = read.rows(alike)
    return Finding(
        examined=read.count(tickets),
        breaches=tuple(f"{row.number} ×{row.times}" for row in wrong),
    )
