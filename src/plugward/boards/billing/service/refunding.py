"""Refunds 退费: the money goes back by the legs it came from, never more than is left."""

from collections.abc import Sequence

from plugward.kernel import Message, Reading, Work, begin
from plugward.kit.ids import derive
from plugward.kit.money import ZERO, Money
from plugward.vocabulary import BillId, ChargeId

from ..contract import (
    AccountLine,
    AlreadyPerformed,
    AskRefund,
    Bill,
    BillState,
    Channel,
    ChargeNotFound,
    Leg,
    LegId,
    LegSpent,
    LegState,
    LineState,
    MoneyOnBill,
    NothingChosen,
    NothingLeft,
    NotSettled,
    Refund,
    RefundDue,
    RefundId,
    RefundLine,
    RefundMade,
    RefundState,
)
from ..rules import (
    RED,
    REFUNDS,
    Shares,
    needs_stopping,
    shares_of,
    spread_refund,
)
from ..tables import dues, legs, lines, refunds
from . import accounts, billing, numbers

REFUNDS_MAX = 100


class LegMove(Message):
    """What the saga of a leg knows: everything else is in the leg."""

    leg: LegId


# ── looking before asking the pharmacy ──────────────────────────────────────────────────────
def plan(read: Reading, request: AskRefund) -> tuple[tuple[AccountLine, int], ...]:
    """The lines of a request with their units, each of them still refundable."""
    bill = billing.bill_of(read, request.bill)
    if bill.state is not BillState.SETTLED:
        raise NotSettled
    wanted: dict[ChargeId, int] = {}
    for part in request.parts:
        if part.units < 1 or part.charge in wanted:
            raise NothingChosen
        wanted[part.charge] = part.units
    if not wanted:
        raise NothingChosen
    own = {line.id: line for line in billing.lines_on(read, bill.id)}
    found = []
    for charge, units in wanted.items():
        line = own.get(charge)
        if line is None:
            raise ChargeNotFound
        _check_left(line, units)
        found.append((line, units))
    return tuple(found)


def _check_left(line: AccountLine, units: int) -> None:
    if units > line.refundable:
        raise NothingLeft(charge=line.id, name=line.name_zh, left=line.refundable, asked=units)
    if line.is_performed and not line.is_withdrawn:
        raise AlreadyPerformed(charge=line.id, name=line.name_zh)


# ── the refund itself ───────────────────────────────────────────────────────────────────────
def make(work: Work, request: AskRefund, *, cash_step_fen: int) -> Refund:
    """Take the units off the lines and the money off the legs, and send it back."""
    earlier = work.get_or_none(refunds, Refund, request.id)
    if earlier is not None:
        return earlier
    bill = billing.bill_of(work, request.bill)
    parts = tuple(_take_units(work, line, units, request.id) for line, units in plan(work, request))
    owed = Money.total(part.self_pay for part in parts)
    is_last = not any(line.refundable for line in billing.lines_on(work, bill.id))
    backs = _backs(work, bill, owed, is_last=is_last, step_fen=cash_step_fen)
    refund = Refund(
        id=request.id,
        bill=bill.id,
        encounter=bill.encounter,
        campus=bill.campus,
        number=_next_number(work, bill),
        state=RefundState.REFUNDING,
        amount=Money.total(part.amount for part in parts),
        fund=Money.total(part.fund for part in parts),
        supplement=Money.total(part.supplement for part in parts),
        self_pay=owed,
        rounding=Money.total(back for _, back in backs) - owed,
        lines=parts,
        reason=request.reason,
        asked_by=work.actor.id,
        asked_at=work.now,
    )
    work.insert(refunds, refund)
    _send_back(work, refund, backs)
    return _finish(work, refund)


def void_and_return(work: Work, bill: Bill, reason: str) -> Bill:
    """A bill that was begun to be paid is given up: what came in goes back the way it came."""
    billing.check_open(bill)
    if bill.undecided is not None:
        raise MoneyOnBill
    backs = _backs(work, bill, bill.paid, is_last=True, step_fen=1)
    refund = Refund(
        id=RefundId(work.derive("void", bill.id)),
        bill=bill.id,
        encounter=bill.encounter,
        campus=bill.campus,
        number=_next_number(work, bill),
        state=RefundState.REFUNDING,
        amount=bill.paid,
        fund=ZERO,
        supplement=ZERO,
        self_pay=bill.paid,
        rounding=ZERO,
        lines=(),
        reason=reason,
        asked_by=work.actor.id,
        asked_at=work.now,
    )
    work.insert(refunds, refund)
    _send_back(work, refund, backs)
    voided = billing.end(work, bill, reason)
    _finish(work, refund)
    return voided


def _next_number(work: Work, bill: Bill) -> str:
    return f"{bill.campus}-T{work.next_number(f'refund:{bill.campus}'):08d}"


