"""From basket to signature and back, told as the doctor would tell it.

Every scenario runs twice: calls made directly, and calls encoded as between two processes. The
encounters board is faked; the catalogue is the demonstration hospital's.
"""

from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID

import pytest

from plugward.boards.encounters.contract import EncounterState
from plugward.boards.encounters.fakes import FakeEncounters
from plugward.boards.orders.board import board
from plugward.boards.orders.contract import (
    AbsurdDays,
    AbsurdDose,
    AbsurdQuantity,
    AlreadyCarriedOut,
    DosageIncomplete,
    DuplicateItem,
    EmptyGroup,
    EncounterEnded,
    FastingOrdered,
    GroupNotFound,
    GroupSigned,
    ItemNotOrderable,
    LineNotFound,
    LineState,
    LineWithdrawn,
    NewLine,
    OrderGroup,
    Orders,
    SaveDraft,
    SignGroup,
    TooManyLines,
    UsageUnknown,
    WithdrawReason,
    WrongPatient,
)
from plugward.commons.masterdata.contract import Domain
from plugward.commons.masterdata.fakes import seeded
from plugward.kernel import AlreadyThere, NotFound
from plugward.kernel.refusals import NotAllowed
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_time
from plugward.vocabulary import (
    CampusCode,
    ChargeRequest,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
)

ZHOU_JIANMIN, SHEN_YULAN = PatientId(new_id()), PatientId(new_id())
HIS_VISIT, HER_VISIT = EncounterId(new_id()), EncounterId(new_id())
C1, CARDIOLOGY = CampusCode("C1"), DepartmentCode("C1-CARD")
TEN_TWENTY_FOUR = "2026-11-18 10:24:30"

CATALOGUE = (
    *seeded(Domain.DRUG, "D0034", "D0171", "D0052"),
    *seeded(Domain.LAB_ITEM, "L0162", "L0026"),
    *seeded(Domain.EXAM_ITEM, "E0039"),
    *seeded(Domain.TREATMENT, "T0001"),
    *seeded(Domain.ROUTE, "PO"),
    *seeded(Domain.FREQUENCY, "QD", "BID", "QN"),
    *seeded(Domain.REGISTRATION_FEE, "RF01"),
)


def drug(item: str, dose: str, unit: str, frequency: str, quantity: int = 2) -> NewLine:
    return NewLine(
        id=OrderLineId(new_id()),
        kind=OrderKind.DRUG,
        item=item,
        quantity=quantity,
        dose=Decimal(dose),
        dose_unit=unit,
        route="PO",
        frequency=frequency,
        days=28,
    )


def amlodipine(**changes: object) -> NewLine:
    return drug("D0034", "5", "mg", "QD").replace(**changes)


def test_of(kind: OrderKind, item: str) -> NewLine:
    return NewLine(id=OrderLineId(new_id()), kind=kind, item=item)


test_of.__test__ = False  # type: ignore[attr-defined]  # builds a line, whatever its name


def whole_plan() -> tuple[NewLine, ...]:
    """Three drugs, two laboratory tests, one examination."""
    return (
        amlodipine(),
        drug("D0171", "0.5", "g", "BID"),
        drug("D0052", "20", "mg", "QN"),
        test_of(OrderKind.LAB, "L0162"),
        test_of(OrderKind.LAB, "L0026"),
        test_of(OrderKind.EXAM, "E0039"),
    )


def group_of(*lines: NewLine, patient: PatientId = ZHOU_JIANMIN) -> SignGroup:
    return SignGroup(
        id=OrderGroupId(new_id()),
        encounter=HIS_VISIT,
        patient=patient,
        campus=C1,
        department=CARDIOLOGY,
        lines=lines,
        indication="高血压病 3 级 很高危",
    )


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    encounters = FakeEncounters()
    encounters.visit(ZHOU_JIANMIN, id=HIS_VISIT)
    encounters.visit(SHEN_YULAN, id=HER_VISIT)
    made = Bench(board, fakes=[encounters], transport=request.param, now=TEN_TWENTY_FOUR)
    for fact in CATALOGUE:
        await made.receive(fact)
    return made


