"""What this board does when something happens elsewhere, and what it does by the clock."""

from plugward.boards.billing.contract import BillSettled, RefundMade
from plugward.boards.encounters.contract import EncounterArrived, EncounterKind, EncounterStarted
from plugward.boards.orders.contract import GroupSigned, LineWithdrawn
from plugward.kernel import Here, every, on
from plugward.vocabulary import OrderLineId

from .rules import requests_of
from .service import LabHl7Service


@on(GroupSigned)
async def take_over_the_requests(event: GroupSigned, lab: LabHl7Service, here: Here) -> None:
    """本院区医嘱签名，其中的检验项目成为送往对方的申请。"""
    new = requests_of(event.group)
    if new and event.group.campus in here:
        await lab.add_requests(new)


@on(LineWithdrawn)
async def cancel_a_withdrawn_request(event: LineWithdrawn, lab: LabHl7Service) -> None:
    """医嘱撤回，已送出的申请向对方取消。"""
    await lab.cancel_request(event.line.id)


@on(BillSettled)
async def let_paid_requests_start(event: BillSettled, lab: LabHl7Service, here: Here) -> None:
    """缴费成功，申请送出。"""
    lines = tuple(OrderLineId(line.line) for line in event.lines if line.line is not None)
    if lines and event.bill.campus in here:
        await lab.set_paid(lines, event.bill.campus)


@on(RefundMade)
async def hold_refunded_requests(event: RefundMade, lab: LabHl7Service, here: Here) -> None:
    """退费完成，尚未送出的申请回到未缴费。"""
    lines = tuple(OrderLineId(line.line) for line in event.refund.lines if line.line is not None)
    if lines and event.refund.campus in here:
        await lab.set_unpaid(lines, event.refund.campus)


@on(EncounterArrived)
async def credit_an_arriving_emergency(
    event: EncounterArrived, lab: LabHl7Service, here: Here
) -> None:
    """急诊患者先检后付。"""
    if event.encounter.kind is EncounterKind.EMERGENCY and event.encounter.campus in here:
        await lab.credit_emergency(event.encounter.id, event.encounter.campus)


@on(EncounterStarted)
async def credit_a_started_emergency(
    event: EncounterStarted, lab: LabHl7Service, here: Here
) -> None:
    """未经签到直接接诊的急诊患者，同样先检后付。"""
    if event.encounter.kind is EncounterKind.EMERGENCY and event.encounter.campus in here:
        await lab.credit_emergency(event.encounter.id, event.encounter.campus)


@every(15)
async def escalate_what_nobody_acknowledged(lab: LabHl7Service) -> None:
    """危急值到时无人确认，升级通知。"""
    if await lab.has_overdue():
        await lab.escalate_overdue()
