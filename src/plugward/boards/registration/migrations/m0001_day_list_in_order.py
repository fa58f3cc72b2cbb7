"""The day's list comes in its order from one index; the shorter one it replaces goes."""

from sqlalchemy import Connection, MetaData, Table

from plugward.kernel import BoardTables

NEW, OLD = "ix_registration_appointment_list", "ix_registration_appointment_day"


def upgrade(connection: Connection, tables: BoardTables) -> None:
    table = tables.own["appointment"]
    [index] = [index for index in table.indexes if index.name == NEW]
    index.create(connection, checkfirst=True)
    for found in Table(table.name, MetaData(), autoload_with=connection).indexes:
        if found.name == OLD:
            found.drop(connection)
