"""The tables records owns: signed versions, and a copy of the diagnoses that can be named."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    String,
    Text,
    and_,
    case,
    func,
    or_,
    select,
)

from plugward.kernel import BoardTables, Id, Moment, Stored
from plugward.kit.time import Instant

from .contract import NoteContent

tables = BoardTables("records")

# Rows are only ever added. ``is_newest`` is the one column that changes, and no hash covers it.
versions = tables.define(
    "version",
    Column("note", Id, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("author", String(80), nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("content", Stored(NoteContent), nullable=False),
    Column("reason", Text, nullable=False),
    Column("corrects", Integer, nullable=True),
    Column("corrects_hash", String(64), nullable=True),
    Column("is_newest", Boolean, nullable=False),
    Index("ix_records_version_encounter", "encounter"),
    Index("ix_records_version_patient", "patient", "signed_at"),
    scope="campus",
    shard="encounter",
)

# Every published version is kept, so that one that takes effect tomorrow does so by itself.
diagnoses = tables.define(
    "diagnosis",
    Column("icd10", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("pinyin", String(200), nullable=False),
    Column("sex", String(16), nullable=False),
    Column("is_notifiable", Boolean, nullable=False),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=True),
    Column("is_retired", Boolean, nullable=False),
    Index("ix_records_diagnosis_pinyin", "pinyin"),
    scope="shared",
    why_shared="a read copy of the one catalogue for all campuses",
)


def in_force(now: Instant) -> ColumnElement[bool]:
    """The newest version that has taken effect, unless it is retired or has run out."""
    later: Any = diagnoses.alias()
    newest = (
        select(func.max(later.c.version))
        .where(later.c.icd10 == diagnoses.c.icd10, later.c.valid_from <= now)
        .scalar_subquery()
    )
    return and_(
        diagnoses.c.version == newest,
        diagnoses.c.is_retired.is_(False),
        or_(diagnoses.c.valid_to.is_(None), diagnoses.c.valid_to > now),
    )


def fits(text: str) -> ColumnElement[bool]:
    """The code, initials or names say what was typed."""
    initials = text.upper()
    return or_(
        diagnoses.c.icd10.startswith(initials, autoescape=True),
        diagnoses.c.pinyin.contains(initials, autoescape=True),
        diagnoses.c.name_zh.contains(text, autoescape=True),
        func.lower(diagnoses.c.name_en).contains(text.lower(), autoescape=True),
    )


def likeness(text: str) -> ColumnElement[int]:
    """The exact code first, then what begins like the text, then what contains it."""
    initials = text.upper()
    return case(
        (diagnoses.c.icd10 == initials, 0),
        (diagnoses.c.pinyin == initials, 1),
        (diagnoses.c.icd10.startswith(initials, autoescape=True), 2),
        (diagnoses.c.pinyin.startswith(initials, autoescape=True), 2),
        (diagnoses.c.name_zh.startswith(text, autoescape=True), 2),
        else_=3,
    )
