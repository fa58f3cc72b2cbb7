"""Taking money at the counter: one patient, several charges, several ways to pay."""

import asyncio

import pytest

from plugward.boards.billing.contract import Account as VisitAccount
from plugward.boards.billing.contract import (
    AlreadySettled,
    BillSettled,
    BillState,
    BillVoid,
    BillVoided,
    CashStep,
    Channel,
    ChannelAction,
    ChargeNotFound,
    ChargeNotPayable,
    ChargeTaken,
    CloseId,
    DayClosed,
    LegId,
    LegState,
    LineState,
    MoneyOnBill,
    NothingChosen,
    NothingToClose,
    Pay,
    ReceiptState,
    WrongAmount,
    WrongChannel,
)
from plugward.boards.encounters.contract import EncounterPlanned
from plugward.boards.orders.contract import GroupSigned, LineWithdrawn
from plugward.boards.pharmacy.contract import OutOfStock
from plugward.boards.pharmacy.fakes import FakePharmacy
from plugward.boards.pricing.contract import ChargeCategory
from plugward.kernel import NotFound, Refusal, Unavailable
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import Money
from plugward.vocabulary import BillId

from .desk import C1, Account, desk_bench
from .visits import a_signed_group, a_visit, withdrawn


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return desk_bench(request.param)


async def test_the_chain_of_the_day_387_72_is_325_53_and_62_19(bench: Bench) -> None:
    """合计 387.72 = 医保 325.53（模拟：统筹 300.53 + 门特 25.00）+ 自付 62.19，扫码付清。"""
    zhou = Account(bench)
    await zhou.price("drugs", 9272, category=ChargeCategory.DRUG, fund=4953, supplement=2500)
    await zhou.price("lab", 11500, category=ChargeCategory.LAB, fund=10000)
    await zhou.price("echo", 18000, fund=15100)
    bill = await zhou.open_bill()
    opened = await zhou.sheet(bill)
    assert (opened.bill.total.fen, opened.outstanding.fen) == (38772, 6219)

    await zhou.pay(bill, Channel.PHONE)

    sheet = await zhou.sheet(bill)
    assert sheet.bill.state is BillState.SETTLED
    assert sheet.bill.receipt == "C1-S00000001"
    assert {(leg.channel, leg.amount.fen) for leg in sheet.legs} == {
        (Channel.PHONE, 6219),
        (Channel.FUND, 32553),
    }
    [settled] = bench.published(BillSettled)
    assert {line.line for line in settled.lines} == {zhou.line(i) for i in zhou.charges}
    assert {line.state for line in sheet.lines} == {LineState.SETTLED}
    await bench.prove()


async def test_c08_mixed_payment(bench: Bench) -> None:
    """100.33 = 个人账户 50 + 扫码 50 + 现金 0.33 → 收 0.30，取整 −0.03；全退各回各路。"""
    zhou = await Account(bench).price("exam", 10033)
    bill = await zhou.open_bill()
    await zhou.pay(bill, Channel.ACCOUNT, 5000)
    await zhou.pay(bill, Channel.PHONE, 5000)
    await zhou.pay(bill, Channel.CASH)

    settled = (await zhou.sheet(bill)).bill
    assert (settled.state, settled.rounding.fen) == (BillState.SETTLED, -3)
    await bench.prove()

    refund = await zhou.refund(bill, exam=1)
    back = {leg.channel: leg.amount.fen for leg in (await zhou.sheet(bill)).legs if leg.refund}
    assert back == {Channel.ACCOUNT: -5000, Channel.PHONE: -5000, Channel.CASH: -30}
    assert (refund.self_pay.fen, refund.rounding.fen) == (10033, -3)
    assert zhou.channel.balance == 0
    await bench.prove()


async def test_c10_two_cashiers_one_bill(bench: Bench) -> None:
    """两个窗口同时收同一张账单 → 只结算一次，后者被告知是谁、何时。"""
    zhou = await Account(bench).price("exam", 10000)
    bill = await zhou.open_bill()

    async def pay(cashier: str) -> None:
        with bench.acting(id=cashier):
            await zhou.pay(bill, Channel.CASH)

    answers = await asyncio.gather(pay("gu"), pay("he"), return_exceptions=True)

    [told] = [answer for answer in answers if answer is not None]
    assert isinstance(told, AlreadySettled)
    settled = (await zhou.sheet(bill)).bill
    assert (told.by, told.at, told.receipt) == (
        settled.settled_by,
        settled.settled_at,
        settled.receipt,
    )
    assert len(bench.published(BillSettled)) == 1
    await bench.prove()


async def test_c10_two_cashiers_two_bills_over_one_charge(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 10000)
    answers = await asyncio.gather(
        zhou.open_bill(cashier="顾晓棠"), zhou.open_bill(cashier="何芳"), return_exceptions=True
    )
    [told] = [answer for answer in answers if isinstance(answer, Refusal)]
    assert isinstance(told, ChargeTaken)
    assert told.by in {"顾晓棠", "何芳"}
    assert told.bill in answers
    await bench.prove()