async def sign(bench: Bench, *lines: NewLine) -> OrderGroup:
    return await bench.client(Orders).sign(group_of(*lines))


async def test_a_signature_covers_the_whole_group_and_asks_for_each_line_to_be_charged(
    bench: Bench,
) -> None:
    """整组签名 → 六条医嘱 → 六条计费请求，一次签名一个事件。"""
    group = await sign(bench, *whole_plan())

    [signed] = bench.published(GroupSigned)
    assert signed.group == group
    assert [line.state for line in group.lines] == [LineState.SIGNED] * 6
    assert (group.author, group.signed_at) == ("staff:tester", hospital_time(TEN_TWENTY_FOUR))
    assert [(c.item, c.quantity, c.line) for c in signed.charges] == [
        (line.item, line.quantity, line.id) for line in group.lines
    ]
    assert {c.performed_at for c in signed.charges} == {group.signed_at}
    await bench.prove()


async def test_a_line_keeps_the_names_it_was_signed_under(bench: Bench) -> None:
    """药品改名后，已签名的医嘱仍是签名时的名称。"""
    group = await sign(bench, amlodipine())
    [published] = seeded(Domain.DRUG, "D0034")
    renamed = published.entry.replace(version=2, sequence=9, name_zh="改名后的药品")
    await bench.receive(published.replace(entry=renamed))

    [line] = (await bench.client(Orders).group(group.id)).lines
    assert (line.name_zh, line.spec, line.unit) == ("苯磺酸氨氯地平片", "5mg*28片", "盒")
    [item] = await bench.client(Orders).items(("D0034",))
    assert item.name_zh == "改名后的药品"


async def test_signing_does_not_know_any_price_or_payment(bench: Bench) -> None:
    """开单与缴费解耦：签名的事件里没有金额。"""
    await sign(bench, *whole_plan())
    [signed] = bench.published(GroupSigned)
    assert not {"price", "amount", "fen"} & set(ChargeRequest.__struct_fields__)
    assert {c.encounter for c in signed.charges} == {HIS_VISIT}


async def test_the_same_signature_sent_three_times_signs_one_group(bench: Bench) -> None:
    """B07：双击、网关重试、客户端重试——同一请求三次，只有一组医嘱。"""
    request = group_of(*whole_plan())
    key = new_id()
    answers = []
    for _ in range(3):
        with bench.request(key):
            answers.append(await bench.client(Orders).sign(request))

    assert answers == [answers[0]] * 3
    assert len(bench.published(GroupSigned)) == 1
    assert len(await bench.client(Orders).for_encounter(HIS_VISIT)) == 1


async def test_a_group_sent_again_under_a_new_request_is_still_one_group(bench: Bench) -> None:
    """页面重开后再次提交同一组：仍是一组；内容不同则拒绝。"""
    request = group_of(amlodipine())
    first = await bench.client(Orders).sign(request)
    assert await bench.client(Orders).sign(request) == first
    with pytest.raises(AlreadyThere):
        await bench.client(Orders).sign(request.replace(lines=(amlodipine(quantity=3),)))
    assert len(bench.published(GroupSigned)) == 1


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ((), EmptyGroup),
        ((amlodipine(item="D9999"),), ItemNotOrderable),
        ((amlodipine(kind=OrderKind.LAB),), ItemNotOrderable),
        ((test_of(OrderKind.TREATMENT, "RF01"),), ItemNotOrderable),
        ((amlodipine(), amlodipine()), DuplicateItem),
        ((amlodipine(quantity=0),), AbsurdQuantity),
        ((amlodipine(quantity=101),), AbsurdQuantity),
        ((test_of(OrderKind.LAB, "L0026").replace(quantity=31),), AbsurdQuantity),
        ((amlodipine(days=91),), AbsurdDays),
        ((amlodipine(dose=None),), DosageIncomplete),
        ((amlodipine(route=""),), DosageIncomplete),
        ((amlodipine(frequency="EVERY-FULL-MOON"),), UsageUnknown),
        ((amlodipine(dose=Decimal(50)),), AbsurdDose),
        ((amlodipine(dose=Decimal(5), dose_unit="g"),), AbsurdDose),
        ((amlodipine(dose=Decimal(0)),), AbsurdDose),
        (tuple(amlodipine(item=f"X{n}") for n in range(61)), TooManyLines),
    ],
)
async def test_a_group_nobody_can_have_meant_is_refused_whole(
    bench: Bench, lines: tuple[NewLine, ...], refusal: type[Exception]
) -> None:
    """空组、未知项目、重复、荒谬的数量与剂量：整组拒绝，一条也不签。"""
    with pytest.raises(refusal):
        await sign(bench, *lines[:1], *lines[1:])
    assert bench.published(GroupSigned) == []
    assert await bench.client(Orders).for_encounter(HIS_VISIT) == ()


