"""The rules of the desk: from what was typed to what is signed, and proposals. Pure functions."""

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from uuid import UUID

from plugward.boards.orders.contract import NewLine, OrderableItem, OrderGroup, Usage, UsageKind
from plugward.boards.records.contract import Diagnosis, NoteContent, NoteVersion, Vitals
from plugward.kernel import Message
from plugward.kit.ids import derive
from plugward.kit.message import Plain
from plugward.vocabulary import OrderKind, OrderLineId, PatientId

from .contract import ChosenDiagnosis, Desk, NoteIncomplete, NoteText, VitalUnreadable

DAYS_USUAL = 7
FIELDS = ("complaint", "present_illness", "past_history", "examination", "plan")
_PRESSURE = re.compile(r"\s*(\d{2,3})\s*[/／]\s*(\d{2,3})\s*")
_WHOLE = re.compile(r"\s*(\d{1,3})\s*[%％]?\s*")
_NUMBER = re.compile(r"\s*(\d{1,3}(?:\.\d{1,2})?)\s*")
_BODY = re.compile(r"\s*(\d{1,3}(?:\.\d{1,2})?)\s*(?:[/／]\s*(\d{2,3}(?:\.\d{1,2})?)\s*)?")
_TENTH = Decimal("0.1")
HIGH_SYSTOLIC, HIGH_DIASTOLIC, HIGH_BMI, FEVER = 140, 90, Decimal(24), Decimal("37.3")


# ── from text to note ────────────────────────────────────────────────────────────────────────
def is_blank(text: NoteText) -> bool:
    """Nothing was written that would be a note."""
    return not any(str(getattr(text, name)).strip() for name in NoteText.__struct_fields__)


def content_of(text: NoteText, diagnoses: Iterable[ChosenDiagnosis]) -> NoteContent:
    """The note as it will be signed, or what is missing or cannot be read in it."""
    chosen = tuple(diagnoses)
    if not text.complaint.strip():
        raise NoteIncomplete(missing="主诉")
    if not chosen:
        raise NoteIncomplete(missing="诊断")
    return NoteContent(
        **{name: str(getattr(text, name)).strip() for name in FIELDS},
        vitals=vitals_of(text),
        diagnoses=tuple(Diagnosis(icd10=d.icd10, addition=d.addition) for d in chosen),
    )


def vitals_of(text: NoteText) -> Vitals:
    """The numbers in the vital signs; an empty field was not measured."""
    pressure = _read(_PRESSURE, text.pressure, "血压", "158/94")
    body = _read(_BODY, text.body, "体重/身高", "74/170")
    pulse = _read(_WHOLE, text.pulse, "心率", "82")
    breaths = _read(_WHOLE, text.breaths, "呼吸", "18")
    oxygen = _read(_WHOLE, text.oxygen, "血氧", "98")
    temperature = _read(_NUMBER, text.temperature, "体温", "36.5")
    return Vitals(
        systolic_mmhg=_whole(pressure, 1),
        diastolic_mmhg=_whole(pressure, 2),
        pulse_per_min=_whole(pulse, 1),
        breaths_per_min=_whole(breaths, 1),
        oxygen_percent=_whole(oxygen, 1),
        temperature_c=_number(temperature, 1),
        weight_kg=_number(body, 1),
        height_cm=_number(body, 2),
    )


def _read(pattern: re.Pattern[str], text: str, vital: str, example: str) -> re.Match[str] | None:
    if not text.strip():
        return None
    found = pattern.fullmatch(text)
    if found is None:
        raise VitalUnreadable(vital=vital, example=example)
    return found


def _whole(found: re.Match[str] | None, group: int) -> int | None:
    return int(found[group]) if found and found[group] else None


def _number(found: re.Match[str] | None, group: int) -> Decimal | None:
    return Decimal(found[group]) if found and found[group] else None


def text_of(content: NoteContent) -> NoteText:
    """A signed note as text again, to be corrected."""
    vitals = content.vitals
    weight, height = vitals.weight_kg, vitals.height_cm
    return NoteText(
        **{name: getattr(content, name) for name in FIELDS},
        pressure=f"{vitals.systolic_mmhg}/{vitals.diastolic_mmhg}" if vitals.systolic_mmhg else "",
        pulse=_text(vitals.pulse_per_min),
        temperature=_text(vitals.temperature_c),
        breaths=_text(vitals.breaths_per_min),
        oxygen=_text(vitals.oxygen_percent),
        body=f"{_text(weight)}/{_text(height)}" if height else _text(weight),
    )


def _text(value: Decimal | int | None) -> str:
    return "" if value is None else f"{value}"


def filled_from(desk: Desk, earlier: NoteVersion) -> Desk:
    """The desk with its empty fields filled from an earlier note. Vital signs and the complaint
    are today's and are never taken over."""
    taken = {
        name: getattr(earlier.content, name)
        for name in FIELDS
        if name != "complaint" and not getattr(desk.text, name).strip()
    }
    diagnoses = desk.diagnoses or chosen_of(earlier.content)
    return desk.replace(text=desk.text.replace(**taken), diagnoses=diagnoses)


