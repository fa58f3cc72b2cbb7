"""A day of the drug store: deliveries, reservations, hand-outs, returns, closing the books."""

import asyncio
from datetime import date

import pytest

from plugward.boards.drug_store.board import board
from plugward.boards.drug_store.contract import (
    BatchMismatch,
    BatchQuantity,
    Count,
    Document,
    DocumentId,
    DocumentKind,
    DrugStore,
    DrugStoreLocation,
    EmptyDocument,
    Issue,
    LineQuantity,
    NotThatMuch,
    OutOfStock,
    PeriodTooLate,
    Receipt,
    ReceivedLine,
    Reservation,
    ReservationExpired,
    ReservationId,
    ReservationOver,
    ReservationState,
    Reserve,
    SameStore,
    StockMoved,
    StoreCode,
    StoreKind,
    Transfer,
    UnknownStore,
    Wanted,
)
from plugward.kernel import NotFound
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.vocabulary import CampusCode

C1 = CampusCode("C1")
WAREHOUSE = StoreCode("C1-WH")
PHARMACY = StoreCode("C1-OP")
AMLODIPINE = "D0034"
SOON, LATER = date(2026, 9, 30), date(2027, 6, 30)


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    bench = Bench(board, transport=request.param, now="2026-03-02 08:00")
    for store, kind in ((WAREHOUSE, StoreKind.WAREHOUSE), (PHARMACY, StoreKind.OUTPATIENT)):
        await bench.client(DrugStore).open_store(
            DrugStoreLocation(store=store, campus=C1, kind=kind, name=store)
        )
    return bench


async def receive(
    bench: Bench, *batches: tuple[str, str, date, int], store: StoreCode = PHARMACY
) -> Document:
    lines = tuple(
        ReceivedLine(item=item, batch_no=batch_no, expires_on=expires_on, quantity=quantity)
        for item, batch_no, expires_on, quantity in batches
    )
    return await bench.client(DrugStore).receive(
        Receipt(id=DocumentId(new_id()), store=store, lines=lines)
    )


async def reserve(bench: Bench, *wanted: tuple[str, int]) -> Reservation:
    return await bench.client(DrugStore).reserve(
        Reserve(
            id=ReservationId(new_id()),
            campus=C1,
            lines=tuple(Wanted(line=new_id(), item=i, quantity=q) for i, q in wanted),
        )
    )


async def on_hand(
    bench: Bench, store: StoreCode = PHARMACY, item: str = AMLODIPINE
) -> dict[str, tuple[int, int, int]]:
    """on hand, reserved and available by batch"""
    found = await bench.client(DrugStore).batches(store, item)
    return {b.batch_no: (b.on_hand, b.reserved, b.available) for b in found}


async def test_d01_three_patients_want_six_of_ten(bench: Bench) -> None:
    """批次只有 10 盒，三位患者同时各要 6 盒 → 最多一位锁定成功，其余立即被告知缺药。"""
    await receive(bench, (AMLODIPINE, "B1", LATER, 10))

    answers = await asyncio.gather(
        *(reserve(bench, (AMLODIPINE, 6)) for _ in range(3)), return_exceptions=True
    )

    held = [answer for answer in answers if isinstance(answer, Reservation)]
    refused = [answer for answer in answers if isinstance(answer, OutOfStock)]
    assert (len(held), len(refused)) == (1, 2)
    assert {(r.item, r.wanted, r.available) for r in refused} == {(AMLODIPINE, 6, 4)}
    assert await on_hand(bench) == {"B1": (10, 6, 4)}
    await bench.prove()


async def test_a_prescription_is_reserved_whole_or_not_at_all(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "B1", LATER, 10), ("D0171", "K1", LATER, 1))
    with pytest.raises(OutOfStock) as refused:
        await reserve(bench, (AMLODIPINE, 2), ("D0171", 2))
    assert refused.value.item == "D0171"
    assert await on_hand(bench) == {"B1": (10, 0, 10)}
    await bench.prove()


async def test_the_batch_that_expires_first_goes_first(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "LATE", LATER, 10), (AMLODIPINE, "SOON", SOON, 4))
    held = (await reserve(bench, (AMLODIPINE, 6))).held
    assert [(h.batch_no, h.quantity) for h in held] == [("SOON", 4), ("LATE", 2)]


