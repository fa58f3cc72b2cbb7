"""The rules of the laboratory: pure functions, no database, no clock."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import date
from decimal import Decimal
from hashlib import sha256

from plugward.boards.orders.contract import OrderGroup
from plugward.commons.masterdata.contract import Domain, Entry
from plugward.kernel import Lifecycle, Message
from plugward.kit.message import Plain
from plugward.kit.time import Instant
from plugward.vocabulary import OrderKind, Sex

from .contract import (
    CriticalState,
    Flag,
    LabRequest,
    NewResult,
    Report,
    ReportState,
    RequestState,
    Result,
    ResultNotANumber,
    SpecimenState,
    Test,
)

REQUEST_LIFE = Lifecycle(
    {
        RequestState.REQUESTED: {RequestState.COLLECTED, RequestState.CANCELLED},
        RequestState.COLLECTED: {RequestState.REPORTED, RequestState.REQUESTED},
        RequestState.REPORTED: {RequestState.COLLECTED},
        RequestState.CANCELLED: set(),
    }
)
SPECIMEN_LIFE = Lifecycle(
    {
        SpecimenState.COLLECTED: {SpecimenState.RECEIVED, SpecimenState.REJECTED},
        SpecimenState.RECEIVED: {SpecimenState.RESULTED, SpecimenState.REJECTED},
        SpecimenState.RESULTED: {
            SpecimenState.RESULTED,
            SpecimenState.REPORTED,
            SpecimenState.REJECTED,
        },
        SpecimenState.REPORTED: {SpecimenState.RECEIVED},
        SpecimenState.REJECTED: set(),
    }
)
REPORT_LIFE = Lifecycle({ReportState.ISSUED: {ReportState.WITHDRAWN}, ReportState.WITHDRAWN: set()})
CRITICAL_LIFE = Lifecycle(
    {
        CriticalState.RAISED: {
            CriticalState.ESCALATED,
            CriticalState.ACKNOWLEDGED,
            CriticalState.CLEARED,
        },
        CriticalState.ESCALATED: {
            CriticalState.ESCALATED,
            CriticalState.ACKNOWLEDGED,
            CriticalState.CLEARED,
        },
        CriticalState.ACKNOWLEDGED: set(),
        CriticalState.CLEARED: set(),
    }
)

CRITICAL_FLAGS = (Flag.CRITICAL_LOW, Flag.CRITICAL_HIGH)
_VALUE = re.compile(r"([<>≤≥]?)\s*([+-]?\d{1,12}(?:\.\d{1,8})?)")
_NEGATIVE = ("阴", "未检出", "neg", "-", "not detected")
_POSITIVE = ("阳", "弱阳", "检出", "pos", "+", "±", "1+", "2+", "3+", "4+", "detected")


# ── the catalogue ────────────────────────────────────────────────────────────────────────────


class TestVersion(Test):
    """One version of a test in the read copy."""

    __test__ = False  # not a test of ours, whatever its name

    version: int
    valid_from: Instant
    is_retired: bool


class PanelVersion(Message):
    """One version of a panel 组合, or of what a single test needs: its tube and its items."""

    item: Plain
    version: int
    name_zh: Plain
    container: Plain
    items: tuple[Plain, ...]
    valid_from: Instant
    is_retired: bool


def test_of(entry: Entry) -> TestVersion | None:
    """The test a master-data entry describes, if it is one."""
    if entry.domain is not Domain.LAB_ITEM:
        return None
    return TestVersion(
        item=entry.code,
        version=entry.version,
        valid_from=entry.valid_from,
        is_retired=entry.is_retired,
        short_code=entry.attribute("short_code"),
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        loinc=entry.attribute("loinc"),
        specimen=entry.attribute("specimen"),
        unit=entry.attribute("unit"),
        low_m=_number(entry.attribute("ref_low_m")),
        high_m=_number(entry.attribute("ref_high_m")),
        low_f=_number(entry.attribute("ref_low_f")),
        high_f=_number(entry.attribute("ref_high_f")),
        critical_low=_number(entry.attribute("critical_low")),
        critical_high=_number(entry.attribute("critical_high")),
        panel=entry.attribute("panel_code"),
    )


test_of.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def panel_of(entry: Entry) -> PanelVersion | None:
    """The panel a master-data entry describes, if it is one."""
    if entry.domain is not Domain.LAB_PANEL:
        return None
    items = tuple(i for i in entry.attribute("items").split(";") if i)
    return PanelVersion(
        item=entry.code,
        version=entry.version,
        valid_from=entry.valid_from,
        is_retired=entry.is_retired,
        name_zh=entry.name_zh,
        container=entry.attribute("specimen_container"),
        items=items,
    )


def _number(text: str) -> Decimal | None:
    return Decimal(text) if text else None


# ── requests ─────────────────────────────────────────────────────────────────────────────────


def requests_of(group: OrderGroup) -> tuple[LabRequest, ...]:
    """The laboratory's part of a signed group."""
    return tuple(
        LabRequest(
            id=line.id,
            group=group.id,
            encounter=group.encounter,
            patient=group.patient,
            campus=group.campus,
            department=group.department,
            author=group.author,
            item=line.item,
            name_zh=line.name_zh,
            name_en=line.name_en,
            is_urgent=line.is_urgent,
            indication=group.indication,
            signed_at=group.signed_at,
            state=RequestState.REQUESTED,
        )
        for line in group.lines
        if line.kind is OrderKind.LAB
    )


