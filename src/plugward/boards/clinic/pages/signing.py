"""Signing with one key, and what it comes to: totals from pricing, never asked while signing."""

from collections.abc import Sequence

from plugward.boards.drug_store.contract import DrugStore
from plugward.boards.orders.contract import LineState, NewLine, OrderGroup, Orders
from plugward.boards.patients.contract import Patient, Patients
from plugward.boards.pricing.contract import Pricing, WantedItem
from plugward.boards.records.contract import NoteVersion, Records
from plugward.kernel import Unavailable
from plugward.kernel.pages import Go, View, Viewer, action, page, view
from plugward.vocabulary import EncounterId, OrderKind

from ..contract import Clinic, NoteText, Signed
from .words import say

WORK = "clinic.work"
QUOTED_MAX = 100


@action("/clinic/visits/{encounter}/sign", title="签名提交", permission=WORK)
async def sign(viewer: Viewer, encounter: EncounterId, text: NoteText, clinic: Clinic) -> Go:
    """Sign the note and the basket together."""
    signed = await clinic.sign(encounter, text)
    return Go(f"/clinic/visits/{encounter}", said=_said(viewer, signed))


def _said(viewer: Viewer, signed: Signed) -> str:
    parts = []
    if signed.note is not None:
        parts.append(say(viewer, "病历已签名", "Note signed"))
    if signed.lines:
        parts.append(say(viewer, f"医嘱 {signed.lines} 条已签名", f"{signed.lines} orders signed"))
    if signed.note_waits:
        parts.append(
            say(viewer, "病历服务离线，病历仍为草稿", "records is offline, the note stays a draft")
        )
    if signed.orders_wait:
        parts.append(
            say(viewer, "医嘱服务离线，处方仍为草稿", "orders is offline, the basket stays a draft")
        )
    return "；".join(parts) if viewer.language == "zh-CN" else "; ".join(parts)


@page("/clinic/visits/{encounter}/total", title="合计", title_en="Total", permission=WORK)
async def total(encounter: EncounterId, viewer: Viewer, orders: Orders, pricing: Pricing) -> View:
    """What this visit's orders come to, signed and in the basket."""
    lines = await _lines(orders, encounter)
    quote = await pricing.quote(_wanted(lines)) if lines else None
    return view("total.html", quote=quote, at=viewer.now)


@page("/clinic/visits/{encounter}/amounts", title="金额", title_en="Amounts", permission=WORK)
async def amounts(encounter: EncounterId, what: str, orders: Orders, pricing: Pricing) -> View:
    """Each line's amount and insurance class, put into the rows that are there already."""
    lines = [
        line
        for line in await _lines(orders, encounter)
        if (line.kind is OrderKind.DRUG) == (what == "drugs")
    ]
    quote = await pricing.quote(_wanted(lines)) if lines else None
    priced = quote.lines if quote else ()
    return view("amounts.html", amounts=[(n.id, q) for n, q in zip(lines, priced, strict=True)])


@page("/clinic/visits/{encounter}/stock", title="库存", title_en="Stock", permission=WORK)
async def stock(
    encounter: EncounterId, clinic: Clinic, orders: Orders, drug_store: DrugStore
) -> View:
    """What this campus's pharmacy has of the drugs in the basket, put into their rows."""
    desk = await clinic.desk(encounter)
    draft = await orders.draft(encounter)
    wanted = [n for n in (draft.lines if draft else ()) if n.kind is OrderKind.DRUG]
    there: dict[str, int] = {}
    if wanted:
        found = await drug_store.stock(desk.campus, tuple({n.item for n in wanted}))
        there = {item.item: item.available for item in found}
    return view("stock.html", wanted=[(n, there.get(n.item, 0)) for n in wanted])


def _wanted(lines: Sequence[NewLine]) -> tuple[WantedItem, ...]:
    # A number being typed may be 0 for a moment: signing refuses it, a price can still be shown.
    return tuple(WantedItem(item=line.item, quantity=max(1, line.quantity)) for line in lines)


async def _lines(orders: Orders, encounter: EncounterId) -> tuple[NewLine, ...]:
    draft = await orders.draft(encounter)
    signed = await _standing(orders, encounter)
    return (*signed, *(draft.lines if draft else ()))[:QUOTED_MAX]


async def _standing(orders: Orders, encounter: EncounterId) -> tuple[NewLine, ...]:
    groups = await orders.for_encounter(encounter)
    return tuple(
        line
        for group in groups
        for line in group.lines
        if line.state not in (LineState.WITHDRAWN, LineState.UNSUPPLIED, LineState.RETURNED)
    )


@page(
    "/clinic/visits/{encounter}/print",
    title="打印",
    title_en="Print",
    permission=WORK,
)
async def printed(
    encounter: EncounterId, clinic: Clinic, patients: Patients, records: Records, orders: Orders
) -> View:
    """The signed note and orders of this visit on one sheet, for the patient's folder."""
    desk = await clinic.desk(encounter)
    notes: tuple[NoteVersion, ...] = ()
    groups: tuple[OrderGroup, ...] = ()
    patient: Patient | None = None
    away = []
    try:
        patient = await patients.get(desk.patient)
    except Unavailable:
        away.append("patients")
    try:
        notes = await records.for_encounter(encounter)
    except Unavailable:
        away.append("records")
    try:
        groups = await orders.for_encounter(encounter)
    except Unavailable:
        away.append("orders")
    return view(
        "print.html",
        desk=desk,
        patient=patient,
        notes=notes,
        groups=groups,
        away=away,
        usages=await _usages(orders),
    )


async def _usages(orders: Orders) -> dict[str, str]:
    try:
        return {usage.usage: usage.name_zh for usage in await orders.usages()}
    except Unavailable:
        return {}