async def test_a_batch_is_not_handed_out_after_its_last_day(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "B7", date(2026, 3, 2), 5))
    bench.clock.set("2026-03-02 23:59")
    assert (await reserve(bench, (AMLODIPINE, 1))).held[0].batch_no == "B7"
    bench.clock.set("2026-03-03 00:00")
    with pytest.raises(OutOfStock):
        await reserve(bench, (AMLODIPINE, 1))
    [stock] = await bench.client(DrugStore).stock(C1, (AMLODIPINE,))
    assert stock.available == 0


async def test_an_unpaid_reservation_ends_by_itself(bench: Bench) -> None:
    """30 分钟未付款 → 自动释放；已付款的不再到期。"""
    await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    unpaid, paid = await reserve(bench, (AMLODIPINE, 2)), await reserve(bench, (AMLODIPINE, 3))
    await bench.client(DrugStore).confirm(paid.id)

    bench.clock.set("2026-03-02 08:29")
    await bench.tick()
    assert await on_hand(bench) == {"B1": (10, 5, 5)}
    bench.clock.set("2026-03-02 08:30")
    await bench.tick()
    await bench.tick()

    [expired] = bench.published(ReservationExpired)
    assert expired.reservation.id == unpaid.id
    assert await on_hand(bench) == {"B1": (10, 3, 7)}
    with pytest.raises(ReservationOver):
        await bench.client(DrugStore).confirm(unpaid.id)
    await bench.prove()


async def test_c06_returned_packs_go_back_to_the_same_batch(bench: Bench) -> None:
    """发出 14，退回 4 → 退回单独立，原批次 +4，不能再退 11。"""
    await receive(bench, (AMLODIPINE, "B1", LATER, 20), (AMLODIPINE, "B2", LATER, 20))
    store = bench.client(DrugStore)
    made = await reserve(bench, (AMLODIPINE, 14))
    line = made.held[0].line
    await store.confirm(made.id)
    issued = await store.issue_reserved(
        DocumentId(new_id()), made.id, (LineQuantity(line=line, quantity=14),)
    )

    back = await store.take_back(
        DocumentId(new_id()), made.id, (LineQuantity(line=line, quantity=4),)
    )

    assert (issued.kind, back.kind) == (DocumentKind.ISSUE, DocumentKind.RETURN)
    assert [(m.batch_no, m.quantity) for m in back.moves] == [("B1", 4)]
    assert await on_hand(bench) == {"B1": (10, 0, 10), "B2": (20, 0, 20)}
    assert (await store.reservation(made.id)).state is ReservationState.CLOSED
    with pytest.raises(NotThatMuch):
        await store.take_back(
            DocumentId(new_id()), made.id, (LineQuantity(line=line, quantity=11),)
        )
    await bench.prove()


async def test_d02_an_issue_of_sixteen_lines_sent_three_times(bench: Bench) -> None:
    """16 行出库单发送三次 → 16 笔明细各一次；中途失败则一笔也没有。"""
    items = [f"D{n:04d}" for n in range(1, 17)]
    await receive(bench, *((item, "B1", LATER, 10) for item in items))
    lines = tuple(Wanted(line=new_id(), item=item, quantity=10) for item in items)
    issue = Issue(id=DocumentId(new_id()), store=PHARMACY, lines=lines)
    short = Issue(
        id=DocumentId(new_id()),
        store=PHARMACY,
        lines=(*lines[:7], lines[7].replace(quantity=11), *lines[8:]),
    )

    with pytest.raises(OutOfStock):  # the eighth line breaks: nothing of the first seven stays
        await bench.client(DrugStore).issue(short)
    assert await on_hand(bench, item=items[0]) == {"B1": (10, 0, 10)}

    same = new_id()
    answers = []
    for _ in range(3):
        with bench.request(same):
            answers.append(await bench.client(DrugStore).issue(issue))
    again = await bench.client(DrugStore).issue(issue)  # a new request, the same document

    assert answers == [answers[0]] * 3
    assert again == answers[0]
    assert [m.number for m in answers[0].moves] == list(range(1, 17))
    assert len(await bench.client(DrugStore).moves(PHARMACY)) == 32
    assert await on_hand(bench, item=items[0]) == {"B1": (0, 0, 0)}
    await bench.prove()


