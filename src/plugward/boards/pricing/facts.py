"""What the data centre learns from pricing: one row a charge, one row a cancellation."""

from datetime import date

from plugward.kernel import Message, fact
from plugward.kit.message import Plain
from plugward.kit.time import hospital_date
from plugward.vocabulary import CampusCode, ChargeId, EncounterId

from .contract import CancelReason, Charge, ChargeCancelled, ChargeCategory, ChargeCreated


class ChargedFact(Message):
    """One charge 一条费用, on the hospital day the fact happened."""

    charge: ChargeId
    campus: CampusCode
    day: date
    encounter: EncounterId
    category: ChargeCategory
    item: Plain
    item_name: Plain
    amount_fen: int
    fund_fen: int
    supplement_fen: int
    self_pay_fen: int


class CancelledFact(Message):
    """One cancelled charge 一条取消的费用, on the hospital day of the fact it cancels."""

    charge: ChargeId
    campus: CampusCode
    day: date
    category: ChargeCategory
    reason: CancelReason
    amount_fen: int


@fact(ChargeCreated, table="pricing_charged", key=("charge",))
def charged(event: ChargeCreated) -> ChargedFact:
    charge = event.charge
    return ChargedFact(
        charge=charge.id,
        campus=charge.campus,
        day=_day(charge),
        encounter=charge.encounter,
        category=charge.category,
        item=charge.item,
        item_name=charge.name_zh,
        amount_fen=charge.amount.fen,
        fund_fen=charge.fund.fen,
        supplement_fen=charge.supplement.fen,
        self_pay_fen=charge.self_pay.fen,
    )


@fact(ChargeCancelled, table="pricing_cancelled", key=("charge",))
def cancelled(event: ChargeCancelled) -> CancelledFact:
    charge = event.charge
    return CancelledFact(
        charge=charge.id,
        campus=charge.campus,
        day=_day(charge),
        category=charge.category,
        reason=event.reason,
        amount_fen=charge.amount.fen,
    )


def _day(charge: Charge) -> date:
    return hospital_date(charge.performed_at)
