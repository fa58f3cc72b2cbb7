"""A prescription's way through the pharmacy, as the window would tell it."""

import asyncio
from contextlib import suppress
from itertools import product

import pytest

from plugward.boards.drug_store.contract import ReservationExpired, ReservationId
from plugward.boards.pharmacy.contract import (
    AlreadyDispensed,
    BatchExpired,
    DispenseTask,
    GiveUp,
    LineNotPayable,
    LineNotReady,
    LineQuantity,
    LinesReleased,
    LineState,
    LineUnsupplied,
    NobodyWaiting,
    NotAllScanned,
    NothingChosen,
    NothingOpen,
    NothingToReturn,
    OutOfStock,
    Pharmacy,
    PrescriptionDispensed,
    PrescriptionReturned,
    ReturnId,
    ScanOutcome,
    SecondPersonNeeded,
    TakeBack,
    TaskCalled,
    TaskState,
)
from plugward.kernel import Conflict, NotFound, Unavailable, WrongState
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id

from .visit import (
    AMLODIPINE,
    ATORVASTATIN,
    C1,
    LAST_DAY,
    METFORMIN,
    SIMVASTATIN,
    WINDOW,
    Visit,
    pharmacy_bench,
)

THREE_DRUGS = {AMLODIPINE: 2, METFORMIN: 2, SIMVASTATIN: 2}


@pytest.fixture(params=TRANSPORTS)
def bench(request: pytest.FixtureRequest) -> Bench:
    return pharmacy_bench(request.param)


async def states(visit: Visit) -> dict[str, LineState]:
    return {line.item: line.state for line in await visit.pharmacy.lines(visit.encounter)}


async def test_a_prescription_is_paid_picked_scanned_called_and_handed_out(bench: Bench) -> None:
    """签名 → 锁库存 → 缴费 → 配药 → 叫号 → 扫码核对 → 发药。"""
    visit = await Visit(bench).paid(THREE_DRUGS)
    task = await visit.task()
    assert (task.number, task.packs, task.state) == ("Y001", 6, TaskState.TO_PICK)

    await visit.pharmacy.pick(task.id)
    called = await visit.pharmacy.call_next(C1, WINDOW)
    with pytest.raises(NotAllScanned) as refused:
        await visit.pharmacy.dispense(task.id)
    await visit.scan_all(task.id)
    done = await visit.pharmacy.dispense(task.id)

    assert (called.id, called.window, refused.value.missing) == (task.id, WINDOW, 6)
    assert (done.state, done.dispensed_by) == (TaskState.DISPENSED, "staff:tester")
    [dispensed] = bench.published(PrescriptionDispensed)
    assert {(line.item, line.quantity) for line in dispensed.lines} == set(THREE_DRUGS.items())
    assert await visit.pharmacy.queue(C1) == ()
    [sheet] = await visit.pharmacy.history(visit.patient)
    assert [line.dispensed for line in sheet.lines] == [2, 2, 2]
    await bench.prove()


async def test_the_drug_store_may_be_away_while_paid_drugs_are_handed_out(bench: Bench) -> None:
    """药库离线：未缴费的不能锁库存，已缴费的药照常发出。"""
    visit = await Visit(bench).paid(THREE_DRUGS)
    waiting = await Visit(bench).sign(THREE_DRUGS)
    bench.runtime.dispatcher.detach("drug_store")
    with pytest.raises(Unavailable):  # nothing is reserved, so nobody is asked for money
        await waiting.reserve()
    assert (await visit.hand_out()).state is TaskState.DISPENSED
    await bench.prove()


async def test_a_doubled_signature_and_a_doubled_payment_make_one_task(bench: Bench) -> None:
    visit = await Visit(bench).sign(THREE_DRUGS, times=2)
    await visit.reserve()
    await visit.settle(times=3)
    await visit.settle()  # the same bill told again by another frame
    assert len(await visit.pharmacy.queue(C1)) == 1
    assert [line.paid for line in await visit.pharmacy.lines(visit.encounter)] == [2, 2, 2]
    await bench.prove()


async def test_d01_without_stock_nobody_is_asked_for_money(bench: Bench) -> None:
    """库存不足 → 付款前就被拒绝，并说出是哪一种药。"""
    visit = await Visit(bench).sign(THREE_DRUGS)
    visit.drug_store.available[SIMVASTATIN] = 1
    with pytest.raises(OutOfStock) as refused:
        await visit.reserve()
    assert (refused.value.item, refused.value.name) == (SIMVASTATIN, "辛伐他汀片")
    assert set((await states(visit)).values()) == {LineState.SIGNED}
    assert visit.drug_store.reservations == {}


