"""The books 账: documents and their moves, and the balances that follow from them."""

from datetime import date

from sqlalchemy import ColumnElement

from plugward.kernel import AlreadyThere, Message, Reading, Work
from plugward.kit.message import Plain
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import CampusCode

from ..contract import (
    Batch,
    BatchMismatch,
    BatchQuantity,
    Document,
    DocumentId,
    DocumentKind,
    DrugStoreLocation,
    Move,
    NoOutpatientPharmacy,
    NotThatMuch,
    OutOfStock,
    StockMoved,
    StoreCode,
    StoreKind,
    UnknownStore,
    Wanted,
)
from ..rules import LINES_MAX, NUMBER_PREFIX, offers_of, spread
from ..tables import batches, documents, moves, stores

BATCHES_MAX = 200
TRIES_MAX = 5


class DocumentHead(Message):
    """A document's row; its moves are rows of their own."""

    id: DocumentId
    kind: DocumentKind
    number: Plain
    campus: CampusCode
    reason: Plain
    by: Plain
    at: Instant


class Paper:
    """A document while it is written. Each line moves its batch at once; ``post`` ends it."""

    def __init__(
        self, work: Work, id: DocumentId, kind: DocumentKind, campus: CampusCode, reason: str
    ) -> None:
        self._work = work
        self._head = (id, kind, campus, reason)
        self._moves: list[Move] = []

    def add_in(self, place: DrugStoreLocation, item: str, batch_no: str, quantity: int) -> None:
        """Packs that come in are free at once."""
        self._shift(place.store, item, batch_no, {"on_hand": quantity, "available": quantity})
        self._note(place, item, batch_no, quantity)

    def add_out(self, place: DrugStoreLocation, item: str, batch_no: str, quantity: int) -> None:
        """Only free packs go out this way; reserved ones are somebody's."""
        self._shift(place.store, item, batch_no, {"on_hand": -quantity, "available": -quantity})
        self._note(place, item, batch_no, -quantity)

    def add_reserved_out(
        self, place: DrugStoreLocation, item: str, batch_no: str, quantity: int
    ) -> None:
        """Reserved packs go to those they were reserved for."""
        self._shift(place.store, item, batch_no, {"on_hand": -quantity, "reserved": -quantity})
        self._note(place, item, batch_no, -quantity)

    def post(self) -> Document:
        """Write the document with its moves, and say so."""
        id, kind, campus, reason = self._head
        number = self._work.next_number(f"{campus}:{kind.value}")
        head = DocumentHead(
            id=id,
            kind=kind,
            number=f"{campus}-{NUMBER_PREFIX[kind]}-{number:06d}",
            campus=campus,
            reason=reason,
            by=self._work.actor.id,
            at=self._work.now,
        )
        self._work.insert(documents, head)
        self._work.insert(moves, *self._moves)
        document = Document(**head.fields(), moves=tuple(self._moves))
        self._work.publish(StockMoved(document=document))
        return document

    def _shift(self, store: StoreCode, item: str, batch_no: str, changes: dict[str, int]) -> None:
        quantity = max(abs(change) for change in changes.values())

        def refusal() -> NotThatMuch:
            return NotThatMuch(item=item, batch_no=batch_no, quantity=quantity)

        floors = {name: 0 for name, change in changes.items() if change < 0} or {"on_hand": 0}
        self._work.shift(batches, (store, item, batch_no), changes, floors=floors, refuse=refusal)

    def _note(self, place: DrugStoreLocation, item: str, batch_no: str, quantity: int) -> None:
        self._moves.append(
            Move(
                document=self._head[0],
                number=len(self._moves) + 1,
                store=place.store,
                campus=place.campus,
                item=item,
                batch_no=batch_no,
                quantity=quantity,
                at=self._work.now,
            )
        )


def store_of(read: Reading, store: StoreCode) -> DrugStoreLocation:
    """The store with this code, if the caller may see it."""
    found = read.get_or_none(stores, DrugStoreLocation, store)
    if found is None:
        raise UnknownStore(store=store)
    return found


def outpatient_store(read: Reading, campus: CampusCode) -> DrugStoreLocation:
    """The store that serves a campus's prescriptions."""
    serves = stores.c.kind == StoreKind.OUTPATIENT
    found = read.first(stores, DrugStoreLocation, serves, order_by="store", campus=campus)
    if found is None:
        raise NoOutpatientPharmacy(campus=campus)
    return found


def document_of(read: Reading, id: DocumentId) -> Document | None:
    """A document with its moves."""
    head = read.get_or_none(documents, DocumentHead, id)
    if head is None:
        return None
    rows = read.find(moves, Move, limit=2 * LINES_MAX + 600, order_by="number", document=id)
    return Document(**head.fields(), moves=rows)


def earlier(read: Reading, id: DocumentId, kind: DocumentKind) -> Document | None:
    """The document, if it has been posted already. An id is never used for two kinds."""
    found = document_of(read, id)
    if found is not None and found.kind is not kind:
        raise AlreadyThere
    return found


def know_batch(
    work: Work, place: DrugStoreLocation, item: str, batch_no: str, expires_on: date
) -> None:
    """Make sure the store has a row for the batch. One batch number has one expiry date."""
    batch = Batch(
        store=place.store,
        campus=place.campus,
        item=item,
        batch_no=batch_no,
        expires_on=expires_on,
    )
    if not work.insert_new(batches, batch):
        there = work.get(batches, Batch, (place.store, item, batch_no))
        if there.expires_on != expires_on:
            raise BatchMismatch(item=item, batch_no=batch_no)


def batch_of(read: Reading, place: DrugStoreLocation, line: BatchQuantity) -> Batch:
    """A batch the store must have."""
    found = read.get_or_none(batches, Batch, (place.store, line.item, line.batch_no))
    if found is None:
        raise NotThatMuch(item=line.item, batch_no=line.batch_no, quantity=line.quantity)
    return found


def free_batches(work: Work, place: DrugStoreLocation, line: Wanted) -> list[tuple[str, int]]:
    """Free batches for a line, earliest expiry first, enough of them or ``OutOfStock``."""
    found = unexpired(work, place, line.item, batches.c.available > 0)
    parts = spread(line.quantity, offers_of(found))
    if sum(quantity for _, quantity in parts) < line.quantity:
        raise out_of_stock(line, found)
    return parts


def unexpired(
    read: Reading, place: DrugStoreLocation, item: str, *where: ColumnElement[bool]
) -> tuple[Batch, ...]:
    """Batches of an item that may still be handed out, earliest expiry first."""
    return read.find(
        batches,
        Batch,
        batches.c.expires_on >= hospital_date(read.now),
        *where,
        limit=BATCHES_MAX,
        order_by="expires_on",
        store=place.store,
        item=item,
    )


def out_of_stock(line: Wanted, found: tuple[Batch, ...]) -> OutOfStock:
    free = sum(batch.available for batch in found)
    return OutOfStock(item=line.item, wanted=line.quantity, available=free)
