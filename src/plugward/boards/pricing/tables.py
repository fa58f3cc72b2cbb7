"""The tables pricing owns: copies of prices, charges, and facts that wait for a price."""

from decimal import Decimal

from sqlalchemy import Boolean, Column, Index, Integer, String

from plugward.commons.masterdata.contract import InsuranceShare
from plugward.kernel import BoardTables, Fen, Id, Moment, Price, State, Stored
from plugward.vocabulary import InsuranceClass

from .contract import CancelReason, ChargeCategory, ChargeState

tables = BoardTables("pricing")

price_versions = tables.define(
    "price_version",
    Column("item", String(32), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("category", State(ChargeCategory), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("price", Price, nullable=False),
    Column("insurance", Stored(InsuranceShare), nullable=True),
    Column("valid_from", Moment, nullable=False),
    Column("valid_to", Moment, nullable=True),
    Column("is_retired", Boolean, nullable=False),
    scope="shared",
    why_shared="a read copy of the one catalogue for all campuses",
)

charges = tables.define(
    "charge",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("encounter", Id, nullable=False),
    Column("line", Id, nullable=True),
    Column("category", State(ChargeCategory), nullable=False),
    Column("item", String(32), nullable=False),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("unit", String(32), nullable=False),
    Column("quantity", Stored(Decimal), nullable=False),
    Column("unit_price", Price, nullable=False),
    Column("price_version", Integer, nullable=False),
    Column("amount", Fen, nullable=False),
    Column("insurance_class", State(InsuranceClass), nullable=False),
    Column("self_ratio", Stored(Decimal), nullable=False),
    Column("fund", Fen, nullable=False),
    Column("supplement", Fen, nullable=False),
    Column("self_pay", Fen, nullable=False),
    Column("state", State(ChargeState), nullable=False),
    Column("performed_at", Moment, nullable=False),
    Column("priced_at", Moment, nullable=False),
    Index("ix_pricing_charge_encounter", "encounter"),
    Index("ix_pricing_charge_line", "line"),
    Index("ix_pricing_charge_item", "item", "performed_at"),
    scope="campus",
    shard="encounter",
)

waiting = tables.define(
    "waiting",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("encounter", Id, nullable=False),
    Column("line", Id, nullable=True),
    Column("item", String(32), nullable=False),
    Column("quantity", Stored(Decimal), nullable=False),
    Column("performed_at", Moment, nullable=False),
    Index("ix_pricing_waiting_item", "item"),
    Index("ix_pricing_waiting_line", "line"),
    scope="campus",
    shard="encounter",
)

# A withdrawal may become known before the fact it withdraws; then there is nothing to charge.
withdrawn = tables.define(
    "withdrawn",
    Column("line", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("reason", State(CancelReason), nullable=False),
    Column("withdrawn_at", Moment, nullable=False),
    scope="campus",
    shard="line",
)
