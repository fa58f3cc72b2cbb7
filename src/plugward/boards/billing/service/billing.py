"""Bills 账单: chosen charges that are paid together, by one cashier at a time."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from plugward.kernel import Reading, Work
from plugward.kit.ids import derive
from plugward.kit.money import ZERO, Money
from plugward.vocabulary import BillId

from ..contract import (
    AccountLine,
    AlreadySettled,
    Bill,
    BillNotFound,
    BillSettled,
    BillSheet,
    BillState,
    BillVoid,
    BillVoided,
    Category,
    Channel,
    ChargeNotFound,
    ChargeNotPayable,
    ChargeTaken,
    DueReason,
    Leg,
    LegId,
    LegState,
    LineState,
    MoneyOnBill,
    NothingChosen,
    OpenBill,
    PaidLine,
)
from ..rules import BILLS, CHARGES_MAX, SETTLEMENT
from ..tables import bills, legs, lines
from . import accounts, numbers

SIMULATED = "模拟医保"


def bill_of(read: Reading, bill: BillId) -> Bill:
    return read.get(bills, Bill, bill, missing=BillNotFound)


def lines_on(read: Reading, bill: BillId) -> tuple[AccountLine, ...]:
    return read.find(lines, AccountLine, limit=CHARGES_MAX, order_by="performed_at", bill=bill)


def legs_of(read: Reading, bill: BillId) -> tuple[Leg, ...]:
    return read.find(legs, Leg, limit=CHARGES_MAX, order_by="asked_at", bill=bill)


def sheet(read: Reading, bill: BillId) -> BillSheet:
    found = bill_of(read, bill)
    return BillSheet(
        bill=found,
        lines=lines_on(read, bill),
        legs=legs_of(read, bill),
        outstanding=outstanding(found) if found.state is BillState.OPEN else ZERO,
    )


def outstanding(bill: Bill) -> Money:
    return bill.self_pay - bill.paid


def check_open(bill: Bill) -> None:
    """Refuse with who has settled it, and when."""
    if bill.state is BillState.SETTLED:
        raise AlreadySettled(
            by=bill.settled_by, at=bill.settled_at or bill.opened_at, receipt=bill.receipt
        )
    if bill.state is BillState.VOIDED:
        raise BillVoid


# ── opening ─────────────────────────────────────────────────────────────────────────────────
def chosen(read: Reading, request: OpenBill) -> tuple[AccountLine, ...]:
    """The charges of a request, every one of them payable now."""
    if not 1 <= len(request.charges) <= CHARGES_MAX:
        raise NothingChosen
    found = {
        line.id: line
        for line in read.find(lines, AccountLine, limit=CHARGES_MAX, id=request.charges)
    }
    wanted = []
    for charge in dict.fromkeys(request.charges):
        line = found.get(charge)
        if line is None or line.encounter != request.encounter or line.campus != request.campus:
            raise ChargeNotFound
        _check_free(read, line, request.id)
        wanted.append(line)
    return tuple(wanted)


def _check_free(read: Reading, line: AccountLine, bill: BillId) -> None:
    if line.bill is not None and line.bill != bill:
        other = bill_of(read, line.bill)
        check = other.state is BillState.OPEN
        by = other.cashier or (other.opened_by if check else other.settled_by)
        at = other.opened_at if check else other.settled_at or other.opened_at
        raise ChargeTaken(name=line.name_zh, by=by, at=at, bill=other.id)
    if line.state is not LineState.PENDING or line.is_withdrawn:
        raise ChargeNotPayable(name=line.name_zh, state=line.state)


def open_bill(work: Work, request: OpenBill, *, hold: timedelta) -> Bill:
    """Claim the charges. Where two cashiers claim one, the second finds it taken."""
    earlier = work.get_or_none(bills, Bill, request.id)
    if earlier is not None:
        return earlier
    claimed = chosen(work, request)
    bill = Bill(
        id=request.id,
        encounter=request.encounter,
        campus=request.campus,
        state=BillState.OPEN,
        total=Money.total(line.amount for line in claimed),
        fund=Money.total(line.fund for line in claimed),
        supplement=Money.total(line.supplement for line in claimed),
        self_pay=Money.total(line.self_pay for line in claimed),
        opened_at=work.now,
        opened_by=work.actor.id,
        expires_at=work.now + hold,
        cashier=request.cashier,
    )
    assert bill.total == bill.fund + bill.supplement + bill.self_pay
    work.insert(bills, bill)
    for line in claimed:
        work.update(lines, before=line, after=line.replace(bill=bill.id))
    return bill if bill.self_pay else settle(work, bill, by=work.actor.id)


# ── settled ─────────────────────────────────────────────────────────────────────────────────
def is_complete(bill: Bill) -> bool:
    return bill.paid == bill.self_pay + bill.rounding


def settle(work: Work, bill: Bill, *, by: str) -> Bill:
    """All the money is in: number, fund part, lines, and the fact."""
    BILLS.check(bill.state, BillState.SETTLED)
    taken = bill.fund + bill.supplement + bill.paid
    assert bill.total + bill.rounding == taken, "the legs do not add up to the bill"
    receipt = numbers.issue(work, bill, SETTLEMENT, taken, by=by)
    settled = bill.replace(
        state=BillState.SETTLED,
        undecided=None,
        settled_at=work.now,
        settled_by=by,
        receipt=receipt.text,
    )
    work.update(bills, before=bill, after=settled)
    _take_fund(work, settled)
    paid = tuple(_settle_line(work, line, settled) for line in lines_on(work, bill.id))
    work.publish(BillSettled(bill=settled, lines=paid, legs=legs_of(work, bill.id)))
    return settled


def _take_fund(work: Work, bill: Bill) -> None:
    """The insurer's part. Simulated: no insurer is asked."""
    share = bill.fund + bill.supplement
    if not share:
        return
    id = LegId(derive(bill.id, "fund"))
    fund = Leg(
        id=id,
        bill=bill.id,
        encounter=bill.encounter,
        campus=bill.campus,
        channel=Channel.FUND,
        amount=share,
        serial=id.hex,
        state=LegState.PAID,
        asked_at=work.now,
        asked_by=bill.settled_by,
        decided_at=work.now,
        note=SIMULATED,
        refundable=share,
    )
    work.insert(legs, fund)


