"""Giving money back: by the way it came, never more than is left, and only once."""

from itertools import product

import pytest

from plugward.boards.billing.contract import (
    AlreadyPerformed,
    Channel,
    ChannelAction,
    DueReason,
    LegState,
    LineState,
    NothingChosen,
    NothingLeft,
    NotSettled,
    RefundMade,
    RefundOwed,
    RefundState,
)
from plugward.boards.encounters.contract import EncounterStarted, EncounterState
from plugward.boards.pharmacy.contract import (
    AlreadyDispensed,
    DrugReturn,
    LineUnsupplied,
    PrescriptionReturned,
    ReturnedLine,
    ReturnId,
    TaskId,
)
from plugward.boards.pharmacy.fakes import FakePharmacy
from plugward.boards.pricing.contract import ChargeCategory
from plugward.boards.registration.contract import AppointmentRefundDue
from plugward.kernel import Conflict
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.vocabulary import AppointmentId, BillId, PatientId

from .desk import C1, Account, desk_bench
from .visits import SIGNED_AT, a_collected_specimen, a_visit

DRUG = ChargeCategory.DRUG


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return desk_bench(request.param)


async def paid_drug(
    bench: Bench, quantity: int, fen: int, *, fund: int = 0, channel: Channel = Channel.CASH
) -> tuple[Account, BillId]:
    zhou = await Account(bench).price("drug", fen, category=DRUG, quantity=quantity, fund=fund)
    return zhou, await zhou.settled(channel=channel)


async def return_drugs(zhou: Account, quantity: int) -> None:
    line = ReturnedLine(
        line=zhou.line("drug"), item="drug", name_zh="drug", quantity=quantity, reservation=None
    )
    document = DrugReturn(
        id=ReturnId(new_id()),
        task=TaskId(new_id()),
        encounter=zhou.encounter,
        patient=PatientId(new_id()),
        campus=C1,
        lines=(line,),
        reason="未拆封",
        approved_by="staff:lin",
        taken_by="staff:xu",
        at=SIGNED_AT,
    )
    await zhou.bench.receive(PrescriptionReturned(document=document), times=2)


async def lack(zhou: Account, quantity: int) -> None:
    await zhou.bench.receive(
        LineUnsupplied(
            encounter=zhou.encounter,
            campus=C1,
            line=zhou.line("drug"),
            item="drug",
            name_zh="drug",
            quantity=quantity,
            reason="破损",
        ),
        times=2,
    )


async def returned(zhou: Account, bill: BillId) -> int:
    """What the patient has back, in fen, the fund's part too."""
    return -sum(leg.amount.fen for leg in (await zhou.sheet(bill)).legs if leg.refund is not None)


async def test_c06_only_the_returned_four_are_refunded(bench: Bench) -> None:
    """发 14 退 4：只退 4 的钱；再退即告无可退。"""
    zhou, bill = await paid_drug(bench, 14, 14_000)
    bench.fake(FakePharmacy).dispensed.add(zhou.line("drug"))
    with pytest.raises(AlreadyDispensed):
        await zhou.refund(bill, drug=1)
    await return_drugs(zhou, 4)
    [due] = await zhou.billing.refunds_due(C1)
    assert (due.reason, due.left) == (DueReason.RETURNED, 4)

    refund = await zhou.refund(bill, drug=4)

    assert (refund.amount.fen, refund.state) == (4_000, RefundState.DONE)
    assert await zhou.billing.refunds_due(C1) == ()
    [line] = (await zhou.sheet(bill)).lines
    assert (line.state, line.refunded, line.refundable) == (LineState.SETTLED, 4, 10)
    with pytest.raises(AlreadyDispensed):
        await zhou.refund(bill, drug=1)
    await bench.prove()


async def test_drugs_are_stopped_before_their_money_goes_back(bench: Bench) -> None:
    zhou, bill = await paid_drug(bench, 10, 10_000)
    pharmacy = bench.fake(FakePharmacy)
    await zhou.refund(bill, drug=4)
    assert pharmacy.given_up[zhou.line("drug")] == 4
    await zhou.refund(bill, drug=6)
    assert pharmacy.given_up[zhou.line("drug")] == 10
    [line] = (await zhou.sheet(bill)).lines
    assert line.state is LineState.REFUNDED
    with pytest.raises(NothingLeft) as told:
        await zhou.refund(bill, drug=1)
    assert told.value.left == 0
    await bench.prove()


