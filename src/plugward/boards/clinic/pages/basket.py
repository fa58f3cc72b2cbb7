"""The basket: drugs and tests as they are chosen, changed by hand, repeated, taken back."""

from typing import Any
from uuid import UUID

from plugward.boards.orders.contract import (
    Draft,
    LineState,
    NewLine,
    OrderableItem,
    OrderLine,
    Orders,
    SaveDraft,
    WithdrawReason,
)
from plugward.kernel import Message, Plain
from plugward.kernel.pages import View, Viewer, action, page, view
from plugward.vocabulary import EncounterId, OrderGroupId, OrderKind, OrderLineId

from ..contract import Clinic
from ..rules import (
    LineChange,
    repeated,
    times_of,
    usual_line,
    with_change,
    with_line,
)

WORK = "clinic.work"
DRUGS = (OrderKind.DRUG,)
TESTS = (OrderKind.LAB, OrderKind.EXAM, OrderKind.TREATMENT)
HITS = 8
_UNNAMED = OrderLineId(UUID(int=0))  # a proposal; the form gives the line its id


class TestWish(Message):
    """A test as it was typed or clicked."""

    id: OrderLineId
    text: Plain = ""
    item: Plain = ""


class Row(Message):
    """A line on the screen: still in the basket, or signed."""

    line: NewLine
    item: OrderableItem | None  # as it stands today; absent when it can no longer be ordered
    name_zh: str
    name_en: str
    spec: str
    unit: str
    state: LineState | None = None  # None: a draft


# ── the two tables ───────────────────────────────────────────────────────────────────────────
@page("/clinic/visits/{encounter}/drugs", title="处方", title_en="Prescription", permission=WORK)
async def drugs(encounter: EncounterId, orders: Orders) -> View:
    """The drugs of this visit: signed ones, then those in the basket."""
    return await _table(encounter, orders, DRUGS)


@page("/clinic/visits/{encounter}/tests", title="检验检查", title_en="Orders", permission=WORK)
async def tests(encounter: EncounterId, orders: Orders) -> View:
    """Laboratory, examinations and treatments of this visit."""
    return await _table(encounter, orders, TESTS)


async def _table(
    encounter: EncounterId, orders: Orders, kinds: tuple[OrderKind, ...], **more: Any
) -> View:
    draft = await orders.draft(encounter)
    groups = await orders.for_encounter(encounter)
    lines = draft.lines if draft else ()
    known = {(i.kind, i.item): i for i in await orders.items(tuple({n.item for n in lines}))}
    signed = [_signed_row(line) for group in groups for line in group.lines]
    rows = [*signed, *(_draft_row(line, known.get((line.kind, line.item))) for line in lines)]
    return view(
        "drugs.html" if kinds is DRUGS else "tests.html",
        encounter=encounter,
        rows=[row for row in rows if row.line.kind in kinds],
        usages=await orders.usages(),
        **({"entry": "", "missing": ""} | more),
    )


def _signed_row(line: OrderLine) -> Row:
    return Row(
        line=line,
        item=None,
        name_zh=line.name_zh,
        name_en=line.name_en,
        spec=line.spec,
        unit=line.unit,
        state=line.state,
    )


def _draft_row(line: NewLine, item: OrderableItem | None) -> Row:
    return Row(
        line=line,
        item=item,
        name_zh=item.name_zh if item else line.item,
        name_en=item.name_en if item else line.item,
        spec=item.spec if item else "",
        unit=item.unit if item else "",
    )


# ── choosing ─────────────────────────────────────────────────────────────────────────────────
@page("/clinic/items", title="项目检索", title_en="Item search", permission=WORK)
async def item_hits(encounter: EncounterId, what: str, orders: Orders, text: str = "") -> View:
    """What could be meant, while it is being typed."""
    hits = await orders.search(text, DRUGS if what == "drugs" else TESTS, HITS)
    return view("item_hits.html", encounter=encounter, what=what, hits=hits)


@page("/clinic/visits/{encounter}/pick", title="选药", title_en="Pick", permission=WORK)
async def pick(
    encounter: EncounterId, orders: Orders, text: str = "", item: str = "", new: str = ""
) -> View:
    """The first Enter: the likeliest drug with its usual dosage, ready to be confirmed."""
    if new:
        return view("drug_entry.html", encounter=encounter, missing="", focus=True)
    found = await _chosen(orders, text, item, DRUGS)
    if found is None:
        return view("drug_entry.html", encounter=encounter, missing=text, focus=True)
    usages = await orders.usages()
    line = usual_line(_UNNAMED, found, times_of(usages))
    return view("pick.html", encounter=encounter, item=found, line=line, usages=usages)


async def _chosen(
    orders: Orders, text: str, item: str, kinds: tuple[OrderKind, ...]
) -> OrderableItem | None:
    """The item that was clicked, or the likeliest one for what was typed."""
    if item:
        return next((i for i in await orders.items((item,)) if i.kind in kinds), None)
    hits = await orders.search(text, kinds, 1)
    return hits[0] if hits else None


