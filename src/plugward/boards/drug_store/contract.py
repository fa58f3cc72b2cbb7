"""Drug store 药库: batches of drugs, and the documents that move them.

Every store of a campus, the warehouse and the pharmacies, keeps its drugs by batch. Nothing
changes a balance but a document: a receipt 入库, a transfer 调拨, an issue 出库, a return 退回 or a
count 盘点; the balance is the sum of their moves. Before a patient pays, the drugs are reserved,
earliest expiry first and all or nothing; a reservation nobody pays for ends by itself.
"""

from datetime import date
from enum import StrEnum
from typing import NewType, Protocol
from uuid import UUID

from plugward.kernel import Conflict, Event, Invalid, Message, NotFound, command, contract, query
from plugward.kit.message import Plain
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode

StoreCode = NewType("StoreCode", str)
"""A store of a campus, such as ``C1-OP``. Never taken apart."""
DocumentId = NewType("DocumentId", UUID)
ReservationId = NewType("ReservationId", UUID)


class StoreKind(StrEnum):
    WAREHOUSE = "warehouse"  # 药库
    OUTPATIENT = "outpatient"  # 门诊药房
    WARD = "ward"  # 病区药房


class DrugStoreLocation(Message):
    """One store 库房. The first outpatient pharmacy of a campus serves its prescriptions."""

    store: StoreCode
    campus: CampusCode
    kind: StoreKind
    name: Plain


class DocumentKind(StrEnum):
    RECEIPT = "receipt"  # 入库单
    TRANSFER = "transfer"  # 调拨单
    ISSUE = "issue"  # 出库单
    RETURN = "return"  # 退回单
    COUNT = "count"  # 盘点单


class ReservationState(StrEnum):
    HELD = "held"  # 已预留，待付款
    CONFIRMED = "confirmed"  # 已付款，不再到期
    CLOSED = "closed"  # 已全部发出或释放
    EXPIRED = "expired"  # 未付款，到期释放


class Batch(Message):
    """What one store has of one batch. ``available`` is what is not reserved."""

    store: StoreCode
    campus: CampusCode
    item: Plain
    batch_no: Plain
    expires_on: date
    on_hand: int = 0
    reserved: int = 0
    available: int = 0


class Move(Message):
    """One line of a document: so much of one batch came in (positive) or went out (negative)."""

    document: DocumentId
    number: int  # the line within its document
    store: StoreCode
    campus: CampusCode
    item: Plain
    batch_no: Plain
    quantity: int
    at: Instant


class Document(Message):
    """A stock document. It is never changed: what was wrong is put right by another one."""

    id: DocumentId
    kind: DocumentKind
    number: Plain  # as people read it, such as C1-RK-000042
    campus: CampusCode
    reason: Plain
    by: Plain
    at: Instant
    moves: tuple[Move, ...]


class ReceivedLine(Message):
    item: Plain
    batch_no: Plain
    expires_on: date
    quantity: int


class Receipt(Message):
    """A delivery that arrived at one store. The caller picks ``id``."""

    id: DocumentId
    store: StoreCode
    lines: tuple[ReceivedLine, ...]
    reason: Plain = ""  # the supplier's delivery note, or the opening count


class BatchQuantity(Message):
    item: Plain
    batch_no: Plain
    quantity: int


class Transfer(Message):
    """Batches that go from one store to another: one document, two moves a line."""

    id: DocumentId
    source: StoreCode
    target: StoreCode
    lines: tuple[BatchQuantity, ...]
    reason: Plain = ""


class Wanted(Message):
    """So much of an item, for one line of a prescription (or any other paper)."""

    line: UUID
    item: Plain
    quantity: int


class Issue(Message):
    """Drugs that leave a store without a reservation, earliest expiry first, all or nothing."""

    id: DocumentId
    store: StoreCode
    lines: tuple[Wanted, ...]
    reason: Plain = ""


class Count(Message):
    """What was found on the shelf. The difference becomes a document of its own."""

    id: DocumentId
    store: StoreCode
    found: tuple[BatchQuantity, ...]
    reason: Plain


