"""What pricing does: learn prices, price facts, cancel what is withdrawn, quote."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, bindparam, exists, or_, select

from plugward.kernel import Message, Moment, Reading, Store, Work, in_work, reading
from plugward.kit.ids import derive
from plugward.kit.time import Instant
from plugward.vocabulary import CampusCode, ChargeId, ChargeRequest, EncounterId

from .contract import (
    CancelReason,
    Charge,
    ChargeCancelled,
    ChargeCreated,
    ChargeNotFound,
    ChargeReinstated,
    ChargeState,
    Pricing,
    QuantityNotPositive,
    Quote,
    TooManyItems,
    UnpricedFact,
    WantedItem,
)
from .rules import (
    LIFECYCLE,
    QUOTED_ITEMS_MAX,
    PriceVersion,
    charge_id,
    fact_of,
    fact_to_price,
    priced,
    quote_of,
    quoted,
)
from .tables import charges, price_versions, waiting, withdrawn

CHARGES_MAX = 500
BATCH_MAX = 200


class WithdrawnLine(Message):
    """An order line or appointment that is not to be charged any more."""

    line: UUID
    campus: CampusCode
    reason: CancelReason


class ChargeKey(Message):
    """Only the id of a charge or of a waiting fact."""

    id: ChargeId


class PricingService(Pricing):
    def __init__(self, store: Store) -> None:
        self.store = store

    # ── asking ──────────────────────────────────────────────────────────────────────────────
    @reading
    def quote(
        self, read: Reading, items: tuple[WantedItem, ...], at: Instant | None = None
    ) -> Quote:
        if len(items) > QUOTED_ITEMS_MAX:
            raise TooManyItems(items_max=QUOTED_ITEMS_MAX)
        for wanted in items:
            if wanted.quantity <= 0:
                raise QuantityNotPositive(item=wanted.item)
        instant = at or read.now
        prices = _prices_at(read, {wanted.item for wanted in items}, instant)
        lines = tuple(quoted(wanted, prices.get(wanted.item)) for wanted in items)
        return quote_of(lines, instant)

    @reading
    def for_encounter(self, read: Reading, encounter: EncounterId) -> tuple[Charge, ...]:
        return read.find(
            charges, Charge, limit=CHARGES_MAX, order_by="priced_at", encounter=encounter
        )

    @reading
    def charge(self, read: Reading, id: ChargeId) -> Charge:
        return read.get(charges, Charge, id, missing=ChargeNotFound)

    @reading
    def unpriced(self, read: Reading, limit: int = 50) -> tuple[UnpricedFact, ...]:
        return read.find(
            waiting, UnpricedFact, limit=max(1, min(limit, CHARGES_MAX)), order_by="performed_at"
        )

    @in_work
    def price_waiting(self, work: Work, item: str, version: int) -> tuple[Charge, ...]:
        price = work.get(price_versions, PriceVersion, (item, version), missing=ChargeNotFound)
        facts = work.find(
            waiting, UnpricedFact, limit=CHARGES_MAX, order_by="performed_at", item=item
        )
        return tuple(self._charge_waiting(work, fact, price) for fact in facts)

    # ── hearing ─────────────────────────────────────────────────────────────────────────────
    @in_work
    def price_facts(self, work: Work, event: UUID, requests: tuple[ChargeRequest, ...]) -> None:
        """Turn what happened into charges, once each; what has no price yet waits."""
        campus = CampusCode(work.campus)
        facts: dict[ChargeId, UnpricedFact] = {}
        for index, request in enumerate(requests):
            id = charge_id(request, event, index)
            facts[id] = fact_to_price(request, id, campus)
        fresh = _not_dealt_with(work, facts)
        prices = {
            instant: _prices_at(work, {fact.item for fact in fresh}, instant)
            for instant in {fact.performed_at for fact in fresh}
        }
        known = [(fact, prices[fact.performed_at].get(fact.item)) for fact in fresh]
        made = tuple(priced(fact, price, work.now) for fact, price in known if price is not None)
        work.insert(charges, *made)
        work.insert(waiting, *(fact for fact, price in known if price is None))
        for charge in made:
            work.publish(ChargeCreated(charge=charge))

    @in_work
    def learn_price(self, work: Work, version: PriceVersion) -> None:
        """Keep a copy of a version; price what waited for it, correct what it came too late for."""
        if not work.insert_new(price_versions, version):
            return
        waited = work.find(waiting, UnpricedFact, limit=BATCH_MAX, item=version.item)
        while waited:
            done = [self._price_waiting_fact(work, fact) for fact in waited]
            waited = (
                work.find(waiting, UnpricedFact, limit=BATCH_MAX, item=version.item)
                if any(done)
                else ()
            )
        for charge in _priced_too_low_a_version(work, version):
            self._correct(work, charge)

    @in_work
    def withdraw(self, work: Work, line: UUID, reason: CancelReason) -> None:
        """Cancel whatever the line was charged with, now or later."""
        if not work.insert_new(
            withdrawn,
            WithdrawnLine(line=line, campus=CampusCode(work.campus), reason=reason),
            withdrawn_at=work.now,
        ):
            return
        work.delete_where(waiting, waiting.c.line == line)
        for charge in work.find(
            charges, Charge, limit=CHARGES_MAX, line=line, state=ChargeState.PENDING
        ):
            self._cancel(work, charge, reason)

    @in_work
    def reinstate(self, work: Work, line: UUID) -> None:
        """What was withdrawn stands again, and so do its charges."""
        if not work.delete_where(withdrawn, withdrawn.c.line == line):
            return
        for charge in work.find(
            charges, Charge, limit=CHARGES_MAX, line=line, state=ChargeState.CANCELLED
        ):
            stands = self._move(work, charge, ChargeState.PENDING)
            work.publish(ChargeReinstated(charge=stands))

    # ── steps ───────────────────────────────────────────────────────────────────────────────
    def _price_waiting_fact(self, work: Work, fact: UnpricedFact) -> bool:
        price = _prices_at(work, {fact.item}, fact.performed_at).get(fact.item)
        if price is None:
            return False
        self._charge_waiting(work, fact, price)
        return True

    def _charge_waiting(self, work: Work, fact: UnpricedFact, price: PriceVersion) -> Charge:
        work.delete_where(waiting, waiting.c.id == fact.id)
        return self._charge(work, fact, price)

    def _charge(self, work: Work, fact: UnpricedFact, price: PriceVersion) -> Charge:
        charge = priced(fact, price, work.now)
        work.insert(charges, charge)
        work.publish(ChargeCreated(charge=charge))
        return charge

    def _correct(self, work: Work, charge: Charge) -> None:
        """The version in force came late: cancel, and charge again at what should have been."""
        price = _prices_at(work, {charge.item}, charge.performed_at).get(charge.item)
        if price is None or price.version == charge.price_version:
            return
        self._cancel(work, charge, CancelReason.PRICE_CORRECTED)
        again = ChargeId(derive(charge.id, "corrected", price.version))
        self._charge(work, fact_of(charge, again), price)

    def _cancel(self, work: Work, charge: Charge, reason: CancelReason) -> None:
        cancelled = self._move(work, charge, ChargeState.CANCELLED)
        work.publish(ChargeCancelled(charge=cancelled, reason=reason))

    def _move(self, work: Work, charge: Charge, to: ChargeState) -> Charge:
        LIFECYCLE.check(charge.state, to)
        moved = charge.replace(state=to)
        work.update(charges, before=charge, after=moved)
        return moved


def _prices_at(read: Reading, items: Iterable[str], instant: Instant) -> dict[str, PriceVersion]:
    """The versions in force at an instant: the highest that has begun, unless it has ended."""
    wanted = sorted(items)
    if not wanted:
        return {}
    found = read.kept(_IN_FORCE, PriceVersion, items=wanted, instant=instant, limit=len(wanted))
    return {version.item: version for version in found}


def _in_force() -> Select[Any]:
    instant, own = bindparam("instant", type_=Moment()), price_versions.c
    later = price_versions.alias("later")
    superseded = exists().where(
        later.c.item == own.item, later.c.version > own.version, later.c.valid_from <= instant
    )
    return (
        select(*(own[name] for name in PriceVersion.__struct_fields__))
        .where(
            own.item.in_(bindparam("items", expanding=True)),
            own.valid_from <= instant,
            own.is_retired.is_(False),
            or_(own.valid_to.is_(None), own.valid_to > instant),
            ~superseded,
        )
        .limit(bindparam("limit", type_=Integer))
    )


_IN_FORCE = _in_force()


def _not_dealt_with(read: Reading, facts: dict[ChargeId, UnpricedFact]) -> list[UnpricedFact]:
    """Without those charged or waiting already, or withdrawn before they became known."""
    ids, lines = tuple(facts), tuple(f.line for f in facts.values() if f.line is not None)
    many = max(len(ids), 1)
    known = {c.id for c in read.find(charges, ChargeKey, limit=many, id=ids)}
    known |= {w.id for w in read.find(waiting, ChargeKey, limit=many, id=ids)}
    gone = {w.line for w in read.find(withdrawn, WithdrawnLine, limit=many, line=lines)}
    return [f for f in facts.values() if f.id not in known and f.line not in gone]


def _priced_too_low_a_version(read: Reading, version: PriceVersion) -> tuple[Charge, ...]:
    """Charges of facts that happened under this version, priced before it was known here."""
    return read.find(
        charges,
        Charge,
        charges.c.performed_at >= version.valid_from,
        charges.c.price_version < version.version,
        limit=CHARGES_MAX,
        item=version.item,
        state=ChargeState.PENDING,
    )
