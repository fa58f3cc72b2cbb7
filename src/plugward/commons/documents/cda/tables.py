"""The kinds of documents written here, their sections and data elements, from the tables beside.

``elements.csv``: WS 445-2014 as listed publicly; to be verified against the printed standard
before a certification. ``sections.csv``: LOINC sections seen in public templates of WS/T 500-2016;
which of them are required is our own reading.
"""

import csv
import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

TEMPLATE_ROOT: Final = "2.16.156.10011.2.1.1"
_HERE = Path(__file__).parent
_LENGTH = re.compile(r"^(AN|A|N|D|DT)(\.\.)?(\d+)(?:\.\.(\d+))?(?:,(\d+))?$")


class Format(msgspec.Struct, frozen=True):
    """A WS 445 format such as ``AN..50``, ``N1``, ``N..5,2``: letters, lengths, decimals."""

    letters: str
    least: int
    most: int
    decimals: int

    @classmethod
    def of(cls, text: str) -> "Format":
        found = _LENGTH.match(text)
        if found is None:
            return cls(text, 0, 20_000, 0)
        letters, upto, first, second, decimals = found.groups()
        if upto:
            return cls(letters, 0, int(first), int(decimals or 0))
        return cls(letters, int(first), int(second or first), int(decimals or 0))


class ElementRule(msgspec.Struct, frozen=True):
    """How a data element may look in one kind of document."""

    code: str
    names: tuple[str, ...]
    type: str
    format: Format


class SectionRule(msgspec.Struct, frozen=True):
    """A section of one kind of document."""

    code: str
    title: str
    title_en: str
    is_required: bool


class Kind(msgspec.Struct, frozen=True):
    """One of the 53 document kinds of WS/T 500-2016."""

    code: str
    title: str
    title_en: str

    @property
    def template(self) -> str:
        """Part N stands at ``….(20 + N)``."""
        return f"{TEMPLATE_ROOT}.{20 + int(self.code[1:])}"


KINDS: Final = {
    kind.code: kind
    for kind in (
        Kind("C0002", "门(急)诊病历", "Outpatient record"),
        Kind("C0004", "西药处方", "Prescription"),
        Kind("C0007", "检验报告", "Laboratory report"),
    )
}


@cache
def sections_of(code: str) -> dict[str, SectionRule]:
    """The sections of a kind, in their order."""
    return {
        row["section"]: SectionRule(
            row["section"], row["title_zh"], row["title_en"], row["is_required"] == "yes"
        )
        for row in _rows("sections.csv")
        if row["document"] == code
    }


@cache
def elements_of(code: str) -> dict[str, ElementRule]:
    """The data elements of a kind, by their identifier. One identifier may have several names."""
    found: dict[str, ElementRule] = {}
    for row in _rows("elements.csv"):
        if row["document"] != code:
            continue
        earlier = found.get(row["element"])
        names = (*(earlier.names if earlier else ()), row["name_zh"])
        found[row["element"]] = ElementRule(
            row["element"], names, row["type"], Format.of(row["format"])
        )
    return found


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    with (_HERE / name).open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
