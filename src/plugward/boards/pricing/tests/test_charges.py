"""From a fact to a charge, told as the price office and the cashier would tell it.

Every scenario runs twice: calls made directly, and calls encoded as between two processes. Other
boards' facts are real events; the catalogue is the demonstration hospital's.
"""

from datetime import date
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.boards.orders.contract import (
    GroupSigned,
    LineWithdrawn,
    OrderGroup,
    OrderLine,
    WithdrawReason,
)
from plugward.boards.pricing.board import board
from plugward.boards.pricing.contract import (
    CancelReason,
    ChargeCancelled,
    ChargeCategory,
    ChargeCreated,
    ChargeNotFound,
    ChargeReinstated,
    ChargeState,
    Pricing,
    QuantityNotPositive,
    TooManyItems,
    WantedItem,
)
from plugward.boards.pricing.rules import QUOTED_ITEMS_MAX, split
from plugward.boards.registration.contract import (
    Appointment,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentReinstated,
    AppointmentState,
    Channel,
    ClinicKind,
    DayPeriod,
    SessionId,
)
from plugward.boards.registration.contract import CancelReason as AppointmentCancelReason
from plugward.commons.masterdata.contract import Domain, EntryPublished, InsuranceShare
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel import NotFound
from plugward.kernel.refusals import NotAllowed
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import Instant, hospital_time
from plugward.vocabulary import (
    AppointmentId,
    BillId,
    CampusCode,
    ChargeId,
    ChargeRequest,
    DepartmentCode,
    EncounterId,
    InsuranceClass,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
    SlotId,
    StaffId,
)

MR_ZHOU = EncounterId(new_id())
ZHOU_JIANMIN = PatientId(new_id())
TEN_TWENTY_FOUR = hospital_time("2026-03-02 10:24:30")

AMLODIPINE, METFORMIN, SIMVASTATIN = "D0034", "D0171", "D0052"
URINE_ACR, HBA1C, ECHO, DIETITIAN = "L0162", "L0026", "E0039", "T0001"

CATALOGUE = (
    *seeded(Domain.DRUG, AMLODIPINE, METFORMIN, SIMVASTATIN),
    *seeded(Domain.LAB_ITEM, URINE_ACR, HBA1C),
    *seeded(Domain.EXAM_ITEM, ECHO),
    *seeded(Domain.TREATMENT, DIETITIAN),
    *seeded(Domain.FREQUENCY, "QD"),
)
# The order Mr Zhou's doctor signs after lowering simvastatin to 20 mg (two boxes).
PRESCRIPTION = ((AMLODIPINE, 2), (METFORMIN, 2), (SIMVASTATIN, 2))
TESTS = ((URINE_ACR, 1), (HBA1C, 1), (ECHO, 1))


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(board, transport=request.param, now="2026-03-02 10:24:30")


async def open_for_business(bench: Bench, *facts: EntryPublished) -> None:
    for fact in facts or CATALOGUE:
        await bench.receive(fact)


def line(item: str, quantity: int) -> OrderLine:
    return OrderLine(
        id=OrderLineId(new_id()),
        kind=OrderKind.DRUG,
        item=item,
        quantity=quantity,
        group=OrderGroupId(new_id()),
        encounter=MR_ZHOU,
        patient=ZHOU_JIANMIN,
        campus=CampusCode("C1"),
        name_zh=item,
        name_en=item,
        spec="",
        unit="盒",
    )


def signed(*lines: OrderLine, at: Instant = TEN_TWENTY_FOUR) -> GroupSigned:
    group = OrderGroup(
        id=lines[0].group,
        encounter=MR_ZHOU,
        patient=ZHOU_JIANMIN,
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        author="staff:lin",
        signed_at=at,
        indication="高血压 3 级",
        lines=lines,
    )
    charges = tuple(
        ChargeRequest(
            encounter=MR_ZHOU, item=x.item, quantity=x.quantity, performed_at=at, line=x.id
        )
        for x in lines
    )
    return GroupSigned(group=group, charges=charges)


