"""A store of an earlier version is brought up to the tables of this one."""

from sqlalchemy import create_engine, inspect

from plugward.boards.registration.board import board
from plugward.boards.registration.migrations import m0001_day_list_in_order as step
from plugward.boards.registration.tables import appointments, tables


def test_the_days_list_gets_its_index() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        tables.metadata.create_all(connection)
        connection.exec_driver_sql(f"DROP INDEX {step.NEW}")
        connection.exec_driver_sql(
            f"CREATE INDEX {step.OLD} ON {appointments.name} (campus, day, starts_at)"
        )
        step.upgrade(connection, tables)
        step.upgrade(connection, tables)  # what was cut off half-way is repeated
        found = {
            i["name"]: i["column_names"] for i in inspect(connection).get_indexes(appointments.name)
        }
    assert found[step.NEW] == ["campus", "day", "starts_at", "id"]
    assert step.OLD not in found
    engine.dispose()


def test_the_board_ships_it() -> None:
    assert [(s.number, s.name) for s in board.migrations] == [(1, "day_list_in_order")]
