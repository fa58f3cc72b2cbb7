"""What the orders board does. Each public method is one step of the process."""

from collections.abc import Iterator
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Table, func, select

from plugward.boards.encounters.contract import Encounter, Encounters, EncounterState
from plugward.kernel import (
    AlreadyThere,
    Reading,
    Settings,
    Store,
    Unavailable,
    Work,
    in_work,
    messages,
    reading,
)
from plugward.vocabulary import (
    CampusCode,
    DepartmentCode,
    EncounterId,
    OrderGroupId,
    OrderKind,
    OrderLineId,
    PatientId,
)

from .contract import (
    AlreadyCarriedOut,
    Draft,
    EncounterEnded,
    FastingOrdered,
    GroupNotFound,
    GroupSigned,
    LineNotFound,
    LineState,
    LineWithdrawn,
    OrderableItem,
    OrderGroup,
    OrderLine,
    Orders,
    SaveDraft,
    SignGroup,
    TooManyLines,
    Usage,
    WithdrawReason,
    WrongPatient,
)
from .rules import (
    LIFECYCLE,
    Catalogue,
    FastingDay,
    ItemVersion,
    Limits,
    Stamp,
    UsageVersion,
    asks_the_same,
    by_group,
    charges_of,
    check_group,
    sources_of,
    standing_drugs,
)
from .tables import (
    catalogue,
    drafts,
    fasting_days,
    fits,
    groups,
    in_force,
    items,
    likeness,
    lines,
    usages,
)

GROUPS_MAX = 100
LINES_MAX = 1_000
HITS_MAX = 20
CATALOGUE_MAX = 200_000
WHOLE = "whole"
SOUGHT_MAX = 100  # prescriptions looked through for one to repeat
_STAMP = select(catalogue.c.stamp).where(catalogue.c.name == WHOLE)
V = TypeVar("V", ItemVersion, UsageVersion)
ENDED = (EncounterState.FINISHED, EncounterState.CANCELLED)


