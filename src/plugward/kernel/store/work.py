"""Units of work 工作单元: the plain data surface a board programs against.

A ``Work`` belongs to one transaction on the board's own tables; it is a plain, synchronous thing,
so nothing inside it can wait for another board. ``Reading`` is the part that changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    or_,
    select,
    update,
)
from sqlalchemy.sql import Executable
from sqlalchemy.sql.visitors import iterate

from plugward.kit.ids import derive
from plugward.kit.time import Instant

from ..envelope import Actor, Call, Envelope
from ..message import Event
from ..refusals import ChangedMeanwhile, NotFound, Refusal
from . import prepared, quick, statements
from .frames import columns_of
from .prepared import Sight
from .tables import BoardTables, SystemTables

M = TypeVar("M", bound=msgspec.Struct)
Refuse = type[Refusal] | Callable[[], Refusal]
Order = str | Sequence[str]
LIMIT_MAX = 1_000
CLAIMS_MAX = 100


class Unbounded(AssertionError):
    """A list was asked for without a sensible limit."""


class Reading:
    """Reads of one board's tables, cut to the campuses the caller may see."""

    _reads_opened = True

    def __init__(self, connection: Connection, tables: BoardTables, call: Call, now: Instant):
        self._connection = connection
        self._tables = tables
        self._call = call
        self.now = now

    @property
    def actor(self) -> Actor:
        """Who asked. A person's id goes into the documents this unit writes."""
        return self._call.envelope.actor

    @property
    def envelope(self) -> Envelope:
        """The envelope of this call."""
        return self._call.envelope

    @property
    def system(self) -> SystemTables:
        """The kernel's own tables in this store (for the kernel)."""
        return self._tables.system

    @property
    def campus(self) -> str:
        """The campus this call is for."""
        return self._call.envelope.campus

    def find(
        self,
        table: Table,
        kind: type[M],
        *where: ColumnElement[bool],
        limit: int,
        order_by: Order = (),
        offset: int = 0,
        **equals: Any,
    ) -> tuple[M, ...]:
        """Rows as messages. ``order_by`` takes column names, ``-name`` for descending.

        A tuple as a value means *any of these*.
        """
        if not 1 <= limit <= LIMIT_MAX:
            raise Unbounded(f"limit {limit} is not between 1 and {LIMIT_MAX}")
        order = (order_by,) if isinstance(order_by, str) else tuple(order_by)
        shape, values = prepared.shape_of(equals)
        sight = self._sight(table, values)
        statement = prepared.find(table, kind, shape, order, sight)
        if where:
            statement = statement.where(*where)
        values["limit"], values["offset"] = limit, offset
        names = statements.names_for(table, kind)
        found = (
            self._execute(statement, values)
            if where
            else quick.rows(self._connection, statement, values)
        )
        return tuple([kind(**dict(zip(names, row, strict=True))) for row in found])

    def get(self, table: Table, kind: type[M], key: Any, *, missing: Refuse = NotFound) -> M:
        """The row with this primary key, or the refusal. A foreign campus's row is missing."""
        found = self.get_or_none(table, kind, key)
        if found is None:
            raise missing()
        return found

    def get_or_none(self, table: Table, kind: type[M], key: Any) -> M | None:
        """The row with this primary key, if the caller may see it."""
        return self.first(table, kind, **statements.key_values(table, key))

    def first(
        self,
        table: Table,
        kind: type[M],
        *where: ColumnElement[bool],
        order_by: Order = (),
        **equals: Any,
    ) -> M | None:
        """The first row that fits, if any."""
        found = self.find(table, kind, *where, limit=1, order_by=order_by, **equals)
        return found[0] if found else None

    def count(self, table: Table, *where: ColumnElement[bool], **equals: Any) -> int:
        """How many rows fit."""
        shape, values = prepared.shape_of(equals)
        statement = prepared.count(table, shape, self._sight(table, values))
        if where:
            return int(self._execute(statement.where(*where), values).scalar_one())
        [(found,)] = quick.rows(self._connection, statement, values)
        return int(found)

    def select(
        self, table: Table, kind: type[M], *where: ColumnElement[bool], **equals: Any
    ) -> Select[Any]:
        """A select of the message's columns, cut to the caller's campuses."""
        return select(*statements.columns_for(table, kind)).where(
            *where, *statements.equals(table, equals), *self.visible(table)
        )

    def rows(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """Rows of a hand-written select on the board's own tables; bound it with ``limit``.

        Add ``*read.visible(table)`` to its ``where`` for every campus-bound table.
        """
        found: Sequence[Row[Any]] = self._execute(statement).all()
        return found

    def kept(self, statement: Select[Any], kind: type[M], **values: Any) -> tuple[M, ...]:
        """Rows, as messages, of a hand-written select that is made once, with binds for what
        changes: for what ``find`` cannot ask, a thousand times an hour.

        It selects the message's columns in the order of its fields, bounded with ``limit``, and
        only from tables that are not cut by campus.
        """
        if any(found.info.get("scope") != "shared" for found in _tables_of(statement)):
            raise TypeError("a kept select reads shared tables only")
        names = kind.__struct_fields__
        found = quick.rows(self._connection, statement, values)
        return tuple([kind(**dict(zip(names, row, strict=True))) for row in found])

    def visible(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        """The condition that cuts a campus-bound table to what the caller may see.

        A record that was opened by breaking the glass is seen whatever its campus.
        """
        actor = self.actor
        own = self._own_campuses(table)
        if own and actor.opened and "patient" in table.c:
            return (or_(*own, table.c.patient.in_(actor.opened)),)
        return own

    def _sight(self, table: Table, values: dict[str, Any]) -> Sight:
        """How far the caller sees; fills in the bind values of a prepared statement."""
        actor = self.actor
        if table.info.get("scope") != "campus" or actor.sees_all:
            return Sight.ALL
        values["seen_campuses"] = list(actor.campuses)
        if actor.opened and "patient" in table.c and self._reads_opened:
            values["seen_patients"] = list(actor.opened)
            return Sight.OPENED
        return Sight.CAMPUSES

    def _own_campuses(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        actor = self.actor
        if table.info.get("scope") != "campus" or actor.sees_all:
            return ()
        return (table.c.campus.in_(actor.campuses),)

    def _execute(self, statement: Executable, parameters: Any = None) -> Any:
        return self._connection.execute(statement, parameters)


class Work(Reading):
    """One transaction of one board, with its outbox, its numbers and its state."""

    _reads_opened = False  # nothing is changed at another campus, broken glass or not

    def __init__(self, connection: Connection, tables: BoardTables, call: Call, now: Instant):
        super().__init__(connection, tables, call, now)
        self.published: list[Event] = []

    def visible(self, table: Table) -> tuple[ColumnElement[bool], ...]:
        """Nothing is changed at another campus: a broken glass opens for reading only."""
        return self._own_campuses(table)

    # ── rows ────────────────────────────────────────────────────────────────────────────────
    def insert(self, table: Table, *messages: msgspec.Struct, **extra: Any) -> None:
        """Add rows; ``extra`` fills columns the messages do not have."""
        if not messages:
            return
        for message in messages:
            self._may_write(table, extra.get("campus", getattr(message, "campus", None)))
        rows = [statements.row_of(table, message, extra) for message in messages]
        quick.add(self._connection, statements.insert_into(table), rows)

    def insert_new(self, table: Table, message: msgspec.Struct, **extra: Any) -> bool:
        """Add a row unless its primary key is there already; says whether it was new."""
        self._may_write(table, extra.get("campus", getattr(message, "campus", None)))
        row = statements.row_of(table, message, extra)
        statement = statements.insert_ignore(table, self._connection.dialect.name)
        return bool(quick.changed(self._connection, statement, row, columns=True))

    def update(self, table: Table, *, before: M, after: M) -> None:
        """Write what differs, if the row still is as ``before`` says; else ``ChangedMeanwhile``."""
        changes = statements.changes(table, before, after)
        if not changes:
            return
        keys = {c.name: getattr(before, c.name) for c in table.primary_key.columns}
        old_values = {name: old for name, (old, _) in changes.items()}
        shape, values = prepared.shape_of(keys | old_values, exact=True)
        sight = self._sight(table, values)
        values.update({f"v_{name}": new for name, (_, new) in changes.items()})
        statement = prepared.change(table, shape, tuple(changes), sight)
        if quick.changed(self._connection, statement, values) != 1:
            raise ChangedMeanwhile

    def set_where(self, table: Table, *where: ColumnElement[bool], **values: Any) -> int:
        """Update every visible row that fits; says how many. For read copies and sweeps."""
        if not where:
            raise Unbounded("an update of a whole table")
        return int(
            self._execute(update(table).where(*where, *self.visible(table)).values(values)).rowcount
        )

    def delete_where(self, table: Table, *where: ColumnElement[bool]) -> int:
        """Delete visible rows that fit: for drafts and read copies, never for documents."""
        if not where:
            raise Unbounded("a delete of a whole table")
        return int(self._execute(table.delete().where(*where, *self.visible(table))).rowcount)

    def save_copy(self, table: Table, message: msgspec.Struct, **extra: Any) -> None:
        """Insert or replace a read copy (a row that another board's events feed)."""
        row = statements.row_of(table, message, extra)
        statement = statements.upsert(table, self._connection.dialect.name)
        quick.changed(self._connection, statement, row, columns=True)

    # ── scarce things ───────────────────────────────────────────────────────────────────────
    def take(
        self,
        table: Table,
        key: Any,
        column: str,
        amount: int,
        *where: ColumnElement[bool],
        floor: int = 0,
        refuse: Refuse,
    ) -> None:
        """Take ``amount`` off a number, if at least ``floor`` stays. One conditional write."""
        self.shift(table, key, {column: -amount}, *where, floors={column: floor}, refuse=refuse)

    def shift(
        self,
        table: Table,
        key: Any,
        changes: Mapping[str, int],
        *where: ColumnElement[bool],
        floors: Mapping[str, int],
        refuse: Refuse,
    ) -> None:
        """Add to several numbers of one row at once, if none falls below its floor."""
        shape, values = prepared.shape_of(statements.key_values(table, key), exact=True)
        sight = self._sight(table, values)
        values |= {f"d_{name}": delta for name, delta in changes.items()}
        values |= {f"f_{name}": low for name, low in floors.items()}
        flags = tuple(c for c in where if isinstance(c, Column))
        statement = prepared.shift(table, shape, tuple(changes), tuple(floors), flags, sight)
        if len(flags) == len(where):
            met = quick.changed(self._connection, statement, values)
        else:
            others = (c for c in where if not isinstance(c, Column))
            met = self._execute(statement.where(*others), values).rowcount
        if met != 1:
            raise refuse()

    def claim(
        self,
        table: Table,
        kind: type[M],
        *where: ColumnElement[bool],
        order_by: Order = (),
        values: Mapping[str, Any],
        **equals: Any,
    ) -> M | None:
        """Hand out the first row that fits to exactly one caller, and set ``values`` on it."""
        conditions = (*where, *statements.equals(table, equals), *self.visible(table))
        keys = list(table.primary_key.columns)
        order = statements.ordering(table, order_by)
        pick = select(*keys).where(*conditions).order_by(*order).limit(1)
        for _ in range(CLAIMS_MAX):
            row = self._execute(pick).first()
            if row is None:
                return None
            key = and_(*(column == value for column, value in zip(keys, row, strict=True)))
            done = self._execute(update(table).where(key, *conditions).values(dict(values)))
            if done.rowcount == 1:
                return self.get(table, kind, tuple(row))
            # Somebody was quicker with this row; look again. (Skipping locked rows instead would
            # answer "nothing left" while another transaction may still give its row back.)
        raise ChangedMeanwhile

    def next_number(self, series: str, *, first: int = 1) -> int:
        """The next number of a series, without gaps: it is given in this very transaction."""
        return self._counted(self._tables.system.series, "name", series, "value", first)

    def next_numbers(self, series: str, count: int) -> range:
        """``count`` numbers in a row."""
        last = self._counted(self._tables.system.series, "name", series, "value", count, step=count)
        return range(last - count + 1, last + 1)

    def _counted(
        self, table: Table, key: str, name: str, column: str, first: int, step: int = 1
    ) -> int:
        bump = statements.bump(table, key, column, self._connection.dialect.name)
        values = {"k": name, "first": first, "step": step}
        if bump.returns:
            [(raised,)] = quick.rows(self._connection, bump.statement, values)
            return int(raised)
        self._execute(bump.statement, values)
        value = select(table.c[column]).where(table.c[key] == name)
        return int(self._execute(value).scalar_one())

    # ── facts ───────────────────────────────────────────────────────────────────────────────
    def publish(self, event: Event) -> None:
        """Say that something happened. It leaves with this transaction or not at all."""
        if type(event).key_of is None:
            raise TypeError(f"{type(event).__name__} declares no ordering key")
        self.published.append(event)

    def derive(self, *parts: object) -> UUID:
        """An id that follows from this request: the same again when the request is repeated."""
        return derive(self._call.envelope.request, *parts)

    def key_versions(self, keys: Sequence[str]) -> list[int]:
        """The next versions of ordering keys, as published; writers of one key wait here."""
        counts = Counter(keys)
        last = self._raised(counts)
        following = {key: last[key] - count for key, count in counts.items()}
        versions: list[int] = []
        for key in keys:
            following[key] += 1
            versions.append(following[key])
        return versions

    def _raised(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Raise many counters; most units of work have just one."""
        table, dialect = self._tables.system.key, self._connection.dialect.name
        if len(counts) == 1:
            [(key, step)] = counts.items()
            return {key: self._counted(table, "key", key, "version", step, step=step)}
        # In the order of the keys, so that two writers of the same keys cannot lock each other.
        ordered = sorted(counts.items())
        bumps = statements.bump_many(table, dialect)
        if bumps is not None:
            return {
                row.key: row.version for row in self._execute(bumps.statement, bumps.of(ordered))
            }
        one = statements.bump(table, "key", "version", dialect).statement
        for key, step in ordered:  # the driver cannot bind behind ON DUPLICATE KEY in a batch
            self._execute(one, {"k": key, "first": step, "step": step})
        found = select(table.c.key, table.c.version).where(table.c.key.in_(list(counts)))
        return {row.key: row.version for row in self._execute(found)}

    def _may_write(self, table: Table, campus: str | None) -> None:
        if table.info.get("scope") == "campus" and not self.actor.sees(campus or ""):
            raise NotFound


@cache
def _tables_of(statement: Select[Any]) -> tuple[Table, ...]:
    """The tables a kept select reads, those behind an alias too."""
    found = [cast("Table", part) for part in iterate(statement) if isinstance(part, Table)]
    return tuple(found)


def messages(rows: Iterable[Row[Any]], kind: type[M]) -> tuple[M, ...]:
    """Rows of a hand-written select as messages."""
    return tuple(kind(**columns_of(row)) for row in rows)
