"""The hub's own tables. Messages are not here: they are in the ledger."""

from sqlalchemy import Boolean, Column, Integer, String

from plugward.kernel import BoardTables, Moment, Stored

tables = BoardTables("hub")

systems = tables.define(
    "system",
    Column("code", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("campus", String(16), nullable=False),
    Column("application", String(100), nullable=False),
    Column("facility", String(100), nullable=False),
    Column("networks", Stored(tuple[str, ...]), nullable=False),
    Column("may_send", Stored(tuple[str, ...]), nullable=False),
    Column("takes", Stored(tuple[str, ...]), nullable=False),
    Column("host", String(200), nullable=False),
    Column("port", Integer, nullable=False),
    Column("charset", String(32), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("until", Moment),
    scope="shared",
    why_shared="one hub serves all campuses of a site; each system names its own campus",
)