class Reserve(Message):
    """Hold these lines until they are paid for, at the campus's outpatient pharmacy if no store
    is named."""

    id: ReservationId
    campus: CampusCode
    lines: tuple[Wanted, ...]
    store: StoreCode | None = None


class Held(Message):
    """What is held for one line out of one batch. ``quantity = open + issued + released``."""

    line: UUID
    item: Plain
    batch_no: Plain
    expires_on: date
    quantity: int
    open: int
    issued: int = 0
    released: int = 0
    returnable: int = 0  # issued and not yet taken back


class Reservation(Message):
    id: ReservationId
    store: StoreCode
    campus: CampusCode
    state: ReservationState
    expires_at: Instant | None
    held: tuple[Held, ...]


class LineQuantity(Message):
    line: UUID
    quantity: int


class Drug(Message):
    """A drug as the catalogue calls it (read copy)."""

    item: Plain
    name_zh: Plain
    name_en: Plain
    spec: Plain
    unit: Plain


class ItemStock(Message):
    """What a store has of an item, over all batches that may still be handed out."""

    store: StoreCode
    item: Plain
    on_hand: int
    available: int
    nearest_expiry: date | None


class PeriodLine(Message):
    """Opening + in − out = closing of one batch in one period 账期."""

    store: StoreCode
    campus: CampusCode
    period: int
    item: Plain
    batch_no: Plain
    opening: int
    received: int
    issued: int
    closing: int


class Period(Message):
    """A closed stretch of one store's books. It begins where the one before ended."""

    store: StoreCode
    campus: CampusCode
    period: int
    starts_at: Instant | None  # None: from the first move on
    ends_at: Instant
    closed_by: Plain
    closed_at: Instant


class StockMoved(Event, tag="drug_store.stock.moved.v1", key="document.id"):
    """A document was posted. Its moves are the only way a balance changes."""

    document: Document


class ReservationExpired(Event, tag="drug_store.reservation.expired.v1", key="reservation.id"):
    """Nobody paid in time; what was held is free again."""

    reservation: Reservation


class UnknownStore(NotFound):
    """没有这个库房：{store}。"""

    store: Plain


class NoOutpatientPharmacy(Conflict):
    """院区 {campus} 没有门诊药房，无法预留药品。"""

    campus: Plain


class DocumentNotFound(NotFound):
    """没有这张库存单据。"""


class ReservationNotFound(NotFound):
    """没有这笔预留。"""


class ReservationOver(Conflict):
    """这笔预留已失效（{state}），请重新预留。"""

    state: ReservationState


class OutOfStock(Conflict):
    """药品 {item} 库存不足：需要 {wanted}，可用 {available}。"""

    item: Plain
    wanted: int
    available: int


class NotThatMuch(Conflict):
    """药品 {item} 批号 {batch_no} 没有 {quantity} 可供此操作。"""

    item: Plain
    batch_no: Plain
    quantity: int


class BatchMismatch(Conflict):
    """药品 {item} 批号 {batch_no} 的效期与已有记录不一致。"""

    item: Plain
    batch_no: Plain


class EmptyDocument(Invalid):
    """单据没有明细，或明细过多、数量不是正数。"""


class SameStore(Invalid):
    """调出与调入是同一库房。"""


class PeriodTooLate(Conflict):
    """账期须在已过去的医院日零点结束，且晚于上一账期。"""


