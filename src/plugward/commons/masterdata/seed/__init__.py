"""Seed 初始目录: the demonstration hospital's catalogues, read from the tables beside this file.

All prices, departments and insurance shares are synthetic.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib import resources

from plugward.commons.masterdata.contract import (
    Attribute,
    Domain,
    Draft,
    InsuranceShare,
    MasterData,
)
from plugward.kit.money import ZERO, Money, UnitPrice
from plugward.kit.time import hospital_time
from plugward.vocabulary import InsuranceClass

Row = Mapping[str, str]

# Long ago, so that a simulated day of any year finds the catalogue in force.
SEED_VALID_FROM = hospital_time("2020-01-01 00:00")
FUND_RATIO = Decimal("0.80")
SELF_RATIO = {
    InsuranceClass.A: Decimal(0),
    InsuranceClass.B: Decimal("0.10"),
    InsuranceClass.C: Decimal(1),
}
EXAM_SELF_RATIO = Decimal("0.05")
# A drug is called by its substance and its form; powders for injection carry theirs in the name.
_FORM_ENDING = {"片剂": "片", "散剂": "散", "颗粒剂": "颗粒", "粉针剂": ""}


def drafts(domain: Domain) -> tuple[Draft, ...]:
    """The demonstration hospital's entries of one domain."""
    return tuple(_SOURCES[domain]()) if domain in _SOURCES else ()


async def sow(masterdata: MasterData) -> int:
    """Publish every catalogue of the demonstration hospital; says how many versions were new.

    On a hospital that has them already nothing is published. Looks at the differences first, as
    every import must.
    """
    published = 0
    for domain in Domain:
        entries = drafts(domain)
        if entries:
            preview = await masterdata.preview(domain, entries)
            publication = await masterdata.publish(
                domain, entries, "demonstration hospital", preview.digest
            )
            published += len(publication.published)
    return published


# ── one function a table ─────────────────────────────────────────────────────────────────────


def _campuses() -> Iterator[Draft]:
    for row in _rows("campuses"):
        yield _draft(row, row["campus_code"], ("vendor_profile",))


def _departments() -> Iterator[Draft]:
    names = (
        "campus_code",
        "subject_code",
        "dept_type",
        "outpatient",
        "inpatient",
        "emergency",
        "short_code",
        "insurance_caty",
    )
    for row in _rows("departments"):
        yield _draft(row, row["dept_code"], names)


def _drugs() -> Iterator[Draft]:
    names = (
        "generic_zh",
        "atc",
        "dose_form",
        "spec",
        "strength_value",
        "strength_unit",
        "pack_qty",
        "dispense_unit",
        "route_code",
        "usual_single_dose",
        "dose_unit",
        "usual_freq",
        "max_daily_dose",
        "antibiotic_class",
        "rx_class",
        "high_alert",
    )
    for row in _rows("drugs"):
        yield _charged(
            {**row, "name_zh": _drug_name(row), "name_en": row["generic_en"]},
            row["drug_code"],
            names,
            unit=row["dispense_unit"],
            share=_share(row["insurance_class"]),
        )


def _drug_name(row: Row) -> str:
    ending = _FORM_ENDING.get(row["dose_form"], row["dose_form"])
    name = row["generic_zh"]
    return name if name.startswith("注射用") or name.endswith(ending) else name + ending


def _lab_items() -> Iterator[Draft]:
    names = (
        "short_code",
        "loinc",
        "specimen",
        "unit",
        "ref_low_m",
        "ref_high_m",
        "ref_low_f",
        "ref_high_f",
        "critical_low",
        "critical_high",
        "panel_code",
        "ref_source",
        "tat_target_min",
    )
    for row in _rows("lab_items"):
        yield _charged(row, row["item_code"], names, unit="次", share=_share(InsuranceClass.A))


def _lab_panels() -> Iterator[Draft]:
    """A panel costs what its items cost together."""
    for row in _rows("lab_panels"):
        items = [i for i in _rows("lab_items") if i["panel_code"] == row["panel_code"]]
        whole = {
            **row,
            "items": ";".join(i["item_code"] for i in items),
            "specimen": items[0]["specimen"],
            "price_cny_synthetic": str(sum(Decimal(i["price_cny_synthetic"]) for i in items)),
        }
        names = ("specimen_container", "fasting_required", "qc_group", "items", "specimen")
        yield _charged(whole, row["panel_code"], names, unit="次", share=_share(InsuranceClass.A))


