"""Shared documents 共享文档: what a board says for one, in the hospital's terms, without any XML.

A board declares in ``interop.py`` which document it has the facts for (``@document``), and the
boards that know people and visits declare those (``@about_person``, ``@about_visit``). The
documents board puts the three together, writes the standard's form and checks it. The words come
from WS/T 500-2016 (kinds of documents), WS 445-2014 (data elements) and LOINC (sections).
"""

import inspect
import typing
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from plugward.kit.money import Money
from plugward.kit.time import Instant
from plugward.vocabulary import Sex

F = TypeVar("F", bound=Callable[..., Any])


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Free text or a number people read."""

    text: str


class Coded(msgspec.Struct, frozen=True, tag="coded"):
    """A concept: its code in a system (an OID; ``""`` is the hospital's own), and its name."""

    code: str
    name: str
    system: str = ""


class Amount(msgspec.Struct, frozen=True, tag="amount"):
    """A quantity with its unit and, for a measurement, its reference range."""

    value: Decimal
    unit: str = ""
    low: Decimal | None = None
    high: Decimal | None = None


class Moment(msgspec.Struct, frozen=True, tag="moment"):
    """An instant to the second, or a whole hospital day."""

    at: Instant | date


class YesNo(msgspec.Struct, frozen=True, tag="yes-no"):
    """A flag."""

    is_so: bool


class Price(msgspec.Struct, frozen=True, tag="price"):
    """Money in fen."""

    money: Money


Value = Text | Coded | Amount | Moment | YesNo | Price


class Element(msgspec.Struct, frozen=True):
    """One data element 数据元: its WS 445 identifier, its name, its value."""

    code: str
    name: str
    value: Value


class Entry(msgspec.Struct, frozen=True):
    """Elements that belong together: one drug, one result, one diagnosis."""

    elements: tuple[Element, ...]


class Section(msgspec.Struct, frozen=True):
    """A chapter, by its LOINC code."""

    code: str
    entries: tuple[Entry, ...]


class Sheet(msgspec.Struct, frozen=True):
    """What one signed version says. ``set`` is the same for all versions of one document."""

    id: UUID
    set: UUID
    version: int
    patient: UUID
    encounter: UUID
    campus: str
    department: str
    author: str
    """The actor who signed, such as ``staff:…``."""
    signed_at: Instant
    sections: tuple[Section, ...]
    replaces: UUID | None = None
    verifier: str = ""


class PersonNumber(StrEnum):
    """Which number of a person."""

    ID_CARD = "id-card"  # 居民身份证
    HEALTH_CARD = "health-card"  # 居民健康卡
    LOCAL = "local"  # 院内号


class Person(msgspec.Struct, frozen=True):
    """The patient as the document names them."""

    name: str
    sex: Sex
    birth_date: date | None
    numbers: tuple[tuple[PersonNumber, str], ...]
    phone: str = ""


class Visit(msgspec.Struct, frozen=True):
    """The visit the document belongs to."""

    number: str
    began_at: Instant | None
    doctor: str = ""


class Told(StrEnum):
    DOCUMENT = "document"
    PERSON = "person"
    VISIT = "visit"


class Teller(msgspec.Struct, frozen=True, eq=False):
    """One declaration: the function and the contracts it asks for."""

    kind: Told
    code: str
    name: str
    function: Callable[..., Any]
    needs: dict[str, Any]


def document(code: str) -> Callable[[F], F]:
    """``async def f(id: UUID, orders: Orders) -> Sheet`` for a document of this code (``C0004``).

    It runs in the reader's name: every contract it asks checks that person's rights.
    """
    return _declare(Told.DOCUMENT, code)


def about_person(function: F) -> F:
    """``async def f(patient: UUID, patients: Patients) -> Person``."""
    return _declare(Told.PERSON)(function)


def about_visit(function: F) -> F:
    """``async def f(encounter: UUID, encounters: Encounters) -> Visit``."""
    return _declare(Told.VISIT)(function)


def _declare(kind: Told, code: str = "") -> Callable[[F], F]:
    def apply(function: F) -> F:
        hints = typing.get_type_hints(function)
        names = list(inspect.signature(function).parameters)[1:]
        function.__interop__ = Teller(  # type: ignore[attr-defined]  # read by declared_of
            kind=kind,
            code=code,
            name=f"{function.__module__}.{function.__name__}",
            function=function,
            needs={name: hints[name] for name in names},
        )
        return function

    return apply
