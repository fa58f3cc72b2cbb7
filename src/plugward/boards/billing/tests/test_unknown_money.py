"""When the payment channel says nothing: nobody pays twice, and nothing stays unknown."""

import asyncio
from contextlib import suppress

import pytest

from plugward.boards.billing.contract import (
    BillSettled,
    BillState,
    Channel,
    ChannelAction,
    ChannelNotice,
    ChannelOutcome,
    ChannelRequest,
    LegDecided,
    LegNotFound,
    LegState,
    NoticeMismatch,
    PaymentDecided,
    PaymentUndecided,
    PaymentUnknown,
)
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import Money
from plugward.vocabulary import BillId

from .desk import C1, Account, FakeChannel, desk_bench

ALL = set(ChannelAction)


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return desk_bench(request.param)


async def unpaid(bench: Bench) -> tuple[Account, BillId]:
    zhou = await Account(bench).price("exam", 5000)
    return zhou, await zhou.open_bill()


async def minutes(zhou: Account, count: int) -> None:
    """So many minutes pass, every ten seconds the timers run."""
    for second in range(0, count * 60, 10):
        zhou.bench.clock.set(f"2026-03-02 10:{30 + second // 60}:{second % 60:02d}")
        await zhou.bench.tick()


def notice(serial: str, fen: int = 5000) -> ChannelNotice:
    return ChannelNotice(
        serial=serial, outcome=ChannelOutcome.PAID, amount=Money(fen=fen), channel_no="N1"
    )


async def test_a03_the_answer_was_lost_but_the_money_was_taken(bench: Bench) -> None:
    """已扣款而应答丢失 → 未知；再按付款被拦，按流水查询后结算，只扣一次。"""
    zhou, bill = await unpaid(bench)
    zhou.channel.silent = {ChannelAction.CHARGE}
    await zhou.pay(bill, Channel.PHONE)
    [leg] = (await zhou.sheet(bill)).legs
    assert leg.state is LegState.UNKNOWN
    with pytest.raises(PaymentUndecided) as told:
        await zhou.pay(bill, Channel.PHONE)
    assert told.value.serial == leg.serial

    await minutes(zhou, 1)

    assert (await zhou.sheet(bill)).bill.state is BillState.SETTLED
    assert zhou.channel.asked(ChannelAction.CHARGE) == 1
    assert zhou.channel.balance == 5000
    assert len(bench.published(PaymentUnknown)) == 1
    await bench.prove()


async def test_a03_the_charge_never_arrived(bench: Bench) -> None:
    """请求未到渠道 → 查无流水，冲正封号，账单可再付；始终只有一笔。"""
    zhou, bill = await unpaid(bench)
    zhou.channel.deaf = {ChannelAction.CHARGE}
    await zhou.pay(bill, Channel.PHONE)
    zhou.channel.deaf = set()
    await minutes(zhou, 2)

    sheet = await zhou.sheet(bill)
    assert [leg.state for leg in sheet.legs] == [LegState.REVERSED]
    assert sheet.bill.undecided is None
    await zhou.pay(bill, Channel.PHONE)
    assert (await zhou.sheet(bill)).bill.state is BillState.SETTLED
    assert zhou.channel.balance == 5000
    await bench.prove()


async def test_a03_a_dead_channel_is_followed_and_ends_within_five_minutes(bench: Bench) -> None:
    """渠道全断两分半 → 未决清单上有人、有时长、有流水；恢复后五分钟内自动了结，无需人工。"""
    zhou, bill = await unpaid(bench)
    zhou.channel.silent = ALL
    await zhou.pay(bill, Channel.CARD)
    await minutes(zhou, 2)

    [leg] = await zhou.billing.unresolved(C1)
    assert (leg.state, leg.asked_by, leg.amount.fen) == (LegState.UNKNOWN, "staff:tester", 5000)
    assert leg.tries > 2
    await bench.prove()

    zhou.channel.silent = set()
    for second in range(150, 300, 10):
        bench.clock.set(f"2026-03-02 10:{30 + second // 60}:{second % 60:02d}")
        await bench.tick()

    assert await zhou.billing.unresolved(C1) == ()
    [leg] = (await zhou.sheet(bill)).legs
    paid_here = 5000 if leg.state is LegState.PAID else 0
    assert leg.state in {LegState.PAID, LegState.REVERSED}
    assert zhou.channel.balance == paid_here
    assert zhou.channel.asked(ChannelAction.CHARGE) == 1
    await bench.prove()


async def test_a03_a_killed_process_asks_before_it_charges_again(bench: Bench) -> None:
    """发出收款后进程被杀 → 重启后先按流水查询，不会再发一次收款。"""
    zhou, bill = await unpaid(bench)

    async def die(_: ChannelRequest) -> None:
        zhou.channel.before_answer = None
        raise asyncio.CancelledError

    zhou.channel.before_answer = die
    with suppress(asyncio.CancelledError):
        await zhou.pay(bill, Channel.PHONE)
    [leg] = (await zhou.sheet(bill)).legs
    assert leg.state is LegState.ASKED
    await minutes(zhou, 2)

    assert (await zhou.sheet(bill)).bill.state is BillState.SETTLED
    assert zhou.channel.asked(ChannelAction.CHARGE) == 1
    await bench.prove()


