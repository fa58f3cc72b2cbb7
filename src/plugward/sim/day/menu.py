"""The menu 可开项目: what the simulated doctors order and diagnose, from the catalogue."""

from decimal import Decimal
from math import ceil
from random import Random

import msgspec

from plugward.boards.orders.contract import NewLine, OrderableItem
from plugward.boards.records.contract import DiagnosisChoice
from plugward.vocabulary import OrderKind, OrderLineId

from .hospital import Hospital

PREFIXES = {OrderKind.DRUG: "D0", OrderKind.LAB: "L0", OrderKind.EXAM: "E0"}
PACKS_MAX = 6
LETTERS = "ABEIJKLMN"


class Menu(msgspec.Struct, frozen=True):
    """Drugs with a complete usual dosage, laboratory and other examinations, diagnoses."""

    drugs: tuple[OrderableItem, ...]
    labs: tuple[OrderableItem, ...]
    exams: tuple[OrderableItem, ...]
    diagnoses: tuple[DiagnosisChoice, ...]

    def prescription(self, chance: Random, ids: list[OrderLineId]) -> tuple[NewLine, ...]:
        """As many drug lines as there are ids, each for one to four weeks."""
        chosen = chance.sample(self.drugs, len(ids))
        return tuple(
            _drug_line(item, line, chance.choice((7, 14, 28)))
            for item, line in zip(chosen, ids, strict=True)
        )


async def read_menu(hospital: Hospital, campus: str) -> Menu:
    """Ask the catalogue as a doctor would, and keep what can be ordered without further words."""
    doctor = hospital.actor("doctor", campus)
    found: dict[OrderKind, list[OrderableItem]] = {kind: [] for kind in PREFIXES}
    diagnoses: list[DiagnosisChoice] = []
    with hospital.cast.acting(doctor):
        for kind, prefix in PREFIXES.items():
            for digits in range(17):
                found[kind] += await hospital.orders.search(f"{prefix}{digits:02}", (kind,), 20)
        for letter in LETTERS:
            diagnoses += await hospital.records.search_diagnoses(letter, 20)
    drugs = [d for d in _unique(found[OrderKind.DRUG]) if d.dose and d.route and d.frequency]
    return Menu(
        drugs=tuple(drugs),
        labs=tuple(_unique(found[OrderKind.LAB])),
        exams=tuple(_unique(found[OrderKind.EXAM])),
        diagnoses=tuple(d for d in diagnoses if not d.sex),
    )


def plain_line(item: OrderableItem, line: OrderLineId) -> NewLine:
    """Once, whatever it is."""
    return NewLine(id=line, kind=item.kind, item=item.item, quantity=1)


def _drug_line(item: OrderableItem, line: OrderLineId, days: int) -> NewLine:
    per_pack = item.doses_per_pack or Decimal(1)
    packs = ceil(Decimal(days) * 2 / per_pack) if per_pack else 1
    return NewLine(
        id=line,
        kind=item.kind,
        item=item.item,
        quantity=max(1, min(PACKS_MAX, packs)),
        dose=item.dose,
        dose_unit=item.dose_unit,
        route=item.route,
        frequency=item.frequency,
        days=days,
    )


def _unique(items: list[OrderableItem]) -> list[OrderableItem]:
    return list({item.item: item for item in items}.values())
