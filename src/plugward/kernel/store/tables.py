"""Tables 表: what a board owns, and the kernel's own tables beside them."""

import re
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

from .columns import Blob, Id, Moment

Scope = Literal["campus", "shared"]
_NAME = re.compile(r"^[a-z][a-z0-9_]{1,40}$")


class BoardTables:
    """The tables of one board. Every name gets the board's own as a prefix."""

    def __init__(self, board: str) -> None:
        if not _NAME.match(board):
            raise ValueError(f"{board!r} is not a board name")
        self.board = board
        self.metadata = MetaData()
        self.own: dict[str, Table] = {}
        self.system = SystemTables(board, self.metadata)

    def define(
        self,
        name: str,
        *items: Any,
        scope: Scope = "shared",
        why_shared: str = "",
        shard: str | None = None,
    ) -> Table:
        """Define ``board_name``.

        ``scope="campus"``: the table has a ``campus`` column, and every read and write of a person
        is cut to that person's campuses. ``shard`` names the column a distributed database spreads
        the rows by; without one the table is broadcast.
        """
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is not a table name")
        table = Table(f"{self.board}_{name}", self.metadata, *items)
        if scope == "campus" and "campus" not in table.c:
            raise ValueError(f"{table.name} is campus-bound but has no column 'campus'")
        if not table.primary_key.columns:
            raise ValueError(f"{table.name} has no primary key")
        table.info.update(scope=scope, shard=shard, why_shared=why_shared, board=self.board)
        self.own[name] = table
        return table


class SystemTables:
    """What the kernel keeps in each board's store, in the same transactions."""

    def __init__(self, board: str, metadata: MetaData) -> None:
        def table(name: str, *columns: Any) -> Table:
            found = Table(f"{board}_sys_{name}", metadata, *columns)
            found.info.update(scope="shared", shard=None, board=board, system=True)
            return found

        self.outbox = table("outbox", *_outbox())
        self.key = table("key", *_counter("key", "version"))
        self.done = table("done", *_done())
        self.cursor = table("cursor", *_cursor())
        self.parked = table("parked", *_parked(board))
        self.series = table("series", *_counter("name", "value"))
        self.migration = table("migration", *_migration())
        self.saga = table("saga", *_saga())
        self.saga_step = table("saga_step", *_saga_step())


def _outbox() -> tuple[Any, ...]:
    """Facts, numbered after they are committed; ``key_version`` keeps each key's own order."""
    return (
        Column("id", Id, primary_key=True),
        Column("position", BigInteger, unique=True, nullable=True),
        Column("key", String(80), nullable=False),
        Column("key_version", BigInteger, nullable=False),
        Column("tag", String(120), nullable=False),
        Column("body", Blob, nullable=False),
        Column("carries", String(200), nullable=False),
        Column("campus", String(16), nullable=False),
        Column("actor", String(80), nullable=False),
        Column("cause", Id, nullable=False),
        Column("trace", String(40), nullable=False),
        Column("occurred_at", Moment, nullable=False),
        Column("recorded_at", Moment, nullable=False),
    )


def _counter(key: str, value: str) -> tuple[Any, ...]:
    return (
        Column(key, String(80), primary_key=True),
        Column(value, BigInteger, nullable=False),
    )


def _done() -> tuple[Any, ...]:
    """Requests that took effect, with the answer a repeat gets."""
    return (
        Column("request", Id, primary_key=True),
        Column("operation", String(120), nullable=False),
        Column("arguments_hash", Blob, nullable=False),
        Column("answer", Blob, nullable=False),
        Column("done_at", Moment, nullable=False, index=True),
    )


def _cursor() -> tuple[Any, ...]:
    """How far this board has come with each other board's facts."""
    return (
        Column("source", String(60), primary_key=True),
        Column("position", BigInteger, nullable=False),
    )


def _parked(board: str) -> tuple[Any, ...]:
    """Facts that could not be handled and wait for a person."""
    return (
        Column("id", Id, primary_key=True),
        Column("event", Id, nullable=False),
        Column("reaction", String(120), nullable=False),
        Column("source", String(60), nullable=False),
        Column("position", BigInteger, nullable=False),
        Column("key", String(80), nullable=False),
        Column("frame", Blob, nullable=False),
        Column("error", String(400), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("state", String(16), nullable=False),
        Column("parked_at", Moment, nullable=False),
        Column("resolved_by", String(80), nullable=True),
        Column("reason", String(400), nullable=True),
        Index(f"ix_{board}_sys_parked_state", "state", "key"),
    )


def _migration() -> tuple[Any, ...]:
    return (
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("name", String(120), nullable=False),
        Column("applied_at", Moment, nullable=False),
    )


def _saga() -> tuple[Any, ...]:
    """Processes over several boards that are under way."""
    return (
        Column("id", Id, primary_key=True),
        Column("name", String(80), nullable=False),
        Column("state", String(16), nullable=False, index=True),
        Column("step", String(80), nullable=False),
        Column("data", Blob, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", Moment, nullable=False),
        Column("started_at", Moment, nullable=False),
        Column("note", String(400), nullable=True),
        Column("version", Integer, nullable=False),
    )


def _saga_step() -> tuple[Any, ...]:
    return (
        Column("id", Id, primary_key=True),
        Column("saga", Id, nullable=False, index=True),
        Column("step", String(80), nullable=False),
        Column("outcome", String(16), nullable=False),
        Column("note", String(400), nullable=True),
        Column("at", Moment, nullable=False),
    )