async def test_d01_paid_and_then_gone_is_owed_back_at_once(bench: Bench) -> None:
    """预留超时、库存被别人领走、渠道这时才说已付 → 立即产生缺药，而不是无人管的已付行。"""
    visit = await Visit(bench).sign({AMLODIPINE: 2, METFORMIN: 2})
    visit.drug_store.available[AMLODIPINE] = 2
    held = await visit.reserve()
    gone = visit.drug_store.expire(ReservationId(held.bill))
    await bench.receive(ReservationExpired(reservation=gone))
    assert set((await states(visit)).values()) == {LineState.SIGNED}
    visit.drug_store.available[AMLODIPINE] = 0

    await visit.settle()

    [unsupplied] = bench.published(LineUnsupplied)
    assert (unsupplied.line, unsupplied.quantity) == (visit.line(AMLODIPINE), 2)
    assert await states(visit) == {
        AMLODIPINE: LineState.UNSUPPLIED,
        METFORMIN: LineState.PAID,
    }
    await visit.hand_out()
    await bench.prove()


async def test_reserving_twice_holds_once_and_a_void_bill_lets_go(bench: Bench) -> None:
    visit = await Visit(bench).sign(THREE_DRUGS)
    first = await visit.reserve()
    assert await visit.reserve() == first.replace(until=None)
    await visit.void()
    assert set((await states(visit)).values()) == {LineState.SIGNED}
    assert sum(len(e.lines) for e in bench.published(LinesReleased)) == 3
    with pytest.raises(LineNotReady):
        await visit.pharmacy.give_up(
            GiveUp(
                encounter=visit.encounter,
                lines=(LineQuantity(line=visit.line(AMLODIPINE), quantity=1),),
            )
        )
    await bench.prove()


async def test_a_wrong_pack_is_blocked_in_the_row_and_kept(bench: Bench) -> None:
    """扫到近似药名的药 → 拦截，写明是什么药，本行仍待扫。"""
    visit = await Visit(bench).paid({SIMVASTATIN: 2})
    await visit.know_drugs()
    task = await visit.pharmacy.call_next(C1, WINDOW)

    right = await visit.pharmacy.scan(task.id, SIMVASTATIN)
    wrong = await visit.pharmacy.scan(task.id, ATORVASTATIN)
    other = await visit.pharmacy.scan(task.id, f"{SIMVASTATIN}/25X0931")
    held = await visit.pharmacy.scan(task.id, f"{SIMVASTATIN}/{SIMVASTATIN}-B1")
    more = await visit.pharmacy.scan(task.id, SIMVASTATIN)

    assert [s.outcome for s in (right, wrong, other, held, more)] == [
        ScanOutcome.RIGHT,
        ScanOutcome.WRONG_DRUG,
        ScanOutcome.WRONG_BATCH,
        ScanOutcome.RIGHT,
        ScanOutcome.ONE_TOO_MANY,
    ]
    assert wrong.name.startswith("阿托伐他汀钙片")
    assert wrong.line == visit.line(SIMVASTATIN)
    assert len(await visit.pharmacy.scans(task.id)) == 5
    await visit.pharmacy.dispense(task.id)
    await bench.prove()


async def test_two_windows_never_call_the_same_patient(bench: Bench) -> None:
    visits = [await Visit(bench).paid({AMLODIPINE: 1}) for _ in range(2)]
    called = await asyncio.gather(
        *(visits[0].pharmacy.call_next(C1, window) for window in ("1 号窗", "2 号窗"))
    )
    assert len({task.id for task in called}) == 2
    with pytest.raises(NobodyWaiting):
        await visits[0].pharmacy.call_next(C1, WINDOW)
    assert len(bench.published(TaskCalled)) == 2


async def test_a_ready_basket_is_called_before_one_that_is_not(bench: Bench) -> None:
    early = await Visit(bench).paid({AMLODIPINE: 1})
    bench.clock.set("2026-03-02 10:40")
    late = await Visit(bench).paid({AMLODIPINE: 1})
    await late.pharmacy.pick((await late.task()).id)
    assert (await early.pharmacy.call_next(C1, WINDOW)).encounter == late.encounter
    assert (await early.pharmacy.call_next(C1, WINDOW)).encounter == early.encounter