def appointment() -> Appointment:
    return Appointment(
        id=AppointmentId(new_id()),
        encounter=MR_ZHOU,
        patient=ZHOU_JIANMIN,
        patient_name="周建民",
        birth_date=date(1959, 3, 2),
        session=SessionId(new_id()),
        slot=SlotId(new_id()),
        campus=CampusCode("C1"),
        department=DepartmentCode("C1-CARD"),
        department_name="心血管内科",
        doctor=StaffId(new_id()),
        doctor_name="林予安",
        doctor_title="副主任医师",
        day=date(2026, 3, 2),
        period=next(iter(DayPeriod)),
        kind=next(iter(ClinicKind)),
        room="3",
        queue="C1-CARD",
        starts_at=TEN_TWENTY_FOUR,
        ends_at=TEN_TWENTY_FOUR,
        fee_item="RF02",
        channel=next(iter(Channel)),
        state=next(iter(AppointmentState)),
        is_paid=False,
        held_until=None,
        booked_at=TEN_TWENTY_FOUR,
        author="staff:desk",
    )


def withdrawn(order: OrderLine) -> LineWithdrawn:
    return LineWithdrawn(
        line=order,
        reason=WithdrawReason.ENTERED_BY_MISTAKE,
        withdrawn_by="staff:lin",
        withdrawn_at=TEN_TWENTY_FOUR,
    )


def price_of(item: str, yuan: str, *, version: int, since: str) -> EntryPublished:
    [fact] = seeded(Domain.DRUG, item)
    return EntryPublished(
        entry=fact.entry.replace(
            version=version,
            sequence=1_000 + version,
            price=UnitPrice(yuan=Decimal(yuan)),
            valid_from=hospital_time(since),
        )
    )


# ── the amounts of the visit ─────────────────────────────────────────────────────────────────


async def test_a_signed_order_becomes_charges_that_add_up_to_the_bill(bench: Bench) -> None:
    """签名 → 六条费用：合计 387.72，统筹与门特 325.53，自付 62.19；药费 92.72。"""
    await open_for_business(bench)

    await bench.receive(signed(*(line(item, n) for item, n in (*PRESCRIPTION, *TESTS))))

    charges = await bench.client(Pricing).for_encounter(MR_ZHOU)
    assert {c.charge for c in bench.published(ChargeCreated)} == set(charges)
    assert str(Money.total(c.amount for c in charges)) == "387.72"
    assert str(Money.total(c.fund for c in charges)) == "300.53"
    assert str(Money.total(c.supplement for c in charges)) == "25.00"
    assert str(Money.total(c.self_pay for c in charges)) == "62.19"
    drugs = [c for c in charges if c.category is ChargeCategory.DRUG]
    assert str(Money.total(c.amount for c in drugs)) == "92.72"
    assert {(c.name_zh, str(c.self_ratio)) for c in drugs} == {
        ("苯磺酸氨氯地平片", "0"),
        ("盐酸二甲双胍缓释片", "0"),
        ("辛伐他汀片", "0.10"),
    }
    await bench.prove()


async def test_the_doctor_sees_the_same_amounts_before_signing(bench: Bench) -> None:
    """医生站报价：辛伐他汀 4 盒时 418.32 = 347.56 + 70.76。"""
    await open_for_business(bench)
    basket = dict((*PRESCRIPTION, *TESTS)) | {SIMVASTATIN: 4}

    quote = await bench.client(Pricing).quote(
        tuple(WantedItem(item=item, quantity=n) for item, n in basket.items())
    )

    assert (str(quote.total), str(quote.insurance), str(quote.self_pay)) == (
        "418.32",
        "347.56",
        "70.76",
    )
    assert quote.is_complete
    assert quote.at == TEN_TWENTY_FOUR
    simvastatin = next(x for x in quote.lines if x.item == SIMVASTATIN)
    assert (str(simvastatin.amount), simvastatin.insurance_class) == ("61.20", InsuranceClass.B)
    assert bench.published(ChargeCreated) == []  # a wish is not a fact


async def test_the_supplement_is_per_test_and_never_more_than_is_left(bench: Bench) -> None:
    """门特补充按次计，不超过统筹支付后的余额。"""
    await open_for_business(bench)
    quote = await bench.client(Pricing).quote((WantedItem(item=HBA1C, quantity=2),))
    [twice] = quote.lines
    assert (str(twice.amount), str(twice.fund), str(twice.supplement), str(twice.self_pay)) == (
        "140.00",
        "112.00",
        "20.00",
        "8.00",
    )
    share = InsuranceShare(
        insurance_class=InsuranceClass.A,
        self_ratio=Decimal(0),
        fund_ratio=Decimal("0.80"),
        supplement=Money(fen=5_000),
    )
    assert split(Money(fen=1_000), Decimal(1), share).self_pay == Money(fen=0)


