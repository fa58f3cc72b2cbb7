"""The pricing other boards' tests plug in: prices in memory, and charges made to measure."""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from plugward.kit.ids import new_id
from plugward.kit.money import UnitPrice
from plugward.kit.time import Instant, hospital_time
from plugward.vocabulary import CampusCode, ChargeId, EncounterId

from .contract import (
    Charge,
    ChargeCategory,
    ChargeNotFound,
    Pricing,
    QuantityNotPositive,
    Quote,
    TooManyItems,
    UnpricedFact,
    WantedItem,
)
from .rules import QUOTED_ITEMS_MAX, PriceVersion, priced, quote_of, quoted

MONDAY_MORNING = hospital_time("2026-03-02 08:00")
LONG_AGO = hospital_time("2020-01-01 00:00")


def a_price(
    item: str,
    yuan: str,
    *,
    category: ChargeCategory = ChargeCategory.DRUG,
    name_zh: str = "",
    unit: str = "次",
) -> PriceVersion:
    """A price in force since long ago, without insurance: the patient pays all."""
    return PriceVersion(
        item=item,
        version=1,
        category=category,
        name_zh=name_zh or item,
        name_en=item,
        unit=unit,
        price=UnitPrice(yuan=Decimal(yuan)),
        insurance=None,
        valid_from=LONG_AGO,
        valid_to=None,
        is_retired=False,
    )


def a_charge(
    encounter: EncounterId,
    price: PriceVersion,
    *,
    quantity: int = 1,
    line: UUID | None = None,
    campus: str = "C1",
) -> Charge:
    """A pending charge as pricing would publish it."""
    fact = UnpricedFact(
        id=ChargeId(new_id()),
        campus=CampusCode(campus),
        encounter=encounter,
        line=line,
        item=price.item,
        quantity=Decimal(quantity),
        performed_at=MONDAY_MORNING,
    )
    return priced(fact, price, MONDAY_MORNING)


class FakePricing(Pricing):
    """Prices by item; charges are what a test puts there."""

    def __init__(self, *prices: PriceVersion, at: Instant = MONDAY_MORNING) -> None:
        self.prices: Mapping[str, PriceVersion] = {price.item: price for price in prices}
        self.charges: dict[ChargeId, Charge] = {}
        self.at = at

    async def quote(self, items: tuple[WantedItem, ...], at: Instant | None = None) -> Quote:
        if len(items) > QUOTED_ITEMS_MAX:
            raise TooManyItems(items_max=QUOTED_ITEMS_MAX)
        for wanted in items:
            if wanted.quantity <= 0:
                raise QuantityNotPositive(item=wanted.item)
        lines = tuple(quoted(wanted, self.prices.get(wanted.item)) for wanted in items)
        return quote_of(lines, at or self.at)

    async def for_encounter(self, encounter: EncounterId) -> tuple[Charge, ...]:
        return tuple(c for c in self.charges.values() if c.encounter == encounter)

    async def charge(self, id: ChargeId) -> Charge:
        if id not in self.charges:
            raise ChargeNotFound
        return self.charges[id]

    async def unpriced(self, limit: int = 50) -> tuple[UnpricedFact, ...]:
        del limit
        return ()

    async def price_waiting(self, item: str, version: int) -> tuple[Charge, ...]:
        del item, version
        raise ChargeNotFound