async def test_s4_a_transfer_is_one_document_with_two_moves(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "B1", LATER, 10), store=WAREHOUSE)
    store = bench.client(DrugStore)
    line = BatchQuantity(item=AMLODIPINE, batch_no="B1", quantity=6)

    def transfer(source: StoreCode, target: StoreCode) -> Transfer:
        return Transfer(id=DocumentId(new_id()), source=source, target=target, lines=(line,))

    moved = await store.transfer(transfer(WAREHOUSE, PHARMACY))
    assert [(m.store, m.quantity) for m in moved.moves] == [(WAREHOUSE, -6), (PHARMACY, 6)]
    with pytest.raises(NotThatMuch):
        await store.transfer(transfer(WAREHOUSE, PHARMACY))
    with pytest.raises(SameStore):
        await store.transfer(transfer(PHARMACY, PHARMACY))

    assert await on_hand(bench, WAREHOUSE) == {"B1": (4, 0, 4)}
    assert await on_hand(bench, PHARMACY) == {"B1": (6, 0, 6)}
    await bench.prove()


async def test_what_is_reserved_is_neither_moved_nor_counted_away(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    await reserve(bench, (AMLODIPINE, 8))
    line = BatchQuantity(item=AMLODIPINE, batch_no="B1", quantity=3)
    store = bench.client(DrugStore)
    with pytest.raises(NotThatMuch):
        await store.transfer(
            Transfer(id=DocumentId(new_id()), source=PHARMACY, target=WAREHOUSE, lines=(line,))
        )
    with pytest.raises(NotThatMuch):
        await store.count(
            Count(id=DocumentId(new_id()), store=PHARMACY, found=(line,), reason="盘点")
        )
    await store.count(
        Count(
            id=DocumentId(new_id()),
            store=PHARMACY,
            found=(line.replace(quantity=9),),
            reason="破损 1 盒",
        )
    )
    assert await on_hand(bench) == {"B1": (9, 8, 1)}
    await bench.prove()


async def test_released_packs_are_free_again_once(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    made = await reserve(bench, (AMLODIPINE, 6))
    part = (LineQuantity(line=made.held[0].line, quantity=2),)
    store = bench.client(DrugStore)
    await store.release(made.id, part)
    assert await on_hand(bench) == {"B1": (10, 4, 6)}
    await store.release(made.id)
    await store.release(made.id)
    assert await on_hand(bench) == {"B1": (10, 0, 10)}
    await bench.prove()


async def test_s2_opening_plus_in_minus_out_is_closing(bench: Bench) -> None:
    """账期：期初 + 入 − 出 = 期末，下一期从上一期的期末开始。"""
    store = bench.client(DrugStore)
    await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    with pytest.raises(PeriodTooLate):
        await store.close_period(PHARMACY, date(2026, 3, 3))
    bench.clock.set("2026-03-03 09:00")
    [first] = await store.close_period(PHARMACY, date(2026, 3, 3))
    await store.issue(
        Issue(
            id=DocumentId(new_id()),
            store=PHARMACY,
            lines=(Wanted(line=new_id(), item=AMLODIPINE, quantity=4),),
        )
    )
    with pytest.raises(PeriodTooLate):
        await store.close_period(PHARMACY, date(2026, 3, 3))
    bench.clock.set("2026-03-04 09:00")
    [second] = await store.close_period(PHARMACY, date(2026, 3, 4))

    assert (first.opening, first.received, first.issued, first.closing) == (0, 10, 0, 10)
    assert (second.opening, second.received, second.issued, second.closing) == (10, 0, 4, 6)
    await bench.prove()


async def test_wrong_papers_are_refused(bench: Bench) -> None:
    await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    with pytest.raises(BatchMismatch):
        await receive(bench, (AMLODIPINE, "B1", SOON, 10))
    for quantity in (0, -5, 10_000_000):
        with pytest.raises(EmptyDocument):
            await receive(bench, (AMLODIPINE, "B1", LATER, quantity))
    with pytest.raises(EmptyDocument):
        await receive(bench)
    with pytest.raises(UnknownStore):
        await receive(bench, (AMLODIPINE, "B1", LATER, 1), store=StoreCode("C9-OP"))
    assert await on_hand(bench) == {"B1": (10, 0, 10)}


async def test_another_campus_sees_and_moves_nothing_here(bench: Bench) -> None:
    document = await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    with bench.acting(campuses=("C2",)):
        assert await bench.client(DrugStore).batches(PHARMACY) == ()
        with pytest.raises(NotFound):
            await bench.client(DrugStore).document(document.id)
        with pytest.raises(NotFound):
            await receive(bench, (AMLODIPINE, "B1", LATER, 10))


async def test_every_document_tells_its_moves(bench: Bench) -> None:
    document = await receive(bench, (AMLODIPINE, "B1", LATER, 10))
    assert document.number == "C1-RK-000001"
    assert [event.document for event in bench.published(StockMoved)] == [document]
    assert await bench.client(DrugStore).document(document.id) == document
