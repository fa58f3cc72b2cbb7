"""Prepared statements 预备语句: the everyday shapes of find and update, built once a shape.

Building an SQL expression costs more than running it. A shape (which columns, compared how, in
which order, seen by whom) is built once with bind parameters and reused; only values change.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, cast

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Select,
    Table,
    Update,
    bindparam,
    or_,
    select,
    update,
)

from . import statements


class Sight(StrEnum):
    """How far the caller sees into a table."""

    ALL = "all"
    CAMPUSES = "campuses"  # the caller's own
    OPENED = "opened"  # and the records of patients opened by breaking the glass


class Compared(StrEnum):
    """How one column is compared."""

    EQUAL = "equal"
    NULL = "null"
    ANY_OF = "any-of"


Shape = tuple[tuple[str, Compared], ...]


def shape_of(values: Mapping[str, Any], *, exact: bool = False) -> tuple[Shape, dict[str, Any]]:
    """The shape of some comparisons, and their bind values.

    A tuple means *any of these*; ``exact`` takes it for the value of one column, as a ``Stored``
    tuple is.
    """
    shape: list[tuple[str, Compared]] = []
    bound: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            shape.append((name, Compared.NULL))
        elif isinstance(value, (tuple, frozenset)) and not exact:
            shape.append((name, Compared.ANY_OF))
            bound[f"w_{name}"] = list(cast("tuple[Any, ...]", value))
        else:
            shape.append((name, Compared.EQUAL))
            bound[f"w_{name}"] = value
    return tuple(shape), bound


@cache
def find(
    table: Table,
    kind: type[msgspec.Struct],
    shape: Shape,
    order_by: tuple[str, ...],
    sight: Sight,
) -> Select[Any]:
    """A select of the message's columns with binds ``w_…``, ``limit`` and ``offset``."""
    return (
        select(*statements.columns_for(table, kind))
        .where(*_conditions(table, shape), *_seen(table, sight))
        .order_by(*statements.ordering(table, order_by))
        .limit(bindparam("limit", type_=Integer))
        .offset(bindparam("offset", type_=Integer))
    )


@cache
def count(table: Table, shape: Shape, sight: Sight) -> Select[Any]:
    """How many rows there are of a shape."""
    return statements.count(table).where(*_conditions(table, shape), *_seen(table, sight))


@cache
def change(table: Table, shape: Shape, columns: tuple[str, ...], sight: Sight) -> Update:
    """An update of ``columns`` with binds ``v_…`` where the row is still as binds ``w_…`` say."""
    return (
        update(table)
        .where(*_conditions(table, shape), *_seen(table, sight))
        .values({name: bindparam(f"v_{name}", type_=table.c[name].type) for name in columns})
    )


@cache
def shift(
    table: Table,
    shape: Shape,
    changed: tuple[str, ...],
    floored: tuple[str, ...],
    flags: tuple[Column[Any], ...],
    sight: Sight,
) -> Update:
    """An update of numbers by binds ``d_…``, if none falls below ``f_…`` and all flags stand."""
    raw = {name: statements.raw(table.c[name]) for name in (*changed, *floored)}
    after = {name: raw[name] + bindparam(f"d_{name}", type_=Integer) for name in changed}
    floors = [
        after.get(name, raw[name]) >= bindparam(f"f_{name}", type_=Integer) for name in floored
    ]
    conditions = (*_conditions(table, shape), *floors, *flags, *_seen(table, sight))
    return update(table).where(*conditions).values(after)


def _conditions(table: Table, shape: Shape) -> list[ColumnElement[bool]]:
    return [_condition(table, name, compared) for name, compared in shape]


def _condition(table: Table, name: str, compared: Compared) -> ColumnElement[bool]:
    column = table.c[name]
    if compared is Compared.NULL:
        return column.is_(None)
    if compared is Compared.ANY_OF:
        return column.in_(bindparam(f"w_{name}", expanding=True))
    return column == bindparam(f"w_{name}")


def _seen(table: Table, sight: Sight) -> tuple[ColumnElement[bool], ...]:
    if sight is Sight.ALL:
        return ()
    own = table.c.campus.in_(bindparam("seen_campuses", expanding=True))
    if sight is Sight.CAMPUSES:
        return (own,)
    return (or_(own, table.c.patient.in_(bindparam("seen_patients", expanding=True))),)