async def test_a_quote_says_which_item_has_no_price(bench: Bench) -> None:
    await open_for_business(bench)
    quote = await bench.client(Pricing).quote(
        (WantedItem(item=AMLODIPINE, quantity=1), WantedItem(item="QD", quantity=1))
    )
    assert [(x.item, x.is_priced) for x in quote.lines] == [(AMLODIPINE, True), ("QD", False)]
    assert (str(quote.total), quote.is_complete) == ("11.76", False)


async def test_a_quote_refuses_nonsense(bench: Bench) -> None:
    pricing = bench.client(Pricing)
    for quantity in (0, -1, Decimal("-0.5")):
        with pytest.raises(QuantityNotPositive):
            await pricing.quote((WantedItem(item=AMLODIPINE, quantity=quantity),))
    many = tuple(WantedItem(item=AMLODIPINE, quantity=1) for _ in range(QUOTED_ITEMS_MAX + 1))
    with pytest.raises(TooManyItems):
        await pricing.quote(many)
    assert (await pricing.quote(())).total == Money(fen=0)


async def test_a_quote_of_a_full_basket_is_one_question_to_the_database(bench: Bench) -> None:
    await open_for_business(bench)
    items = tuple(WantedItem(item=item, quantity=1) for item, _ in (*PRESCRIPTION, *TESTS))
    with bench.queries(at_most=1):
        await bench.client(Pricing).quote(items)


# ── once, and at the right price ─────────────────────────────────────────────────────────────


async def test_b01_charges_appear_once_each_when_pricing_is_back(bench: Bench) -> None:
    """B01：物价停机期间签名 3 药 2 检验 1 检查；恢复后各有一条费用，重复通知不重复计费。"""
    order = signed(*(line(item, n) for item, n in (*PRESCRIPTION, *TESTS)))
    event = new_id()
    await open_for_business(bench)
    await bench.receive(order, id=event, times=3)
    await bench.receive(order, id=new_id())  # the outage made orders tell it again

    created = bench.published(ChargeCreated)
    assert len(created) == 6
    assert {c.charge.line for c in created} == {x.id for x in order.group.lines}
    await bench.prove()


async def test_b01_an_order_signed_before_the_first_price_arrives_is_not_free(
    bench: Bench,
) -> None:
    """主数据晚到：先“待计价”，价格一到立即计费，绝不显示 0 元。"""
    await bench.receive(signed(line(AMLODIPINE, 2)))
    pricing = bench.client(Pricing)
    assert bench.published(ChargeCreated) == []
    assert [w.item for w in await pricing.unpriced()] == [AMLODIPINE]

    await open_for_business(bench)

    [created] = bench.published(ChargeCreated)
    assert str(created.charge.amount) == "23.52"
    assert await pricing.unpriced() == ()
    await bench.prove()


async def test_b07_the_same_signed_group_three_times_is_one_set_of_charges(bench: Bench) -> None:
    """B07：双击、网关重试、客户端重试，同一签名只有一组费用。"""
    await open_for_business(bench)
    order = signed(*(line(item, n) for item, n in PRESCRIPTION))
    for event in (new_id(), new_id(), new_id()):
        await bench.receive(order, id=event, times=2)
    assert len(await bench.client(Pricing).for_encounter(MR_ZHOU)) == len(PRESCRIPTION)
    await bench.prove()


async def test_a_fact_costs_what_was_in_force_when_it_happened(bench: Bench) -> None:
    """B03：4 月 1 日零点起新价；之前开立的按旧价，之后按新价。"""
    await open_for_business(
        bench,
        price_of(AMLODIPINE, "11.76", version=1, since="2020-01-01 00:00"),
        price_of(AMLODIPINE, "11.20", version=2, since="2026-04-01 00:00"),
    )
    for at in ("2026-03-31 23:59:59", "2026-04-01 00:00:00"):
        await bench.receive(signed(line(AMLODIPINE, 1), at=hospital_time(at)))

    created = [c.charge for c in bench.published(ChargeCreated)]
    assert [(str(c.amount), c.price_version) for c in created] == [("11.76", 1), ("11.20", 2)]
    await bench.prove()