@action("/clinic/visits/{encounter}/drugs/add", title="加入处方", permission=WORK)
async def add_drug(encounter: EncounterId, new: NewLine, clinic: Clinic, orders: Orders) -> View:
    """The second Enter: into the basket."""
    await _save(encounter, clinic, orders, with_line(await _lines(encounter, orders), new))
    return await _table(encounter, orders, DRUGS, entry="drug_entry.html")


@action("/clinic/visits/{encounter}/tests/add", title="加入检验检查", permission=WORK)
async def add_test(encounter: EncounterId, wish: TestWish, clinic: Clinic, orders: Orders) -> View:
    """One Enter: the likeliest test into the basket."""
    found = await _chosen(orders, wish.text, wish.item, TESTS)
    if found is None:
        missing = wish.text or wish.item
        return await _table(encounter, orders, TESTS, entry="test_entry.html", missing=missing)
    new = usual_line(wish.id, found, {})
    await _save(encounter, clinic, orders, with_line(await _lines(encounter, orders), new))
    return await _table(encounter, orders, TESTS, entry="test_entry.html")


# ── changing ─────────────────────────────────────────────────────────────────────────────────
@action("/clinic/visits/{encounter}/change", title="修改", permission=WORK)
async def change_line(
    encounter: EncounterId, change: LineChange, clinic: Clinic, orders: Orders
) -> View:
    """A number or a frequency was changed by hand."""
    lines = await _lines(encounter, orders)
    line = next((line for line in lines if line.id == change.line), None)
    if line is None:
        return await _table(encounter, orders, DRUGS)
    items = await orders.items((line.item,))
    times = times_of(await orders.usages())
    item = next((found for found in items if found.kind is line.kind), None)
    await _save(encounter, clinic, orders, with_change(lines, change, item, times))
    return await _table(encounter, orders, _kinds_of(line))


@action("/clinic/visits/{encounter}/remove", title="移除", permission=WORK)
async def remove_line(
    encounter: EncounterId, line: OrderLineId, what: str, clinic: Clinic, orders: Orders
) -> View:
    """Out of the basket."""
    lines = await _lines(encounter, orders)
    kept = tuple(there for there in lines if there.id != line)
    await _save(encounter, clinic, orders, kept)
    return await _table(encounter, orders, DRUGS if what == "drugs" else TESTS)


@action("/clinic/visits/{encounter}/withdraw", title="撤回医嘱", permission=WORK)
async def withdraw_line(
    encounter: EncounterId, line: OrderLineId, reason: WithdrawReason, orders: Orders
) -> View:
    """Take back a signed line that is not carried out."""
    withdrawn = await orders.withdraw(line, reason)
    return await _table(encounter, orders, _kinds_of(withdrawn))


# ── repeating ────────────────────────────────────────────────────────────────────────────────
@page("/clinic/visits/{encounter}/repeat", title="续上次方", title_en="Repeat", permission=WORK)
async def offer_repeat(
    viewer: Viewer, encounter: EncounterId, clinic: Clinic, orders: Orders
) -> View:
    """The last prescription, the doctor's own or the department's, to be confirmed by Enter."""
    desk = await clinic.desk(encounter)
    person = await clinic.person(encounter)
    group = await orders.last_prescription(person, viewer.actor_id, desk.department)
    known: set[str] = set()
    if group is not None:
        known = {item.item for item in await orders.items(tuple(n.item for n in group.lines))}
    return view("repeat.html", encounter=encounter, group=group, orderable=known)


@action("/clinic/visits/{encounter}/repeat", title="续上次方", permission=WORK)
async def repeat(
    encounter: EncounterId, act: UUID, group: OrderGroupId, clinic: Clinic, orders: Orders
) -> View:
    """The earlier prescription's lines into the basket, beside what is there."""
    earlier = await orders.group(group)
    items = await orders.items(tuple(line.item for line in earlier.lines))
    drugs_only = earlier.replace(
        lines=tuple(
            line
            for line in earlier.lines
            if line.kind is OrderKind.DRUG and line.state is not LineState.WITHDRAWN
        )
    )
    orderable = [item.item for item in items if item.kind is OrderKind.DRUG]
    lines = repeated(await _lines(encounter, orders), drugs_only, orderable, act)
    await _save(encounter, clinic, orders, lines)
    return await _table(encounter, orders, DRUGS, entry="repeat.html", group=None, done=True)


# ── behind it ────────────────────────────────────────────────────────────────────────────────
async def _lines(encounter: EncounterId, orders: Orders) -> tuple[NewLine, ...]:
    draft = await orders.draft(encounter)
    return draft.lines if draft else ()


async def _save(
    encounter: EncounterId, clinic: Clinic, orders: Orders, lines: tuple[NewLine, ...]
) -> Draft:
    """The basket belongs to the patient of this desk, whoever's page is open elsewhere."""
    desk = await clinic.desk(encounter)
    return await orders.save_draft(
        SaveDraft(encounter=encounter, patient=desk.patient, campus=desk.campus, lines=lines)
    )


def _kinds_of(line: NewLine) -> tuple[OrderKind, ...]:
    return DRUGS if line.kind is OrderKind.DRUG else TESTS