async def test_c11_receipt_numbers_have_no_gaps(bench: Bench) -> None:
    """八个窗口同时收款：号码连续不重；作废的票保留号码，由新号替代。"""
    accounts = [await Account(bench).price("exam", 1000) for _ in range(8)]
    bills = await asyncio.gather(*(account.settled() for account in accounts))
    refused = await Account(bench).price("exam", 1000)
    with pytest.raises(WrongAmount):  # a refused payment uses no number up
        await refused.pay(await refused.open_bill(), Channel.CASH, 2000)
    fresh = await accounts[0].billing.replace_receipt(bills[0], "卡纸")

    numbers = [(await accounts[0].sheet(bill)).bill.receipt for bill in bills]
    assert fresh.text == numbers[0] == "C1-S00000009"
    assert sorted(numbers[1:]) < [fresh.text]
    voided, valid = await accounts[0].billing.receipts(bills[0])
    assert (voided.state, voided.replaced_by) == (ReceiptState.VOIDED, fresh.text)
    assert valid.state is ReceiptState.VALID
    await bench.prove()


async def test_m5_the_same_request_gives_the_same_bill_and_number(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000, times=3)
    bill = await zhou.open_bill()
    request = Pay(id=LegId(new_id()), bill=bill, channel=Channel.CASH)
    same = new_id()
    answers = []
    for _ in range(3):
        with bench.request(same):
            answers.append(await zhou.billing.pay(request))
    answers.append(await zhou.billing.pay(request))  # a new request, the same leg
    assert answers == [answers[0]] * 4
    assert len((await zhou.sheet(bill)).legs) == 1
    await bench.prove()


async def test_b01_an_account_that_is_not_priced_yet_is_being_prepared(bench: Bench) -> None:
    """计价未到 → “费用生成中”，而不是 0 元；计价到后为准；撤回则不再等待。"""
    zhou = Account(bench)
    await zhou.price("early", 1000)
    group = a_signed_group(zhou.encounter, early=zhou.line("early"), late=new_id(), gone=new_id())
    await bench.receive(group, times=2)
    account = await zhou.billing.account(zhou.encounter)
    assert (account.awaited, len(account.lines)) == (2, 1)

    await bench.receive(withdrawn(group, "gone"))
    await zhou.price("late", 500)
    assert (await zhou.billing.account(zhou.encounter)).awaited == 1
    assert isinstance(group, GroupSigned)
    assert isinstance(withdrawn(group, "late"), LineWithdrawn)
    await bench.receive(withdrawn(group, "late"))
    assert (await zhou.billing.account(zhou.encounter)).awaited == 0


async def test_d01_drugs_are_held_before_anybody_pays(bench: Bench) -> None:
    zhou = await Account(bench).price("drug", 2000, category=ChargeCategory.DRUG)
    pharmacy = bench.fake(FakePharmacy)
    pharmacy.short.add(zhou.line("drug"))
    with pytest.raises(OutOfStock):
        await zhou.open_bill()
    assert (await zhou.billing.account(zhou.encounter)).bills == ()
    pharmacy.short.clear()
    bill = await zhou.open_bill()
    assert pharmacy.reserved[bill] == (zhou.line("drug"),)


async def test_without_the_pharmacy_everything_but_drugs_is_paid(bench: Bench) -> None:
    """药房离线：药品拒收，其他项目照收。"""
    zhou = await Account(bench).price("drug", 2000, category=ChargeCategory.DRUG)
    await zhou.price("exam", 1000)
    await bench.ready()
    bench.runtime.dispatcher.detach("pharmacy")
    with pytest.raises(Unavailable):
        await zhou.open_bill("drug")
    await zhou.settled("exam")
    await bench.prove()


async def test_a_withdrawn_order_is_never_asked_for(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000)
    await zhou.price("lab", 500)
    bill = await zhou.open_bill()
    await zhou.cancel("exam")  # the cashier is about to take the money
    with pytest.raises(BillVoid):
        await zhou.pay(bill, Channel.CASH)
    with pytest.raises(ChargeNotPayable):
        await zhou.open_bill("exam")
    states = {line.item: line.state for line in (await _account(zhou)).lines}
    assert states == {"exam": LineState.WRITTEN_OFF, "lab": LineState.PENDING}
    await zhou.reinstate("exam")
    await zhou.settled()
    await bench.prove()


async def test_a_bill_nobody_pays_ends_and_its_charges_are_free(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000)
    bill = await zhou.open_bill()
    await zhou.wait("2026-03-02 10:44")
    assert (await zhou.sheet(bill)).bill.state is BillState.OPEN
    await zhou.wait("2026-03-02 10:45")
    assert (await zhou.sheet(bill)).bill.state is BillState.VOIDED
    assert len(bench.published(BillVoided)) == 1
    await zhou.settled()
    await bench.prove()


