"""Prescriptions 处方: from the doctor's signature to packs held for a bill."""

from uuid import UUID

from plugward.boards.drug_store import contract as drug_store
from plugward.kernel import Message, Plain, Reading, Work
from plugward.kit.time import Instant
from plugward.vocabulary import BillId, OrderLineId

from ..contract import (
    HeldBatch,
    LineNotPayable,
    LineNotReady,
    LineQuantity,
    LinesReleased,
    LineState,
    Prescription,
    PrescriptionLine,
    ReservedLines,
    ReserveLines,
)
from ..rules import LINES, PAYABLE, give_up
from ..tables import drugs, lines, prescriptions

LINES_MAX = 200


class Drug(Message):
    """A drug as the catalogue calls it (read copy)."""

    item: Plain
    name_zh: Plain
    spec: Plain
    is_controlled: bool


class Holding(Message):
    """What the drug store holds for one line."""

    line: OrderLineId
    reservation: UUID
    batches: tuple[HeldBatch, ...]
    until: Instant | None = None


def take_in(work: Work, prescription: Prescription, signed: tuple[PrescriptionLine, ...]) -> None:
    """Write the prescription down, once however often the doctor's signature is told."""
    if not work.insert_new(prescriptions, prescription):
        return
    known = work.find(drugs, Drug, limit=LINES_MAX, item=tuple({line.item for line in signed}))
    controlled = {drug.item for drug in known if drug.is_controlled}
    for line in signed:
        work.insert(lines, line.replace(is_controlled=line.item in controlled))


def note_drug(work: Work, drug: Drug) -> None:
    work.save_copy(drugs, drug)


def line_of(read: Reading, line: OrderLineId) -> PrescriptionLine:
    """A line the pharmacy knows. An order that has not arrived yet is not ready."""
    found = read.get_or_none(lines, PrescriptionLine, line)
    if found is None:
        raise LineNotReady(line=line)
    return found


def wanted(line: PrescriptionLine) -> drug_store.Wanted:
    return drug_store.Wanted(line=line.id, item=line.item, quantity=line.quantity)


def holdings_of(reservation: drug_store.Reservation) -> tuple[Holding, ...]:
    """What a reservation holds, line by line."""
    found: dict[UUID, list[HeldBatch]] = {}
    for held in reservation.held:
        batch = HeldBatch(
            batch_no=held.batch_no, expires_on=held.expires_on, quantity=held.quantity
        )
        found.setdefault(held.line, []).append(batch)
    return tuple(
        Holding(
            line=OrderLineId(line),
            reservation=reservation.id,
            batches=tuple(batches),
            until=reservation.expires_at,
        )
        for line, batches in found.items()
    )


def lines_to_hold(read: Reading, request: ReserveLines) -> tuple[PrescriptionLine, ...]:
    """The lines that are not held for this bill yet; all of them must be payable."""
    found = {
        line.id: line
        for line in read.find(lines, PrescriptionLine, limit=LINES_MAX, id=request.lines)
    }
    wanting = []
    for id in dict.fromkeys(request.lines):
        line = found.get(id)
        if line is None or line.encounter != request.encounter:
            raise LineNotReady(line=id)
        check_payable(line)
        if line.state is LineState.SIGNED or line.reservation != request.bill:
            wanting.append(line)
    return tuple(wanting)


def check_payable(line: PrescriptionLine) -> None:
    if line.state not in PAYABLE:
        raise LineNotPayable(name=line.name_zh, state=line.state)


def hold(work: Work, request: ReserveLines, holdings: tuple[Holding, ...]) -> ReservedLines:
    """Note what is held for which line. A line held for an older bill changes over."""
    for holding in holdings:
        line = line_of(work, holding.line)
        check_payable(line)
        if line.reservation is not None and line.reservation != holding.reservation:
            release(work, line, line.quantity)
        if line.state is not LineState.RESERVED:
            LINES.check(line.state, LineState.RESERVED)
        held = line.replace(
            state=LineState.RESERVED, reservation=holding.reservation, batches=holding.batches
        )
        work.update(lines, before=line, after=held)
    found = work.find(lines, PrescriptionLine, limit=LINES_MAX, id=request.lines)
    return ReservedLines(
        bill=request.bill,
        lines=tuple(LineQuantity(line=line.id, quantity=line.quantity) for line in found),
        until=holdings[0].until if holdings else None,
    )


def let_go(work: Work, bill: BillId) -> None:
    """The lines held for this bill wait for payment again, and their packs are free."""
    held = work.find(
        lines, PrescriptionLine, limit=LINES_MAX, reservation=bill, state=LineState.RESERVED
    )
    for line in held:
        release(work, line, line.quantity)
        LINES.check(line.state, LineState.SIGNED)
        free = line.replace(state=LineState.SIGNED, reservation=None, batches=())
        work.update(lines, before=line, after=free)


def withdraw(work: Work, id: OrderLineId) -> None:
    """Take a line back in whatever state it is. Drugs in the patient's hands stay there."""
    line = work.get_or_none(lines, PrescriptionLine, id)
    if line is None or not LINES.allows(line.state, LineState.WITHDRAWN):
        return
    if line.state is LineState.PAID:
        release(work, line, line.open)
        gone = give_up(line, line.open, LineState.WITHDRAWN)
    else:
        if line.state is LineState.RESERVED:
            release(work, line, line.quantity)
        gone = line.replace(state=LineState.WITHDRAWN)
    work.update(lines, before=line, after=gone)


def release(work: Work, line: PrescriptionLine, quantity: int) -> None:
    """Tell the drug store that so much of what it holds for a line is not needed."""
    if line.reservation is not None and quantity > 0:
        part = LineQuantity(line=line.id, quantity=quantity)
        work.publish(
            LinesReleased(encounter=line.encounter, reservation=line.reservation, lines=(part,))
        )