async def test_versions_may_arrive_in_any_order(bench: Bench) -> None:
    await open_for_business(
        bench,
        price_of(AMLODIPINE, "11.20", version=2, since="2026-03-01 00:00"),
        price_of(AMLODIPINE, "11.76", version=1, since="2020-01-01 00:00"),
    )
    await bench.receive(signed(line(AMLODIPINE, 1)))
    assert [str(c.charge.amount) for c in bench.published(ChargeCreated)] == ["11.20"]


async def test_a_retired_item_is_not_charged_until_the_price_office_says_how(
    bench: Bench,
) -> None:
    """停用后仍被执行的项目不会按旧价悄悄收费：等待物价办指定版本。"""
    await open_for_business(bench)
    [fact] = seeded(Domain.DRUG, AMLODIPINE)
    gone = fact.entry.replace(
        version=2, is_retired=True, valid_from=hospital_time("2026-03-01 00:00")
    )
    await bench.receive(EntryPublished(entry=gone))
    await bench.receive(signed(line(AMLODIPINE, 1)))
    pricing = bench.client(Pricing)
    assert [w.item for w in await pricing.unpriced()] == [AMLODIPINE]

    with pytest.raises(ChargeNotFound):
        await pricing.price_waiting(AMLODIPINE, 9)
    [charge] = await pricing.price_waiting(AMLODIPINE, 1)

    assert (str(charge.amount), charge.price_version) == ("11.76", 1)
    assert await pricing.unpriced() == ()
    assert await pricing.price_waiting(AMLODIPINE, 1) == ()
    await bench.prove()


async def test_a_price_that_arrives_late_corrects_by_adding(bench: Bench) -> None:
    """价格副本晚到：按旧版本计的费用取消，按应有版本重计，不改金额。"""
    await open_for_business(
        bench, price_of(AMLODIPINE, "11.76", version=1, since="2020-01-01 00:00")
    )
    early = signed(line(AMLODIPINE, 1), at=hospital_time("2026-03-01 09:00"))
    late = signed(line(AMLODIPINE, 1))
    await bench.receive(early)
    await bench.receive(late)

    await bench.receive(price_of(AMLODIPINE, "11.20", version=2, since="2026-03-02 00:00"), times=2)

    [cancelled] = bench.published(ChargeCancelled)
    assert cancelled.reason is CancelReason.PRICE_CORRECTED
    assert cancelled.charge.line == late.group.lines[0].id
    pending = [
        (c.line, str(c.amount))
        for c in await bench.client(Pricing).for_encounter(MR_ZHOU)
        if c.state is ChargeState.PENDING
    ]
    assert sorted(pending, key=lambda p: p[1]) == [
        (late.group.lines[0].id, "11.20"),
        (early.group.lines[0].id, "11.76"),
    ]
    await bench.prove()


# ── withdrawn ────────────────────────────────────────────────────────────────────────────────


async def test_a_withdrawn_line_is_cancelled_and_the_others_stay(bench: Bench) -> None:
    """医嘱撤回一行：只取消该行费用。"""
    await open_for_business(bench)
    order = signed(*(line(item, n) for item, n in PRESCRIPTION))
    await bench.receive(order)
    await bench.receive(withdrawn(order.group.lines[1]), times=2)

    [cancelled] = bench.published(ChargeCancelled)
    assert (cancelled.charge.item, cancelled.reason) == (METFORMIN, CancelReason.ORDER_WITHDRAWN)
    states = {c.item: c.state for c in await bench.client(Pricing).for_encounter(MR_ZHOU)}
    assert states == {
        AMLODIPINE: ChargeState.PENDING,
        METFORMIN: ChargeState.CANCELLED,
        SIMVASTATIN: ChargeState.PENDING,
    }
    await bench.prove()


async def test_a_line_withdrawn_while_it_waits_for_a_price_is_never_charged(bench: Bench) -> None:
    order = signed(line(AMLODIPINE, 1))
    await bench.receive(order)
    await bench.receive(withdrawn(order.group.lines[0]))
    await open_for_business(bench)
    assert bench.published(ChargeCreated) == []
    assert await bench.client(Pricing).unpriced() == ()


