"""Pricing 物价: what a fact costs, at the price that was in force when it happened.

Clinical boards say that something was ordered or done and ask for it to be charged; they never
know a price. Pricing turns each request into one charge 费用明细, at the catalogue version in
force at that instant, and splits it once between fund and patient. A charge never changes: a
withdrawn order cancels it, and that too is a fact. What was or was not paid is billing's 收费.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from plugward.kernel import Event, Invalid, Message, NotFound, command, contract, query
from plugward.kit.message import Plain
from plugward.kit.money import Money, UnitPrice
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, ChargeId, EncounterId, InsuranceClass


class ChargeCategory(StrEnum):
    """费用类别, from the catalogue the item stands in."""

    DRUG = "drug"  # 药品
    LAB = "lab"  # 检验
    EXAM = "exam"  # 检查
    TREATMENT = "treatment"  # 治疗
    CONSUMABLE = "consumable"  # 耗材
    REGISTRATION = "registration"  # 挂号诊查
    OTHER = "other"  # 其他


class ChargeState(StrEnum):
    PENDING = "pending"  # 待结算
    CANCELLED = "cancelled"  # 已取消


class CancelReason(StrEnum):
    ORDER_WITHDRAWN = "order-withdrawn"  # 医嘱撤回
    APPOINTMENT_CANCELLED = "appointment-cancelled"  # 退号
    PRICE_CORRECTED = "price-corrected"  # 价格版本迟到，按应有版本重计


class Charge(Message):
    """One priced fact. ``amount = fund + supplement + self_pay``, split once, never recomputed.

    ``line`` is the order line or appointment it comes from. The insurance share is simulated.
    """

    id: ChargeId
    campus: CampusCode
    encounter: EncounterId
    line: UUID | None
    category: ChargeCategory
    item: Plain
    name_zh: Plain
    name_en: Plain
    unit: Plain
    quantity: Decimal
    unit_price: UnitPrice
    price_version: int
    amount: Money
    insurance_class: InsuranceClass
    self_ratio: Decimal
    fund: Money
    supplement: Money
    self_pay: Money
    state: ChargeState
    performed_at: Instant
    priced_at: Instant


class ChargeCreated(Event, tag="pricing.charge.created.v1", key="charge.encounter"):
    """A fact was priced and waits to be settled."""

    charge: Charge


class ChargeCancelled(Event, tag="pricing.charge.cancelled.v1", key="charge.encounter"):
    """What was charged is withdrawn. What that means for money already paid is billing's."""

    charge: Charge
    reason: CancelReason


class ChargeReinstated(Event, tag="pricing.charge.reinstated.v1", key="charge.encounter"):
    """A cancelled appointment stands again (its money came late), and so does its charge."""

    charge: Charge


class WantedItem(Message):
    """An item somebody thinks of ordering."""

    item: Plain
    quantity: int | Decimal


class QuotedLine(Message):
    """What one wanted item would cost. ``is_priced`` is false while no price is in force."""

    item: Plain
    quantity: Decimal
    is_priced: bool
    name_zh: Plain = ""
    unit: Plain = ""
    unit_price: UnitPrice | None = None
    price_version: int = 0
    amount: Money = Money(fen=0)
    insurance_class: InsuranceClass = InsuranceClass.C
    self_ratio: Decimal = Decimal(1)
    fund: Money = Money(fen=0)
    supplement: Money = Money(fen=0)
    self_pay: Money = Money(fen=0)


class Quote(Message):
    """What a basket would cost at an instant, line by line. The insurance share is simulated."""

    at: Instant
    lines: tuple[QuotedLine, ...]
    total: Money
    insurance: Money  # fund and supplement
    self_pay: Money
    is_complete: bool  # every line is priced


class UnpricedFact(Message):
    """A fact that waits for a price: its item was not in force when it happened."""

    id: ChargeId
    campus: CampusCode
    encounter: EncounterId
    line: UUID | None
    item: Plain
    quantity: Decimal
    performed_at: Instant


class ChargeNotFound(NotFound):
    """没有这条费用。"""


class QuantityNotPositive(Invalid):
    """项目 {item} 的数量必须大于零。"""

    item: Plain


class TooManyItems(Invalid):
    """一次最多报价 {items_max} 项。"""

    items_max: int


@contract("pricing")
class Pricing(Protocol):
    """Prices of facts and of wishes."""

    @query(permission="pricing.read", audited=False)
    async def quote(self, items: tuple[WantedItem, ...], at: Instant | None = None) -> Quote:
        """What these items would cost at an instant (now, if none is given), at most 100. Refuses
        with ``QuantityNotPositive`` or ``TooManyItems``."""
        ...

    @query(permission="pricing.read")
    async def for_encounter(self, encounter: EncounterId) -> tuple[Charge, ...]:
        """The encounter's charges, cancelled ones too, oldest first, at most 500."""
        ...

    @query(permission="pricing.read")
    async def charge(self, id: ChargeId) -> Charge:
        """One charge. Refuses with ``ChargeNotFound``."""
        ...

    @query(permission="pricing.read")
    async def unpriced(self, limit: int = 50) -> tuple[UnpricedFact, ...]:
        """Facts that wait for a price, the oldest first: work for the price office."""
        ...

    @command(permission="pricing.price")
    async def price_waiting(self, item: Plain, version: int) -> tuple[Charge, ...]:
        """Price the facts that wait for this item, at a version the price office names, because
        none was in force when they happened. Refuses with ``ChargeNotFound`` if there is no such
        version."""
        ...
