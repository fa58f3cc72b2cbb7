"""The rules of taking money and giving it back: pure functions, no database, no clock."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from plugward.kernel import Lifecycle
from plugward.kit.money import ZERO, Money

from .contract import (
    AccountLine,
    BillState,
    CashStep,
    Channel,
    Leg,
    LegSpent,
    LegState,
    LineState,
    RefundState,
    WrongAmount,
)

LINES = Lifecycle(
    {
        LineState.PENDING: {LineState.SETTLED, LineState.WRITTEN_OFF},
        LineState.SETTLED: {LineState.REFUNDING},
        LineState.REFUNDING: {LineState.SETTLED, LineState.REFUNDED},
        LineState.REFUNDED: set(),
        LineState.WRITTEN_OFF: {LineState.PENDING},  # an appointment that was reinstated
    }
)

BILLS = Lifecycle(
    {
        BillState.OPEN: {BillState.SETTLED, BillState.VOIDED},
        BillState.SETTLED: set(),
        BillState.VOIDED: set(),
    }
)

LEGS = Lifecycle(
    {
        LegState.ASKED: {
            LegState.UNKNOWN,
            LegState.PAID,
            LegState.DECLINED,
            LegState.REVERSED,
        },
        LegState.UNKNOWN: {LegState.PAID, LegState.DECLINED, LegState.REVERSED},
        LegState.PAID: set(),
        # Money that comes after a definite no is undone; a refund that was declined is asked anew.
        LegState.DECLINED: {LegState.UNKNOWN, LegState.ASKED},
        LegState.REVERSED: {LegState.UNKNOWN},
    }
)

REFUNDS = Lifecycle(
    {
        RefundState.REFUNDING: {RefundState.STUCK, RefundState.DONE},
        RefundState.STUCK: {RefundState.REFUNDING, RefundState.DONE},
        RefundState.DONE: set(),
    }
)

UNDECIDED = (LegState.ASKED, LegState.UNKNOWN)
SETTLEMENT, RED = "S", "R"
CHARGES_MAX = 200


def units_of(quantity: Decimal) -> int:
    """In how many equal parts a charge can be refunded: whole quantities piece by piece, others
    (half an hour, 1.5 doses) as a whole."""
    whole = quantity == quantity.to_integral_value() and quantity >= 1
    return int(quantity) if whole else 1


def round_cash(amount: Money, step_fen: int) -> Money:
    """Half up to the smallest coin."""
    return Money(fen=(amount.fen + step_fen // 2) // step_fen * step_fen)


def cash_to_take(wanted: Money | None, outstanding: Money, step_fen: int) -> tuple[Money, Money]:
    """How much cash is taken, and the rounding: only what ends a bill is rounded."""
    if wanted is None or wanted == outstanding:
        taken = round_cash(outstanding, step_fen)
        return taken, taken - outstanding
    if not ZERO < wanted < outstanding:
        raise wrong_amount(wanted, outstanding)
    if wanted.fen % step_fen:
        raise CashStep(step_fen=step_fen)
    return wanted, ZERO


def channel_to_take(wanted: Money | None, outstanding: Money) -> Money:
    taken = outstanding if wanted is None else wanted
    if not ZERO < taken <= outstanding:
        raise wrong_amount(taken, outstanding)
    return taken


def wrong_amount(amount: Money, outstanding: Money) -> WrongAmount:
    return WrongAmount(amount=str(amount), outstanding=str(outstanding))


class Shares(NamedTuple):
    """What belongs to some units of a charge."""

    fund: Money
    supplement: Money
    self_pay: Money

    @property
    def amount(self) -> Money:
        return self.fund + self.supplement + self.self_pay


def shares_of(line: AccountLine, units: int) -> Shares:
    """The shares of the next ``units`` to go back. All parts together are the whole, to the fen."""
    return Shares(
        *(
            _part(whole, line.units, line.refunded, units)
            for whole in (line.fund, line.supplement, line.self_pay)
        )
    )


def _part(whole: Money, units: int, before: int, count: int) -> Money:
    def up_to(number: int) -> int:
        return (2 * whole.fen * number + units) // (2 * units)

    return Money(fen=up_to(before + count) - up_to(before))


def spread_refund(
    owed: Money, taken: Sequence[Leg], *, is_last: bool, step_fen: int
) -> list[tuple[Leg, Money]]:
    """By which legs ``owed`` goes back: channels first, the latest first, then cash in coins.

    The last refund of a bill gives back what is left of every leg, so that nothing stays behind
    of what cash was rounded to.
    """
    if is_last:
        return [(leg, leg.refundable) for leg in taken if leg.refundable]
    parts = []
    left = owed
    in_order = sorted(
        taken, key=lambda leg: (leg.channel is Channel.CASH, -leg.asked_at.timestamp())
    )
    for leg in in_order:
        wanted = round_cash(left, step_fen) if leg.channel is Channel.CASH else left
        back = min(wanted, leg.refundable)
        if back > ZERO:
            parts.append((leg, back))
            left = left - back
    if left.fen > step_fen:
        raise LegSpent
    return parts


def needs_stopping(line: AccountLine, units: int) -> int:
    """How many units of a drug must be stopped at the pharmacy before their money goes back:
    those that neither came back nor were reported as not to be had."""
    return max(0, units - line.freed)
