"""The drug store for other boards' tests: as many drugs as a test says, in one batch each."""

from datetime import date
from uuid import UUID

from plugward.kit.time import hospital_time
from plugward.vocabulary import CampusCode

from .contract import (
    Document,
    DocumentId,
    DocumentKind,
    DrugStore,
    Held,
    LineQuantity,
    OutOfStock,
    Reservation,
    ReservationId,
    ReservationNotFound,
    ReservationOver,
    ReservationState,
    Reserve,
    StoreCode,
)

FAR_AWAY = date(2030, 12, 31)
AT = hospital_time("2026-03-02 08:00")


class FakeDrugStore(DrugStore):
    """``available["D0034"] = 10`` sets the shelf; without an entry there is plenty."""

    def __init__(self) -> None:
        self.available: dict[str, int] = {}
        self.expires_on: dict[str, date] = {}
        self.reservations: dict[ReservationId, Reservation] = {}
        self.issued: dict[DocumentId, tuple[LineQuantity, ...]] = {}
        self.taken_back: dict[DocumentId, tuple[LineQuantity, ...]] = {}

    async def reserve(self, request: Reserve) -> Reservation:
        earlier = self.reservations.get(request.id)
        if earlier is not None:
            return earlier
        for line in request.lines:
            left = self.available.get(line.item, line.quantity)
            if left < line.quantity:
                raise OutOfStock(item=line.item, wanted=line.quantity, available=left)
        held = []
        for line in request.lines:
            if line.item in self.available:
                self.available[line.item] -= line.quantity
            held.append(
                Held(
                    line=line.line,
                    item=line.item,
                    batch_no=f"{line.item}-B1",
                    expires_on=self.expires_on.get(line.item, FAR_AWAY),
                    quantity=line.quantity,
                    open=line.quantity,
                )
            )
        made = Reservation(
            id=request.id,
            store=request.store or StoreCode(f"{request.campus}-OP"),
            campus=CampusCode(request.campus),
            state=ReservationState.HELD,
            expires_at=None,
            held=tuple(held),
        )
        self.reservations[request.id] = made
        return made

    async def confirm(self, reservation: ReservationId) -> Reservation:
        found = self._get(reservation)
        if found.state in {ReservationState.EXPIRED, ReservationState.CLOSED}:
            raise ReservationOver(state=found.state)
        return self._keep(found.replace(state=ReservationState.CONFIRMED))

    async def release(
        self, reservation: ReservationId, lines: tuple[LineQuantity, ...] = ()
    ) -> Reservation:
        found = self._get(reservation)
        wanted = {line.line: line.quantity for line in lines}
        return self._keep(
            found.replace(
                held=tuple(
                    self._released(held, wanted.get(held.line, 0) if lines else held.open)
                    for held in found.held
                )
            )
        )

    async def issue_reserved(
        self, document: DocumentId, reservation: ReservationId, lines: tuple[LineQuantity, ...]
    ) -> Document:
        self.issued.setdefault(document, lines)
        return self._paper(document, DocumentKind.ISSUE, reservation)

    async def take_back(
        self, document: DocumentId, reservation: ReservationId, lines: tuple[LineQuantity, ...]
    ) -> Document:
        self.taken_back.setdefault(document, lines)
        return self._paper(document, DocumentKind.RETURN, reservation)

    async def reservation(self, reservation: ReservationId) -> Reservation:
        return self._get(reservation)

    def expire(self, reservation: ReservationId) -> Reservation:
        """Let a reservation run out, as its timer would."""
        found = self._get(reservation)
        ended = found.replace(
            state=ReservationState.EXPIRED,
            held=tuple(self._released(held, held.open) for held in found.held),
        )
        return self._keep(ended)

    def open_for(self, line: UUID) -> int:
        """How much is held for a line of paper, over all reservations."""
        return sum(
            held.open
            for made in self.reservations.values()
            for held in made.held
            if held.line == line
        )

    def _released(self, held: Held, quantity: int) -> Held:
        freed = min(held.open, quantity)
        if held.item in self.available:
            self.available[held.item] += freed
        return held.replace(open=held.open - freed, released=held.released + freed)

    def _paper(self, id: DocumentId, kind: DocumentKind, reservation: ReservationId) -> Document:
        return Document(
            id=id,
            kind=kind,
            number=f"FAKE-{len(self.issued) + len(self.taken_back)}",
            campus=self._get(reservation).campus,
            reason="",
            by="board:drug_store",
            at=AT,
            moves=(),
        )

    def _get(self, reservation: ReservationId) -> Reservation:
        found = self.reservations.get(reservation)
        if found is None:
            raise ReservationNotFound
        return found

    def _keep(self, reservation: Reservation) -> Reservation:
        self.reservations[reservation.id] = reservation
        return reservation
