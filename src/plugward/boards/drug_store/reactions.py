"""What the drug store does when something happens elsewhere in the hospital."""

from plugward.boards.pharmacy.contract import (
    LinesReleased,
    PrescriptionDispensed,
    PrescriptionReturned,
)
from plugward.commons.masterdata.contract import Domain, EntryPublished
from plugward.kernel import every, on
from plugward.vocabulary import CampusCode

from .contract import DocumentId, Drug, LineQuantity, ReservationId
from .service import DrugStoreService
from .service.holding import Part


@on(EntryPublished)
async def keep_the_catalogue(event: EntryPublished, drug_store: DrugStoreService) -> None:
    """新院区自动开设药库与门诊药房；药品名称随主数据更新。"""
    entry = event.entry
    if entry.domain is Domain.CAMPUS:
        await drug_store.open_stores_of(CampusCode(entry.code), entry.name_zh)
    elif entry.domain is Domain.DRUG:
        drug = Drug(
            item=entry.code,
            name_zh=entry.name_zh,
            name_en=entry.name_en,
            spec=entry.attribute("spec"),
            unit=entry.unit,
        )
        await drug_store.note_drug(drug)


@on(PrescriptionDispensed)
async def issue_what_was_dispensed(
    event: PrescriptionDispensed, drug_store: DrugStoreService
) -> None:
    """药房发药后，按预留批次出库。"""
    parts = tuple(
        Part(
            reservation=ReservationId(line.reservation),
            line=line.line,
            quantity=line.quantity,
        )
        for line in event.lines
        if line.reservation is not None
    )
    await drug_store.book_dispensing(DocumentId(event.task.id), parts)


@on(PrescriptionReturned)
async def take_back_what_was_returned(
    event: PrescriptionReturned, drug_store: DrugStoreService
) -> None:
    """药房收下退药后，退回原批次。"""
    document = event.document
    parts = tuple(
        Part(
            reservation=ReservationId(line.reservation),
            line=line.line,
            quantity=line.quantity,
        )
        for line in document.lines
        if line.reservation is not None
    )
    await drug_store.book_return(DocumentId(document.id), parts)


@on(LinesReleased)
async def free_what_is_not_needed(event: LinesReleased, drug_store: DrugStoreService) -> None:
    """药房不再需要的预留，立即释放。"""
    lines = tuple(LineQuantity(line=part.line, quantity=part.quantity) for part in event.lines)
    await drug_store.free(ReservationId(event.reservation), lines)


@every(60)
async def end_unpaid_reservations(drug_store: DrugStoreService) -> None:
    """超时未付款的预留自动释放。"""
    await drug_store.expire_unpaid()
