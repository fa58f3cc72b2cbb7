"""Statements 语句: the few SQL shapes the kernel uses, built once per table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Insert,
    Integer,
    Select,
    String,
    Table,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql import Executable

from ..codec import to_json


@cache
def columns_for(table: Table, kind: type[msgspec.Struct]) -> tuple[Column[Any], ...]:
    """The columns a message is read from; a field without a column must have a default."""
    return tuple(table.c[name] for name in kind.__struct_fields__ if name in table.c)


@cache
def names_for(table: Table, kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The field names of ``columns_for``, as plain text."""
    return tuple(str(column.name) for column in columns_for(table, kind))


@cache
def insert_into(table: Table) -> Insert:
    return insert(table)


def row_of(table: Table, message: msgspec.Struct, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The message's fields that are columns, and ``extra``."""
    row = {
        name: getattr(message, name)
        for name in message.__struct_fields__
        if name in table.c and name not in extra
    }
    row.update(extra)
    return row


def equals(table: Table, values: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """``column = value``; a tuple means any of, None means null."""
    return [_equal(table.c[name], value) for name, value in values.items()]


def _equal(column: Column[Any], value: Any) -> ColumnElement[bool]:
    if isinstance(value, (tuple, frozenset)):
        return column.in_(list(cast("tuple[Any, ...]", value)))
    return column.is_(None) if value is None else column == value


def key_is(table: Table, key: Any) -> list[ColumnElement[bool]]:
    """The primary key equals ``key`` (a tuple for a compound one)."""
    columns = list(table.primary_key.columns)
    values = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
    if len(values) != len(columns):
        raise TypeError(f"{table.name} has {len(columns)} key columns, got {len(values)}")
    return [column == value for column, value in zip(columns, values, strict=True)]


def key_values(table: Table, key: Any) -> dict[str, Any]:
    """The primary key's columns with the values of ``key`` (a tuple for a compound one)."""
    names = [column.name for column in table.primary_key.columns]
    values = cast("tuple[Any, ...]", key) if isinstance(key, tuple) else (key,)
    if len(values) != len(names):
        raise TypeError(f"{table.name} has {len(names)} key columns, got {len(values)}")
    return dict(zip(names, values, strict=True))


def changes(
    table: Table, before: msgspec.Struct, after: msgspec.Struct
) -> dict[str, tuple[Any, Any]]:
    """What differs between two versions of a row, as (old, new)."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in after.__struct_fields__:
        if name in table.c:
            old, new = getattr(before, name), getattr(after, name)
            if old != new:
                found[name] = (old, new)
    return found


def ordering(table: Table, order_by: str | Sequence[str]) -> list[ColumnElement[Any]]:
    """The given columns, then the primary key, so that pages never overlap."""
    names = (order_by,) if isinstance(order_by, str) else tuple(order_by)
    keys = [
        c.name for c in table.primary_key.columns if c.name not in {n.lstrip("-") for n in names}
    ]
    return [
        table.c[name[1:]].desc() if name.startswith("-") else table.c[name].asc()
        for name in (*names, *keys)
    ]


@cache
def count(table: Table) -> Select[Any]:
    return select(func.count()).select_from(table)


def raw(column: Column[Any]) -> ColumnElement[int]:
    """The stored number behind a typed column (``Money`` is fen)."""
    return type_coerce(column, Integer)


@cache
def insert_ignore(table: Table, dialect: str) -> Executable:
    if dialect == "sqlite":
        return sqlite_insert(table).on_conflict_do_nothing()
    if dialect == "postgresql":
        return postgresql_insert(table).on_conflict_do_nothing()
    return insert(table).prefix_with("IGNORE")


@cache
def upsert(table: Table, dialect: str) -> Executable:
    keys = [column.name for column in table.primary_key.columns]
    rest = [column.name for column in table.columns if column.name not in keys]
    if dialect in ("mysql", "mariadb"):
        statement = mysql_insert(table)
        return statement.on_duplicate_key_update({n: statement.inserted[n] for n in rest})
    build: Any = sqlite_insert if dialect == "sqlite" else postgresql_insert
    conflict = build(table)
    replacing: Executable = conflict.on_conflict_do_update(
        index_elements=keys, set_={n: conflict.excluded[n] for n in rest}
    )
    return replacing


class Bump(NamedTuple):
    """How a counter is raised by ``step`` or begun at ``first``, and whether it tells the value."""

    statement: Executable
    returns: bool


@cache
def bump(table: Table, key: str, column: str, dialect: str) -> Bump:
    """Raise a counter in one statement; the row lock makes writers of one key wait."""
    values: dict[str, Any] = {key: bindparam("k"), column: bindparam("first")}
    step = bindparam("step", type_=Integer)
    if dialect in ("mysql", "mariadb"):
        statement = mysql_insert(table).values(values)
        return Bump(statement.on_duplicate_key_update({column: table.c[column] + step}), False)
    build: Any = sqlite_insert if dialect == "sqlite" else postgresql_insert
    return Bump(
        build(table)
        .values(values)
        .on_conflict_do_update(index_elements=[key], set_={column: table.c[column] + step})
        .returning(table.c[column]),
        True,
    )


class ManyBumps(NamedTuple):
    """How many counters are raised in one statement, and the parameters it takes for them."""

    statement: Executable
    of: Callable[[Sequence[tuple[str, int]]], dict[str, Any]]


@cache
def bump_many(table: Table, dialect: str) -> ManyBumps | None:
    """Raise the versions of many keys at once; None where a database cannot say the new ones."""
    if dialect == "sqlite":
        pairs = func.json_each(bindparam("counts")).table_valued("key", "value")
        # SQLite needs a WHERE here, or it takes ON for the beginning of a join.
        some = select(pairs.c.key, pairs.c.value).where(literal_column("1") == literal_column("1"))
        build: Any = sqlite_insert(table)
        return ManyBumps(_raising(table, build, some), _as_json)
    if dialect == "postgresql":
        wanted = select(
            func.unnest(bindparam("keys", type_=postgresql.ARRAY(String))),
            func.unnest(bindparam("steps", type_=postgresql.ARRAY(BigInteger))),
        )
        build = postgresql_insert(table)
        return ManyBumps(_raising(table, build, wanted), _as_arrays)
    return None


def _raising(table: Table, build: Any, wanted: Any) -> Executable:
    inserted = build.from_select(["key", "version"], wanted)
    raised: Executable = inserted.on_conflict_do_update(
        index_elements=["key"], set_={"version": table.c.version + inserted.excluded.version}
    ).returning(table.c.key, table.c.version)
    return raised


def _as_json(counts: Sequence[tuple[str, int]]) -> dict[str, Any]:
    return {"counts": to_json(dict(counts)).decode()}


def _as_arrays(counts: Sequence[tuple[str, int]]) -> dict[str, Any]:
    return {"keys": [key for key, _ in counts], "steps": [step for _, step in counts]}


def any_of(column: Column[Any], values: Iterable[UUID]) -> ColumnElement[bool]:
    return column.in_(list(values))
