"""The tables orders owns: signed groups, baskets, fasting days, and copies of the catalogue."""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
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

from plugward.kernel import BoardTables, Id, Moment, State, Stored
from plugward.kit.time import Instant
from plugward.vocabulary import OrderKind

from .contract import LineState, NewLine, UsageKind

tables = BoardTables("orders")

groups = tables.define(
    "group",
    Column("id", Id, primary_key=True),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("department", String(32), nullable=False),
    Column("author", String(80), nullable=False),
    Column("signed_at", Moment, nullable=False),
    Column("indication", Text, nullable=False),
    Column("has_drugs", Boolean, nullable=False),
    Index("ix_orders_group_encounter", "encounter"),
    Index("ix_orders_group_patient", "patient", "signed_at"),
    scope="campus",
    shard="encounter",
)

lines = tables.define(
    "line",
    Column("id", Id, primary_key=True),
    Column("group", Id, nullable=False),
    Column("position", Integer, nullable=False),
    Column("encounter", Id, nullable=False),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("kind", State(OrderKind), nullable=False),
    Column("item", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("spec", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("dose", Stored(Decimal), nullable=True),
    Column("dose_unit", String(32), nullable=False),
    Column("route", String(32), nullable=False),
    Column("frequency", String(32), nullable=False),
    Column("days", Integer, nullable=True),
    Column("is_urgent", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("state", State(LineState), nullable=False),
    Index("ix_orders_line_group", "group"),
    Index("ix_orders_line_encounter", "encounter"),
    scope="campus",
    shard="encounter",
)

drafts = tables.define(
    "draft",
    Column("encounter", Id, primary_key=True),
    Column("author", String(80), primary_key=True),
    Column("patient", Id, nullable=False),
    Column("campus", String(16), nullable=False),
    Column("lines", Stored(tuple[NewLine, ...]), nullable=False),
    Column("saved_at", Moment, nullable=False),
    scope="campus",
    shard="encounter",
)

fasting_days = tables.define(
    "fasting",
    Column("encounter", Id, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("author", String(80), nullable=False),
    Column("ordered_at", Moment, nullable=False),
    scope="campus",
    shard="encounter",
)

# Every published version is kept, so that one that takes effect tomorrow does so by itself.
items = tables.define(
    "item",
    Column("kind", State(OrderKind), primary_key=True),
    Column("item", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("pinyin", String(200), nullable=False),
    Column("spec", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("dose", Stored(Decimal), nullable=True),
    Column("dose_unit", String(32), nullable=False),
    Column("route", String(32), nullable=False),
    Column("frequency", String(32), nullable=False),
    Column("detail", String(200), nullable=False),
    Column("doses_per_pack", Stored(Decimal), nullable=True),
    Column("is_high_alert", Boolean, nullable=False),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=True),
    Column("is_retired", Boolean, nullable=False),
    Index("ix_orders_item_pinyin", "pinyin"),
    scope="shared",
    why_shared="a read copy of the one catalogue for all campuses",
)

usages = tables.define(
    "usage",
    Column("kind", State(UsageKind), primary_key=True),
    Column("usage", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("times_per_day", Stored(Decimal), nullable=True),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=True),
    Column("is_retired", Boolean, nullable=False),
    scope="shared",
    why_shared="a read copy of the one catalogue for all campuses",
)

# Counts what was learned of the catalogue, so that a copy in memory knows when it is old.
catalogue = tables.define(
    "catalogue",
    Column("name", String(16), primary_key=True),
    Column("stamp", Integer, nullable=False),
    scope="shared",
    why_shared="it counts the changes of a catalogue that all campuses share",
)


def in_force(table: Any, now: Instant) -> ColumnElement[bool]:
    """The newest version that has taken effect, unless it is retired or has run out."""
    later = table.alias()
    code = "item" if "item" in table.c else "usage"
    newest = (
        select(func.max(later.c.version))
        .where(
            later.c.kind == table.c.kind,
            later.c[code] == table.c[code],
            later.c.valid_from <= now,
        )
        .scalar_subquery()
    )
    return and_(
        table.c.version == newest,
        table.c.is_retired.is_(False),
        or_(table.c.valid_to.is_(None), table.c.valid_to > now),
    )


def fits(text: str) -> ColumnElement[bool]:
    """The item's code, initials or names say what was typed."""
    initials = text.upper()
    return or_(
        items.c.item.startswith(initials, autoescape=True),
        items.c.pinyin.contains(initials, autoescape=True),
        items.c.name_zh.contains(text, autoescape=True),
        func.lower(items.c.name_en).contains(text.lower(), autoescape=True),
    )


def likeness(text: str) -> ColumnElement[int]:
    """The exact code first, then what begins like the text, then what contains it."""
    initials = text.upper()
    return case(
        (items.c.item == initials, 0),
        (items.c.pinyin == initials, 1),
        (items.c.name_zh == text, 1),
        (items.c.pinyin.startswith(initials, autoescape=True), 2),
        (items.c.name_zh.startswith(text, autoescape=True), 2),
        (func.lower(items.c.name_en).startswith(text.lower(), autoescape=True), 3),
        else_=4,
    )
