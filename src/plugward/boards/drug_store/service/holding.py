"""Holding 预留: packs that are kept for a prescription until they are paid for and handed out."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from uuid import UUID

from plugward.kernel import Conflict, Message, Reading, Work
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode

from ..contract import (
    Document,
    DocumentId,
    DocumentKind,
    DrugStoreLocation,
    Held,
    LineQuantity,
    NotThatMuch,
    Reservation,
    ReservationId,
    ReservationNotFound,
    ReservationOver,
    ReservationState,
    Reserve,
    StoreCode,
    Wanted,
)
from ..rules import LIFECYCLE, check_quantities, spread, still_held, still_out
from ..tables import batches, held, reservations
from . import books

HELD_MAX = 1_000
Offers = Callable[[Sequence[Held]], list[tuple[str, int]]]


class Head(Message):
    """A reservation's row; what it holds are rows of their own."""

    id: ReservationId
    store: StoreCode
    campus: CampusCode
    state: ReservationState
    expires_at: Instant | None


class Part(Message):
    """So much of a line that was held by a reservation."""

    reservation: ReservationId
    line: UUID
    quantity: int


class Taken(Conflict):
    """库存刚被他人预留。"""


def head_of(read: Reading, reservation: ReservationId) -> Head:
    return read.get(reservations, Head, reservation, missing=ReservationNotFound)


def whole(read: Reading, head: Head) -> Reservation:
    return Reservation(**head.fields(), held=_rows(read, head.id))


def check_alive(head: Head) -> None:
    if LIFECYCLE.final(head.state):
        raise ReservationOver(state=head.state)


def by_reservation(
    parts: tuple[Part, ...],
) -> Iterator[tuple[ReservationId, tuple[LineQuantity, ...]]]:
    """Parts grouped by what holds them, in a stable order."""
    ordered = sorted(parts, key=lambda part: (part.reservation.bytes, part.line.bytes))
    for reservation, group in groupby(ordered, key=lambda part: part.reservation):
        yield (
            reservation,
            tuple(LineQuantity(line=part.line, quantity=part.quantity) for part in group),
        )


def hold(work: Work, request: Reserve, place: DrugStoreLocation, *, until: Instant) -> Reservation:
    """Hold every line or none. Lines are taken in the order of their items, so that two
    prescriptions never wait for each other crosswise."""
    head = Head(
        id=request.id,
        store=place.store,
        campus=place.campus,
        state=ReservationState.HELD,
        expires_at=until,
    )
    work.insert(reservations, head)
    for line in sorted(request.lines, key=lambda line: (line.item, line.line.bytes)):
        wanted = line.quantity
        for _ in range(books.TRIES_MAX):
            wanted -= _hold_what_is_free(work, place, head, line, wanted)
            if wanted == 0:
                break
        else:
            raise books.out_of_stock(line, books.unexpired(work, place, line.item))
    return whole(work, head)


def _hold_what_is_free(
    work: Work, place: DrugStoreLocation, head: Head, line: Wanted, wanted: int
) -> int:
    """One try: hold ``wanted`` packs if that many are free; says how many it got hold of."""
    free = books.unexpired(work, place, line.item, batches.c.available > 0)
    if sum(batch.available for batch in free) < wanted:
        raise books.out_of_stock(line, free)
    expiry = {batch.batch_no: batch.expires_on for batch in free}
    got = 0
    for batch_no, quantity in spread(wanted, [(b.batch_no, b.available) for b in free]):
        change = {"reserved": quantity, "available": -quantity}
        key = (place.store, line.item, batch_no)
        try:
            work.shift(batches, key, change, floors={"available": 0}, refuse=Taken)
        except Taken:
            return got  # look again: another prescription was quicker
        part = Held(
            line=line.line,
            item=line.item,
            batch_no=batch_no,
            expires_on=expiry[batch_no],
            quantity=quantity,
            open=quantity,
        )
        extra = {"reservation": head.id, "store": place.store, "campus": place.campus}
        if not work.insert_new(held, part, **extra):
            more = {"quantity": quantity, "open": quantity}
            work.shift(held, (head.id, line.line, batch_no), more, floors={"open": 0}, refuse=Taken)
        got += quantity
    return got


