"""Migrations 迁移: numbered, forward only, per board; a failed one leaves the old tables."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import DBAPIError

from plugward.kit.time import Instant

from .tables import BoardTables


class Step(NamedTuple):
    """One migration: ``mNNNN_name.py`` with a function ``upgrade(connection, tables)``."""

    number: int
    name: str
    upgrade: Callable[[Connection, BoardTables], None]


class MigrationFailed(Exception):
    """Names the board, the migration and the statement that failed."""

    def __init__(self, board: str, step: str, statement: str) -> None:
        self.board, self.step, self.statement = board, step, statement
        super().__init__(f"{board}: migration {step} failed at: {statement}")


def steps_of(package: str) -> tuple[Step, ...]:
    """The migrations a board ships, in order."""
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError:
        return ()
    found: list[Step] = []
    for info in pkgutil.iter_modules(module.__path__):
        number, _, name = info.name.lstrip("m").partition("_")
        step: Any = importlib.import_module(f"{package}.{info.name}")
        found.append(Step(int(number), name, step.upgrade))
    return tuple(sorted(found))


def bring_up(
    connection: Connection,
    tables: BoardTables,
    now: Instant,
    steps: tuple[Step, ...] = (),
    schema: str | None = None,
) -> None:
    """Create what is missing on an empty store, or run what is pending on an older one."""
    journal = tables.system.migration
    fresh = not inspect(connection).has_table(journal.name, schema=schema)
    if fresh:
        tables.metadata.create_all(connection)
        _note(connection, journal, 0, "baseline", now)
        for step in steps:
            _note(connection, journal, step.number, step.name, now)
        return
    applied = set(connection.execute(select(journal.c.number)).scalars())
    for step in steps:
        if step.number not in applied:
            try:
                step.upgrade(connection, tables)
            except DBAPIError as error:
                name = f"{step.number:04} {step.name}"
                raise MigrationFailed(tables.board, name, str(error.statement)) from error
            _note(connection, journal, step.number, step.name, now)
    tables.metadata.create_all(connection)


def _note(connection: Connection, journal: Any, number: int, name: str, now: Instant) -> None:
    connection.execute(journal.insert().values(number=number, name=name, applied_at=now))
