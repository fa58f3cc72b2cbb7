"""The one table of the ledger board."""

from sqlalchemy import Column, Integer, String

from plugward.kernel import BoardTables, Id

tables = BoardTables("ledger")
heard = tables.define(
    "heard",
    Column("id", Id, primary_key=True),
    Column("note", String(64), nullable=False),
    Column("place", Integer, nullable=False),
    scope="shared",
)
