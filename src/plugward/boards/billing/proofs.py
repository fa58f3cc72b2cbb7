"""What must hold of all money at every moment, on any deployment."""

from typing import Any

from sqlalchemy import (
    Integer,
    Select,
    SQLColumnExpression,
    and_,
    case,
    func,
    or_,
    select,
    type_coerce,
)

from plugward.kernel import Finding, Reading, proof

from .contract import BillState, Channel, LegState, LineState, ReceiptState
from .rules import LINES, SETTLEMENT, UNDECIDED
from .tables import bills, history, legs, lines, receipts, refunds

BREACHES_MAX = 1_000


def _fen(column: Any) -> SQLColumnExpression[int]:
    """The whole number behind a column of money."""
    return type_coerce(column, Integer)


def _breaches(read: Reading, statement: Select[Any]) -> tuple[str, ...]:
    rows = read.rows(statement.limit(BREACHES_MAX))
    return tuple(" ".join(map(str, row)) for row in rows)


@proof("M1", "每张结算单：合计 + 取整 = 统筹 + 补充 + 患者各笔支付，合计等于各行之和")
def bills_add_up(read: Reading) -> Finding:
    bill = bills.c
    came = and_(legs.c.refund.is_(None), legs.c.state == LegState.PAID)
    own = case((and_(came, legs.c.channel != Channel.FUND), _fen(legs.c.amount)), else_=0)
    fund = case((and_(came, legs.c.channel == Channel.FUND), _fen(legs.c.amount)), else_=0)
    money = (
        select(
            legs.c.bill.label("bill"),
            func.sum(own).label("own"),
            func.sum(fund).label("fund"),
        )
        .group_by(legs.c.bill)
        .subquery()
    )
    items = (
        select(lines.c.bill.label("bill"), func.sum(_fen(lines.c.amount)).label("amount"))
        .group_by(lines.c.bill)
        .subquery()
    )
    total, rounding = _fen(bill.total), _fen(bill.rounding)
    share = _fen(bill.fund) + _fen(bill.supplement)
    wrong = or_(
        total + rounding != share + func.coalesce(money.c.own, 0),
        share != func.coalesce(money.c.fund, 0),
        total != func.coalesce(items.c.amount, 0),
        total != share + _fen(bill.self_pay),
    )
    statement = (
        select(bill.id)
        .outerjoin(money, money.c.bill == bill.id)
        .outerjoin(items, items.c.bill == bill.id)
        .where(bill.state == BillState.SETTLED, wrong)
    )
    split = select(lines.c.id).where(
        _fen(lines.c.amount)
        != _fen(lines.c.fund) + _fen(lines.c.supplement) + _fen(lines.c.self_pay)
    )
    settled = read.count(bills, state=BillState.SETTLED)
    return Finding(settled, _breaches(read, statement) + _breaches(read, split))


@proof("M2", "没有答复的款项都有流水号、经手人，并有进行中的查询流程")
def undecided_money_is_followed(read: Reading) -> Finding:
    saga = read.system.saga.c
    waits = legs.c.state.in_(UNDECIDED)
    alive = select(func.count()).where(saga.state.not_in(("done", "refused"))).scalar_subquery()
    nameless = select(legs.c.id).where(waits, or_(legs.c.serial == "", legs.c.asked_by == ""))
    own = select(saga.id).where(saga.state.not_in(("done", "refused")))
    lost = select(legs.c.id).where(
        waits, legs.c.tries == 0, legs.c.id.not_in(own), legs.c.is_to_reverse.is_(False)
    )
    more = select(func.count(), alive).where(waits)
    undecided, running = tuple(read.rows(more.limit(1))[0])
    found = _breaches(read, nameless) + _breaches(read, lost)
    if undecided > running:
        found += (f"{undecided} undecided legs, {running} sagas",)
    return Finding(int(undecided), found)