def chosen_of(content: NoteContent) -> tuple[ChosenDiagnosis, ...]:
    """A signed note's diagnoses as they stand on a draft."""
    return tuple(
        ChosenDiagnosis(icd10=d.icd10, name=d.name, addition=d.addition) for d in content.diagnoses
    )


def indication_of(diagnoses: Iterable[ChosenDiagnosis]) -> str:
    """The diagnoses as the pharmacy and the laboratory read them."""
    return "；".join(f"{d.name} {d.addition}".strip() for d in diagnoses)


def flags_of(vitals: Vitals) -> frozenset[str]:
    """Which vital signs stand out; shown with an arrow, never by colour alone."""
    high = set()
    if (vitals.systolic_mmhg or 0) >= HIGH_SYSTOLIC or (
        vitals.diastolic_mmhg or 0
    ) >= HIGH_DIASTOLIC:
        high.add("pressure")
    if (vitals.temperature_c or 0) >= FEVER:
        high.add("temperature")
    if (bmi_of(vitals) or 0) >= HIGH_BMI:
        high.add("body")
    return frozenset(high)


def bmi_of(vitals: Vitals) -> Decimal | None:
    """Body mass index, to one decimal."""
    if not vitals.weight_kg or not vitals.height_cm:
        return None
    metres = vitals.height_cm / 100
    return (vitals.weight_kg / (metres * metres)).quantize(_TENTH, rounding=ROUND_HALF_UP)


class Person(Message):
    """The ids of one person as merges have made it."""

    ids: tuple[PatientId, ...]


def merged(known: Iterable[PatientId], told: Iterable[PatientId]) -> tuple[PatientId, ...]:
    """All ids of a person after a merge. Merges that become known out of order add up."""
    return tuple(dict.fromkeys((*told, *known)))


# ── the basket ───────────────────────────────────────────────────────────────────────────────
class LineChange(Message):
    """What was changed by hand on one line of the basket."""

    line: OrderLineId
    quantity: int
    dose: Decimal | None = None
    frequency: Plain = ""
    days: int | None = None


Times = Mapping[str, Decimal]  # how often a day, by frequency code


def times_of(usages: Iterable[Usage]) -> Times:
    return {
        usage.usage: usage.times_per_day
        for usage in usages
        if usage.kind is UsageKind.FREQUENCY and usage.times_per_day is not None
    }


def usual_line(
    id: OrderLineId, item: OrderableItem, times: Times, days: int = DAYS_USUAL
) -> NewLine:
    """A line as the item is usually ordered, with packs enough for the days."""
    is_drug = item.kind is OrderKind.DRUG
    line = NewLine(
        id=id,
        kind=item.kind,
        item=item.item,
        dose=item.dose,
        dose_unit=item.dose_unit,
        route=item.route,
        frequency=item.frequency,
        days=days if is_drug else None,
    )
    return line.replace(quantity=packs_for(line, item, times)) if is_drug else line


def packs_for(line: NewLine, item: OrderableItem, times: Times) -> int:
    """How many packs the days need, at least one; one where it cannot be reckoned."""
    often = times.get(line.frequency)
    if not (often and line.dose and line.days and item.dose and item.doses_per_pack):
        return 1
    doses = often * line.days * (line.dose / item.dose)
    packs = (doses / item.doses_per_pack).to_integral_value(rounding=ROUND_CEILING)
    return max(1, int(packs))


def with_line(lines: tuple[NewLine, ...], new: NewLine) -> tuple[NewLine, ...]:
    """The basket with one more line; one for the same item takes its place."""
    if any(line.id == new.id for line in lines):
        return lines
    kept = tuple(line for line in lines if (line.kind, line.item) != (new.kind, new.item))
    return (*kept, new)


def with_change(
    lines: tuple[NewLine, ...], change: LineChange, item: OrderableItem | None, times: Times
) -> tuple[NewLine, ...]:
    """The basket with one line changed. Another dose, frequency or number of days proposes the
    packs anew; packs written by hand stay as they are written."""
    return tuple(
        _changed(line, change, item, times) if line.id == change.line else line for line in lines
    )


def _changed(
    line: NewLine, change: LineChange, item: OrderableItem | None, times: Times
) -> NewLine:
    if line.kind is not OrderKind.DRUG:
        return line.replace(quantity=change.quantity)
    new = line.replace(
        quantity=change.quantity,
        dose=change.dose,
        frequency=change.frequency or line.frequency,
        days=change.days,
    )
    dosage = (new.dose, new.frequency, new.days)
    same_packs = change.quantity == line.quantity
    if same_packs and item is not None and dosage != (line.dose, line.frequency, line.days):
        return new.replace(quantity=packs_for(new, item, times))
    return new


def repeated(
    lines: tuple[NewLine, ...], group: OrderGroup, orderable: Iterable[str], act: UUID
) -> tuple[NewLine, ...]:
    """The basket with an earlier prescription's lines that can still be ordered, under new ids."""
    still = set(orderable)
    found = lines
    for line in group.lines:
        if line.item in still:
            kept = {name: getattr(line, name) for name in NewLine.__struct_fields__}
            again = NewLine(**kept | {"id": OrderLineId(derive(act, "repeat", line.id))})
            found = with_line(found, again)
    return found
