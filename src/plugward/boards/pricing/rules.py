"""The rules of pricing: pure functions, no database, no clock."""

from decimal import Decimal
from uuid import UUID

from plugward.commons.masterdata.contract import Domain, Entry, InsuranceShare
from plugward.kernel import Lifecycle, Message
from plugward.kit.ids import derive
from plugward.kit.message import Plain
from plugward.kit.money import ZERO, Money, UnitPrice
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, ChargeId, ChargeRequest, InsuranceClass

from .contract import (
    Charge,
    ChargeCategory,
    ChargeState,
    Quote,
    QuotedLine,
    UnpricedFact,
    WantedItem,
)

QUOTED_ITEMS_MAX = 100

LIFECYCLE = Lifecycle(
    {
        ChargeState.PENDING: {ChargeState.CANCELLED},
        ChargeState.CANCELLED: {ChargeState.PENDING},  # only when what was cancelled stands again
    }
)

_CATEGORIES = {
    Domain.DRUG: ChargeCategory.DRUG,
    Domain.LAB_ITEM: ChargeCategory.LAB,
    Domain.LAB_PANEL: ChargeCategory.LAB,
    Domain.EXAM_ITEM: ChargeCategory.EXAM,
    Domain.TREATMENT: ChargeCategory.TREATMENT,
    Domain.CONSUMABLE: ChargeCategory.CONSUMABLE,
    Domain.REGISTRATION_FEE: ChargeCategory.REGISTRATION,
    Domain.CHARGE_ITEM: ChargeCategory.OTHER,
}


class PriceVersion(Message):
    """Our copy of one catalogue version of an item that costs money."""

    item: Plain
    version: int
    category: ChargeCategory
    name_zh: Plain
    name_en: Plain
    unit: Plain
    price: UnitPrice
    insurance: InsuranceShare | None
    valid_from: Instant
    valid_to: Instant | None
    is_retired: bool


class Split(Message):
    """Who pays what of one amount. The three parts are the amount."""

    fund: Money
    supplement: Money
    self_pay: Money


def version_of(entry: Entry) -> PriceVersion | None:
    """The price a catalogue entry states, if its domain costs money."""
    category = _CATEGORIES.get(entry.domain)
    if category is None or entry.price is None:
        return None
    return PriceVersion(
        item=entry.code,
        version=entry.version,
        category=category,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        unit=entry.unit,
        price=entry.price,
        insurance=entry.insurance,
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        is_retired=entry.is_retired,
    )


def split(amount: Money, quantity: Decimal, share: InsuranceShare | None) -> Split:
    """Split an amount once. The rest after the fund and the supplement is the patient's."""
    if share is None:
        return Split(fund=ZERO, supplement=ZERO, self_pay=amount)
    ratio = (1 - share.self_ratio) * share.fund_ratio
    fund = UnitPrice(yuan=Decimal(amount.fen) / 100).extend(ratio)
    left = amount - fund
    supplement = min(left, share.supplement * int(quantity))
    return Split(fund=fund, supplement=supplement, self_pay=left - supplement)


def charge_id(request: ChargeRequest, event: UUID, index: int) -> ChargeId:
    """The id that follows from the order line, or from the event and its place in it.

    One line asks once for one item, however often and in however many facts it is told.
    """
    if request.line is not None:
        return ChargeId(derive(request.line, "charge", request.item))
    return ChargeId(derive(event, "charge", request.item, index))


def fact_to_price(request: ChargeRequest, id: ChargeId, campus: CampusCode) -> UnpricedFact:
    """What a request says happened. That something happened less than once is our bug."""
    assert request.quantity > 0
    return UnpricedFact(
        id=id,
        campus=campus,
        encounter=request.encounter,
        line=request.line,
        item=request.item,
        quantity=Decimal(request.quantity),
        performed_at=request.performed_at,
    )


def priced(fact: UnpricedFact, version: PriceVersion, now: Instant) -> Charge:
    """The charge of a fact at a price."""
    amount = version.price.extend(fact.quantity)
    parts = split(amount, fact.quantity, version.insurance)
    assert parts.fund + parts.supplement + parts.self_pay == amount
    return Charge(
        id=fact.id,
        campus=fact.campus,
        encounter=fact.encounter,
        line=fact.line,
        category=version.category,
        item=fact.item,
        name_zh=version.name_zh,
        name_en=version.name_en,
        unit=version.unit,
        quantity=fact.quantity,
        unit_price=version.price,
        price_version=version.version,
        amount=amount,
        insurance_class=_class_of(version),
        self_ratio=_self_ratio(version),
        fund=parts.fund,
        supplement=parts.supplement,
        self_pay=parts.self_pay,
        state=ChargeState.PENDING,
        performed_at=fact.performed_at,
        priced_at=now,
    )


def fact_of(charge: Charge, id: ChargeId) -> UnpricedFact:
    """The fact behind a charge, to be priced again under another id."""
    return UnpricedFact(
        id=id,
        campus=charge.campus,
        encounter=charge.encounter,
        line=charge.line,
        item=charge.item,
        quantity=charge.quantity,
        performed_at=charge.performed_at,
    )


def quoted(wanted: WantedItem, version: PriceVersion | None) -> QuotedLine:
    """What one wanted item would cost."""
    quantity = Decimal(wanted.quantity)
    if version is None:
        return QuotedLine(item=wanted.item, quantity=quantity, is_priced=False)
    amount = version.price.extend(quantity)
    parts = split(amount, quantity, version.insurance)
    return QuotedLine(
        item=wanted.item,
        quantity=quantity,
        is_priced=True,
        name_zh=version.name_zh,
        unit=version.unit,
        unit_price=version.price,
        price_version=version.version,
        amount=amount,
        insurance_class=_class_of(version),
        self_ratio=_self_ratio(version),
        fund=parts.fund,
        supplement=parts.supplement,
        self_pay=parts.self_pay,
    )


def quote_of(lines: tuple[QuotedLine, ...], at: Instant) -> Quote:
    """The lines and their sums."""
    total = Money.total(line.amount for line in lines)
    self_pay = Money.total(line.self_pay for line in lines)
    return Quote(
        at=at,
        lines=lines,
        total=total,
        insurance=total - self_pay,
        self_pay=self_pay,
        is_complete=all(line.is_priced for line in lines),
    )


def _class_of(version: PriceVersion) -> InsuranceClass:
    return version.insurance.insurance_class if version.insurance else InsuranceClass.C


def _self_ratio(version: PriceVersion) -> Decimal:
    return version.insurance.self_ratio if version.insurance else Decimal(1)