@proof("M3", "退费从不超过该项目与该支付笔的可退余额，且原路退回")
def refunds_stay_within_bounds(read: Reading) -> Finding:
    back = legs.alias("back")
    returned = func.coalesce(func.sum(-_fen(back.c.amount)), 0)
    legs_wrong = (
        select(legs.c.id, legs.c.amount, legs.c.refundable)
        .outerjoin(back, back.c.original == legs.c.id)
        .where(legs.c.refund.is_(None), legs.c.state == LegState.PAID)
        .group_by(legs.c.id, legs.c.amount, legs.c.refundable)
        .having(
            or_(
                _fen(legs.c.amount) != _fen(legs.c.refundable) + returned,
                _fen(legs.c.refundable) < 0,
            )
        )
    )
    other_channel = (
        select(back.c.id)
        .join(legs, legs.c.id == back.c.original)
        .where(or_(back.c.channel != legs.c.channel, back.c.bill != legs.c.bill))
    )
    line = lines.c
    lines_wrong = select(line.id).where(
        or_(
            line.refundable < 0,
            line.refunded > line.units,
            and_(
                line.state.in_((LineState.SETTLED, LineState.REFUNDING, LineState.REFUNDED)),
                line.refundable + line.refunded != line.units,
            ),
        )
    )
    moved = func.coalesce(func.sum(_fen(legs.c.amount)), 0)
    owed = (
        _fen(refunds.c.self_pay)
        + _fen(refunds.c.fund)
        + _fen(refunds.c.supplement)
        + _fen(refunds.c.rounding)
    )
    refunds_wrong = (
        select(
            refunds.c.id,
            refunds.c.self_pay,
            refunds.c.fund,
            refunds.c.supplement,
            refunds.c.rounding,
        )
        .outerjoin(legs, legs.c.refund == refunds.c.id)
        .group_by(
            refunds.c.id,
            refunds.c.self_pay,
            refunds.c.fund,
            refunds.c.supplement,
            refunds.c.rounding,
        )
        .having(owed != -moved)
    )
    found = [legs_wrong, other_channel, lines_wrong, refunds_wrong]
    breaches = tuple(b for statement in found for b in _breaches(read, statement))
    return Finding(read.count(refunds), breaches)


@proof("M4", "每条费用只在一种状态，历史只增不改，金额从未变动")
def every_charge_is_in_one_state(read: Reading) -> Finding:
    line, row = lines.c, history.c
    last = and_(row.charge == line.id, row.number == line.moves)
    state_wrong = (
        select(line.id)
        .outerjoin(history, last)
        .where(or_(row.state.is_(None), row.state != line.state))
    )
    amount_wrong = (
        select(line.id)
        .join(history, row.charge == line.id)
        .where(_fen(row.amount) != _fen(line.amount))
    )
    before = history.alias("before")
    follows = and_(before.c.charge == row.charge, before.c.number == row.number - 1)
    allowed = or_(
        *(
            and_(row.was == state, row.state == to)
            for state, moves in LINES.moves.items()
            for to in moves
        )
    )
    chain_wrong = (
        select(row.charge, row.number)
        .outerjoin(before, follows)
        .where(
            row.number > 1,
            or_(before.c.state.is_(None), before.c.state != row.was, ~allowed),
        )
    )
    found = [state_wrong, amount_wrong, chain_wrong]
    breaches = tuple(b for statement in found for b in _breaches(read, statement))
    return Finding(read.count(lines), breaches)


@proof("M5", "票据号在院区与系列内连续不重；每张结算单恰有一张有效票据，每个流水号只有一笔")
def numbers_have_no_gaps(read: Reading) -> Finding:
    row = receipts.c
    gaps = (
        select(row.campus, row.series)
        .group_by(row.campus, row.series)
        .having(or_(func.count() != func.max(row.number), func.min(row.number) != 1))
    )
    valid = and_(row.bill == bills.c.id, row.series == SETTLEMENT, row.state == ReceiptState.VALID)
    without = (
        select(bills.c.id)
        .outerjoin(receipts, valid)
        .where(bills.c.state == BillState.SETTLED)
        .group_by(bills.c.id)
        .having(func.count(row.number) != 1)
    )
    unsettled = (
        select(row.text)
        .join(bills, bills.c.id == row.bill)
        .where(row.series == SETTLEMENT, bills.c.state != BillState.SETTLED)
    )
    doubled = select(legs.c.serial).group_by(legs.c.serial).having(func.count() > 1)
    found = [gaps, without, unsettled, doubled]
    breaches = tuple(b for statement in found for b in _breaches(read, statement))
    return Finding(read.count(receipts), breaches)
