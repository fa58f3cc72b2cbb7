"""The day's end 日结: money without a definite answer, the closing, and the cashier at home."""

from plugward.kernel import Plain
from plugward.kernel.pages import (
    Go,
    Home,
    Key,
    Place,
    Stat,
    TodoItem,
    View,
    Viewer,
    action,
    home,
    page,
    view,
)
from plugward.kit.money import ZERO, Money
from plugward.vocabulary import CampusCode

from ..contract import (
    Billing,
    Channel,
    CloseId,
    LegId,
)
from .counter import COUNTER, WAITING_MAX
from .refunds import REFUNDS

LIST_MAX = 50


# ── unresolved money ────────────────────────────────────────────────────────────────────────
@page(
    "/billing/unresolved",
    title="未决款项",
    title_en="Unresolved payments",
    permission="billing.resolve",
    place=Place.RAIL,
    icon="circle-help",
    order=220,
    keys=(Key("F9", "查询第一笔", "Ask about the first", "#ask-first"),),
)
async def unresolved(viewer: Viewer, billing: Billing) -> View:
    """Every payment without an answer: whose, since when, under which serial."""
    legs = await billing.unresolved(CampusCode(viewer.campus), LIST_MAX)
    return view("unresolved.html", legs=legs, total=Money.total(leg.amount for leg in legs))


@action("/billing/ask", title="立即查询", permission="billing.resolve")
async def ask(viewer: Viewer, leg: LegId, back: Plain, billing: Billing) -> Go:
    await billing.ask_again(leg)
    return Go(_back(back), said=viewer.say("已向渠道查询", "The channel was asked"))


@action("/billing/reverse", title="冲正", permission="billing.resolve")
async def reverse(viewer: Viewer, leg: LegId, back: Plain, billing: Billing) -> Go:
    await billing.reverse(leg)
    return Go(_back(back), said=viewer.say("已请求冲正", "Reversal requested"))


def _back(path: str) -> str:
    """Only to a page of this board."""
    return path if path.startswith("/billing/") else COUNTER


# ── the day ─────────────────────────────────────────────────────────────────────────────────
@page(
    "/billing/day",
    title="收款日结",
    title_en="Closing the day",
    permission="billing.settle",
    place=Place.RAIL,
    icon="receipt-text",
    order=230,
    keys=(Key("F9", "日结", "Close", "#close-day"),),
)
async def day(viewer: Viewer, billing: Billing) -> View:
    """What this cashier took and gave back since the last closing."""
    return view("day.html", close=await billing.day_so_far(CampusCode(viewer.campus)))


@action("/billing/close", title="日结", permission="billing.settle")
async def close_day(close: CloseId, viewer: Viewer, billing: Billing) -> Go:
    closed = await billing.close_day(close, CampusCode(viewer.campus))
    return Go(
        "/billing/day",
        said=viewer.say(
            f"日结单 {closed.number}，应交现金 {closed.cash_due}",
            f"Closing {closed.number}, cash to hand in {closed.cash_due}",
        ),
    )


@home("billing.settle")
async def billing_home(viewer: Viewer, billing: Billing) -> Home:
    """The cashier's tile: today's money, and what waits for a person."""
    campus = CampusCode(viewer.campus)
    close = await billing.day_so_far(campus)
    count = sum(line.taken_count for line in close.lines if line.channel is not Channel.FUND)
    taken = Money.total(line.taken for line in close.lines if line.channel is not Channel.FUND)
    legs = await billing.unresolved(campus, LIST_MAX)
    dues = await billing.refunds_due(campus, LIST_MAX)
    todos = [
        TodoItem(
            title=viewer.say(f"渠道未决 {leg.amount}", f"Unresolved payment {leg.amount}"),
            detail=viewer.say(
                f"流水 {leg.serial[:8]}，已查询 {leg.tries} 次",
                f"serial {leg.serial[:8]}, asked {leg.tries} times",
            ),
            link="/billing/unresolved",
            action=viewer.say("查看", "Open"),
            urgent=True,
            due=leg.asked_at,
        )
        for leg in legs[:5]
    ]
    if dues:
        todos.append(
            TodoItem(
                title=viewer.say(f"应退 {len(dues)} 笔", f"{len(dues)} refunds owed"),
                detail=dues[0].name_zh,
                link=REFUNDS,
                action=viewer.say("查看", "Open"),
            )
        )
    waiting = len(await billing.waiting(campus, WAITING_MAX))
    many = f"{waiting}+" if waiting == WAITING_MAX else str(waiting)
    say = viewer.say
    return Home(
        tile=say(f"待缴 {many} 人", f"{many} wait to pay"),
        tone="warn" if legs else "",
        stats=(
            Stat(say("待缴费", "Waiting to pay"), many, say("人", "people")),
            Stat(
                say("本班收款", "Taken this shift"),
                str(taken if close.lines else ZERO),
                say("元", "yuan"),
                say(f"{count} 笔", f"{count} payments"),
            ),
            Stat(
                say("渠道未决", "Unresolved"),
                str(len(legs)),
                say("笔", "payments"),
                tone="warn" if legs else "ok",
            ),
            Stat(
                say("应退", "Refunds owed"),
                str(len(dues)),
                say("笔", "payments"),
                tone="warn" if dues else "ok",
            ),
        ),
        todos=tuple(todos),
        badge=len(legs) + len(dues),
    )