async def test_a_fee_is_cancelled_with_its_appointment_and_stands_again_with_it(
    bench: Bench,
) -> None:
    """号源释放 → 诊查费取消；迟到的缴费恢复预约 → 诊查费恢复，仍只有一条。"""
    await open_for_business(bench, *seeded(Domain.REGISTRATION_FEE, "RF02"))
    visit = appointment()
    fee = ChargeRequest(
        encounter=visit.encounter,
        item="RF02",
        quantity=1,
        performed_at=visit.booked_at,
        line=visit.id,
    )
    await bench.receive(AppointmentBooked(appointment=visit, charge=fee), times=2)
    await bench.receive(
        AppointmentCancelled(appointment=visit, reason=next(iter(AppointmentCancelReason))), times=2
    )
    [cancelled] = bench.published(ChargeCancelled)
    assert (cancelled.reason, str(cancelled.charge.amount)) == (
        CancelReason.APPOINTMENT_CANCELLED,
        "25.00",
    )
    await bench.prove()

    await bench.receive(AppointmentReinstated(appointment=visit, bill=BillId(new_id())), times=2)

    [charge] = await bench.client(Pricing).for_encounter(visit.encounter)
    assert charge.state is ChargeState.PENDING
    assert [r.charge for r in bench.published(ChargeReinstated)] == [charge]
    await bench.prove()


@pytest.mark.parametrize("steps", list(product(["sign", "withdraw", "price"], repeat=3)))
async def test_in_whatever_order_facts_arrive_a_line_is_charged_at_most_once(
    bench: Bench, steps: tuple[str, ...]
) -> None:
    """The board's invariant, over every sequence of three facts: charged exactly when signed,
    priced and not withdrawn; no fact is ever refused."""
    order = signed(line(AMLODIPINE, 1))
    for step in steps:
        if step == "sign":
            await bench.receive(order, id=new_id())
        elif step == "withdraw":
            await bench.receive(withdrawn(order.group.lines[0]))
        else:
            await open_for_business(bench)

    charges = await bench.client(Pricing).for_encounter(MR_ZHOU)
    pending = [c for c in charges if c.state is ChargeState.PENDING]
    assert len(pending) == ({"sign", "price"} <= set(steps) and "withdraw" not in steps)
    assert len(charges) <= 1
    await bench.prove()


# ── who may look ─────────────────────────────────────────────────────────────────────────────


async def test_another_campus_sees_no_charge(bench: Bench) -> None:
    await open_for_business(bench)
    await bench.receive(signed(line(AMLODIPINE, 1)))
    [created] = bench.published(ChargeCreated)
    with bench.acting(campuses=("C2",)):
        assert await bench.client(Pricing).for_encounter(MR_ZHOU) == ()
        with pytest.raises(NotFound):
            await bench.client(Pricing).charge(created.charge.id)
    assert await bench.client(Pricing).charge(created.charge.id) == created.charge


async def test_prices_need_a_permission(bench: Bench) -> None:
    pricing = bench.client(Pricing)
    with bench.acting(permissions=set()):
        with pytest.raises(NotAllowed):
            await pricing.quote(())
        with pytest.raises(NotAllowed):
            await pricing.for_encounter(MR_ZHOU)
    with bench.acting(permissions={"pricing.read"}), pytest.raises(NotAllowed):
        await pricing.price_waiting(AMLODIPINE, 1)
    with pytest.raises(ChargeNotFound):
        await pricing.charge(ChargeId(UUID(int=1)))


# ── the split ────────────────────────────────────────────────────────────────────────────────

ratios = st.decimals(min_value=0, max_value=1, places=2)


@given(
    fen=st.integers(min_value=0, max_value=10_000_000),
    quantity=st.integers(min_value=1, max_value=999),
    self_ratio=ratios,
    fund_ratio=ratios,
    supplement=st.integers(min_value=0, max_value=100_000),
)
def test_a_split_always_gives_back_the_whole(
    fen: int, quantity: int, self_ratio: Decimal, fund_ratio: Decimal, supplement: int
) -> None:
    share = InsuranceShare(
        insurance_class=InsuranceClass.B,
        self_ratio=self_ratio,
        fund_ratio=fund_ratio,
        supplement=Money(fen=supplement),
    )
    parts = split(Money(fen=fen), Decimal(quantity), share)
    assert parts.fund + parts.supplement + parts.self_pay == Money(fen=fen)
    assert min(parts.fund.fen, parts.supplement.fen, parts.self_pay.fen) >= 0
