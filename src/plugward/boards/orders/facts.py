"""What the data centre learns from this board: how events become rows of facts."""

from datetime import date

from plugward.kernel import Message, fact
from plugward.kit.message import Plain
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
)

from .contract import GroupSigned, LineWithdrawn, WithdrawReason


class OrderedLine(Message):
    """One signed order line 一条已签名医嘱, on the day it was signed."""

    line: OrderLineId
    group: OrderGroupId
    day: date
    signed_at: Instant
    campus: CampusCode
    department: DepartmentCode
    author: Plain
    patient: PatientId
    encounter: EncounterId
    kind: OrderKind
    item: Plain
    name_zh: Plain
    quantity: int
    days: int | None
    is_urgent: bool


class WithdrawnLine(Message):
    """One order line taken back 一条已撤回医嘱, on the day it was."""

    line: OrderLineId
    day: date
    campus: CampusCode
    encounter: EncounterId
    kind: OrderKind
    item: Plain
    reason: WithdrawReason
    withdrawn_by: Plain
    was_paid: bool


@fact(GroupSigned, table="orders_signed", key=("line",))
def ordered_lines(event: GroupSigned) -> tuple[OrderedLine, ...]:
    group = event.group
    return tuple(
        OrderedLine(
            line=line.id,
            group=group.id,
            day=hospital_date(group.signed_at),
            signed_at=group.signed_at,
            campus=group.campus,
            department=group.department,
            author=group.author,
            patient=group.patient,
            encounter=group.encounter,
            kind=line.kind,
            item=line.item,
            name_zh=line.name_zh,
            quantity=line.quantity,
            days=line.days,
            is_urgent=line.is_urgent,
        )
        for line in group.lines
    )


@fact(LineWithdrawn, table="orders_withdrawn", key=("line",))
def withdrawn_line(event: LineWithdrawn) -> WithdrawnLine:
    line = event.line
    return WithdrawnLine(
        line=line.id,
        day=hospital_date(event.withdrawn_at),
        campus=line.campus,
        encounter=line.encounter,
        kind=line.kind,
        item=line.item,
        reason=event.reason,
        withdrawn_by=event.withdrawn_by,
        was_paid=event.was.value == "paid",
    )
