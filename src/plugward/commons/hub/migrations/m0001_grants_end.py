"""What a system may do ends some day; the systems of older hospitals go on without an end."""

from sqlalchemy import DDL, Connection
from sqlalchemy.schema import CreateColumn

from plugward.kernel import BoardTables


def upgrade(connection: Connection, tables: BoardTables) -> None:
    table = tables.own["system"]
    added = CreateColumn(table.c.until).compile(dialect=connection.dialect)
    ddl = DDL(f"ALTER TABLE %(fullname)s ADD COLUMN {added}")  # type: ignore[no-untyped-call]  # theirs
    connection.execute(ddl.against(table))
