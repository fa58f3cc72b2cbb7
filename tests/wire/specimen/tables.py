"""The one table of the specimen board."""

from sqlalchemy import Column, String

from plugward.kernel import BoardTables, Id

tables = BoardTables("specimen")
things = tables.define(
    "thing",
    Column("id", Id, primary_key=True),
    Column("note", String(64), nullable=False),
    scope="shared",
)