_EXAM_NAMES = (
    "modality",
    "body_part",
    "slot_minutes",
    "contrast",
    "prep_codes",
    "dept_short_code",
    "kind",
)


def _exams(kind: str) -> Iterator[Draft]:
    for row in _rows("exam_items"):
        if (row["kind"] == "treatment") == (kind == "treatment"):
            yield _charged(
                row,
                row["item_code"],
                _EXAM_NAMES,
                unit="次",
                share=_share(InsuranceClass.B, EXAM_SELF_RATIO),
            )


def _treatments() -> Iterator[Draft]:
    yield from _exams("treatment")
    for row in _rows("treatments"):
        yield _charged(
            row,
            row["item_code"],
            ("dept_short_code",),
            unit=row["unit"],
            share=_share(row["insurance_class"]),
        )


def _consumables() -> Iterator[Draft]:
    names = ("spec", "category", "high_value", "udi_required")
    for row in _rows("consumables"):
        yield _charged(
            row, row["mat_code"], names, unit=row["unit"], share=_share(InsuranceClass.B)
        )


def _registration_fees() -> Iterator[Draft]:
    for row in _rows("registration_fees"):
        yield _charged(
            row,
            row["fee_code"],
            (),
            unit=row["unit"],
            share=_share(row["insurance_class"]),
        )


def _frequencies() -> Iterator[Draft]:
    names = ("times_per_day", "interval_hours", "fhir_timing", "default_times")
    for row in _rows("frequencies"):
        yield _draft(row, row["freq_code"], names)


def _routes() -> Iterator[Draft]:
    for row in _rows("routes"):
        yield _draft(row, row["route_code"], ("is_injection", "hl7_0162"))


def _diagnoses() -> Iterator[Draft]:
    for row in _rows("icd10_outpatient"):
        yield _draft(row, row["icd10"], ("usual_subject_code", "sex_limit", "notifiable"))


_SOURCES: Mapping[Domain, Callable[[], Iterator[Draft]]] = {
    Domain.CAMPUS: _campuses,
    Domain.DEPARTMENT: _departments,
    Domain.DRUG: _drugs,
    Domain.LAB_ITEM: _lab_items,
    Domain.LAB_PANEL: _lab_panels,
    Domain.EXAM_ITEM: lambda: _exams("exam"),
    Domain.TREATMENT: _treatments,
    Domain.CONSUMABLE: _consumables,
    Domain.REGISTRATION_FEE: _registration_fees,
    Domain.FREQUENCY: _frequencies,
    Domain.ROUTE: _routes,
    Domain.DIAGNOSIS: _diagnoses,
}

# ── rows to drafts ───────────────────────────────────────────────────────────────────────────


@cache
def _rows(table: str) -> tuple[Row, ...]:
    text = resources.files(__package__).joinpath(f"{table}.csv").read_text("utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _shares() -> Mapping[str, InsuranceShare]:
    """Items whose simulated share differs from that of their class."""
    return {
        row["item_code"]: InsuranceShare(
            insurance_class=InsuranceClass.B if Decimal(row["self_ratio"]) else InsuranceClass.A,
            self_ratio=Decimal(row["self_ratio"]),
            fund_ratio=Decimal(row["fund_ratio"]),
            supplement=Money.of_yuan(row["supplement_cny"]),
        )
        for row in _rows("insurance_simulated")
    }


def _draft(row: Row, code: str, names: tuple[str, ...]) -> Draft:
    return Draft(
        code=code,
        name_zh=row["name_zh"],
        name_en=row.get("name_en", ""),
        attributes=tuple(Attribute(name=n, value=row[n]) for n in names if row[n]),
        valid_from=SEED_VALID_FROM,
    )


def _share(
    insurance_class: InsuranceClass | str, self_ratio: Decimal | None = None
) -> InsuranceShare:
    known = InsuranceClass(insurance_class)
    return InsuranceShare(
        insurance_class=known,
        self_ratio=SELF_RATIO[known] if self_ratio is None else self_ratio,
        fund_ratio=FUND_RATIO,
        supplement=ZERO,
    )


def _charged(
    row: Row, code: str, names: tuple[str, ...], *, unit: str, share: InsuranceShare
) -> Draft:
    return _draft(row, code, names).replace(
        unit=unit,
        price=UnitPrice(yuan=Decimal(row["price_cny_synthetic"])),
        insurance=_shares().get(code, share),
    )
