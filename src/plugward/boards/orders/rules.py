"""The rules of ordering: pure functions, no database, no clock."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from plugward.commons.masterdata.contract import Domain, Entry
from plugward.kernel import Lifecycle, Message
from plugward.kit.message import Plain
from plugward.kit.time import Instant
from plugward.vocabulary import ChargeRequest, OrderKind

from .contract import (
    AbsurdDays,
    AbsurdDose,
    AbsurdQuantity,
    DosageIncomplete,
    DuplicateItem,
    EmptyGroup,
    ItemNotOrderable,
    LineState,
    NewLine,
    OrderableItem,
    OrderGroup,
    OrderLine,
    SignGroup,
    TooManyLines,
    Usage,
    UsageKind,
    UsageUnknown,
)

LIFECYCLE = Lifecycle(
    {
        # An urgent specimen is taken, and an exam done on credit, before anybody has paid.
        LineState.SIGNED: {
            LineState.PAID,
            LineState.DISPENSED,
            LineState.PERFORMED,
            LineState.REPORTED,
            LineState.UNSUPPLIED,
            LineState.WITHDRAWN,
        },
        LineState.PAID: {
            LineState.DISPENSED,
            LineState.PERFORMED,
            LineState.REPORTED,
            LineState.UNSUPPLIED,
            LineState.WITHDRAWN,
        },
        LineState.DISPENSED: {LineState.RETURNED},
        LineState.PERFORMED: {LineState.REPORTED},
        LineState.REPORTED: {LineState.PERFORMED},  # the report was withdrawn
        LineState.RETURNED: set(),
        LineState.UNSUPPLIED: set(),
        LineState.WITHDRAWN: set(),
    }
)

KINDS = {
    Domain.DRUG: OrderKind.DRUG,
    Domain.LAB_ITEM: OrderKind.LAB,
    Domain.LAB_PANEL: OrderKind.LAB,
    Domain.EXAM_ITEM: OrderKind.EXAM,
    Domain.TREATMENT: OrderKind.TREATMENT,
}
USAGES = {Domain.ROUTE: UsageKind.ROUTE, Domain.FREQUENCY: UsageKind.FREQUENCY}


class Limits(Message):
    """The settings a signature is checked against."""

    lines_max: int
    days_max: int
    quantity_max: int
    times_max: int
    dose_times_max: int


class ItemVersion(OrderableItem, kw_only=True):
    """One published version of an orderable item, in force or to come."""

    version: int
    valid_from: Instant
    valid_to: Instant | None
    is_retired: bool


class UsageVersion(Usage, kw_only=True):
    """One published version of a route or frequency."""

    version: int
    valid_from: Instant
    valid_to: Instant | None
    is_retired: bool


class Stamp(Message):
    """How often the catalogue has changed."""

    stamp: int


class Catalogue:
    """The catalogue in memory at one stamp: every version of everything, by kind and code.

    Signing asks it instead of the database; a prescription of sixty lines costs no more than one.
    """

    def __init__(
        self, stamp: int, items: Iterable[ItemVersion], usages: Iterable[UsageVersion]
    ) -> None:
        self.stamp = stamp
        self._items: dict[tuple[OrderKind, str], list[ItemVersion]] = {}
        for item in items:
            self._items.setdefault((item.kind, item.item), []).append(item)
        self._usages: dict[tuple[UsageKind, str], list[UsageVersion]] = {}
        for usage in usages:
            self._usages.setdefault((usage.kind, usage.usage), []).append(usage)

    def item(self, kind: OrderKind, item: str, now: Instant) -> OrderableItem | None:
        """The item as it is in force now."""
        return _in_force(self._items.get((kind, item), ()), now)

    def has_usage(self, kind: UsageKind, usage: str, now: Instant) -> bool:
        """Whether a route or frequency is in force now."""
        return _in_force(self._usages.get((kind, usage), ()), now) is not None


V = TypeVar("V", ItemVersion, UsageVersion)


class FastingDay(Message):
    """A fasting order as it is kept."""

    author: Plain
    ordered_at: Instant


def sources_of(to: LineState) -> tuple[LineState, ...]:
    """The states a line may be in when a fact moves it to ``to``."""
    return tuple(state for state in LineState if LIFECYCLE.allows(state, to))


def _in_force(versions: Sequence[V], now: Instant) -> V | None:
    """The newest version that has taken effect, unless it is retired or has run out."""
    begun = [version for version in versions if version.valid_from <= now]
    if not begun:
        return None
    newest = max(begun, key=lambda version: version.version)
    has_run_out = newest.valid_to is not None and newest.valid_to <= now
    return None if newest.is_retired or has_run_out else newest


def check_group(
    request: SignGroup, catalogue: Catalogue, limits: Limits, now: Instant
) -> tuple[OrderLine, ...]:
    """The lines as signed, each with the names its item has now; or the refusal of a group that
    nobody can have meant."""
    if not request.lines:
        raise EmptyGroup
    if len(request.lines) > limits.lines_max:
        raise TooManyLines(lines_max=limits.lines_max)
    signed: dict[tuple[OrderKind, str], OrderLine] = {}
    for line in request.lines:
        key = (line.kind, line.item)
        if key in signed:
            raise DuplicateItem(item=line.item)
        item = catalogue.item(line.kind, line.item, now)
        if item is None:
            raise ItemNotOrderable(item=line.item)
        _check_amounts(line, limits)
        if line.kind is OrderKind.DRUG:
            _check_usages(line, catalogue, now)
            _check_dose(line, item, limits)
        signed[key] = _signed(line, request, item)
    return tuple(signed.values())


def _check_amounts(line: NewLine, limits: Limits) -> None:
    most = limits.quantity_max if line.kind is OrderKind.DRUG else limits.times_max
    if not 1 <= line.quantity <= most:
        raise AbsurdQuantity(item=line.item, quantity=line.quantity, quantity_max=most)
    if line.days is not None and not 1 <= line.days <= limits.days_max:
        raise AbsurdDays(item=line.item, days=line.days, days_max=limits.days_max)


def _check_usages(line: NewLine, catalogue: Catalogue, now: Instant) -> None:
    if line.dose is None or not (line.dose_unit and line.route and line.frequency):
        raise DosageIncomplete(item=line.item)
    for kind, usage in ((UsageKind.ROUTE, line.route), (UsageKind.FREQUENCY, line.frequency)):
        if not catalogue.has_usage(kind, usage, now):
            raise UsageUnknown(item=line.item, usage=usage)


def _check_dose(line: NewLine, item: OrderableItem, limits: Limits) -> None:
    """Milligrams written for grams, or a decimal point lost, must not reach the pharmacy.

    Whether a plausible dose suits this patient is for the prescription review.
    """
    assert line.dose is not None, "checked before"
    too_much = item.dose is not None and line.dose >= item.dose * limits.dose_times_max
    if line.dose <= 0 or (item.dose_unit and line.dose_unit != item.dose_unit) or too_much:
        usual = f"{item.dose or ''}{item.dose_unit}" or "未知"
        raise AbsurdDose(item=line.item, dose=f"{line.dose}{line.dose_unit}", usual=usual)


def _signed(line: NewLine, request: SignGroup, item: OrderableItem) -> OrderLine:
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


def charges_of(group: OrderGroup) -> tuple[ChargeRequest, ...]:
    """What is asked to be priced: the item and how often, never what it costs."""
    return tuple(
        ChargeRequest(
            encounter=line.encounter,
            item=line.item,
            quantity=line.quantity,
            performed_at=group.signed_at,
            line=line.id,
        )
        for line in group.lines
    )


def asks_the_same(request: SignGroup, group: OrderGroup) -> bool:
    """Whether a group that is signed already is what this request asks for."""
    return (
        (request.encounter, request.patient, request.campus, request.department)
        == (group.encounter, group.patient, group.campus, group.department)
        and request.indication == group.indication
        and request.lines == tuple(as_asked(line) for line in group.lines)
    )


def as_asked(line: OrderLine) -> NewLine:
    """The part of a signed line that the doctor wrote."""
    return NewLine(**{name: getattr(line, name) for name in NewLine.__struct_fields__})


def standing_drugs(group: OrderGroup) -> OrderGroup:
    """The group with those drug lines only that were not taken back."""
    standing = tuple(
        line
        for line in group.lines
        if line.kind is OrderKind.DRUG and line.state is not LineState.WITHDRAWN
    )
    return group.replace(lines=standing)


def by_group(groups: Sequence[OrderGroup], lines: Sequence[OrderLine]) -> tuple[OrderGroup, ...]:
    """Groups with their lines, which come in the order they were written."""
    found: dict[object, list[OrderLine]] = {group.id: [] for group in groups}
    for line in lines:
        found[line.group].append(line)
    return tuple(group.replace(lines=tuple(found[group.id])) for group in groups)


def item_of(entry: Entry) -> ItemVersion | None:
    """The orderable item a catalogue entry describes, if it can be ordered at all."""
    kind = KINDS.get(entry.domain)
    if kind is None:
        return None
    is_drug = kind is OrderKind.DRUG
    dose = _decimal(entry.attribute("usual_single_dose"))
    return ItemVersion(
        kind=kind,
        item=entry.code,
        version=entry.version,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        pinyin=entry.pinyin,
        spec=entry.attribute("spec"),
        unit=entry.unit or "次",
        dose=dose if is_drug else None,
        dose_unit=entry.attribute("dose_unit") if is_drug else "",
        route=entry.attribute("route_code") if is_drug else "",
        frequency=entry.attribute("usual_freq") if is_drug else "",
        detail=entry.attribute("dose_form")
        or entry.attribute("specimen")
        or entry.attribute("body_part"),
        doses_per_pack=_doses_per_pack(entry, dose) if is_drug else None,
        is_high_alert=entry.attribute("high_alert") == "Y",
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        is_retired=entry.is_retired,
    )


def usage_of(entry: Entry) -> UsageVersion | None:
    """The route or frequency a catalogue entry describes."""
    kind = USAGES.get(entry.domain)
    if kind is None:
        return None
    return UsageVersion(
        kind=kind,
        usage=entry.code,
        version=entry.version,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        times_per_day=_decimal(entry.attribute("times_per_day")),
        valid_from=entry.valid_from,
        valid_to=entry.valid_to,
        is_retired=entry.is_retired,
    )


def _doses_per_pack(entry: Entry, dose: Decimal | None) -> Decimal | None:
    strength, pack = (
        _decimal(entry.attribute("strength_value")),
        _decimal(entry.attribute("pack_qty")),
    )
    comparable = entry.attribute("strength_unit") == entry.attribute("dose_unit")
    if not (strength and pack and dose and comparable):
        return None
    return (strength * pack / dose).quantize(Decimal("0.01"))


def _decimal(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