class OrderService(Orders):
    def __init__(self, store: Store, settings: Settings, encounters: Encounters) -> None:
        self.store = store
        self._encounters = encounters
        self._catalogue: Catalogue | None = None
        self._limits = Limits(**{name: settings[name] for name in Limits.__struct_fields__})

    # ── the basket ──────────────────────────────────────────────────────────────────────────
    @in_work
    def save_draft(self, work: Work, draft: SaveDraft) -> Draft:
        if len(draft.lines) > self._limits.lines_max:
            raise TooManyLines(lines_max=self._limits.lines_max)
        if not work.actor.sees(draft.campus):
            raise WrongPatient(encounter=draft.encounter)
        saved = Draft(**draft.fields(), author=work.actor.id, saved_at=work.now)
        if draft.lines:
            work.save_copy(drafts, saved)
        else:
            _forget_draft(work, draft.encounter)
        return saved

    @reading
    def draft(self, read: Reading, encounter: EncounterId) -> Draft | None:
        return read.get_or_none(drafts, Draft, (encounter, read.actor.id))

    # ── signing ─────────────────────────────────────────────────────────────────────────────
    async def sign(self, request: SignGroup) -> OrderGroup:
        encounter = await self._encounter(request.encounter)
        if encounter is not None:
            _check_encounter(encounter, request.patient, request.campus)
        return await self._sign(request)

    @in_work
    def _sign(self, work: Work, request: SignGroup) -> OrderGroup:
        group = OrderGroup(
            id=request.id,
            encounter=request.encounter,
            patient=request.patient,
            campus=request.campus,
            department=request.department,
            author=work.actor.id,
            signed_at=work.now,
            indication=request.indication,
            lines=(),
        )
        has_drugs = any(line.kind is OrderKind.DRUG for line in request.lines)
        if not work.insert_new(groups, group, has_drugs=has_drugs):
            return _signed_before(work, request)
        signed = check_group(request, self._known(work), self._limits, work.now)
        work.insert(lines, *(_Placed(position=n, **s.fields()) for n, s in enumerate(signed)))
        _forget_draft(work, request.encounter)
        group = group.replace(lines=signed)
        work.publish(GroupSigned(group=group, charges=charges_of(group)))
        return group

    def _known(self, work: Work) -> Catalogue:
        """The catalogue as this transaction sees it, read again only when it has changed."""
        stamp = next((row.stamp for row in work.rows(_STAMP)), 0)
        if self._catalogue is None or self._catalogue.stamp != stamp:
            self._catalogue = Catalogue(
                stamp, _whole(work, items, ItemVersion), _whole(work, usages, UsageVersion)
            )
        return self._catalogue

    # ── taking back ─────────────────────────────────────────────────────────────────────────
    @in_work
    def withdraw(self, work: Work, line: OrderLineId, reason: WithdrawReason) -> OrderLine:
        found = work.get(lines, OrderLine, line, missing=LineNotFound)
        return _withdraw(work, found, reason)

    @in_work
    def withdraw_group(self, work: Work, group: OrderGroupId, reason: WithdrawReason) -> OrderGroup:
        found = _group(work, group)
        if found is None:
            raise GroupNotFound
        return found.replace(lines=tuple(_withdraw(work, line, reason) for line in found.lines))

    # ── fasting ─────────────────────────────────────────────────────────────────────────────
    async def order_fasting(self, encounter: EncounterId, on: date) -> None:
        found = await self._encounter(encounter)
        if found is not None and found.state in ENDED:
            raise EncounterEnded(encounter=encounter)
        await self._order_fasting(encounter, on, None if found is None else found.campus)

    @in_work
    def _order_fasting(
        self, work: Work, encounter: EncounterId, on: date, campus: CampusCode | None
    ) -> None:
        day = FastingDay(author=work.actor.id, ordered_at=work.now)
        where = campus or work.campus
        if work.insert_new(fasting_days, day, encounter=encounter, day=on, campus=where):
            work.publish(FastingOrdered(encounter=encounter, day=on))

    @reading
    def is_fasting(self, read: Reading, encounter: EncounterId, on: date) -> bool:
        return read.count(fasting_days, encounter=encounter, day=on) > 0

    # ── what became of it: reactions only ───────────────────────────────────────────────────
    @in_work
    def advance(self, work: Work, ids: tuple[OrderLineId, ...], to: LineState) -> int:
        """A fact moves these lines on, those that can still move that way; says how many."""
        if not ids:
            return 0
        may_move = lines.c.state.in_(sources_of(to))
        return work.set_where(lines, lines.c.id.in_(ids), may_move, state=to)

    @in_work
    def advance_whole(self, work: Work, id: OrderLineId, quantity: int, to: LineState) -> int:
        """A fact about some packs moves the line on if it is about all of them."""
        may_move = lines.c.state.in_(sources_of(to))
        return work.set_where(
            lines, lines.c.id == id, lines.c.quantity <= quantity, may_move, state=to
        )

    @in_work
    def learn_item(self, work: Work, item: ItemVersion) -> None:
        work.save_copy(items, item)
        _stamp(work)

    @in_work
    def learn_usage(self, work: Work, usage: UsageVersion) -> None:
        work.save_copy(usages, usage)
        _stamp(work)

    # ── looking ─────────────────────────────────────────────────────────────────────────────
    @reading
    def group(self, read: Reading, id: OrderGroupId) -> OrderGroup:
        found = _group(read, id)
        if found is None:
            raise GroupNotFound
        return found

    @reading
    def line(self, read: Reading, id: OrderLineId) -> OrderLine:
        return read.get(lines, OrderLine, id, missing=LineNotFound)

    @reading
    def for_encounter(self, read: Reading, encounter: EncounterId) -> tuple[OrderGroup, ...]:
        return _groups(read, GROUPS_MAX, ("signed_at",), encounter=encounter)

    @reading
    def for_patient(
        self, read: Reading, patients: tuple[PatientId, ...], limit: int = 20
    ) -> tuple[OrderGroup, ...]:
        most = max(1, min(limit, GROUPS_MAX))
        return _groups(read, most, ("-signed_at", "-id"), patient=patients)

    @reading
    def last_prescription(
        self,
        read: Reading,
        patients: tuple[PatientId, ...],
        author: str | None = None,
        department: DepartmentCode | None = None,
    ) -> OrderGroup | None:
        wishes: list[dict[str, Any]] = [
            {name: value}
            for name, value in (("author", author), ("department", department))
            if value is not None
        ]
        for wish in wishes or [{}]:
            found = _groups(
                read, SOUGHT_MAX, ("-signed_at", "-id"), patient=patients, has_drugs=True, **wish
            )
            for group in map(standing_drugs, found):
                if group.lines:
                    return group
        return None

    @reading
    def search(
        self, read: Reading, text: str, kinds: tuple[OrderKind, ...] = (), limit: int = 20
    ) -> tuple[OrderableItem, ...]:
        wanted = text.strip()
        if not wanted:
            return ()
        hits = (
            select(*(items.c[name] for name in OrderableItem.__struct_fields__))
            .where(in_force(items, read.now), fits(wanted))
            .order_by(likeness(wanted), func.length(items.c.name_zh), items.c.item)
            .limit(max(1, min(limit, HITS_MAX)))
        )
        if kinds:
            hits = hits.where(items.c.kind.in_(kinds))
        return messages(read.rows(hits), OrderableItem)

    @reading
    def items(self, read: Reading, codes: tuple[str, ...]) -> tuple[OrderableItem, ...]:
        wanted = codes[:SOUGHT_MAX]
        found = read.find(
            items, OrderableItem, in_force(items, read.now), limit=LINES_MAX, item=wanted
        )
        known = {item.item: item for item in found}
        return tuple(known[code] for code in wanted if code in known)

    @reading
    def usages(self, read: Reading) -> tuple[Usage, ...]:
        return read.find(usages, Usage, in_force(usages, read.now), limit=200)

    async def _encounter(self, id: EncounterId) -> Encounter | None:
        """The encounter, or nothing while its board is away: a doctor signs all the same."""
        try:
            return await self._encounters.get(id)
        except Unavailable:
            return None