@contract("drug_store")
class DrugStore(Protocol):
    """The stock of drugs: who has what, of which batch, and on which paper it moved."""

    @command(permission="drug_store.keep")
    async def open_store(self, location: DrugStoreLocation) -> DrugStoreLocation:
        """Open a store, or say again what it is called."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def stores(self, campus: CampusCode) -> tuple[DrugStoreLocation, ...]:
        """The stores of a campus, at most 100."""
        ...

    @command(permission="drug_store.keep")
    async def receive(self, receipt: Receipt) -> Document:
        """Take in a delivery. Refuses with ``UnknownStore``, ``EmptyDocument`` or
        ``BatchMismatch``."""
        ...

    @command(permission="drug_store.keep")
    async def transfer(self, transfer: Transfer) -> Document:
        """Move batches between two stores. Refuses with ``UnknownStore``, ``SameStore``,
        ``EmptyDocument`` or ``NotThatMuch``."""
        ...

    @command(permission="drug_store.issue")
    async def issue(self, issue: Issue) -> Document:
        """Hand out without a reservation. Refuses with ``UnknownStore``, ``EmptyDocument`` or
        ``OutOfStock``."""
        ...

    @command(permission="drug_store.keep")
    async def count(self, count: Count) -> Document:
        """Put a difference between shelf and books right. What is reserved cannot be counted
        away. Refuses with ``UnknownStore``, ``EmptyDocument`` or ``NotThatMuch``."""
        ...

    @command(permission="drug_store.reserve")
    async def reserve(self, request: Reserve) -> Reservation:
        """Hold all lines or none, earliest expiry first. The same ``id`` again is the same
        reservation. Refuses with ``OutOfStock`` (naming the item), ``EmptyDocument``,
        ``UnknownStore`` or ``NoOutpatientPharmacy``."""
        ...

    @command(permission="drug_store.reserve")
    async def confirm(self, reservation: ReservationId) -> Reservation:
        """It is paid for: it ends no more by itself. Refuses with ``ReservationNotFound`` or
        ``ReservationOver``."""
        ...

    @command(permission="drug_store.reserve")
    async def release(
        self, reservation: ReservationId, lines: tuple[LineQuantity, ...] = ()
    ) -> Reservation:
        """Give back what is still held: these quantities at most, or everything if none is named.
        Refuses with ``ReservationNotFound``."""
        ...

    @command(permission="drug_store.issue")
    async def issue_reserved(
        self, document: DocumentId, reservation: ReservationId, lines: tuple[LineQuantity, ...]
    ) -> Document:
        """Hand out what was reserved. The same document again is the same issue. Refuses with
        ``ReservationNotFound``, ``EmptyDocument`` or ``NotThatMuch``."""
        ...

    @command(permission="drug_store.issue")
    async def take_back(
        self, document: DocumentId, reservation: ReservationId, lines: tuple[LineQuantity, ...]
    ) -> Document:
        """Put returned drugs back to the very batches they came from. Refuses with
        ``ReservationNotFound``, ``EmptyDocument`` or ``NotThatMuch``."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def reservation(self, reservation: ReservationId) -> Reservation:
        """One reservation. Refuses with ``ReservationNotFound``."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def document(self, document: DocumentId) -> Document:
        """One document with its moves. Refuses with ``DocumentNotFound``."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def stock(
        self, campus: CampusCode, items: tuple[Plain, ...], store: StoreCode | None = None
    ) -> tuple[ItemStock, ...]:
        """What the store (or the campus's outpatient pharmacy) has of these items, at most 200;
        expired batches do not count."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def batches(
        self, store: StoreCode, item: Plain = "", after_item: Plain = ""
    ) -> tuple[Batch, ...]:
        """The batches of a store by item and expiry, at most 200: of one item, or after one."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def expiring(self, campus: CampusCode, limit: int = 50) -> tuple[Batch, ...]:
        """Batches that expire soon (by setting) or have expired, the earliest first."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def moves(self, store: StoreCode, item: Plain = "", limit: int = 100) -> tuple[Move, ...]:
        """The latest moves of a store, the newest first, at most 500."""
        ...

    @query(permission="drug_store.read", audited=False)
    async def drugs(self, items: tuple[Plain, ...]) -> tuple[Drug, ...]:
        """The catalogue's words for these drugs, at most 200."""
        ...

    @command(permission="drug_store.keep")
    async def close_period(self, store: StoreCode, ends_on: date) -> tuple[PeriodLine, ...]:
        """Close the books of a store up to the beginning of a hospital day, at most 1,000 batches a
        store. Refuses with ``UnknownStore`` or ``PeriodTooLate``."""
        ...
