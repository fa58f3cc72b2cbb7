"""Money 款项: legs on their way to and from the channels, until each has a definite answer."""

from plugward.kernel import Reading, Work, begin
from plugward.kit.money import ZERO, Money

from ..contract import (
    Asked,
    Bill,
    Channel,
    ChannelNotice,
    ChannelOutcome,
    Leg,
    LegDecided,
    LegId,
    LegNotFound,
    LegState,
    NoticeMismatch,
    Pay,
    PaymentDecided,
    PaymentUndecided,
    PaymentUnknown,
    RefundState,
    WrongChannel,
)
from ..rules import LEGS, UNDECIDED, cash_to_take, channel_to_take, wrong_amount
from ..tables import bills, legs
from . import billing, refunding
from .refunding import LegMove

CHARGE, REFUND, UNDO = "charge", "refund", "undo"
LATE = "渠道迟到的到账，正在冲正"


def leg_of(read: Reading, leg: LegId) -> Leg:
    return read.get(legs, Leg, leg, missing=LegNotFound)


def asked(leg: Leg) -> Asked:
    return Asked(
        leg=leg.id, bill=leg.bill, channel=leg.channel, amount=leg.amount, serial=leg.serial
    )


# ── taking ──────────────────────────────────────────────────────────────────────────────────
def take(work: Work, request: Pay, *, cash_step_fen: int) -> Asked:
    """Take cash, or ask a channel: one undecided leg at a time."""
    earlier = work.get_or_none(legs, Leg, request.id)
    if earlier is not None:
        return asked(earlier)
    bill = billing.bill_of(work, request.bill)
    billing.check_open(bill)
    check_decided(work, bill)
    left = billing.outstanding(bill)
    if request.channel is Channel.FUND:
        raise WrongChannel
    if left <= ZERO:
        raise wrong_amount(request.amount or ZERO, left)
    if request.channel is Channel.CASH:
        amount, rounding = cash_to_take(request.amount, left, cash_step_fen)
        leg = _leg(work, request, bill, amount, LegState.PAID)
        work.insert(legs, leg.replace(refundable=amount, decided_at=work.now))
        after = bill.replace(paid=bill.paid + amount, rounding=rounding)
        _add(work, bill, after, by=leg.asked_by)
        return asked(leg)
    leg = _leg(work, request, bill, channel_to_take(request.amount, left), LegState.ASKED)
    work.insert(legs, leg)
    work.update(bills, before=bill, after=bill.replace(undecided=leg.id))
    begin(work, CHARGE, leg.id, LegMove(leg=leg.id))
    return asked(leg)


def check_decided(read: Reading, bill: Bill) -> None:
    """Nobody is asked twice while the first answer is not known."""
    if bill.undecided is not None:
        leg = leg_of(read, bill.undecided)
        raise PaymentUndecided(amount=str(leg.amount), serial=leg.serial, leg=leg.id)


def _leg(work: Work, request: Pay, bill: Bill, amount: Money, state: LegState) -> Leg:
    return Leg(
        id=request.id,
        bill=bill.id,
        encounter=bill.encounter,
        campus=bill.campus,
        channel=request.channel,
        amount=amount,
        serial=request.id.hex,
        state=state,
        asked_at=work.now,
        asked_by=work.actor.id,
    )


def _add(work: Work, before: Bill, after: Bill, *, by: str) -> None:
    """Write what came in; when it is everything, the bill is settled."""
    work.update(bills, before=before, after=after)
    if billing.is_complete(after):
        billing.settle(work, after, by=by)


# ── answers ─────────────────────────────────────────────────────────────────────────────────
def decide(work: Work, id: LegId, state: LegState, *, channel_no: str = "", note: str = "") -> Leg:
    """The definite answer about a leg. Told twice it changes nothing more."""
    leg = leg_of(work, id)
    if leg.state not in UNDECIDED:
        return _told_again(work, leg, state)
    LEGS.check(leg.state, state)
    decided = leg.replace(
        state=state,
        decided_at=work.now,
        channel_no=channel_no,
        note=note,
        refundable=leg.amount if state is LegState.PAID and leg.refund is None else ZERO,
    )
    work.update(legs, before=leg, after=decided)
    work.publish(PaymentDecided(leg=decided))
    if leg.refund is not None:
        refunding.note_answer(work, decided)
    else:
        _note_answer(work, decided)
    return decided


