"""The vault's table."""

from sqlalchemy import Column, Date, Integer, String

from plugward.kernel import BoardTables, Fen, Id, Moment, Price, State, Stored

from .contract import BoxState, Note

tables = BoardTables("vault")

boxes = tables.define(
    "box",
    Column("id", Id, primary_key=True),
    Column("campus", String(16), nullable=False),
    Column("name", String(80), nullable=False),
    Column("state", State(BoxState), nullable=False),
    Column("left", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("money", Fen, nullable=False),
    Column("price", Price, nullable=False),
    Column("day", Date, nullable=False),
    Column("at", Moment, nullable=False),
    Column("notes", Stored(tuple[Note, ...]), nullable=False),
    Column("number", Integer, nullable=False),
    Column("taker", String(80)),
    scope="campus",
    shard="id",
)
