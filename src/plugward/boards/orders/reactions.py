"""What this board does when something happens elsewhere in the hospital."""

from plugward.boards.billing.contract import BillSettled
from plugward.boards.lab.contract import ReportIssued, ReportWithdrawn, SpecimenCollected
from plugward.boards.pharmacy.contract import (
    LineUnsupplied,
    PrescriptionDispensed,
    PrescriptionReturned,
)
from plugward.commons.masterdata.contract import EntryPublished
from plugward.kernel import on
from plugward.vocabulary import OrderLineId

from .contract import LineState
from .rules import item_of, usage_of
from .service import OrderService


@on(EntryPublished)
async def learn_what_can_be_ordered(event: EntryPublished, orders: OrderService) -> None:
    """主数据发布药品、检验、检查、治疗或用法频次的新版本，保存可开项目的副本。"""
    item = item_of(event.entry)
    if item is not None:
        await orders.learn_item(item)
    usage = usage_of(event.entry)
    if usage is not None:
        await orders.learn_usage(usage)


@on(BillSettled)
async def note_what_is_paid(event: BillSettled, orders: OrderService) -> None:
    """账单结清，其中的医嘱记为已缴费；挂号费等不是医嘱的行不动任何医嘱。"""
    paid = tuple(OrderLineId(line.line) for line in event.lines if line.line is not None)
    await orders.advance(paid, LineState.PAID)


@on(PrescriptionDispensed)
async def note_what_is_dispensed(event: PrescriptionDispensed, orders: OrderService) -> None:
    """药已交给患者，医嘱记为已发药。"""
    await orders.advance(tuple(line.line for line in event.lines), LineState.DISPENSED)


@on(PrescriptionReturned)
async def note_what_came_back(event: PrescriptionReturned, orders: OrderService) -> None:
    """全部退回的药品记为已退药；只退一部分的仍是已发药。"""
    for line in event.document.lines:
        await orders.advance_whole(line.line, line.quantity, LineState.RETURNED)


@on(LineUnsupplied)
async def note_what_cannot_be_supplied(event: LineUnsupplied, orders: OrderService) -> None:
    """全部无法供应的药品记为未供应；能供应一部分的照常发药。"""
    await orders.advance_whole(event.line, event.quantity, LineState.UNSUPPLIED)


@on(SpecimenCollected)
async def note_what_is_sampled(event: SpecimenCollected, orders: OrderService) -> None:
    """标本已采集，检验医嘱记为已执行，不能再撤回。"""
    await orders.advance(event.specimen.requests, LineState.PERFORMED)


@on(ReportIssued)
async def note_what_is_reported(event: ReportIssued, orders: OrderService) -> None:
    """检验报告已发出。"""
    await orders.advance(event.report.requests, LineState.REPORTED)


@on(ReportWithdrawn)
async def note_a_withdrawn_report(event: ReportWithdrawn, orders: OrderService) -> None:
    """报告撤回且没有新版：医嘱回到已执行，等待新报告。"""
    if event.report.replaced_by is None:
        await orders.advance(event.report.requests, LineState.PERFORMED)