async def test_a_begun_payment_that_is_given_up_goes_back(bench: Bench) -> None:
    """拆分支付付了一半就放弃：已收的原路退回，账单作废，费用仍待缴。"""
    zhou = await Account(bench).price("exam", 10000)
    bill = await zhou.open_bill()
    await zhou.pay(bill, Channel.PHONE, 4000)
    await zhou.wait("2026-03-02 10:46")
    assert (await zhou.sheet(bill)).bill.state is BillState.VOIDED
    assert zhou.channel.balance == 0
    await bench.prove()

    half = await zhou.open_bill()
    await zhou.pay(half, Channel.CASH, 4000)
    await zhou.wait("2026-03-02 11:30")  # cash waits for a person
    assert (await zhou.sheet(half)).bill.state is BillState.OPEN
    await zhou.billing.void_bill(half, "患者放弃")
    assert [leg.amount.fen for leg in (await zhou.sheet(half)).legs] == [4000, -4000]
    await bench.prove()


async def test_what_is_free_for_the_patient_is_settled_at_once(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000, fund=1000)
    bill = await zhou.open_bill()
    assert (await zhou.sheet(bill)).bill.state is BillState.SETTLED
    await bench.prove()


async def test_three_fen_in_cash_are_nothing(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 3)
    bill = await zhou.settled()
    settled = (await zhou.sheet(bill)).bill
    assert (settled.rounding.fen, settled.paid.fen) == (-3, 0)
    await zhou.refund(bill, exam=1)
    await bench.prove()


async def test_wrong_amounts_and_wrong_papers_are_refused(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 10033)
    other = await Account(bench).price("exam", 100)
    bill = await zhou.open_bill()
    for fen in (0, -1, 10034, 99_999_999):
        with pytest.raises(WrongAmount):
            await zhou.pay(bill, Channel.PHONE, fen)
    with pytest.raises(CashStep):
        await zhou.pay(bill, Channel.CASH, 1001)
    with pytest.raises(WrongChannel):
        await zhou.pay(bill, Channel.FUND)
    zhou.charges["exam"] = other.charges["exam"]  # a charge of another visit
    with pytest.raises(ChargeNotFound):
        await zhou.open_bill()
    zhou.charges.clear()
    with pytest.raises(NothingChosen):
        await zhou.open_bill()
    with pytest.raises(NotFound):
        await zhou.billing.bill(BillId(new_id()))
    assert zhou.channel.seen == []


async def test_another_campus_sees_no_money_of_this_one(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000)
    bill = await zhou.open_bill()
    with bench.acting(campuses=("C2",)):
        assert (await _account(zhou)).lines == ()
        with pytest.raises(NotFound):
            await zhou.billing.bill(bill)
        with pytest.raises(NotFound):
            await zhou.pay(bill, Channel.CASH)


async def test_a_cashier_closes_the_day_once(bench: Bench) -> None:
    """日结：自上次以来每笔恰计一次；未决的留到下次。"""
    zhou = await Account(bench).price("exam", 1000)
    await zhou.price("lab", 555)
    await zhou.price("late", 700)
    exam = await zhou.settled("exam")
    await zhou.settled("lab", channel=Channel.PHONE)
    await zhou.refund(exam, exam=1)
    zhou.channel.silent = set(ChannelAction)
    await zhou.settled("late", channel=Channel.CARD)
    with bench.acting(id="other"), pytest.raises(NothingToClose):
        await zhou.billing.close_day(CloseId(new_id()), C1)
    preview = await zhou.billing.day_so_far(C1)
    close = CloseId(new_id())
    closed = await zhou.billing.close_day(close, C1)

    assert closed.lines == preview.lines
    assert {(s.channel, s.taken.fen, s.returned.fen) for s in closed.lines} == {
        (Channel.CASH, 1000, 1000),
        (Channel.PHONE, 555, 0),
    }
    assert (closed.cash_due, closed.undecided) == (Money(fen=0), 1)
    assert await zhou.billing.close_day(close, C1) == closed
    with pytest.raises(NothingToClose):
        await zhou.billing.close_day(CloseId(new_id()), C1)
    assert len(bench.published(DayClosed)) == 1


async def test_the_cashier_finds_who_waits_longest(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000)
    chen = await Account(bench).price("exam", 1000)
    visit = a_visit(zhou.encounter, "周建民")
    await bench.receive(EncounterPlanned(encounter=visit))
    with bench.queries(at_most=3):
        waiting = await zhou.billing.waiting(C1)
    assert {party.encounter for party in waiting} == {zhou.encounter, chen.encounter}
    [account] = await zhou.billing.accounts_of(visit.patient)
    assert account.party is not None
    assert account.party.name == "周建民"
    await zhou.settled()
    assert [party.encounter for party in await zhou.billing.waiting(C1)] == [chen.encounter]


async def test_money_on_the_way_keeps_the_bill(bench: Bench) -> None:
    zhou = await Account(bench).price("exam", 1000)
    zhou.channel.silent = set(ChannelAction)
    bill = await zhou.open_bill()
    await zhou.pay(bill, Channel.PHONE)
    with pytest.raises(MoneyOnBill):
        await zhou.billing.void_bill(bill, "患者放弃")
    [leg] = (await zhou.sheet(bill)).legs
    assert leg.state is LegState.UNKNOWN


async def _account(zhou: Account) -> VisitAccount:
    return await zhou.billing.account(zhou.encounter)
