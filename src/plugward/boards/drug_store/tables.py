"""The tables of the drug store: batches and the documents whose moves add up to them."""

from sqlalchemy import Column, Date, Index, Integer, String

from plugward.kernel import BoardTables, Id, Moment, State

from .contract import DocumentKind, ReservationState, StoreKind

tables = BoardTables("drug_store")

stores = tables.define(
    "store",
    Column("store", String(32), primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("kind", State(StoreKind), nullable=False),
    Column("name", String(120), nullable=False),
    Index("ix_drug_store_store_campus", "campus", "kind"),
    scope="campus",
)

batches = tables.define(
    "batch",
    Column("store", String(32), primary_key=True),
    Column("item", String(32), primary_key=True),
    Column("batch_no", String(64), primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("on_hand", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("available", Integer, nullable=False),
    Index("ix_drug_store_batch_expiry", "campus", "expires_on"),
    scope="campus",
    shard="item",
)

documents = tables.define(
    "document",
    Column("id", Id, primary_key=True),
    Column("kind", State(DocumentKind), nullable=False),
    Column("number", String(40), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("reason", String(400), nullable=False),
    Column("by", String(80), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_drug_store_document_at", "campus", "at"),
    scope="campus",
)

moves = tables.define(
    "move",
    Column("document", Id, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("store", String(32), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("item", String(32), nullable=False),
    Column("batch_no", String(64), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_drug_store_move_batch", "store", "item", "batch_no"),
    Index("ix_drug_store_move_at", "store", "at"),
    scope="campus",
    shard="item",
)

reservations = tables.define(
    "reservation",
    Column("id", Id, primary_key=True),
    Column("store", String(32), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("state", State(ReservationState), nullable=False),
    Column("expires_at", Moment, nullable=True),
    Index("ix_drug_store_reservation_due", "state", "expires_at"),
    scope="campus",
)

held = tables.define(
    "held",
    Column("reservation", Id, primary_key=True),
    Column("line", Id, primary_key=True),
    Column("batch_no", String(64), primary_key=True),
    Column("store", String(32), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("item", String(32), nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("open", Integer, nullable=False),
    Column("issued", Integer, nullable=False),
    Column("released", Integer, nullable=False),
    Column("returnable", Integer, nullable=False),
    Index("ix_drug_store_held_batch", "store", "item", "batch_no"),
    scope="campus",
    shard="item",
)

periods = tables.define(
    "period",
    Column("store", String(32), primary_key=True),
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("campus", String(16), nullable=False),
    Column("starts_at", Moment, nullable=True),
    Column("ends_at", Moment, nullable=False),
    Column("closed_by", String(80), nullable=False),
    Column("closed_at", Moment, nullable=False),
    scope="campus",
)

period_lines = tables.define(
    "period_line",
    Column("store", String(32), primary_key=True),
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("item", String(32), primary_key=True),
    Column("batch_no", String(64), primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("opening", Integer, nullable=False),
    Column("received", Integer, nullable=False),
    Column("issued", Integer, nullable=False),
    Column("closing", Integer, nullable=False),
    scope="campus",
)

drugs = tables.define(
    "drug",
    Column("item", String(32), primary_key=True),
    Column("name_zh", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("spec", String(120), nullable=False),
    Column("unit", String(32), nullable=False),
    scope="shared",
    why_shared="a read copy of the drug catalogue, which is one for all campuses",
)