async def test_one_bad_line_leaves_the_good_ones_unsigned(bench: Bench) -> None:
    with pytest.raises(ItemNotOrderable):
        await sign(bench, amlodipine(), test_of(OrderKind.LAB, "L9999"))
    assert await bench.client(Orders).for_encounter(HIS_VISIT) == ()


async def test_a_retired_item_cannot_be_ordered_any_more(bench: Bench) -> None:
    """停用的药品不能再开；尚未生效的版本不影响今天。"""
    [published] = seeded(Domain.DRUG, "D0034")
    tomorrow = hospital_time("2026-11-19 00:00")
    retired = published.entry.replace(version=2, valid_from=tomorrow, is_retired=True)
    await bench.receive(published.replace(entry=retired))
    await sign(bench, amlodipine())

    bench.clock.set("2026-11-19 00:00")
    with pytest.raises(ItemNotOrderable):
        await sign(bench, amlodipine())


@pytest.mark.parametrize("state", [EncounterState.FINISHED, EncounterState.CANCELLED])
async def test_nothing_is_ordered_for_a_visit_that_is_over(
    bench: Bench, state: EncounterState
) -> None:
    bench.fake(FakeEncounters).visit(ZHOU_JIANMIN, id=HIS_VISIT, state=state)
    with pytest.raises(EncounterEnded):
        await sign(bench, amlodipine())
    with pytest.raises(EncounterEnded):
        await bench.client(Orders).order_fasting(HIS_VISIT, date(2026, 11, 19))


async def test_orders_for_another_patient_than_the_visits_are_refused(bench: Bench) -> None:
    """换了患者却没换就诊：拒绝，避免开错人。"""
    with pytest.raises(WrongPatient):
        await bench.client(Orders).sign(group_of(amlodipine(), patient=SHEN_YULAN))


async def test_while_encounters_is_away_doctors_sign_all_the_same(bench: Bench) -> None:
    """就诊板离线：照常签名、照常下达禁食。"""

    bench.runtime.dispatcher.detach("encounters")
    group = await sign(bench, amlodipine())
    await bench.client(Orders).order_fasting(HIS_VISIT, date(2026, 11, 19))
    assert [g.group.id for g in bench.published(GroupSigned)] == [group.id]
    assert len(bench.published(FastingOrdered)) == 1


async def test_only_those_who_may_sign_do(bench: Bench) -> None:
    with bench.acting(permissions={"orders.read"}), pytest.raises(NotAllowed):
        await sign(bench, amlodipine())


async def test_a_group_of_another_campus_is_not_there(bench: Bench) -> None:
    """跨院区：别的院区的医嘱查不到、撤不回。"""
    group = await sign(bench, amlodipine())
    orders = bench.client(Orders)
    with bench.acting(campuses=("C2",)):
        with pytest.raises(GroupNotFound):
            await orders.group(group.id)
        with pytest.raises(LineNotFound):
            await orders.withdraw(group.lines[0].id, WithdrawReason.ENTERED_BY_MISTAKE)
        assert await orders.for_patient((ZHOU_JIANMIN,)) == ()
        with pytest.raises(WrongPatient):
            await orders.save_draft(basket(HIS_VISIT, amlodipine()))
        with pytest.raises(NotFound):  # written at a campus the doctor does not work at
            await sign(bench, amlodipine())


# ── the basket ───────────────────────────────────────────────────────────────────────────────


def basket(encounter: EncounterId, *lines: NewLine) -> SaveDraft:
    patient = ZHOU_JIANMIN if encounter == HIS_VISIT else SHEN_YULAN
    return SaveDraft(encounter=encounter, patient=patient, campus=C1, lines=lines)


