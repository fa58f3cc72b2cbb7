"""The fake orders board for other boards' tests. Held to the contract by this board's own tests."""

from datetime import date

from plugward.kit.time import Instant
from plugward.vocabulary import (
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
    EmptyGroup,
    GroupNotFound,
    ItemNotOrderable,
    LineNotFound,
    LineState,
    OrderableItem,
    OrderGroup,
    OrderLine,
    Orders,
    SaveDraft,
    SignGroup,
    Usage,
    WithdrawReason,
)

_OPEN = (LineState.SIGNED, LineState.PAID)


class FakeOrders(Orders):
    """Signs what its ``catalogue`` holds and keeps it in memory; no person, no time of its own.

    ``fasting`` may be filled directly: ``(encounter, day)``.
    """

    def __init__(
        self,
        catalogue: tuple[OrderableItem, ...] = (),
        *,
        now: Instant | None = None,
        author: str = "staff:tester",
    ) -> None:
        self.catalogue = {item.item: item for item in catalogue}
        self.usage_list: tuple[Usage, ...] = ()
        self.fasting: set[tuple[EncounterId, date]] = set()
        self.groups: dict[OrderGroupId, OrderGroup] = {}
        self.drafts: dict[EncounterId, Draft] = {}
        self.now = now
        self.author = author

    async def save_draft(self, draft: SaveDraft) -> Draft:
        saved = Draft(**draft.fields(), author=self.author, saved_at=self._time())
        self.drafts[draft.encounter] = saved
        if not draft.lines:
            del self.drafts[draft.encounter]
        return saved

    async def draft(self, encounter: EncounterId) -> Draft | None:
        return self.drafts.get(encounter)

    async def sign(self, request: SignGroup) -> OrderGroup:
        if request.id in self.groups:
            return self.groups[request.id]
        if not request.lines:
            raise EmptyGroup
        group = OrderGroup(
            id=request.id,
            encounter=request.encounter,
            patient=request.patient,
            campus=request.campus,
            department=request.department,
            author=self.author,
            signed_at=self._time(),
            indication=request.indication,
            lines=tuple(self._signed(request, index) for index in range(len(request.lines))),
        )
        self.groups[group.id] = group
        self.drafts.pop(request.encounter, None)
        return group

    async def withdraw(self, line: OrderLineId, reason: WithdrawReason) -> OrderLine:
        del reason
        found = await self.line(line)
        if found.state not in _OPEN:
            raise AlreadyCarriedOut(line=line, state=found.state)
        return self._become(found, LineState.WITHDRAWN)

    async def withdraw_group(self, group: OrderGroupId, reason: WithdrawReason) -> OrderGroup:
        lines = (await self.group(group)).lines
        for line in lines:
            if line.state not in (*_OPEN, LineState.WITHDRAWN):
                raise AlreadyCarriedOut(line=line.id, state=line.state)
        for line in lines:
            if line.state in _OPEN:
                await self.withdraw(line.id, reason)
        return await self.group(group)

    async def order_fasting(self, encounter: EncounterId, on: date) -> None:
        self.fasting.add((encounter, on))

    async def is_fasting(self, encounter: EncounterId, on: date) -> bool:
        return (encounter, on) in self.fasting

    async def group(self, id: OrderGroupId) -> OrderGroup:
        if id not in self.groups:
            raise GroupNotFound
        return self.groups[id]

    async def line(self, id: OrderLineId) -> OrderLine:
        for group in self.groups.values():
            for line in group.lines:
                if line.id == id:
                    return line
        raise LineNotFound

    async def for_encounter(self, encounter: EncounterId) -> tuple[OrderGroup, ...]:
        return tuple(g for g in self.groups.values() if g.encounter == encounter)[:100]

    async def for_patient(
        self, patients: tuple[PatientId, ...], limit: int = 20
    ) -> tuple[OrderGroup, ...]:
        found = [g for g in self.groups.values() if g.patient in patients]
        return tuple(reversed(found))[: min(limit, 100)]

    async def last_prescription(
        self,
        patients: tuple[PatientId, ...],
        author: str | None = None,
        department: DepartmentCode | None = None,
    ) -> OrderGroup | None:
        standing = [_drugs_of(g) for g in await self.for_patient(patients, 100)]
        groups = [g for g in standing if g.lines]
        for fits in (
            [g for g in groups if author is not None and g.author == author],
            [g for g in groups if department is not None and g.department == department],
            groups if author is None and department is None else [],
        ):
            if fits:
                return fits[0]
        return None

    async def search(
        self, text: str, kinds: tuple[OrderKind, ...] = (), limit: int = 20
    ) -> tuple[OrderableItem, ...]:
        wanted = text.strip().upper()
        hits = [
            item
            for item in self.catalogue.values()
            if (not kinds or item.kind in kinds)
            and wanted
            and (item.item.startswith(wanted) or wanted in item.pinyin or wanted in item.name_zh)
        ]
        return tuple(hits[: min(limit, 20)])

    async def items(self, codes: tuple[str, ...]) -> tuple[OrderableItem, ...]:
        return tuple(self.catalogue[code] for code in codes if code in self.catalogue)

    async def usages(self) -> tuple[Usage, ...]:
        return self.usage_list

    def _signed(self, request: SignGroup, index: int) -> OrderLine:
        line = request.lines[index]
        item = self.catalogue.get(line.item)
        if item is None:
            raise ItemNotOrderable(item=line.item)
        return OrderLine(
            **line.fields(),
            group=request.id,
            encounter=request.encounter,
            patient=request.patient,
            campus=request.campus,
            name_zh=item.name_zh,
            name_en=item.name_en,
            spec=item.spec,
            unit=item.unit,
        )

    def _become(self, line: OrderLine, state: LineState) -> OrderLine:
        changed = line.replace(state=state)
        group = self.groups[line.group]
        lines = tuple(changed if old.id == line.id else old for old in group.lines)
        self.groups[line.group] = group.replace(lines=lines)
        return changed

    def _time(self) -> Instant:
        if self.now is None:
            raise AssertionError("give FakeOrders(now=…) before signing or saving with it")
        return self.now


def _drugs_of(group: OrderGroup) -> OrderGroup:
    standing = tuple(
        line
        for line in group.lines
        if line.kind is OrderKind.DRUG and line.state is not LineState.WITHDRAWN
    )
    return group.replace(lines=standing)