def _check_encounter(encounter: Encounter, patient: PatientId, campus: CampusCode) -> None:
    if (encounter.patient, encounter.campus) != (patient, campus):
        raise WrongPatient(encounter=encounter.id)
    if encounter.state in ENDED:
        raise EncounterEnded(encounter=encounter.id)


def _signed_before(work: Work, request: SignGroup) -> OrderGroup:
    """The same group asked for again under another request."""
    signed = _group(work, request.id)
    if signed is None or not asks_the_same(request, signed):
        raise AlreadyThere
    return signed


def _forget_draft(work: Work, encounter: EncounterId) -> None:
    work.delete_where(drafts, drafts.c.encounter == encounter, drafts.c.author == work.actor.id)


def _withdraw(work: Work, line: OrderLine, reason: WithdrawReason) -> OrderLine:
    if line.state is LineState.WITHDRAWN:
        return line
    if not LIFECYCLE.allows(line.state, LineState.WITHDRAWN):
        raise AlreadyCarriedOut(line=line.id, state=line.state)
    withdrawn = line.replace(state=LineState.WITHDRAWN)
    work.update(lines, before=line, after=withdrawn)
    work.publish(
        LineWithdrawn(
            line=withdrawn,
            reason=reason,
            withdrawn_by=work.actor.id,
            withdrawn_at=work.now,
            was=line.state,
        )
    )
    return withdrawn


class _Placed(OrderLine, kw_only=True):
    """A line with its place in the group."""

    position: int


class _Head(OrderGroup, kw_only=True):
    """A group as its own table has it, before its lines are read."""

    lines: tuple[OrderLine, ...] = ()


def _group(read: Reading, id: OrderGroupId) -> OrderGroup | None:
    found = _groups(read, 1, (), id=id)
    return found[0] if found else None


def _groups(
    read: Reading, limit: int, order_by: tuple[str, ...], **equals: Any
) -> tuple[OrderGroup, ...]:
    """Groups and their lines, in two statements however many there are."""
    heads = read.find(groups, _Head, limit=limit, order_by=order_by, **equals)
    if not heads:
        return ()
    found = read.find(
        lines,
        OrderLine,
        limit=LINES_MAX,
        order_by=("group", "position"),
        group=tuple(head.id for head in heads),
    )
    return by_group([OrderGroup(**head.fields()) for head in heads], found)


def _whole(read: Reading, table: Table, kind: type[V]) -> Iterator[V]:
    for offset in range(0, CATALOGUE_MAX, LINES_MAX):
        found = read.find(table, kind, limit=LINES_MAX, offset=offset)
        yield from found
        if len(found) < LINES_MAX:
            return


def _stamp(work: Work) -> None:
    work.insert_new(catalogue, Stamp(stamp=0), name=WHOLE)
    work.set_where(catalogue, catalogue.c.name == WHOLE, stamp=catalogue.c.stamp + 1)
