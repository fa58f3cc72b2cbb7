"""The catalogue's tables: versions (which are the change log), and one searchable head a code."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String

from plugward.kernel import BoardTables, Moment, Price, State, Stored

from .contract import Attribute, Domain, InsuranceShare

tables = BoardTables("masterdata")

# The whole group reads one catalogue: a campus is an entry in it, not an owner of it.
_WHY_SHARED = "one catalogue for all campuses"

entries = tables.define(
    "entry",
    Column("domain", State(Domain), primary_key=True),
    Column("code", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("pinyin", String(200), nullable=False),
    Column("attributes", Stored(tuple[Attribute, ...]), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("price", Price, nullable=True),
    Column("insurance", Stored(InsuranceShare), nullable=True),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=True),
    Column("is_retired", Boolean, nullable=False),
    Column("successor", String(32), nullable=True),
    Column("published_at", Moment, nullable=False),
    Column("published_by", String(80), nullable=False),
    Column("reason", String(400), nullable=False),
    Index("ix_masterdata_entry_log", "domain", "sequence", unique=True),
    scope="shared",
    why_shared=_WHY_SHARED,
)

heads = tables.define(
    "head",
    Column("domain", State(Domain), primary_key=True),
    Column("code", String(32), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("code_upper", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_lower", String(200), nullable=False),
    Column("pinyin", String(200), nullable=False),
    Index("ix_masterdata_head_pinyin", "domain", "pinyin"),
    scope="shared",
    why_shared=_WHY_SHARED,
)

# A fact asks to be charged by code alone, so a code that costs money belongs to one domain.
charge_codes = tables.define(
    "charge_code",
    Column("code", String(32), primary_key=True),
    Column("domain", State(Domain), nullable=False),
    scope="shared",
    why_shared=_WHY_SHARED,
)
