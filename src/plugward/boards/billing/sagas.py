"""The processes that reach the payment channel: asked once, followed until there is an answer.

No answer is not a no. A charge that got none is asked about by its serial; when that stays without
result, it is reversed, so that within minutes it has either happened or never did.
"""

from plugward.kernel import Outside, Saga, Settings, Then, Turn, Unavailable, done, unknown

from .contract import (
    ChannelAction,
    ChannelAnswer,
    ChannelOutcome,
    ChannelRequest,
    Leg,
    LegState,
)
from .rules import UNDECIDED
from .service import BillingService
from .service.money import state_of
from .service.refunding import LegMove

CHANNEL = "payment-channel"
TOLD = "told meanwhile"
FIRST_QUERY_S = 5.0
QUERY_MAX_S = 30.0
PAYER_S = 3.0
LOST_AFTER_S = 20.0  # a serial the channel does not know after this never reached it

CHARGE = Saga("charge", LegMove)
REFUND = Saga("refund", LegMove)
UNDO = Saga("undo", LegMove)


# ── taking ──────────────────────────────────────────────────────────────────────────────────
@CHARGE.step
async def ask(turn: Turn, billing: BillingService, outside: Outside) -> Then:
    """Ask for the money: once. Whoever comes here a second time asks what became of it."""
    if turn.tries or turn.given is None:
        return done("query", "resumed")
    leg = await billing.leg(turn.data.leg)
    if leg.state not in UNDECIDED:
        return done(note=TOLD)
    request = _request(leg, ChannelAction.CHARGE, code=turn.given.code)
    answer = await _send(outside, request)
    if answer is None:
        return await _no_answer(billing, leg, turn)
    return await _decided(billing, leg, answer) or _wait(answer, PAYER_S)


@CHARGE.step
async def query(turn: Turn, billing: BillingService, outside: Outside, settings: Settings) -> Then:
    """Ask by the serial what became of it; when that takes too long, have it undone."""
    leg = await billing.leg(turn.data.leg)
    if leg.state not in UNDECIDED:
        return done(note=TOLD)
    answer = await _send(outside, _request(leg, ChannelAction.QUERY))
    if answer is not None and (then := await _decided(billing, leg, answer)):
        return then
    is_late = turn.age_s >= settings["reverse_after_seconds"] or leg.is_to_reverse
    if is_late or _is_lost(answer, turn):
        return done("reverse", "no definite answer")
    if answer is None:
        return await _no_answer(billing, leg, turn)
    return _wait(answer, PAYER_S)


@CHARGE.step
async def reverse(turn: Turn, billing: BillingService, outside: Outside) -> Then:
    """Have it undone: afterwards it has never happened, or it turns out to be paid."""
    return await _reversed(turn, billing, outside, again="query")


@UNDO.step
async def undo(turn: Turn, billing: BillingService, outside: Outside) -> Then:
    """Money came after a definite no: it goes back where it came from."""
    return await _reversed(turn, billing, outside, again="undo")


async def _reversed(turn: Turn, billing: BillingService, outside: Outside, *, again: str) -> Then:
    leg = await billing.leg(turn.data.leg)
    if leg.state not in UNDECIDED:
        return done(note=TOLD)
    answer = await _send(outside, _request(leg, ChannelAction.REVERSE))
    if answer is None:
        return await _no_answer(billing, leg, turn, next=again)
    if answer.outcome is ChannelOutcome.NOT_FOUND:
        await billing.decide(leg.id, LegState.REVERSED, "", "渠道没有这笔流水")
        return done()
    return await _decided(billing, leg, answer) or unknown(
        answer.outcome.value, again_s=QUERY_MAX_S, next=again
    )


# ── giving back ─────────────────────────────────────────────────────────────────────────────
@REFUND.step
async def ask_refund(turn: Turn, billing: BillingService, outside: Outside) -> Then:
    """Ask the channel to pay back, under a serial of its own: asked twice is asked once."""
    leg = await billing.leg(turn.data.leg)
    if leg.state not in UNDECIDED or leg.original is None:
        return done(note=TOLD)
    original = await billing.leg(leg.original)
    request = _request(leg, ChannelAction.REFUND, original=original.serial)
    answer = await _send(outside, request)
    if answer is None:
        return await _no_answer(billing, leg, turn, next="query_refund")
    return await _decided(billing, leg, answer) or unknown(
        answer.outcome.value, again_s=PAYER_S, next="query_refund"
    )


@REFUND.step
async def query_refund(turn: Turn, billing: BillingService, outside: Outside) -> Then:
    """Ask by the serial; what never reached the channel is asked for again."""
    leg = await billing.leg(turn.data.leg)
    if leg.state not in UNDECIDED:
        return done(note=TOLD)
    answer = await _send(outside, _request(leg, ChannelAction.QUERY))
    if answer is None:
        return await _no_answer(billing, leg, turn, next="query_refund")
    if answer.outcome is ChannelOutcome.NOT_FOUND:
        return done("ask_refund", "never arrived")
    return await _decided(billing, leg, answer) or _wait(answer, QUERY_MAX_S, "query_refund")


# ── the wire ────────────────────────────────────────────────────────────────────────────────
def _request(
    leg: Leg, action: ChannelAction, *, code: str = "", original: str = ""
) -> ChannelRequest:
    amount = leg.amount if leg.refund is None else -leg.amount
    return ChannelRequest(
        action=action,
        serial=leg.serial,
        channel=leg.channel,
        amount=amount,
        code=code,
        original=original,
    )


async def _send(outside: Outside, request: ChannelRequest) -> ChannelAnswer | None:
    try:
        return await outside.send(CHANNEL, request, ChannelAnswer)
    except Unavailable:
        return None


async def _decided(billing: BillingService, leg: Leg, answer: ChannelAnswer) -> Then | None:
    state = state_of(answer.outcome, is_refund=leg.refund is not None)
    if state is None:
        return None
    await billing.decide(leg.id, state, answer.channel_no, answer.note)
    return done(note=answer.outcome.value)


async def _no_answer(billing: BillingService, leg: Leg, turn: Turn, *, next: str = "query") -> Then:
    await billing.mark_unknown(leg.id, leg.tries + 1, "渠道未应答")
    wait_s = min(FIRST_QUERY_S * 2 ** min(turn.tries, 5), QUERY_MAX_S)
    return unknown("no answer", again_s=wait_s, next=next)


def _wait(answer: ChannelAnswer, seconds: float, next: str = "query") -> Then:
    return unknown(answer.outcome.value, again_s=seconds, next=next)


def _is_lost(answer: ChannelAnswer | None, turn: Turn) -> bool:
    """The channel answers, and has never heard of it."""
    return (
        answer is not None
        and answer.outcome is ChannelOutcome.NOT_FOUND
        and turn.age_s >= LOST_AFTER_S
    )
