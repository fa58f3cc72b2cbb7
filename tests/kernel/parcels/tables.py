"""The one table of the parcels board."""

from sqlalchemy import Column, String

from plugward.kernel import BoardTables, Id, State

from .contract import ParcelState

tables = BoardTables("parcels")
parcels = tables.define(
    "parcel",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("addressee", Id, nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("state", State(ParcelState), nullable=False),
    scope="campus",
)
