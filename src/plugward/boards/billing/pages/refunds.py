"""Refunds 退费: what is owed back, and giving it back."""

from plugward.kernel import Message, Plain
from plugward.kernel.pages import (
    Go,
    Key,
    Place,
    View,
    Viewer,
    action,
    page,
    view,
)
from plugward.vocabulary import BillId, CampusCode, ChargeId, EncounterId

from ..contract import (
    AskRefund,
    Billing,
    RefundId,
    RefundPart,
)

REFUNDS = "/billing/refunds"
LIST_MAX = 50


class RefundForm(Message):
    """One row a line: which charge, and how many units (0 leaves it)."""

    refund: RefundId
    bill: BillId
    charge: tuple[ChargeId, ...]
    units: tuple[int, ...]
    reason: Plain


# ── refunds ─────────────────────────────────────────────────────────────────────────────────
@page(
    REFUNDS,
    title="退费",
    title_en="Refunds",
    permission="billing.refund",
    place=Place.RAIL,
    icon="rotate-ccw",
    order=210,
    keys=(
        Key("F2", "票据号 / 账单", "Bill", "#who"),
        Key("F9", "确认退费", "Refund", "#refund-now"),
    ),
)
async def refunds(
    viewer: Viewer,
    billing: Billing,
    bill: BillId | None = None,
    encounter: EncounterId | None = None,
) -> View:
    """What is owed on the left; the chosen bill with what can still go back."""
    dues = await billing.refunds_due(CampusCode(viewer.campus), LIST_MAX)
    account = await billing.account(encounter) if encounter is not None else None
    return view(
        "refunds.html",
        dues=dues,
        account=account,
        sheet=await billing.bill(bill) if bill is not None else None,
        made=await billing.refunds(bill) if bill is not None else (),
        owed={due.charge: due.left for due in dues if due.bill == bill},
    )


@action("/billing/refund", title="退费", permission="billing.refund")
async def refund(viewer: Viewer, form: RefundForm, billing: Billing) -> Go:
    parts = tuple(
        RefundPart(charge=charge, units=units)
        for charge, units in zip(form.charge, form.units, strict=False)
        if units
    )
    made = await billing.refund(
        AskRefund(id=form.refund, bill=form.bill, parts=parts, reason=form.reason)
    )
    return Go(
        f"{REFUNDS}?bill={form.bill}",
        said=viewer.say(
            f"退费单 {made.number}，金额 {made.amount}", f"Refund {made.number}, {made.amount}"
        ),
    )