async def test_who_does_not_come_is_missed_and_can_be_called_again(bench: Bench) -> None:
    visit = await Visit(bench).paid({AMLODIPINE: 1})
    task = await visit.pharmacy.call_next(C1, WINDOW)
    await visit.pharmacy.miss(task.id)
    assert await visit.pharmacy.queue(C1) == ()
    again = await visit.pharmacy.call(task.id, WINDOW)
    assert (again.state, again.calls) == (TaskState.CALLED, 2)
    await visit.pharmacy.suspend(task.id, "缺药 1 种，等调拨")
    with pytest.raises(WrongState):
        await visit.pharmacy.scan(task.id, AMLODIPINE)


async def test_a_drug_that_expired_on_the_shelf_is_not_handed_out(bench: Bench) -> None:
    visit = Visit(bench)
    visit.drug_store.expires_on[AMLODIPINE] = LAST_DAY
    await visit.paid({AMLODIPINE: 1})
    bench.clock.set("2026-03-03 00:00")
    task = await visit.pharmacy.call((await visit.task()).id, WINDOW)
    scanned = await visit.pharmacy.scan(task.id, f"{AMLODIPINE}/{AMLODIPINE}-B1")
    assert scanned.outcome is ScanOutcome.EXPIRED
    await visit.scan_all(task.id)
    with pytest.raises(BatchExpired):
        await visit.pharmacy.dispense(task.id)


async def test_d05_a_controlled_drug_takes_two_persons(bench: Bench) -> None:
    """麻醉、精神药品：配药人与发药人必须不同，一个账号做不成。"""
    visit = Visit(bench)
    await visit.know_drugs(controlled=(AMLODIPINE,))
    await visit.paid({AMLODIPINE: 1})
    task = await visit.task()
    await visit.pharmacy.pick(task.id)
    await visit.pharmacy.call(task.id, WINDOW)
    await visit.scan_all(task.id)
    with pytest.raises(SecondPersonNeeded):
        await visit.pharmacy.dispense(task.id)
    with bench.acting(id="second"):
        await visit.pharmacy.dispense(task.id)


async def test_c06_four_of_fourteen_come_back(bench: Bench) -> None:
    """发出 14，退回 4：退药单独立成文，净发 10，仅此 4 件应退费。"""
    visit = await Visit(bench).paid({AMLODIPINE: 14})
    task = await visit.hand_out()

    def back(quantity: int) -> TakeBack:
        return TakeBack(
            id=ReturnId(new_id()),
            task=task.id,
            lines=(LineQuantity(line=visit.line(AMLODIPINE), quantity=quantity),),
            reason="未拆封",
            approved_by="staff:lin",
        )

    request = back(4)
    document = await visit.pharmacy.take_back(request)
    assert await visit.pharmacy.take_back(request) == document  # the same paper again

    [line] = (await visit.pharmacy.task(task.id)).lines
    assert (line.dispensed, line.returned, line.returnable) == (14, 4, 10)
    [returned] = bench.published(PrescriptionReturned)
    assert [(part.quantity, part.reservation) for part in returned.document.lines] == [
        (4, visit.bill)
    ]
    with pytest.raises(NothingToReturn):
        await visit.pharmacy.take_back(back(11))
    await visit.pharmacy.take_back(back(10))
    assert await states(visit) == {AMLODIPINE: LineState.RETURNED}
    assert len(await visit.pharmacy.returns(task.id)) == 2
    await bench.prove()


async def test_b06_a_paid_line_the_doctor_withdraws_leaves_the_window(bench: Bench) -> None:
    visit = await Visit(bench).paid({AMLODIPINE: 2, METFORMIN: 2})
    await visit.withdraw(AMLODIPINE)
    [released] = bench.published(LinesReleased)
    assert [part.quantity for part in released.lines] == [2]
    await visit.hand_out()
    [dispensed] = bench.published(PrescriptionDispensed)
    assert [line.item for line in dispensed.lines] == [METFORMIN]
    await visit.withdraw(METFORMIN)  # too late: it is in the patient's hands
    assert await states(visit) == {
        AMLODIPINE: LineState.WITHDRAWN,
        METFORMIN: LineState.DISPENSED,
    }
    await bench.prove()


async def test_a_withdrawn_line_cannot_be_paid_for(bench: Bench) -> None:
    visit = await Visit(bench).sign({AMLODIPINE: 2})
    await visit.withdraw(AMLODIPINE)
    with pytest.raises(LineNotPayable):
        await visit.reserve()


