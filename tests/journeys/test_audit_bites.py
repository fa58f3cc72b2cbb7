"""``plugward audit`` finds every kind of breach: each proof of the scenarios, bitten once.

One house lives through a visit with money, drugs, a note, a report, a return and a transfer. Then
rows are changed behind the boards' backs, one kind at a time, and put back.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from plugward.boards.billing import tables as billing
from plugward.boards.drug_store import tables as drug_store
from plugward.boards.drug_store.contract import (
    BatchQuantity,
    DocumentId,
    DocumentKind,
    DrugStore,
    StoreCode,
    Transfer,
)
from plugward.boards.encounters import tables as encounters
from plugward.boards.lab import tables as laboratory
from plugward.boards.pharmacy import tables as pharmacy
from plugward.boards.pharmacy.contract import LineQuantity, Pharmacy, ReturnId, TakeBack
from plugward.boards.records import tables as records
from plugward.boards.records.contract import Diagnosis, NoteContent, NoteId, Records, SignNote
from plugward.kernel.audit import audit_runtime
from plugward.kernel.dispatch import Transport
from plugward.kernel.store.frames import COMMAND_DONE
from plugward.kit.ids import new_id
from plugward.kit.time import hospital_date

from .house import AMLODIPINE, C1, CARDIOLOGY, House, drug, lab
from .test_outpatient_visit import POTASSIUM, dispense, drawn, measured

NOBODY = UUID(int=0)
WANTED = {"M1", "M2", "M3", "M4", "M5", "S1", "S2", "S3", "S4", "R1", "R2", "R3", "R4"}


async def a_day(house: House) -> None:
    """Everything the proofs look at happens once."""
    visit = await house.arrive((await house.register("周建民", 1)).patient.id)
    await house.call_and_serve()
    with house.acting("doctor"):
        await house.client(Records).sign(
            SignNote(
                id=NoteId(new_id()),
                encounter=visit.encounter,
                patient=visit.patient,
                campus=C1,
                department=CARDIOLOGY,
                content=NoteContent(complaint="头晕三天", diagnoses=(Diagnosis(icd10="I10"),)),
            )
        )
    group = await house.sign(visit, (drug(AMLODIPINE, 4), lab(POTASSIUM)))
    await house.quiet()
    await house.pay_all(visit.encounter)
    sheet = await dispense(house)
    back = (LineQuantity(line=group.lines[0].id, quantity=1),)
    with house.acting("pharmacist"):
        await house.client(Pharmacy).take_back(
            TakeBack(
                id=ReturnId(new_id()),
                task=sheet.task.id,
                lines=back,
                reason="退药",
                approved_by="林予安",
            )
        )
    tubes = [line for line in group.lines if line.item == POTASSIUM]
    await measured(house, await drawn(house, group.replace(lines=tuple(tubes))), "4.2")
    await stock_work(house)
    await house.quiet()


async def stock_work(house: House) -> None:
    """A transfer, and a closed month."""
    store = house.client(DrugStore)
    with house.acting("pharmacist"):
        batch = (await store.batches(StoreCode("C1-OP"), AMLODIPINE))[0]
    one = BatchQuantity(item=AMLODIPINE, batch_no=batch.batch_no, quantity=1)
    with house.acting("pharmacist"):
        await store.transfer(
            Transfer(
                id=DocumentId(new_id()),
                source=StoreCode("C1-OP"),
                target=StoreCode("C1-WH"),
                lines=(one,),
            )
        )
    house.clock.set("2026-03-03 09:00")
    with house.acting("pharmacist"):
        await store.close_period(StoreCode("C1-OP"), hospital_date(house.clock.now()))


def changed(table: Table, **values: Any) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute(update(table).values(values))


def half_of_the_transfer(connection: Connection) -> None:
    moves, papers = drug_store.moves.c, drug_store.documents.c
    transfer = select(papers.id).where(papers.kind == DocumentKind.TRANSFER).scalar_subquery()
    connection.execute(
        delete(drug_store.moves).where(moves.document == transfer, moves.quantity > 0)
    )


def one_later_version(connection: Connection) -> None:
    outbox = billing.tables.system.outbox
    newest = select(func.max(outbox.c.position)).where(outbox.c.tag != COMMAND_DONE)
    connection.execute(
        update(outbox)
        .where(outbox.c.position == newest.scalar_subquery())
        .values(key_version=outbox.c.key_version + 1)
    )


def read_too_far(connection: Connection) -> None:
    cursor = billing.tables.system.cursor
    connection.execute(update(cursor).values(position=cursor.c.position + 1_000))


def first_position_gone(connection: Connection) -> None:
    outbox = billing.tables.system.outbox
    connection.execute(delete(outbox).where(outbox.c.position == 1))


def commands_of_nobody(connection: Connection) -> None:
    outbox = billing.tables.system.outbox
    connection.execute(update(outbox).where(outbox.c.tag == COMMAND_DONE).values(cause=NOBODY))


PLANTED: list[tuple[str, Table, Callable[[Connection], Any]]] = [
    ("M1", billing.bills, changed(billing.bills, rounding=7)),
    ("M2", billing.legs, changed(billing.legs, state="unknown")),
    ("M3", billing.lines, changed(billing.lines, refunded=99)),
    ("M4", billing.lines, changed(billing.lines, state="pending")),
    ("M5", billing.receipts, changed(billing.receipts, number=billing.receipts.c.number + 5)),
    ("S1", drug_store.batches, changed(drug_store.batches, on_hand=-1)),
    (
        "S2",
        drug_store.period_lines,
        changed(drug_store.period_lines, closing=drug_store.period_lines.c.closing + 1),
    ),
    ("S3", pharmacy.lines, changed(pharmacy.lines, dispensed=pharmacy.lines.c.paid + 5)),
    ("S4", drug_store.moves, half_of_the_transfer),
    ("R1", records.versions, changed(records.versions, content_hash="0" * 64)),
    ("R1", laboratory.reports, changed(laboratory.reports, results=())),
    ("R2", encounters.encounters, changed(encounters.encounters, patient=NOBODY)),
    ("R3", billing.tables.system.cursor, read_too_far),
    ("R4", billing.tables.system.outbox, one_later_version),
    ("K1", billing.tables.system.outbox, first_position_gone),
    ("K2", billing.tables.system.outbox, commands_of_nobody),
]


async def breached(house: House, board: str = "") -> set[str]:
    report = await audit_runtime(house.runtime, only=board)
    return {line.id for line in report.lines if line.breaches}


async def test_the_audit_catches_a_breach_of_every_proof(tmp_path: Path, prepared: Path) -> None:
    """M1–M5、S1–S4、R1–R4：逐条破坏，稽核逐条发现；还原后无恙。"""
    shutil.copytree(prepared, tmp_path / "boards")
    house = House(tmp_path / "boards", Transport.STRICT)
    await house.start()
    try:
        await a_day(house)
        lines = (await audit_runtime(house.runtime)).lines
        assert {line.id for line in lines} >= WANTED
        assert [line for line in lines if line.breaches] == []
        assert {id for id, *_ in PLANTED} >= WANTED
        for id, table, plant in PLANTED:
            board = table.info["board"]
            engine = house.runtime.plugged[board].store.engine
            before = await engine.read(lambda c, t=table: c.execute(select(t)).mappings().all())
            assert before, f"{table.name} is empty: nothing to break"
            await engine.system(plant)
            assert id in await breached(house, board), f"{id} did not notice {table.name}"
            await engine.system(lambda c, t=table: c.execute(delete(t)))
            await engine.system(
                lambda c, t=table, rows=before: c.execute(insert(t), [dict(row) for row in rows])
            )
        assert await breached(house) == set(), "not everything was put back"
    finally:
        await house.close()