def _settle_line(work: Work, line: AccountLine, bill: Bill) -> PaidLine:
    ready = line.replace(refundable=line.units)
    settled = accounts.move(work, line, LineState.SETTLED, document=bill.id, changes=ready)
    if settled.is_withdrawn:  # withdrawn while the money was on its way
        accounts.owe(work, settled, settled.refundable, DueReason.WITHDRAWN)
    return paid_line(settled)


def paid_line(line: AccountLine) -> PaidLine:
    return PaidLine(
        charge=line.id,
        line=line.line,
        category=line.category,
        item=line.item,
        quantity=Decimal(line.quantity),
        amount=line.amount,
    )


# ── voided ──────────────────────────────────────────────────────────────────────────────────
def void(work: Work, bill: Bill, reason: str) -> Bill:
    """End a bill on which there is no money."""
    if bill.state is BillState.VOIDED:
        return bill
    check_open(bill)
    if bill.paid or bill.undecided is not None:
        raise MoneyOnBill
    return end(work, bill, reason)


def end(work: Work, bill: Bill, reason: str) -> Bill:
    """The bill is over and not settled; its charges are free again."""
    BILLS.check(bill.state, BillState.VOIDED)
    voided = bill.replace(state=BillState.VOIDED, reason=reason)
    work.update(bills, before=bill, after=voided)
    released = lines_on(work, bill.id)
    for line in released:
        free = line.replace(bill=None)
        if line.is_withdrawn:
            accounts.move(work, line, LineState.WRITTEN_OFF, document=bill.id, changes=free)
        else:
            work.update(lines, before=line, after=free)
    work.publish(BillVoided(bill=voided, lines=tuple(map(paid_line, released))))
    return voided


def drugs_of(found: Sequence[AccountLine]) -> tuple[AccountLine, ...]:
    """Lines that the pharmacy must hold before anybody pays."""
    return tuple(line for line in found if line.category is Category.DRUG and line.line is not None)
