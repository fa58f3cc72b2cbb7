"""The tables orders owns: signed groups, baskets, fasting days, and copies of the catalogue."""

from decimal import Decimal

from sqlalchemy import Boolean, Column, Date, Index, Integer, String, Text

from plugward.kernel import BoardTables, Id, Moment, State, Stored
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