async def test_c03_duplicate_notification(bench: Bench) -> None:
    """渠道通知“已付”五次，其中一次早于我们自己的应答 → 一笔款、一张票。"""
    zhou, bill = await unpaid(bench)

    async def tell_first(request: ChannelRequest) -> None:
        await zhou.billing.notice(notice(request.serial))

    zhou.channel.before_answer = tell_first
    leg = await zhou.pay(bill, Channel.PHONE)
    for _ in range(4):
        await zhou.billing.notice(notice(leg.hex))

    sheet = await zhou.sheet(bill)
    assert [found.state for found in sheet.legs] == [LegState.PAID]
    assert sheet.bill.receipt == "C1-S00000001"
    assert len(bench.published(BillSettled)) == 1
    assert len(bench.published(PaymentDecided)) == 1
    assert len(await zhou.billing.receipts(bill)) == 1
    await bench.prove()


async def test_a_notice_about_nothing_or_another_amount_is_refused(bench: Bench) -> None:
    zhou, bill = await unpaid(bench)
    zhou.channel.silent = ALL
    leg = await zhou.pay(bill, Channel.PHONE)
    with pytest.raises(NoticeMismatch):
        await zhou.billing.notice(notice(leg.hex, fen=50))
    with pytest.raises(LegNotFound):
        await zhou.billing.notice(notice(new_id().hex))
    assert (await zhou.sheet(bill)).bill.state is BillState.OPEN


async def test_money_that_comes_after_a_no_goes_back(bench: Bench) -> None:
    """渠道先说未付、后来又通知已付 → 不记在别人头上，冲正退回，账单不受影响。"""
    zhou, bill = await unpaid(bench)
    zhou.channel.declines = {ChannelAction.CHARGE}
    leg = await zhou.pay(bill, Channel.PHONE)
    await zhou.pay(bill, Channel.CASH)
    zhou.channel.books[leg.hex] = ChannelOutcome.PAID

    await zhou.billing.notice(notice(leg.hex))
    [late] = await zhou.billing.unresolved(C1)
    assert late.id == leg
    await minutes(zhou, 1)

    states = {found.channel: found.state for found in (await zhou.sheet(bill)).legs}
    assert states == {Channel.PHONE: LegState.REVERSED, Channel.CASH: LegState.PAID}
    assert zhou.channel.balance == 0
    await bench.prove()


async def test_a_payer_who_hesitates_is_waited_for_and_not_for_ever(bench: Bench) -> None:
    zhou, bill = await unpaid(bench)
    zhou.channel.pending = True
    leg = await zhou.pay(bill, Channel.PHONE)
    await minutes(zhou, 1)
    assert (await zhou.sheet(bill)).legs[0].state is LegState.ASKED
    zhou.channel.books[leg.hex] = ChannelOutcome.PAID
    await zhou.wait("2026-03-02 10:31:20")
    assert (await zhou.sheet(bill)).bill.state is BillState.SETTLED

    chen, other = await unpaid(bench)
    await chen.pay(other, Channel.PHONE)
    for minute in (32, 33, 34):
        await chen.wait(f"2026-03-02 10:{minute}:30")
    assert (await chen.sheet(other)).legs[0].state is LegState.REVERSED
    await bench.prove()


async def test_a_declined_card_leaves_the_bill_open(bench: Bench) -> None:
    zhou, bill = await unpaid(bench)
    zhou.channel.declines = {ChannelAction.CHARGE}
    await zhou.pay(bill, Channel.CARD)
    sheet = await zhou.sheet(bill)
    assert (sheet.bill.state, sheet.outstanding.fen) == (BillState.OPEN, 5000)
    await zhou.pay(bill, Channel.CASH)
    await bench.prove()


async def test_a_cashier_may_ask_now_or_have_it_undone(bench: Bench) -> None:
    """未决清单：立即查询、冲正；已有结果的不再处理。"""
    zhou, bill = await unpaid(bench)
    zhou.channel.silent = {ChannelAction.CHARGE}
    leg = await zhou.pay(bill, Channel.PHONE)
    await zhou.billing.ask_again(leg)
    assert (await zhou.sheet(bill)).bill.state is BillState.SETTLED
    for decided in (zhou.billing.ask_again, zhou.billing.reverse):
        with pytest.raises(LegDecided):
            await decided(leg)

    chen, other = await unpaid(bench)
    chen.channel.pending = True
    leg = await chen.pay(other, Channel.PHONE)
    await chen.billing.reverse(leg)
    assert (await chen.sheet(other)).legs[0].state is LegState.REVERSED
    await bench.prove()


async def test_without_any_channel_cash_is_taken(bench: Bench) -> None:
    """集成平台离线：渠道款进入未决，不丢；别的账单照收现金。"""
    channel = FakeChannel()
    channel.deaf = ALL
    bench.runtime.outside = channel
    zhou, bill = await unpaid(bench)
    await zhou.pay(bill, Channel.PHONE)
    chen, other = await unpaid(bench)
    await chen.pay(other, Channel.CASH)
    assert (await chen.sheet(other)).bill.state is BillState.SETTLED
    assert len(await zhou.billing.unresolved(C1)) == 1
    await bench.prove()
