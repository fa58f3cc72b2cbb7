"""What the data centre learns from billing: what was settled, by which channel, what went back."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from plugward.kernel import Message, Plain, fact
from plugward.kit.money import Money
from plugward.kit.time import Instant, hospital_date
from plugward.vocabulary import BillId, CampusCode, ChargeId, EncounterId

from .contract import BillSettled, Category, Channel, Leg, LegState, RefundMade


class SettledLine(Message):
    """One settled charge 结算明细."""

    charge: ChargeId
    bill: BillId
    day: date
    campus: CampusCode
    encounter: EncounterId
    category: Category
    item: Plain
    quantity: Decimal
    amount: Money
    settled_by: Plain
    settled_at: Instant


class MoneyMoved(Message):
    """One leg of money 收退款明细: positive in, negative out."""

    leg: UUID
    bill: BillId
    day: date
    campus: CampusCode
    encounter: EncounterId
    channel: Channel
    amount: Money
    by: Plain
    at: Instant


class RefundedLine(Message):
    """What went back of one charge 退费明细."""

    refund: UUID
    charge: ChargeId
    bill: BillId
    day: date
    campus: CampusCode
    encounter: EncounterId
    category: Category
    item: Plain
    units: int
    amount: Money
    at: Instant


@fact(BillSettled, table="billing_settled_lines", key=("charge", "bill"))
def settled_line(event: BillSettled) -> tuple[SettledLine, ...]:
    bill = event.bill
    at = bill.settled_at or bill.opened_at
    return tuple(
        SettledLine(
            charge=line.charge,
            bill=bill.id,
            day=hospital_date(at),
            campus=bill.campus,
            encounter=bill.encounter,
            category=line.category,
            item=line.item,
            quantity=line.quantity,
            amount=line.amount,
            settled_by=bill.settled_by,
            settled_at=at,
        )
        for line in event.lines
    )


@fact(BillSettled, table="billing_money", key=("leg",))
def settled_leg(event: BillSettled) -> tuple[MoneyMoved, ...]:
    return tuple(map(_moved, (leg for leg in event.legs if leg.state is LegState.PAID)))


@fact(RefundMade, table="billing_money", key=("leg",))
def refunded_leg(event: RefundMade) -> tuple[MoneyMoved, ...]:
    return tuple(map(_moved, event.legs))


@fact(RefundMade, table="billing_refunded_lines", key=("refund", "charge"))
def refunded_line(event: RefundMade) -> tuple[RefundedLine, ...]:
    refund = event.refund
    at = refund.done_at or refund.asked_at
    return tuple(
        RefundedLine(
            refund=refund.id,
            charge=line.charge,
            bill=refund.bill,
            day=hospital_date(at),
            campus=refund.campus,
            encounter=refund.encounter,
            category=line.category,
            item=line.item,
            units=line.units,
            amount=line.amount,
            at=at,
        )
        for line in refund.lines
    )


def _moved(leg: Leg) -> MoneyMoved:
    at = leg.decided_at or leg.asked_at
    return MoneyMoved(
        leg=leg.id,
        bill=leg.bill,
        day=hospital_date(at),
        campus=leg.campus,
        encounter=leg.encounter,
        channel=leg.channel,
        amount=leg.amount,
        by=leg.asked_by,
        at=at,
    )