def _take_units(work: Work, line: AccountLine, units: int, refund: RefundId) -> RefundLine:
    shares: Shares = shares_of(line, units)
    stopped = needs_stopping(line, units) if billing.drugs_of((line,)) else 0
    after = line.replace(
        refundable=line.refundable - units,
        refunded=line.refunded + units,
        freed=line.freed - min(line.freed, units),
        given_up=line.given_up + stopped,
    )
    if line.state is LineState.SETTLED:
        accounts.move(work, line, LineState.REFUNDING, document=refund, changes=after)
    else:  # another refund of it is on its way already
        work.update(lines, before=line, after=after)
    _pay_dues(work, line.id, units)
    return RefundLine(
        charge=line.id,
        line=line.line,
        category=line.category,
        item=line.item,
        units=units,
        amount=shares.amount,
        fund=shares.fund,
        supplement=shares.supplement,
        self_pay=shares.self_pay,
    )


def _pay_dues(work: Work, charge: ChargeId, units: int) -> None:
    """What was owed for this charge is being paid, the oldest first."""
    open_dues = work.find(
        dues, RefundDue, dues.c.left > 0, limit=REFUNDS_MAX, order_by="since", charge=charge
    )
    for due in open_dues:
        paid = min(units, due.left)
        if paid:
            work.update(dues, before=due, after=due.replace(left=due.left - paid))
            units -= paid


def _backs(
    work: Work, bill: Bill, owed: Money, *, is_last: bool, step_fen: int
) -> list[tuple[Leg, Money]]:
    taken = [
        leg
        for leg in billing.legs_of(work, bill.id)
        if leg.state is LegState.PAID and leg.refund is None and leg.channel is not Channel.FUND
    ]
    return spread_refund(owed, taken, is_last=is_last, step_fen=step_fen)


def _send_back(work: Work, refund: Refund, backs: Sequence[tuple[Leg, Money]]) -> None:
    """One leg back for each leg it came by. Cash is in the patient's hand, channels are asked."""
    for leg, back in backs:
        is_cash = leg.channel is Channel.CASH
        _back(work, refund, leg, back, LegState.PAID if is_cash else LegState.ASKED)
    share = refund.fund + refund.supplement
    if share:
        fund = work.get(legs, Leg, derive(refund.bill, "fund"))
        _back(work, refund, fund, share, LegState.PAID)


def _back(work: Work, refund: Refund, leg: Leg, amount: Money, state: LegState) -> None:
    work.take(legs, leg.id, "refundable", amount.fen, refuse=LegSpent)
    id = LegId(derive(refund.id, "back", leg.id))
    back = Leg(
        id=id,
        bill=refund.bill,
        encounter=refund.encounter,
        campus=refund.campus,
        channel=leg.channel,
        amount=-amount,
        serial=id.hex,
        state=state,
        asked_at=work.now,
        asked_by=work.actor.id,
        refund=refund.id,
        original=leg.id,
        decided_at=work.now if state is LegState.PAID else None,
        note=leg.note if leg.channel is Channel.FUND else "",
    )
    work.insert(legs, back)
    if state is LegState.ASKED:
        begin(work, "refund", id, LegMove(leg=id))


def note_answer(work: Work, leg: Leg) -> None:
    """The channel has answered about a leg back."""
    assert leg.refund is not None
    refund = refund_of(work, leg.refund)
    if leg.state is LegState.PAID:
        _finish(work, refund)
    elif refund.state is RefundState.REFUNDING:
        move(work, refund.id, RefundState.STUCK)


def _finish(work: Work, refund: Refund) -> Refund:
    """When every leg is back, so is the refund."""
    back = work.find(legs, Leg, limit=REFUNDS_MAX, refund=refund.id)
    if any(leg.state is not LegState.PAID for leg in back):
        return refund
    REFUNDS.check(refund.state, RefundState.DONE)
    done = refund.replace(state=RefundState.DONE, done_at=work.now)
    work.update(refunds, before=refund, after=done)
    bill = billing.bill_of(work, refund.bill)
    if refund.lines:
        total = Money.total(leg.amount for leg in back)
        numbers.issue(work, bill, RED, total, by=refund.asked_by, refund=refund.id)
    others = _lines_in_other_refunds(work, done)
    for part in refund.lines:
        line = accounts.charge_of(work, part.charge)
        if line.id not in others:
            to = LineState.SETTLED if line.refundable else LineState.REFUNDED
            accounts.move(work, line, to, document=refund.id)
    work.publish(RefundMade(refund=done, legs=back))
    return done


def _lines_in_other_refunds(work: Work, refund: Refund) -> set[ChargeId]:
    on_their_way = work.find(
        refunds,
        Refund,
        refunds.c.state != RefundState.DONE,
        limit=REFUNDS_MAX,
        bill=refund.bill,
    )
    return {part.charge for other in on_their_way for part in other.lines}


def move(work: Work, id: RefundId, to: RefundState) -> None:
    refund = refund_of(work, id)
    REFUNDS.check(refund.state, to)
    work.update(refunds, before=refund, after=refund.replace(state=to))


def refund_of(read: Reading, id: RefundId) -> Refund:
    return read.get(refunds, Refund, id)


def of_bill(read: Reading, bill: BillId) -> tuple[Refund, ...]:
    return read.find(refunds, Refund, limit=REFUNDS_MAX, order_by="asked_at", bill=bill)