async def test_d01_what_was_never_supplied_goes_back_by_itself(bench: Bench) -> None:
    """缺药：纯渠道支付一分钟内自动原路退回；现金列入应退清单等患者。"""
    zhou, bill = await paid_drug(bench, 10, 10_000, channel=Channel.PHONE)
    chen, other = await paid_drug(bench, 10, 10_000)
    await lack(zhou, 4)
    await lack(chen, 4)
    assert len(bench.published(RefundOwed)) == 2
    await zhou.wait("2026-03-02 10:31")

    assert await returned(zhou, bill) == 4_000
    assert zhou.channel.balance == 6_000
    assert bench.fake(FakePharmacy).given_up == {}
    [due] = await chen.billing.refunds_due(C1)
    assert due.bill == other
    await chen.refund(other, drug=due.left)
    assert await returned(chen, other) == 4_000
    await bench.prove()


async def test_b06_a_line_withdrawn_after_payment_is_owed_once(bench: Bench) -> None:
    zhou, bill = await paid_drug(bench, 2, 2_000, channel=Channel.CARD)
    await zhou.cancel("drug")
    await zhou.cancel("drug")
    [owed] = bench.published(RefundOwed)
    assert (owed.due.reason, owed.due.units) == (DueReason.WITHDRAWN, 2)
    for minute in (31, 32, 33):
        await zhou.wait(f"2026-03-02 10:{minute}")
    assert len(bench.published(RefundMade)) == 1
    assert zhou.channel.balance == 0
    assert (await zhou.sheet(bill)).lines[0].state is LineState.REFUNDED
    await bench.prove()


async def test_a02_a_late_payment_that_still_found_its_number_stays(bench: Bench) -> None:
    """占号过期后到账，号还在 → 预约恢复，钱不退。"""
    zhou = await Account(bench).price("fee", 2_500, category=ChargeCategory.REGISTRATION)
    zhou.channel.silent = {ChannelAction.CHARGE}
    bill = await zhou.open_bill()
    await zhou.pay(bill, Channel.PHONE)
    await zhou.cancel("fee")
    await zhou.wait("2026-03-02 10:30:10")
    assert len(await zhou.billing.refunds_due(C1)) == 1
    await zhou.reinstate("fee")
    await zhou.wait("2026-03-02 10:32")
    assert await zhou.billing.refunds_due(C1) == ()
    assert zhou.channel.balance == 2_500
    await bench.prove()


async def test_fund_and_patient_get_their_own_shares_back(bench: Bench) -> None:
    """7 份、统筹 5 分、自付 10 分：每次退 1 份，份额之和恰为全额，一分不差。"""
    zhou, bill = await paid_drug(bench, 7, 15, fund=5, channel=Channel.PHONE)
    for _ in range(7):
        await zhou.refund(bill, drug=1)
        await bench.prove()
    back = [leg for leg in (await zhou.sheet(bill)).legs if leg.refund is not None]
    by_channel = {
        channel: -sum(leg.amount.fen for leg in back if leg.channel is channel)
        for channel in (Channel.FUND, Channel.PHONE)
    }
    assert by_channel == {Channel.FUND: 5, Channel.PHONE: 10}
    assert (await zhou.sheet(bill)).lines[0].state is LineState.REFUNDED


async def test_a_refund_the_channel_does_not_answer_is_followed(bench: Bench) -> None:
    zhou, bill = await paid_drug(bench, 2, 2_000, channel=Channel.PHONE)
    zhou.channel.deaf = {ChannelAction.REFUND}
    refund = await zhou.refund(bill, drug=2)
    assert refund.state is RefundState.REFUNDING
    [line] = (await zhou.sheet(bill)).lines
    assert line.state is LineState.REFUNDING
    with pytest.raises(NothingLeft):
        await zhou.refund(bill, drug=1)

    zhou.channel.deaf = set()
    for second in (10, 20, 30, 40):
        await zhou.wait(f"2026-03-02 10:30:{second}")

    [done] = await zhou.billing.refunds(bill)
    assert done.state is RefundState.DONE
    assert zhou.channel.balance == 0
    assert (await zhou.sheet(bill)).lines[0].state is LineState.REFUNDED
    await bench.prove()


async def test_a_refund_the_channel_declines_waits_for_a_person(bench: Bench) -> None:
    zhou, bill = await paid_drug(bench, 2, 2_000, channel=Channel.CARD)
    zhou.channel.declines = {ChannelAction.REFUND}
    await zhou.refund(bill, drug=2)
    [stuck] = await zhou.billing.unresolved(C1)
    assert (stuck.state, stuck.amount.fen) == (LegState.DECLINED, -2_000)
    assert (await zhou.billing.refunds(bill))[0].state is RefundState.STUCK

    zhou.channel.declines = set()
    await zhou.billing.ask_again(stuck.id)
    await zhou.wait("2026-03-02 10:31")
    assert (await zhou.billing.refunds(bill))[0].state is RefundState.DONE
    assert zhou.channel.balance == 0
    await bench.prove()


