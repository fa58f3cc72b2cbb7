"""What other boards tell the drug store: told twice it happens once."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from plugward.boards.drug_store.board import board
from plugward.boards.drug_store.contract import (
    DocumentId,
    DocumentKind,
    DrugStore,
    Receipt,
    ReceivedLine,
    Reservation,
    ReservationId,
    ReservationState,
    Reserve,
    StockMoved,
    StoreCode,
    Wanted,
)
from plugward.boards.pharmacy.contract import (
    DispensedLine,
    DispenseTask,
    DrugReturn,
    LineQuantity,
    LinesReleased,
    PrescriptionDispensed,
    PrescriptionReturned,
    ReturnedLine,
    ReturnId,
    TaskId,
    TaskState,
)
from plugward.commons.masterdata.contract import Domain, Entry, EntryPublished
from plugward.kernel.testing import TRANSPORTS, Bench
from plugward.kit.ids import new_id
from plugward.kit.money import UnitPrice
from plugward.vocabulary import (
    BillId,
    CampusCode,
    EncounterId,
    OrderLineId,
    PatientId,
    PrescriptionId,
)

C1, PHARMACY, AMLODIPINE = CampusCode("C1"), StoreCode("C1-OP"), "D0034"
NOW = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)


@pytest.fixture(params=TRANSPORTS)
async def bench(request: pytest.FixtureRequest) -> Bench:
    bench = Bench(board, transport=request.param, now="2026-03-02 08:00")
    await bench.receive(EntryPublished(entry=entry(Domain.CAMPUS, "C1", "主院区")), times=2)
    line = ReceivedLine(item=AMLODIPINE, batch_no="B1", expires_on=date(2027, 6, 30), quantity=20)
    await bench.client(DrugStore).receive(
        Receipt(id=DocumentId(new_id()), store=PHARMACY, lines=(line,))
    )
    return bench


def entry(domain: Domain, code: str, name: str) -> Entry:
    return Entry(
        domain=domain,
        code=code,
        version=1,
        sequence=1,
        name_zh=name,
        name_en=code,
        pinyin="",
        attributes=(),
        unit="盒",
        price=UnitPrice(yuan=Decimal("11.76")) if domain is Domain.DRUG else None,
        insurance=None,
        valid_from=NOW,
        valid_to=None,
    )


async def reserve(bench: Bench, quantity: int) -> Reservation:
    wanted = Wanted(line=new_id(), item=AMLODIPINE, quantity=quantity)
    return await bench.client(DrugStore).reserve(
        Reserve(id=ReservationId(new_id()), campus=C1, lines=(wanted,))
    )


def task() -> DispenseTask:
    return DispenseTask(
        id=TaskId(new_id()),
        number="Y001",
        day=date(2026, 3, 2),
        campus=C1,
        prescription=PrescriptionId(new_id()),
        bill=BillId(new_id()),
        encounter=EncounterId(new_id()),
        patient=PatientId(new_id()),
        patient_name="周建民",
        state=TaskState.DISPENSED,
        paid_at=NOW,
        packs=14,
    )


async def figures(bench: Bench) -> tuple[int, int, int]:
    [batch] = await bench.client(DrugStore).batches(PHARMACY)
    return batch.on_hand, batch.reserved, batch.available


async def test_a_new_campus_has_its_two_stores_once(bench: Bench) -> None:
    stores = await bench.client(DrugStore).stores(C1)
    assert [(s.store, s.name) for s in stores] == [
        ("C1-OP", "主院区门诊药房"),
        ("C1-WH", "主院区药库"),
    ]


async def test_drugs_carry_the_catalogues_words(bench: Bench) -> None:
    await bench.receive(EntryPublished(entry=entry(Domain.DRUG, AMLODIPINE, "氨氯地平片")), times=2)
    [drug] = await bench.client(DrugStore).drugs((AMLODIPINE,))
    assert (drug.name_zh, drug.unit) == ("氨氯地平片", "盒")


async def test_c06_dispensed_and_returned_facts_move_the_stock_once(bench: Bench) -> None:
    """药房发 14、退 4，各通知两遍：出库 14、退回 4 各一张单据，原批次。"""
    made = await reserve(bench, 14)
    line = OrderLineId(made.held[0].line)
    dispensed = DispensedLine(
        line=line, item=AMLODIPINE, name_zh="", quantity=14, reservation=made.id
    )
    await bench.receive(PrescriptionDispensed(task=task(), lines=(dispensed,)), times=2)
    assert await figures(bench) == (6, 0, 6)

    back = ReturnedLine(line=line, item=AMLODIPINE, name_zh="", quantity=4, reservation=made.id)
    document = DrugReturn(
        id=ReturnId(new_id()),
        task=TaskId(new_id()),
        encounter=EncounterId(new_id()),
        patient=PatientId(new_id()),
        campus=C1,
        lines=(back,),
        reason="未拆封",
        approved_by="staff:lin",
        taken_by="staff:xu",
        at=NOW,
    )
    await bench.receive(PrescriptionReturned(document=document), times=2)
    assert await figures(bench) == (10, 0, 10)
    kinds = [event.document.kind for event in bench.published(StockMoved)]
    assert kinds == [DocumentKind.RECEIPT, DocumentKind.ISSUE, DocumentKind.RETURN]
    await bench.prove()


async def test_what_the_pharmacy_does_not_need_is_free_once(bench: Bench) -> None:
    made = await reserve(bench, 6)
    part = LineQuantity(line=OrderLineId(made.held[0].line), quantity=4)
    released = LinesReleased(encounter=EncounterId(new_id()), reservation=made.id, lines=(part,))
    await bench.receive(released, times=3)
    assert await figures(bench) == (20, 2, 18)
    await bench.client(DrugStore).release(made.id)
    await bench.receive(released)  # a late fact about a reservation that is over
    closed = await bench.client(DrugStore).reservation(made.id)
    assert closed.state is ReservationState.CLOSED
    assert await figures(bench) == (20, 0, 20)
    await bench.prove()


async def test_lists_take_one_statement_however_long(bench: Bench) -> None:
    store = bench.client(DrugStore)
    with bench.queries(at_most=1):
        await store.batches(PHARMACY)
    with bench.queries(at_most=2):
        await store.stock(C1, (AMLODIPINE, "D0171", "D0052"))
    with bench.queries(at_most=1):
        await store.expiring(C1)