async def test_d01_what_cannot_be_supplied_is_owed_and_the_rest_goes_out(bench: Bench) -> None:
    visit = await Visit(bench).paid({AMLODIPINE: 10})
    line = visit.line(AMLODIPINE)
    for quantity in (0, -1):
        with pytest.raises(NothingChosen):
            await visit.pharmacy.cannot_supply(line, quantity, "破损")
    await visit.pharmacy.cannot_supply(line, 4, "破损")
    with pytest.raises(NothingOpen):
        await visit.pharmacy.cannot_supply(line, 7, "破损")
    await visit.hand_out()
    [unsupplied] = bench.published(LineUnsupplied)
    [dispensed] = bench.published(PrescriptionDispensed)
    assert (unsupplied.quantity, dispensed.lines[0].quantity) == (4, 6)
    await bench.prove()


async def test_money_that_goes_back_stops_the_drugs_first(bench: Bench) -> None:
    """退费前先停发：已发的不能停；停两次等于停一次；全部停掉则任务关闭。"""
    visit = await Visit(bench).paid({AMLODIPINE: 2, METFORMIN: 2})

    def stop(item: str, quantity: int) -> GiveUp:
        part = LineQuantity(line=visit.line(item), quantity=quantity)
        return GiveUp(encounter=visit.encounter, lines=(part,))

    for _ in range(2):
        [line] = await visit.pharmacy.give_up(stop(AMLODIPINE, 1))
        assert (line.open, line.given_up) == (1, 1)
    await visit.hand_out()
    with pytest.raises(AlreadyDispensed) as refused:
        await visit.pharmacy.give_up(stop(METFORMIN, 1))
    assert refused.value.left == 0

    other = await Visit(bench).paid({AMLODIPINE: 1})
    task = await other.task()
    await other.pharmacy.give_up(
        GiveUp(
            encounter=other.encounter,
            lines=(LineQuantity(line=other.line(AMLODIPINE), quantity=1),),
        )
    )
    assert (await other.pharmacy.task(task.id)).task.state is TaskState.CLOSED
    await bench.prove()


async def test_whatever_happens_nothing_is_handed_out_twice_or_unpaid() -> None:
    """The board's invariant, over every sequence of three steps on a line of four packs."""
    bench = pharmacy_bench(TRANSPORTS[0])
    out: dict[str, int] = {}
    for steps in product(["stop", "short", "withdraw", "out"], repeat=3):
        visit = await Visit(bench).paid({AMLODIPINE: 4})
        task = await visit.task()
        for step in steps:
            if step == "withdraw":
                await visit.withdraw(AMLODIPINE)  # a fact is never refused
                continue
            with suppress(Conflict):  # a refused request must change nothing
                await _take_step(visit, task, step)
        [after] = await visit.pharmacy.lines(visit.encounter)
        assert after.paid == after.open + after.dispensed + after.given_up == 4, steps
        out[str(after.id)] = after.dispensed
    told = bench.published(PrescriptionDispensed)
    for line in (line for event in told for line in event.lines):
        assert out.pop(str(line.line)) == line.quantity  # and a second time it would be gone
    assert not any(out.values())
    await bench.prove()


async def _take_step(visit: Visit, task: DispenseTask, step: str) -> None:
    line = visit.line(AMLODIPINE)
    if step == "stop":
        part = LineQuantity(line=line, quantity=2)
        await visit.pharmacy.give_up(GiveUp(encounter=visit.encounter, lines=(part,)))
    elif step == "short":
        await visit.pharmacy.cannot_supply(line, 1, "破损")
    else:
        await visit.pharmacy.call(task.id, WINDOW)
        await visit.scan_all(task.id)
        await visit.pharmacy.dispense(task.id)


async def test_another_campus_neither_sees_nor_calls_this_patient(bench: Bench) -> None:
    visit = await Visit(bench).paid({AMLODIPINE: 1})
    task = await visit.task()
    with bench.acting(campuses=("C2",)):
        pharmacy = bench.client(Pharmacy)
        assert await pharmacy.queue(C1) == ()
        with pytest.raises(NotFound):
            await pharmacy.task(task.id)
        with pytest.raises(NotFound):
            await pharmacy.call(task.id, WINDOW)


async def test_the_queue_of_a_busy_day_takes_few_statements(bench: Bench) -> None:
    visits = [await Visit(bench).paid({AMLODIPINE: 1}) for _ in range(5)]
    with bench.queries(at_most=1):
        assert len(await visits[0].pharmacy.queue(C1)) == 5
    task = await visits[0].task()
    with bench.queries(at_most=4):
        await visits[0].pharmacy.task(task.id)