async def test_cash_comes_back_in_coins_and_all_of_it_in_the_end(bench: Bench) -> None:
    """现金 0.33 收 0.30：先退 0.17 给 0.20，再退其余给 0.10，合计仍是 0.30。"""
    zhou = await Account(bench).price("one", 17)
    await zhou.price("two", 16)
    bill = await zhou.settled()
    first, last = await zhou.refund(bill, one=1), await zhou.refund(bill, two=1)
    assert (first.self_pay.fen, first.rounding.fen) == (17, 3)
    assert (last.self_pay.fen, last.rounding.fen) == (16, -6)
    assert await returned(zhou, bill) == 30
    await bench.prove()


async def test_a_patient_who_was_seen_does_not_get_the_fee_back(bench: Bench) -> None:
    zhou = await Account(bench).price("fee", 2_500, category=ChargeCategory.REGISTRATION)
    bill = await zhou.settled()
    visit = a_visit(zhou.encounter, "周建民", EncounterState.IN_PROGRESS)
    await bench.receive(EncounterStarted(encounter=visit))
    with pytest.raises(AlreadyPerformed):
        await zhou.refund(bill, fee=1)


async def test_a_test_whose_tube_is_filled_is_not_refunded(bench: Bench) -> None:
    """标本已采集 → 检验费不退；医生撤回的除外。"""
    zhou = await Account(bench).price("lab", 7_000, category=ChargeCategory.LAB)
    bill = await zhou.settled()
    await bench.receive(a_collected_specimen(zhou.encounter, zhou.line("lab")), times=2)
    with pytest.raises(AlreadyPerformed):
        await zhou.refund(bill, lab=1)
    await zhou.cancel("lab")
    await zhou.refund(bill, lab=1)
    await bench.prove()


async def test_a02_a_payment_for_a_number_that_is_gone_goes_back(bench: Bench) -> None:
    zhou = await Account(bench).price("fee", 5_000, category=ChargeCategory.REGISTRATION)
    bill = await zhou.settled(channel=Channel.PHONE)
    lost = AppointmentRefundDue(
        appointment=AppointmentId(zhou.line("fee")), encounter=zhou.encounter, bill=bill
    )
    await bench.receive(lost, times=2)
    await zhou.cancel("fee")  # pricing says so too, later
    await zhou.wait("2026-03-02 10:31")
    assert zhou.channel.balance == 0
    assert len(bench.published(RefundMade)) == 1
    await bench.prove()


async def test_wrong_refunds_are_refused(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1_000)
    bill = await zhou.open_bill()
    with pytest.raises(NotSettled):
        await zhou.refund(bill, exam=1)
    await zhou.pay(bill, Channel.CASH)
    for units in (0, -1):
        with pytest.raises(NothingChosen):
            await zhou.refund(bill, exam=units)
    with pytest.raises(NothingChosen):
        await zhou.refund(bill)
    with pytest.raises(NothingLeft):
        await zhou.refund(bill, exam=2)


async def test_whatever_happens_money_and_states_add_up() -> None:
    """The board's invariant, over every sequence of three steps on two charges."""
    steps = ["refund", "cancel", "lack", "back", "pay", "void"]
    bench = desk_bench(TRANSPORTS[0])
    for sequence in product(steps, steps, ["refund", "cancel", "back"]):
        zhou = await Account(bench).price("drug", 1_001, category=DRUG, quantity=3, fund=100)
        await zhou.price("exam", 502)
        bill = await zhou.open_bill()
        await zhou.pay(bill, Channel.PHONE, 1_000)
        for step in sequence:
            await _take_step(zhou, bill, step)
        assert await _net(zhou, bill) >= 0, sequence
    await bench.prove()


async def _take_step(zhou: Account, bill: BillId, step: str) -> None:
    if step == "cancel":  # facts are never refused
        await zhou.cancel("exam")
    elif step == "lack":
        await lack(zhou, 1)
    elif step == "back":
        await return_drugs(zhou, 1)
    else:
        try:
            if step == "refund":
                await zhou.refund(bill, drug=2)
            elif step == "pay":
                await zhou.pay(bill, Channel.CASH)
            else:
                await zhou.billing.void_bill(bill, "患者放弃")
        except Conflict:
            return  # a refused request must change nothing; the proofs look


async def _net(zhou: Account, bill: BillId) -> int:
    legs = (await zhou.sheet(bill)).legs
    return sum(leg.amount.fen for leg in legs if leg.state is LegState.PAID)
