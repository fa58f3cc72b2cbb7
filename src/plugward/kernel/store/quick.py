"""Quick 快路: the everyday statements go straight to SQLite's driver.

Around a statement of ten microseconds SQLAlchemy spends a hundred and fifty. Its text, the order
of its parameters and the conversions of its types are SQLAlchemy's here too, but they are asked
for once a shape; then only the driver runs (ADR 0075). A statement that is made anew for each call
gains nothing by this and does not come here; other databases have their drivers' own ways.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Connection, Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from plugward.kit.ids import uuid_of

from .columns import Id, Moment, State

Convert = Callable[[Any], Any]
SHAPES_MAX = 4_000
MANY = 8
_DIALECT = SQLiteDialect_pysqlite()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSTCOMPILE = "__[POSTCOMPILE_{}]"


class Bind(NamedTuple):
    """One parameter: its name, its conversion, and how many places it has if it is a list."""

    name: str
    convert: Convert | None
    places: int


class Quick(NamedTuple):
    """A statement as the driver takes it, and how its parameters and columns are converted."""

    text: str
    binds: tuple[Bind, ...]
    fixed: Mapping[str, Any]
    columns: tuple[Convert | None, ...]

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in their places, as the driver takes them."""
        found: list[Any] = []
        for name, convert, places in self.binds:
            value = values[name] if name in values else self.fixed[name]
            if places:
                found += value if convert is None else map(convert, value)
                found += [found[-1]] * (places - len(value))
            else:
                found.append(value if convert is None else convert(value))
        return found


def rows(connection: Connection, statement: Any, values: dict[str, Any]) -> list[Any]:
    """The rows of a prepared select or of what a change returns, converted."""
    quick = _ready(connection, statement, values)
    if quick is None:
        return list(connection.execute(statement, values).all())
    try:
        driver = _driver(connection, quick.text)
        found = driver.execute(quick.text, quick.parameters(values)).fetchall()
    except sqlite3.Error as error:
        raise _told(quick.text, error) from error
    if not found or not any(quick.columns):
        return found
    columns = zip(*found, strict=True)
    return list(zip(*map(_converted, quick.columns, columns), strict=True))


def changed(
    connection: Connection, statement: Any, values: dict[str, Any], *, columns: bool = False
) -> int:
    """How many rows a prepared change has met. ``columns``: the values name the columns set."""
    quick = _ready(connection, statement, values, tuple(values) if columns else None)
    if quick is None:
        return int(connection.execute(statement, values).rowcount)
    try:
        driver = _driver(connection, quick.text)
        return int(driver.execute(quick.text, quick.parameters(values)).rowcount)
    except sqlite3.Error as error:
        raise _told(quick.text, error) from error


def add(connection: Connection, statement: Any, many: Sequence[dict[str, Any]]) -> None:
    """Insert rows that have the same columns."""
    quick = _ready(connection, statement, many[0], tuple(many[0]))
    if quick is None:
        connection.execute(statement, many if len(many) > 1 else many[0])
        return
    try:
        driver = _driver(connection, quick.text)
        if len(many) == 1:
            driver.execute(quick.text, quick.parameters(many[0]))
        else:
            driver.executemany(quick.text, [quick.parameters(row) for row in many])
    except sqlite3.Error as error:
        raise _told(quick.text, error) from error


def overhear(engine: Any, hear: Callable[[str], None]) -> None:
    """Tell of every statement on this engine from now on (tests count them)."""
    _ears.append((engine, hear))


def leave(engine: Any) -> None:
    """Nobody listens to this engine any more."""
    _ears[:] = [(of, hear) for of, hear in _ears if of is not engine]


_ears: list[tuple[Any, Callable[[str], None]]] = []


def _converted(convert: Convert | None, column: tuple[Any, ...]) -> Any:
    """A column's values; in a long one most stand more than once and are converted once."""
    if convert is None:
        return column
    if len(column) < MANY:
        return map(convert, column)
    known = {value: convert(value) for value in set(column)}
    return map(known.__getitem__, column)


def _driver(connection: Connection, text: str) -> sqlite3.Connection:
    """The driver's connection, after telling whoever counts statements of this one."""
    for engine, hear in _ears:
        if engine is connection.engine:
            hear(text)
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _ready(
    connection: Connection,
    statement: Any,
    values: Mapping[str, Any],
    columns: tuple[str, ...] | None = None,
) -> Quick | None:
    """The statement for these values, unless SQLAlchemy has to run it."""
    if connection.dialect.name != "sqlite":
        return None
    places: list[tuple[str, int]] = []
    if columns is None:
        for name, value in values.items():
            if type(value) is list:
                if not value:
                    return None
                places.append((name, _room(len(cast("list[Any]", value)))))
    return _quick(statement, tuple(places), columns)


def _room(count: int) -> int:
    """Lists are filled up to the next power of two, so that there are few lengths."""
    return 1 << (count - 1).bit_length()


@lru_cache(SHAPES_MAX)
def _quick(
    statement: Any, places: tuple[tuple[str, int], ...], columns: tuple[str, ...] | None
) -> Quick:
    keys = None if columns is None else list(columns)
    compiled = cast("SQLCompiler", statement.compile(dialect=_DIALECT, column_keys=keys))
    text, counts = compiled.string, dict(places)
    for name, count in places:
        text = text.replace(_POSTCOMPILE.format(name), ", ".join("?" * count))
    order = cast("list[str]", compiled.positiontup)
    binds = tuple(Bind(n, _into(compiled.binds[n].type), counts.get(n, 0)) for n in order)
    kinds = [c.type for c in statement.selected_columns] if isinstance(statement, Select) else []
    return Quick(text, binds, compiled.params, tuple(map(_out_of, kinds)))


def _told(text: str, error: sqlite3.Error) -> BaseException:
    """The driver's error as SQLAlchemy tells it, without the values."""
    return DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True)


# ── conversions ─────────────────────────────────────────────────────────────────────────────
def _into(kind: TypeEngine[Any]) -> Convert | None:
    if isinstance(kind, Id):
        return _bytes_of
    return kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)


def _out_of(kind: TypeEngine[Any]) -> Convert | None:
    if isinstance(kind, Id):
        return _uuid_of
    if isinstance(kind, Moment):
        return _moment_of
    if isinstance(kind, State):
        states = cast("Iterable[StrEnum]", kind.kind)
        known: dict[Any, Any] = {str(state.value): state for state in states}
        return {**known, None: None}.__getitem__
    return kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)


def _bytes_of(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def _uuid_of(value: bytes | None) -> UUID | None:
    return None if value is None else uuid_of(int.from_bytes(value))


def _moment_of(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)