def _note_answer(work: Work, leg: Leg) -> None:
    bill = billing.bill_of(work, leg.bill)
    if bill.undecided != leg.id:
        return  # money that came late and was undone: the bill has long gone on without it
    if leg.state is LegState.PAID:
        after = bill.replace(paid=bill.paid + leg.amount, undecided=None)
        _add(work, bill, after, by=leg.asked_by)
    else:
        work.update(bills, before=bill, after=bill.replace(undecided=None))


def _told_again(work: Work, leg: Leg, state: LegState) -> Leg:
    """Money that arrives after a definite no is not ours: it is undone, under our eyes."""
    is_late_money = (
        state is LegState.PAID
        and leg.refund is None
        and leg.state in {LegState.DECLINED, LegState.REVERSED}
    )
    if not is_late_money:
        return leg
    LEGS.check(leg.state, LegState.UNKNOWN)
    late = leg.replace(
        state=LegState.UNKNOWN, decided_at=None, note=LATE, is_to_reverse=True, tries=leg.tries + 1
    )
    work.update(legs, before=leg, after=late)
    work.publish(PaymentUnknown(leg=late))
    begin(work, UNDO, work.derive("undo", leg.id, late.tries), LegMove(leg=leg.id))
    return late


def mark_unknown(work: Work, id: LegId, tries: int, note: str) -> Leg:
    """No answer: say so, once, and count."""
    leg = leg_of(work, id)
    if leg.state not in UNDECIDED:
        return leg
    if leg.state is LegState.ASKED:
        LEGS.check(leg.state, LegState.UNKNOWN)
    unknown = leg.replace(state=LegState.UNKNOWN, tries=max(leg.tries, tries), note=note)
    work.update(legs, before=leg, after=unknown)
    if leg.state is LegState.ASKED:
        work.publish(PaymentUnknown(leg=unknown))
    return unknown


def notice(work: Work, told: ChannelNotice) -> Asked:
    """The channel speaks first. It is believed, if it speaks of the same amount."""
    leg = work.first(legs, Leg, serial=told.serial)
    if leg is None:
        raise LegNotFound
    if told.amount.fen != abs(leg.amount.fen):
        raise NoticeMismatch(serial=told.serial, told=str(told.amount))
    state = state_of(told.outcome, is_refund=leg.refund is not None)
    if state is not None:
        decide(work, leg.id, state, channel_no=told.channel_no)
    return asked(leg)


def state_of(outcome: ChannelOutcome, *, is_refund: bool) -> LegState | None:
    """What an answer of the channel means for a leg; None if it decides nothing."""
    if is_refund:
        return {
            ChannelOutcome.REFUNDED: LegState.PAID,
            ChannelOutcome.DECLINED: LegState.DECLINED,
        }.get(outcome)
    return {
        ChannelOutcome.PAID: LegState.PAID,
        ChannelOutcome.DECLINED: LegState.DECLINED,
        ChannelOutcome.REVERSED: LegState.REVERSED,
    }.get(outcome)


# ── people step in ──────────────────────────────────────────────────────────────────────────
def undecided_leg(read: Reading, id: LegId) -> Leg:
    leg = leg_of(read, id)
    if leg.state not in UNDECIDED:
        raise LegDecided(state=leg.state)
    return leg


def ask_again(work: Work, id: LegId) -> Asked:
    """Ask now. A refund the channel declined is asked for anew, under a new serial."""
    leg = leg_of(work, id)
    if leg.state is LegState.DECLINED and leg.refund is not None:
        LEGS.check(leg.state, LegState.ASKED)
        tries = leg.tries + 1
        anew = leg.replace(
            state=LegState.ASKED, tries=tries, serial=f"{leg.id.hex}-{tries}", decided_at=None
        )
        work.update(legs, before=leg, after=anew)
        refunding.move(work, leg.refund, RefundState.REFUNDING)
        begin(work, REFUND, work.derive("again", leg.id, tries), LegMove(leg=leg.id))
        return asked(anew)
    return asked(undecided_leg(work, id))


def reverse(work: Work, id: LegId) -> Asked:
    """A person wants the charge undone: the saga does it, at once."""
    leg = undecided_leg(work, id)
    if leg.refund is not None:
        raise LegDecided(state=leg.state)
    work.update(legs, before=leg, after=leg.replace(is_to_reverse=True))
    return asked(leg)