def release(
    work: Work,
    head: Head,
    wanted: dict[UUID, int] | None,
    *,
    end: ReservationState = ReservationState.CLOSED,
) -> Reservation:
    """Free what is still held: of these lines at most so much, or everything."""
    for row in _rows(work, head.id):
        asked = row.open if wanted is None else wanted.get(row.line, 0)
        quantity = min(row.open, asked)
        if quantity <= 0:
            continue
        if wanted is not None:
            wanted[row.line] -= quantity
        _move_held(work, head, row, {"open": -quantity, "released": quantity})
        change = {"reserved": -quantity, "available": quantity}
        key = (head.store, row.item, row.batch_no)
        work.shift(batches, key, change, floors={"reserved": 0}, refuse=_short(row, quantity))
    return _ended(work, head, end)


def issue(
    work: Work,
    document: DocumentId,
    reservation: ReservationId,
    lines: tuple[LineQuantity, ...],
) -> Document:
    """Hand out what was held for these lines."""
    check_quantities([line.quantity for line in lines])
    head = head_of(work, reservation)
    if earlier := books.earlier(work, document, DocumentKind.ISSUE):
        return earlier
    place = books.store_of(work, head.store)
    paper = books.Paper(work, document, DocumentKind.ISSUE, head.campus, "")
    for row, quantity in _parts(work, head, lines, still_held):
        change = {"open": -quantity, "issued": quantity, "returnable": quantity}
        _move_held(work, head, row, change)
        paper.add_reserved_out(place, row.item, row.batch_no, quantity)
    posted = paper.post()
    _ended(work, head, ReservationState.CLOSED)
    return posted


def take_back(
    work: Work,
    document: DocumentId,
    reservation: ReservationId,
    lines: tuple[LineQuantity, ...],
) -> Document:
    """Put back what was handed out, to the very batches it came from."""
    check_quantities([line.quantity for line in lines])
    head = head_of(work, reservation)
    if earlier := books.earlier(work, document, DocumentKind.RETURN):
        return earlier
    place = books.store_of(work, head.store)
    paper = books.Paper(work, document, DocumentKind.RETURN, head.campus, "")
    for row, quantity in _parts(work, head, lines, still_out):
        _move_held(work, head, row, {"returnable": -quantity})
        paper.add_in(place, row.item, row.batch_no, quantity)
    return paper.post()


def _rows(read: Reading, reservation: ReservationId) -> tuple[Held, ...]:
    order = ("line", "expires_on", "batch_no")
    return read.find(held, Held, limit=HELD_MAX, order_by=order, reservation=reservation)


def _parts(
    work: Work, head: Head, lines: tuple[LineQuantity, ...], offers: Offers
) -> list[tuple[Held, int]]:
    """Which held rows these lines come out of, by ``offers`` (what is held, or what is out)."""
    rows = _rows(work, head.id)
    found = []
    for line in sorted(lines, key=lambda line: line.line.bytes):
        own = [row for row in rows if row.line == line.line]
        by_batch = {row.batch_no: row for row in own}
        parts = spread(line.quantity, offers(own))
        if sum(quantity for _, quantity in parts) < line.quantity:
            item = own[0].item if own else ""
            raise NotThatMuch(item=item, batch_no="", quantity=line.quantity)
        found += [(by_batch[batch_no], quantity) for batch_no, quantity in parts]
    return found


def _move_held(work: Work, head: Head, row: Held, changes: dict[str, int]) -> None:
    floors = {name: 0 for name, change in changes.items() if change < 0}
    quantity = max(abs(change) for change in changes.values())
    key = (head.id, row.line, row.batch_no)
    work.shift(held, key, changes, floors=floors, refuse=_short(row, quantity))


def _short(row: Held, quantity: int) -> Callable[[], NotThatMuch]:
    return lambda: NotThatMuch(item=row.item, batch_no=row.batch_no, quantity=quantity)


def _ended(work: Work, head: Head, end: ReservationState) -> Reservation:
    """Close the reservation when nothing is held any more."""
    if not LIFECYCLE.final(head.state) and not work.count(
        held, held.c.open > 0, reservation=head.id
    ):
        LIFECYCLE.check(head.state, end)
        over = head.replace(state=end, expires_at=None)
        work.update(reservations, before=head, after=over)
        head = over
    return whole(work, head)
