"""What must hold of charges on any deployment: pricing's part of M4 and M5."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import func, select

from plugward.kernel import Finding, Reading, proof
from plugward.kit.money import UnitPrice

from .contract import Charge, ChargeState
from .rules import PriceVersion
from .tables import charges, price_versions, waiting, withdrawn

PAGE = 1_000
BREACHES_MAX = 50


@proof("M4", "费用明细只处于一种状态，金额等于价格版本 × 数量，且基金 + 补充 + 自付 = 金额")
def every_charge_is_its_price_times_its_quantity(read: Reading) -> Finding:
    """Nobody edits an amount: each still follows from the price version it names."""
    examined = 0
    breaches: list[str] = []
    prices: dict[tuple[str, int], UnitPrice | None] = {}
    for charge in _all(read):
        examined += 1
        key = (charge.item, charge.price_version)
        if key not in prices:
            version = read.get_or_none(price_versions, PriceVersion, key)
            prices[key] = version.price if version else None
        if not _adds_up(charge, prices[key]) and len(breaches) < BREACHES_MAX:
            breaches.append(str(charge.id))
    return Finding(examined=examined, breaches=tuple(breaches))


def _adds_up(charge: Charge, price: UnitPrice | None) -> bool:
    return (
        price == charge.unit_price
        and charge.unit_price.extend(charge.quantity) == charge.amount
        and charge.fund + charge.supplement + charge.self_pay == charge.amount
        and min(charge.fund.fen, charge.supplement.fen, charge.self_pay.fen) >= 0
    )


def _all(read: Reading) -> Iterator[Charge]:
    after = UUID(int=0)
    while found := read.find(charges, Charge, charges.c.id > after, limit=PAGE, order_by="id"):
        yield from found
        after = found[-1].id


@proof("M5", "同一医嘱行的同一项目只有一条待结算费用；已撤回的行没有待结算费用")
def a_fact_is_charged_once(read: Reading) -> Finding:
    """However often it is told. A withdrawn line has no charge left, nor waits for one."""
    pending = charges.c.state == ChargeState.PENDING
    twice = (
        select(charges.c.line)
        .where(pending, charges.c.line.is_not(None))
        .group_by(charges.c.line, charges.c.item)
        .having(func.count() > 1)
    )
    withdrawn_lines = select(withdrawn.c.line)
    checks = (
        twice,
        select(charges.c.line).where(pending, charges.c.line.in_(withdrawn_lines)),
        select(waiting.c.id).where(waiting.c.id.in_(select(charges.c.id))),
        select(waiting.c.line).where(waiting.c.line.in_(withdrawn_lines)),
    )
    breaches = [str(row[0]) for check in checks for row in read.rows(check.limit(BREACHES_MAX))]
    return Finding(examined=read.count(charges), breaches=tuple(breaches))
