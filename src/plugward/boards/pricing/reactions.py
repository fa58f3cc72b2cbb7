"""What pricing does when something happens elsewhere in the hospital."""

from plugward.boards.orders.contract import LineWithdrawn
from plugward.boards.registration.contract import AppointmentCancelled, AppointmentReinstated
from plugward.commons.masterdata.contract import EntryPublished
from plugward.kernel import Carried, Carrying, on
from plugward.vocabulary import ChargeRequest

from .contract import CancelReason
from .rules import version_of
from .service import PricingService


@on(Carrying(ChargeRequest))
async def price_what_happened(carried: Carried, pricing: PricingService) -> None:
    """任何插板报告的事实，只要请求计费，就按当时的价格计为费用。"""
    await pricing.price_facts(carried.event, carried.items)


@on(EntryPublished)
async def learn_the_price(event: EntryPublished, pricing: PricingService) -> None:
    """主数据发布新版本，保存价格副本，并为等待定价的事实计价。"""
    version = version_of(event.entry)
    if version is not None:  # most of the catalogue costs nothing
        await pricing.learn_price(version)


@on(LineWithdrawn)
async def cancel_a_withdrawn_line(event: LineWithdrawn, pricing: PricingService) -> None:
    """医嘱撤回，取消其费用。"""
    await pricing.withdraw(event.line.id, CancelReason.ORDER_WITHDRAWN)


@on(AppointmentCancelled)
async def cancel_a_cancelled_appointment(
    event: AppointmentCancelled, pricing: PricingService
) -> None:
    """退号或号源释放，取消其诊查费。"""
    await pricing.withdraw(event.appointment.id, CancelReason.APPOINTMENT_CANCELLED)


@on(AppointmentReinstated)
async def charge_a_reinstated_appointment(
    event: AppointmentReinstated, pricing: PricingService
) -> None:
    """迟到的缴费使预约恢复，其诊查费随之恢复。"""
    await pricing.reinstate(event.appointment.id)