async def test_each_patients_basket_is_their_own(bench: Bench) -> None:
    """切换患者，草稿互不串。"""
    orders = bench.client(Orders)
    his, hers = amlodipine(), drug("D0171", "0.5", "g", "BID")
    await orders.save_draft(basket(HIS_VISIT, his))
    await orders.save_draft(basket(HER_VISIT, hers))

    for visit, line in ((HIS_VISIT, his), (HER_VISIT, hers)):
        draft = await orders.draft(visit)
        assert draft is not None
        assert draft.lines == (line,)


async def test_a_draft_is_seen_by_its_author_only_and_replaced_as_a_whole(bench: Bench) -> None:
    orders = bench.client(Orders)
    await orders.save_draft(basket(HIS_VISIT, amlodipine(), amlodipine(item="D0052")))
    kept = amlodipine(quantity=1)
    await orders.save_draft(basket(HIS_VISIT, kept))
    with bench.acting(id="colleague"):
        assert await orders.draft(HIS_VISIT) is None
        await orders.save_draft(basket(HIS_VISIT, amlodipine(quantity=9)))
    draft = await orders.draft(HIS_VISIT)
    assert draft is not None
    assert draft.lines == (kept,)


async def test_signing_empties_the_authors_basket_and_nobody_elses(bench: Bench) -> None:
    orders = bench.client(Orders)
    await orders.save_draft(basket(HIS_VISIT, amlodipine()))
    with bench.acting(id="colleague"):
        await orders.save_draft(basket(HIS_VISIT, amlodipine()))
    await sign(bench, amlodipine())
    assert await orders.draft(HIS_VISIT) is None
    with bench.acting(id="colleague"):
        assert await orders.draft(HIS_VISIT) is not None


async def test_a_refused_signature_keeps_the_basket(bench: Bench) -> None:
    orders = bench.client(Orders)
    await orders.save_draft(basket(HIS_VISIT, amlodipine(quantity=0)))
    with pytest.raises(AbsurdQuantity):
        await sign(bench, amlodipine(quantity=0))
    assert await orders.draft(HIS_VISIT) is not None


async def test_an_emptied_basket_is_forgotten(bench: Bench) -> None:
    orders = bench.client(Orders)
    await orders.save_draft(basket(HIS_VISIT, amlodipine()))
    await orders.save_draft(basket(HIS_VISIT))
    assert await orders.draft(HIS_VISIT) is None


# ── taking back, and what became of it ───────────────────────────────────────────────────────


async def test_a_withdrawn_line_is_told_once_and_stays_readable(bench: Bench) -> None:
    """撤回一条：通知一次；再撤不再通知；医嘱仍可读。"""
    orders = bench.client(Orders)
    group = await sign(bench, *whole_plan())
    simvastatin = group.lines[2]
    for _ in range(2):
        await orders.withdraw(simvastatin.id, WithdrawReason.CONDITION_CHANGED)

    [told] = bench.published(LineWithdrawn)
    assert (told.line.id, told.was, told.withdrawn_by) == (
        simvastatin.id,
        LineState.SIGNED,
        "staff:tester",
    )
    standing = [line.state for line in (await orders.group(group.id)).lines]
    assert standing == [LineState.SIGNED] * 2 + [LineState.WITHDRAWN] + [LineState.SIGNED] * 3
    await bench.prove()


async def test_a_group_is_withdrawn_whole_or_not_at_all(bench: Bench) -> None:
    """整组撤回：有一条已发药，则一条也不撤。"""
    orders = bench.client(Orders)
    group = await sign(bench, *whole_plan())
    await bench.service.advance((group.lines[1].id,), LineState.DISPENSED)
    with pytest.raises(AlreadyCarriedOut):
        await orders.withdraw_group(group.id, WithdrawReason.ENTERED_BY_MISTAKE)
    assert bench.published(LineWithdrawn) == []

    other = await sign(bench, *whole_plan())
    await orders.withdraw(other.lines[0].id, WithdrawReason.ENTERED_BY_MISTAKE)
    await orders.withdraw_group(other.id, WithdrawReason.PATIENT_DECLINES)
    assert len(bench.published(LineWithdrawn)) == 6


