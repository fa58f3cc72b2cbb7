"""Notes, by campus."""

from sqlalchemy import Column, String, Text

from plugward.kernel import BoardTables, Id, Moment

tables = BoardTables("specimen")
notes = tables.define(
    "note",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("written_at", Moment, nullable=False),
    scope="campus",
    shard="id",
)
