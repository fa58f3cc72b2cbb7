"""Receipts 票据 and closings 日结: numbers without gaps, and what stands behind them."""

from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, case, func, select, type_coerce

from plugward.kernel import Reading, Work
from plugward.kit.money import ZERO, Money
from plugward.vocabulary import BillId, CampusCode

from ..contract import (
    Bill,
    Channel,
    CloseId,
    CloseLine,
    DayClose,
    DayClosed,
    Leg,
    LegState,
    NothingToClose,
    Receipt,
    ReceiptNotFound,
    ReceiptState,
    RefundId,
)
from ..rules import SETTLEMENT, UNDECIDED
from ..tables import closes, legs, receipts


def issue(
    work: Work,
    bill: Bill,
    series: str,
    amount: Money,
    *,
    by: str,
    refund: RefundId | None = None,
) -> Receipt:
    """The next number of the campus's series, given in the transaction that uses it."""
    number = work.next_number(f"receipt:{bill.campus}:{series}")
    receipt = Receipt(
        campus=bill.campus,
        series=series,
        number=number,
        text=f"{bill.campus}-{series}{number:08d}",
        bill=bill.id,
        encounter=bill.encounter,
        amount=amount,
        state=ReceiptState.VALID,
        issued_at=work.now,
        issued_by=by,
        refund=refund,
    )
    work.insert(receipts, receipt)
    return receipt


def replace(work: Work, bill: Bill, reason: str) -> Receipt:
    """A spoilt receipt keeps its number, marked void; the next number takes its place."""
    spoilt = work.first(
        receipts, Receipt, bill=bill.id, series=SETTLEMENT, state=ReceiptState.VALID
    )
    if spoilt is None:
        raise ReceiptNotFound
    fresh = issue(work, bill, SETTLEMENT, spoilt.amount, by=work.actor.id)
    voided = spoilt.replace(state=ReceiptState.VOIDED, reason=reason, replaced_by=fresh.text)
    work.update(receipts, before=spoilt, after=voided)
    return fresh


def of_bill(read: Reading, bill: BillId) -> tuple[Receipt, ...]:
    return read.find(receipts, Receipt, limit=50, order_by="issued_at", bill=bill)


# ── the cashier's day ───────────────────────────────────────────────────────────────────────
def so_far(read: Reading, campus: CampusCode) -> DayClose:
    """What the caller took and gave back since the last closing."""
    own = (legs.c.asked_by == read.actor.id, legs.c.campus == campus, legs.c.closed_in.is_(None))
    summed = _sums(read, *own, legs.c.state == LegState.PAID)
    open_legs = read.count(legs, *own, legs.c.state.in_(UNDECIDED))
    return _close(read, CloseId(UUID(int=0)), campus, summed, open_legs)


def close(work: Work, id: CloseId, campus: CampusCode) -> DayClose:
    """Stamp the legs, then add up what bears the stamp: each leg is in one closing."""
    earlier = work.get_or_none(closes, DayClose, id)
    if earlier is not None:
        return earlier
    own = (legs.c.asked_by == work.actor.id, legs.c.campus == campus, legs.c.closed_in.is_(None))
    stamped = work.set_where(legs, *own, legs.c.state == LegState.PAID, closed_in=id)
    if not stamped:
        raise NothingToClose
    summed = _sums(work, legs.c.closed_in == id)
    made = _close(work, id, campus, summed, work.count(legs, *own, legs.c.state.in_(UNDECIDED)))
    number = work.next_number(f"close:{campus}")
    numbered = made.replace(number=f"{campus}-RJ{number:06d}")
    work.insert(closes, numbered)
    work.publish(DayClosed(close=numbered))
    return numbered


def _close(
    read: Reading,
    id: CloseId,
    campus: CampusCode,
    summed: tuple[CloseLine, ...],
    undecided: int,
) -> DayClose:
    cash = next((line for line in summed if line.channel is Channel.CASH), None)
    return DayClose(
        id=id,
        campus=campus,
        number="",
        cashier=read.actor.id,
        closed_at=read.now,
        lines=summed,
        cash_due=cash.taken - cash.returned if cash else ZERO,
        undecided=undecided,
    )


def _sums(read: Reading, *where: ColumnElement[bool]) -> tuple[CloseLine, ...]:
    amount = func.abs(type_coerce(legs.c.amount, BigInteger))
    came, went = legs.c.refund.is_(None), legs.c.refund.is_not(None)
    statement = (
        select(
            legs.c.channel,
            func.sum(case((came, amount), else_=0)),
            func.sum(case((came, 1), else_=0)),
            func.sum(case((went, amount), else_=0)),
            func.sum(case((went, 1), else_=0)),
        )
        .where(*where, *read.visible(legs))
        .group_by(legs.c.channel)
        .order_by(legs.c.channel)
        .limit(len(Channel))
    )
    return tuple(
        CloseLine(
            channel=channel,
            taken=Money(fen=int(taken)),
            taken_count=int(taken_count),
            returned=Money(fen=int(returned)),
            returned_count=int(returned_count),
        )
        for channel, taken, taken_count, returned, returned_count in map(
            tuple, read.rows(statement)
        )
    )


def undecided_legs(read: Reading, campus: CampusCode, limit: int) -> tuple[Leg, ...]:
    """What has no definite answer, and refunds the channel would not carry out."""
    stuck = (legs.c.state == LegState.DECLINED) & legs.c.refund.is_not(None)
    waits = legs.c.state.in_(UNDECIDED) | stuck
    return read.find(legs, Leg, waits, limit=limit, order_by="asked_at", campus=campus)
