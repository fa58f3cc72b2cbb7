"""The simulated payment channel, reached the way boards reach it: money is never taken twice."""

import pytest

from plugward.commons.hub.outside import HubOutside
from plugward.kernel import Message, Unavailable
from plugward.kernel.observe.meters import Meters
from plugward.sim.outside.payment import Faults, PaymentChannel

SERVICE = "payment-channel"


class Ask(Message):
    """What a cashier's system asks."""

    action: str
    serial: str
    amount: int
    original: str = ""


class Told(Message):
    """What it is told."""

    serial: str
    outcome: str


class Desk:
    """A cashier's side of the channel."""

    def __init__(self, channel: PaymentChannel) -> None:
        self.channel = channel
        self._outside = HubOutside(Meters())
        self._outside.connect(SERVICE, channel)

    async def ask(self, action: str, serial: str, amount: int, original: str = "") -> str:
        body = Ask(action=action, serial=serial, amount=amount, original=original)
        told = await self._outside.send(SERVICE, body, Told)
        return str(told.outcome)


async def test_a_lost_answer_is_unknown_and_the_query_tells_the_truth() -> None:
    """付款已成功而应答丢失：先是未知，按流水号查询得知已付；再付同一流水不重复收款。"""
    desk = Desk(PaymentChannel(faults=Faults(lost_after=1.0)))
    with pytest.raises(Unavailable, match="time-out"):
        await desk.ask("charge", "S1", 1250)
    desk.channel.faults = Faults()
    assert await desk.ask("query", "S1", 1250) == "paid"
    assert await desk.ask("charge", "S1", 1250) == "paid"
    assert desk.channel.kept_fen == 1250


async def test_a_call_that_never_arrived_left_nothing() -> None:
    desk = Desk(PaymentChannel(faults=Faults(lost_before=1.0)))
    with pytest.raises(Unavailable, match="time-out"):
        await desk.ask("charge", "S1", 1250)
    desk.channel.faults = Faults()
    assert await desk.ask("query", "S1", 1250) == "not-found"
    assert desk.channel.kept_fen == 0


async def test_a_payer_who_has_to_confirm_is_pending_and_then_paid() -> None:
    desk = Desk(PaymentChannel(faults=Faults(pending=1.0)))
    assert await desk.ask("charge", "S1", 1250) == "pending"
    assert await desk.ask("query", "S1", 1250) == "paid"


async def test_a_reversed_serial_is_closed_for_good() -> None:
    """冲正关闭流水：迟到的收款不再收钱。"""
    desk = Desk(PaymentChannel())
    assert await desk.ask("reverse", "S9", 500) == "reversed"
    assert await desk.ask("charge", "S9", 500) == "declined"
    assert desk.channel.kept_fen == 0


async def test_refunds_never_exceed_their_charge_and_are_given_once() -> None:
    """退款不超过原收款；同一退款流水只退一次。"""
    desk = Desk(PaymentChannel())
    assert await desk.ask("charge", "S1", 1000) == "paid"
    assert await desk.ask("refund", "R1", 600, "S1") == "refunded"
    assert await desk.ask("refund", "R2", 600, "S1") == "declined"
    assert await desk.ask("refund", "R1", 600, "S1") == "refunded"
    assert await desk.ask("refund", "R3", 100, "S404") == "declined"
    assert desk.channel.kept_fen == 400