def may_start(request: LabRequest, *, pay_first: bool) -> bool:
    """Whether the tube may be drawn now: urgent and credited requests never wait for money."""
    return not pay_first or request.is_paid or request.is_credited or request.is_urgent


def barcode(campus: str, day: date, number: int) -> str:
    """Digits only: campus, day and a running number, for the narrowest label."""
    site = "".join(c for c in campus if c.isdigit()) or "0"
    return f"{site}{day:%y%m%d}{number:05d}"


# ── results ──────────────────────────────────────────────────────────────────────────────────


def number_of(value: str) -> Decimal | None:
    """The number in a value such as ``7.1``, ``＜0.5`` or ``>1000``; None for anything else."""
    found = _VALUE.fullmatch(unicodedata.normalize("NFKC", value).strip())
    return Decimal(found[2]) if found else None


def range_for(test: Test, sex: Sex) -> tuple[Decimal | None, Decimal | None]:
    """The reference range; for an unknown sex the widest, so that a flag is always true."""
    if sex is Sex.MALE:
        return test.low_m, test.high_m
    if sex is Sex.FEMALE:
        return test.low_f, test.high_f
    lows = [low for low in (test.low_m, test.low_f) if low is not None]
    highs = [high for high in (test.high_m, test.high_f) if high is not None]
    return min(lows, default=None), max(highs, default=None)


def judged(new: NewResult, test: Test, sex: Sex) -> Result:
    """A value with its flag. A number is demanded where the catalogue has a unit."""
    value = new.value.strip()
    number = number_of(value)
    if test.is_numeric and number is None:
        raise ResultNotANumber(item=test.item, name=test.name_zh)
    low, high = range_for(test, sex) if test.is_numeric else (None, None)
    return Result(
        item=test.item,
        value=value,
        name_zh=test.name_zh,
        name_en=test.name_en,
        loinc=test.loinc,
        unit=test.unit if test.is_numeric else "",
        low=low,
        high=high,
        flag=_flag(test, number, low, high)
        if test.is_numeric and number is not None
        else _qualitative_flag(test, value),
    )


def _flag(test: Test, number: Decimal, low: Decimal | None, high: Decimal | None) -> Flag:
    if test.critical_low is not None and number <= test.critical_low:
        return Flag.CRITICAL_LOW
    if test.critical_high is not None and number >= test.critical_high:
        return Flag.CRITICAL_HIGH
    if low is not None and number < low:
        return Flag.LOW
    if high is not None and number > high:
        return Flag.HIGH
    return Flag.NORMAL if low is not None or high is not None else Flag.NOT_JUDGED


def _qualitative_flag(test: Test, value: str) -> Flag:
    if test.unit != "qual":
        return Flag.NOT_JUDGED
    plain = unicodedata.normalize("NFKC", value).strip().lower()
    if plain.startswith(_NEGATIVE):
        return Flag.NORMAL
    return Flag.ABNORMAL if plain.startswith(_POSITIVE) else Flag.NOT_JUDGED


def names_item(test: Test, given: str) -> bool:
    """Whether a sender's code means this test: ours, the short code or the LOINC."""
    return given in (test.item, test.short_code, test.loinc)


def merged(before: Iterable[Result], new: Iterable[Result]) -> tuple[Result, ...]:
    """What was entered, and what is added; the same item again replaces the former value."""
    by_item = {r.item: r for r in (*before, *new)}
    return tuple(by_item.values())


def in_order(results: Collection[Result], tests: Iterable[Test]) -> tuple[Result, ...]:
    """Results in the catalogue's order, as they are printed."""
    place = {test.item: index for index, test in enumerate(tests)}
    return tuple(sorted(results, key=lambda r: place.get(r.item, len(place))))


def content_hash(report: Report) -> str:
    """A fingerprint of what a report says, to prove that it never changed (R1)."""
    parts = [
        report.number,
        str(report.version),
        report.specimen.hex,
        report.patient.hex,
        report.encounter.hex,
        report.campus,
        report.entered_by,
        report.verified_by,
        report.issued_at.isoformat(),
    ]
    for r in report.results:
        parts += [r.item, r.value, r.unit, str(r.low), str(r.high), r.flag.value]
    return sha256("\x1f".join(parts).encode()).hexdigest()
