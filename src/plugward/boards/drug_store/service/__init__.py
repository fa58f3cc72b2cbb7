"""What the drug store does. Each public method is one step; the books are kept in ``books``."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row, func, select

from plugward.kernel import AlreadyThere, Reading, Settings, Store, Work, in_work, reading
from plugward.kit.ids import derive
from plugward.kit.message import Plain
from plugward.kit.time import hospital_date, hospital_midnight
from plugward.vocabulary import CampusCode

from ..contract import (
    Batch,
    Count,
    Document,
    DocumentId,
    DocumentKind,
    DocumentNotFound,
    Drug,
    DrugStore,
    DrugStoreLocation,
    Issue,
    ItemStock,
    LineQuantity,
    Move,
    PeriodLine,
    Receipt,
    Reservation,
    ReservationExpired,
    ReservationId,
    ReservationState,
    Reserve,
    SameStore,
    StoreCode,
    StoreKind,
    Transfer,
)
from ..rules import LIFECYCLE, check_quantities
from ..tables import batches, drugs, moves, reservations, stores
from . import books, holding, periods
from .books import Paper

EXPIRED_AT_ONCE_MAX = 200


class DrugStoreService(DrugStore):
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self._hold = timedelta(minutes=settings["hold_minutes"])
        self._near_expiry = timedelta(days=settings["near_expiry_days"])

    # ── stores ──────────────────────────────────────────────────────────────────────────────
    @in_work
    def open_store(self, work: Work, location: DrugStoreLocation) -> DrugStoreLocation:
        return _opened(work, location)

    @in_work
    def open_stores_of(self, work: Work, campus: CampusCode, name: str) -> None:
        """A new campus has a warehouse and an outpatient pharmacy from the first day."""
        for suffix, kind, title in (
            ("WH", StoreKind.WAREHOUSE, "药库"),
            ("OP", StoreKind.OUTPATIENT, "门诊药房"),
        ):
            place = DrugStoreLocation(
                store=StoreCode(f"{campus}-{suffix}"),
                campus=campus,
                kind=kind,
                name=f"{name}{title}",
            )
            work.insert_new(stores, place)

    @in_work
    def note_drug(self, work: Work, drug: Drug) -> None:
        """Keep the catalogue's words for a drug at hand."""
        work.save_copy(drugs, drug)

    @reading
    def stores(self, read: Reading, campus: CampusCode) -> tuple[DrugStoreLocation, ...]:
        return read.find(stores, DrugStoreLocation, limit=100, order_by="store", campus=campus)

    # ── documents ───────────────────────────────────────────────────────────────────────────
    @in_work
    def receive(self, work: Work, receipt: Receipt) -> Document:
        check_quantities([line.quantity for line in receipt.lines])
        place = books.store_of(work, receipt.store)
        if earlier := books.earlier(work, receipt.id, DocumentKind.RECEIPT):
            return earlier
        paper = Paper(work, receipt.id, DocumentKind.RECEIPT, place.campus, receipt.reason)
        for line in receipt.lines:
            books.know_batch(work, place, line.item, line.batch_no, line.expires_on)
            paper.add_in(place, line.item, line.batch_no, line.quantity)
        return paper.post()

    @in_work
    def transfer(self, work: Work, transfer: Transfer) -> Document:
        check_quantities([line.quantity for line in transfer.lines])
        source = books.store_of(work, transfer.source)
        target = books.store_of(work, transfer.target)
        if source.store == target.store:
            raise SameStore
        if earlier := books.earlier(work, transfer.id, DocumentKind.TRANSFER):
            return earlier
        paper = Paper(work, transfer.id, DocumentKind.TRANSFER, source.campus, transfer.reason)
        for line in sorted(transfer.lines, key=lambda line: (line.item, line.batch_no)):
            batch = books.batch_of(work, source, line)
            books.know_batch(work, target, line.item, line.batch_no, batch.expires_on)
            paper.add_out(source, line.item, line.batch_no, line.quantity)
            paper.add_in(target, line.item, line.batch_no, line.quantity)
        return paper.post()

    @in_work
    def issue(self, work: Work, issue: Issue) -> Document:
        check_quantities([line.quantity for line in issue.lines])
        place = books.store_of(work, issue.store)
        if earlier := books.earlier(work, issue.id, DocumentKind.ISSUE):
            return earlier
        paper = Paper(work, issue.id, DocumentKind.ISSUE, place.campus, issue.reason)
        for line in sorted(issue.lines, key=lambda line: (line.item, line.line.bytes)):
            for batch_no, quantity in books.free_batches(work, place, line):
                paper.add_out(place, line.item, batch_no, quantity)
        return paper.post()

    @in_work
    def count(self, work: Work, count: Count) -> Document:
        check_quantities([line.quantity for line in count.found], least=0)
        place = books.store_of(work, count.store)
        if earlier := books.earlier(work, count.id, DocumentKind.COUNT):
            return earlier
        paper = Paper(work, count.id, DocumentKind.COUNT, place.campus, count.reason)
        for line in sorted(count.found, key=lambda line: (line.item, line.batch_no)):
            difference = line.quantity - books.batch_of(work, place, line).on_hand
            if difference > 0:
                paper.add_in(place, line.item, line.batch_no, difference)
            elif difference < 0:
                paper.add_out(place, line.item, line.batch_no, -difference)
        return paper.post()

    # ── reservations ────────────────────────────────────────────────────────────────────────
    @in_work
    def reserve(self, work: Work, request: Reserve) -> Reservation:
        check_quantities([line.quantity for line in request.lines])
        if earlier := work.get_or_none(reservations, holding.Head, request.id):
            return holding.whole(work, earlier)
        place = (
            books.outpatient_store(work, request.campus)
            if request.store is None
            else books.store_of(work, request.store)
        )
        return holding.hold(work, request, place, until=work.now + self._hold)

    @in_work
    def confirm(self, work: Work, reservation: ReservationId) -> Reservation:
        head = holding.head_of(work, reservation)
        if head.state is not ReservationState.CONFIRMED:
            holding.check_alive(head)
            LIFECYCLE.check(head.state, ReservationState.CONFIRMED)
            confirmed = head.replace(state=ReservationState.CONFIRMED, expires_at=None)
            work.update(reservations, before=head, after=confirmed)
            head = confirmed
        return holding.whole(work, head)

    @in_work
    def release(
        self, work: Work, reservation: ReservationId, lines: tuple[LineQuantity, ...] = ()
    ) -> Reservation:
        head = holding.head_of(work, reservation)
        wanted = {line.line: line.quantity for line in lines} if lines else None
        return holding.release(work, head, wanted)

    @in_work
    def issue_reserved(
        self,
        work: Work,
        document: DocumentId,
        reservation: ReservationId,
        lines: tuple[LineQuantity, ...],
    ) -> Document:
        return holding.issue(work, document, reservation, lines)

    @in_work
    def take_back(
        self,
        work: Work,
        document: DocumentId,
        reservation: ReservationId,
        lines: tuple[LineQuantity, ...],
    ) -> Document:
        return holding.take_back(work, document, reservation, lines)

    @in_work
    def book_dispensing(
        self, work: Work, task: DocumentId, parts: tuple[holding.Part, ...]
    ) -> None:
        """The pharmacy has handed these out: one issue document a reservation."""
        for reservation, lines in holding.by_reservation(parts):
            document = DocumentId(derive(task, "issue", reservation))
            holding.issue(work, document, reservation, lines)

    @in_work
    def book_return(
        self, work: Work, returned: DocumentId, parts: tuple[holding.Part, ...]
    ) -> None:
        """The pharmacy has taken these back: they go to the very batches they came from."""
        for reservation, lines in holding.by_reservation(parts):
            document = DocumentId(derive(returned, "return", reservation))
            holding.take_back(work, document, reservation, lines)

    @in_work
    def free(self, work: Work, reservation: ReservationId, lines: tuple[LineQuantity, ...]) -> None:
        """The pharmacy does not need these any more; what is gone already is no matter."""
        head = holding.head_of(work, reservation)
        if not LIFECYCLE.final(head.state):
            holding.release(work, head, {line.line: line.quantity for line in lines})

    async def expire_unpaid(self) -> None:
        """End the reservations nobody paid for, each in its own unit of work."""
        for reservation in await self._unpaid():
            await self._expire(reservation)

    @reading
    def _unpaid(self, read: Reading) -> tuple[ReservationId, ...]:
        due = read.find(
            reservations,
            holding.Head,
            reservations.c.expires_at <= read.now,
            limit=EXPIRED_AT_ONCE_MAX,
            order_by="expires_at",
            state=ReservationState.HELD,
        )
        return tuple(head.id for head in due)

    @in_work
    def _expire(self, work: Work, reservation: ReservationId) -> None:
        head = holding.head_of(work, reservation)
        if head.state is not ReservationState.HELD:
            return  # somebody paid or gave up in this very moment
        ended = holding.release(work, head, None, end=ReservationState.EXPIRED)
        work.publish(ReservationExpired(reservation=ended))

    @reading
    def reservation(self, read: Reading, reservation: ReservationId) -> Reservation:
        return holding.whole(read, holding.head_of(read, reservation))

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def document(self, read: Reading, document: DocumentId) -> Document:
        found = books.document_of(read, document)
        if found is None:
            raise DocumentNotFound
        return found

    @reading
    def stock(
        self,
        read: Reading,
        campus: CampusCode,
        items: tuple[Plain, ...],
        store: StoreCode | None = None,
    ) -> tuple[ItemStock, ...]:
        place = store or books.outpatient_store(read, campus).store
        column = batches.c
        statement = (
            select(
                column.item,
                func.sum(column.on_hand),
                func.sum(column.available),
                func.min(column.expires_on),
            )
            .where(
                column.store == place,
                column.item.in_(list(items[:200])),
                column.expires_on >= hospital_date(read.now),
                column.on_hand > 0,
                *read.visible(batches),
            )
            .group_by(column.item)
            .limit(200)
        )
        found = {row[0]: row for row in read.rows(statement)}
        return tuple(_item_stock(place, item, found.get(item)) for item in dict.fromkeys(items))

    @reading
    def batches(
        self, read: Reading, store: StoreCode, item: Plain = "", after_item: Plain = ""
    ) -> tuple[Batch, ...]:
        where = [batches.c.item == item] if item else [batches.c.item > after_item]
        order = ("item", "expires_on")
        return read.find(batches, Batch, *where, limit=200, order_by=order, store=store)

    @reading
    def expiring(self, read: Reading, campus: CampusCode, limit: int = 50) -> tuple[Batch, ...]:
        until = hospital_date(read.now + self._near_expiry)
        return read.find(
            batches,
            Batch,
            batches.c.expires_on <= until,
            batches.c.on_hand > 0,
            limit=max(1, min(limit, 200)),
            order_by="expires_on",
            campus=campus,
        )

    @reading
    def moves(
        self, read: Reading, store: StoreCode, item: Plain = "", limit: int = 100
    ) -> tuple[Move, ...]:
        where = [moves.c.item == item] if item else []
        size = max(1, min(limit, 500))
        return read.find(moves, Move, *where, limit=size, order_by="-at", store=store)

    @reading
    def drugs(self, read: Reading, items: tuple[Plain, ...]) -> tuple[Drug, ...]:
        return read.find(drugs, Drug, limit=200, item=items[:200]) if items else ()

    @in_work
    def close_period(self, work: Work, store: StoreCode, ends_on: date) -> tuple[PeriodLine, ...]:
        return periods.close(work, books.store_of(work, store), hospital_midnight(ends_on))


def _opened(work: Work, location: DrugStoreLocation) -> DrugStoreLocation:
    before = work.get_or_none(stores, DrugStoreLocation, location.store)
    if before is None:
        work.insert(stores, location)
    elif (before.campus, before.kind) != (location.campus, location.kind):
        raise AlreadyThere  # a store does not change campus or kind; its stock would go with it
    else:
        work.update(stores, before=before, after=location)
    return location


def _item_stock(store: StoreCode, item: str, row: Row[Any] | None) -> ItemStock:
    if row is None:
        return ItemStock(store=store, item=item, on_hand=0, available=0, nearest_expiry=None)
    _, on_hand, available, nearest = tuple(row)
    return ItemStock(
        store=store,
        item=item,
        on_hand=int(on_hand),
        available=int(available),
        nearest_expiry=nearest,
    )