WITHDRAWABLE = {LineState.SIGNED, LineState.PAID}
STEPS = ("paid", "dispensed", "performed", "reported", "withdraw")


async def test_whatever_happens_a_line_that_was_carried_out_is_never_withdrawn(
    bench: Bench,
) -> None:
    """The board's invariant, over every sequence of three steps: facts are never refused, and
    what was carried out is not taken back."""
    orders = bench.client(Orders)
    withdrawn = 0
    for steps in product(STEPS, repeat=3):
        [line] = (await sign(bench, amlodipine())).lines
        state = line.state
        for step in steps:
            state = await take_step(bench, line.id, state, step)
        withdrawn += state is LineState.WITHDRAWN
        assert (await orders.line(line.id)).state is state
    assert len(bench.published(LineWithdrawn)) == withdrawn > 0


async def take_step(bench: Bench, line: OrderLineId, before: LineState, step: str) -> LineState:
    """One step; checks it against what may happen in the state before it."""
    orders = bench.client(Orders)
    if step != "withdraw":
        moved = await bench.service.advance((line,), LineState(step))
        assert not (moved and before is LineState.WITHDRAWN)
        return LineState(step) if moved else before
    if before in {*WITHDRAWABLE, LineState.WITHDRAWN}:
        await orders.withdraw(line, WithdrawReason.ENTERED_BY_MISTAKE)
        return LineState.WITHDRAWN
    with pytest.raises(AlreadyCarriedOut):
        await orders.withdraw(line, WithdrawReason.ENTERED_BY_MISTAKE)
    return before


# ── fasting ──────────────────────────────────────────────────────────────────────────────────


async def test_a_fasting_order_holds_for_its_day_and_is_told_once(bench: Bench) -> None:
    """禁食医嘱：只在当日有效，重复下达只通知一次。"""
    orders, tomorrow = bench.client(Orders), date(2026, 11, 19)
    for _ in range(2):
        await orders.order_fasting(HIS_VISIT, tomorrow)
    assert bench.published(FastingOrdered) == [FastingOrdered(encounter=HIS_VISIT, day=tomorrow)]
    assert await orders.is_fasting(HIS_VISIT, on=tomorrow)
    assert not await orders.is_fasting(HIS_VISIT, on=tomorrow + timedelta(days=1))
    assert not await orders.is_fasting(HER_VISIT, on=tomorrow)


# ── looking ──────────────────────────────────────────────────────────────────────────────────


async def test_the_last_prescription_is_the_doctors_own_before_the_departments(
    bench: Bench,
) -> None:
    """续上次方：先找本人开的，再找本科室的；只带药品，不带已撤回的。"""
    orders = bench.client(Orders)
    mine = await sign(bench, *whole_plan())
    await bench.clock.advance("2026-11-18 11:00")
    with bench.acting(id="colleague"):
        theirs = await sign(bench, drug("D0171", "0.5", "g", "BID"))
        await sign(bench, test_of(OrderKind.LAB, "L0026"))
    await orders.withdraw(mine.lines[2].id, WithdrawReason.CONDITION_CHANGED)

    old_number = PatientId(new_id())
    found = await orders.last_prescription((old_number, ZHOU_JIANMIN), "staff:tester", CARDIOLOGY)
    assert found is not None
    assert [line.item for line in found.lines] == ["D0034", "D0171"]
    found = await orders.last_prescription((ZHOU_JIANMIN,), "staff:nobody", CARDIOLOGY)
    assert found is not None
    assert found.id == theirs.id
    assert await orders.last_prescription((ZHOU_JIANMIN,), "staff:nobody") is None
    assert await orders.last_prescription((SHEN_YULAN,)) is None


async def test_a_long_history_is_read_in_two_statements(bench: Bench) -> None:
    orders = bench.client(Orders)
    for _ in range(4):
        await sign(bench, *whole_plan())
    with bench.queries(at_most=2):
        groups = await orders.for_patient((ZHOU_JIANMIN, SHEN_YULAN))
    assert [len(group.lines) for group in groups] == [6] * 4
    assert sorted((g.id for g in groups), key=UUID.__str__, reverse=True) == [g.id for g in groups]
