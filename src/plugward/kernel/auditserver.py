"""The audit log on a server: PostgreSQL, or MariaDB and its kin.

The owner of the schema makes the tables; the hospital's role may only add and read entries. Even
the owner meets triggers that refuse an update, a removal and an emptying, until they are taken
away, which the anchors outside would then tell.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from .auditstore import Link, Row, StoreAway
from .store.engine import Reach
from .store.roles import connect_as, grant
from .store.server import NOBODY_WRITES, with_driver, without

T = TypeVar("T")
READ_AT_ONCE = 1_000
ASKED_AT_ONCE = 500
CALL_S = 30.0
RIGHTS = {
    "audit_entry": "SELECT, INSERT",
    "audit_anchor": "SELECT, INSERT",
    "audit_cursor": "SELECT, INSERT, UPDATE",
}
GUARDED = ("audit_entry", "audit_anchor")
_LONG = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
METADATA = MetaData()
_entry = Table(
    "audit_entry",
    METADATA,
    Column("lane", String(60), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String(40), nullable=False, index=True),
    Column("body", _LONG, nullable=False),
    Column("patients", _LONG, nullable=False),
    Column("operation", String(120), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("request", String(40), nullable=False, index=True),
    Column("hash", LargeBinary(32), nullable=False),
)
_cursor = Table(
    "audit_cursor",
    METADATA,
    Column("source", String(60), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
_anchor = Table(
    "audit_anchor",
    METADATA,
    Column("lane", String(60), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("at", String(40), nullable=False),
    # what an anchor points at cannot be emptied away: MySQL's TRUNCATE fires no trigger
    ForeignKeyConstraint(("lane", "seq"), ("audit_entry.lane", "audit_entry.seq")),
)
_LINK = (_entry.c.lane, _entry.c.seq, _entry.c.at, _entry.c.body, _entry.c.hash)


class ServerStore:
    """The log in a schema of its own. Calls come from any thread; one loop of its own does them."""

    def __init__(self, url: str, *, reach: Reach | None = None) -> None:
        self._reach = reach or Reach()
        self._url = with_driver(make_url(url))
        self._owner = with_driver(make_url(self._reach.owner or url))
        self._loop = asyncio.new_event_loop()

    @property
    def schema(self) -> str:
        prefix = self._url.query.get("prefix", "")
        return f"{prefix}audit"

    # ── coming and going ────────────────────────────────────────────────────────────────────
    def open(self) -> None:
        self._thread = threading.Thread(target=self._loop.run_forever, name="audit-db", daemon=True)
        self._thread.start()
        if not self._reach.prepared:
            self._await(self.prepare())
        as_role = self._reach.prepared or bool(self._reach.owner)
        self._engine = self._connect(self._url, as_role=as_role)

    def close(self) -> None:
        self._await(self._engine.dispose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _connect(self, url: Any, *, as_role: bool, inside: bool = True) -> Any:
        url = without(url, "prefix")
        arguments: dict[str, Any] = connect_as(url, self.schema) if as_role else {}
        options: dict[str, Any] = {}
        if url.get_backend_name() != "postgresql":
            url = url.set(database=self.schema if inside and not as_role else None)
            arguments["charset"] = "utf8mb4"
        if as_role or url.get_backend_name() == "postgresql":
            options["execution_options"] = {"schema_translate_map": {None: self.schema}}
        return create_async_engine(
            url,
            pool_size=1,  # the log is written by one thread
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=arguments,
            **options,
        )

    async def prepare(self) -> None:
        """As the owner: the schema, its tables, what guards them, and the role that may add."""
        outer = self._connect(self._owner, as_role=False, inside=False)
        postgresql = outer.dialect.name == "postgresql"
        make = (
            f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"'
            if postgresql
            else f"CREATE DATABASE IF NOT EXISTS `{self.schema}` "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
        async with outer.begin() as connection:
            await connection.execute(text(make))
        await outer.dispose()
        engine = self._connect(self._owner, as_role=False)
        async with engine.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            await connection.run_sync(guard, self.schema)
            if self._reach.owner:
                login = self._url.username or ""
                who = "" if login == self._owner.username else login
                await connection.run_sync(grant, self.schema, who, RIGHTS)
        await engine.dispose()

    def _await(self, coroutine: Any) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(CALL_S)
        except (SQLAlchemyError, OSError, TimeoutError, NOBODY_WRITES) as error:
            future.cancel()
            raise StoreAway from error

    def _run(self, function: Callable[[Connection], T]) -> T:
        async def run() -> T:
            async with self._engine.begin() as connection:
                found: T = await connection.run_sync(function)
                return found

        result: T = self._await(run())
        return result

    # ── writing ─────────────────────────────────────────────────────────────────────────────
    def write(self, rows: Sequence[Row], cursors: Sequence[tuple[str, int]]) -> None:
        def add(connection: Connection) -> None:
            if rows:
                connection.execute(insert(_entry), [row._asdict() for row in rows])
            for source, position in cursors:
                there = _cursor.c.source == source
                known = connection.execute(select(_cursor.c.source).where(there)).first()
                if known is None:
                    connection.execute(insert(_cursor).values(source=source, position=position))
                else:
                    connection.execute(update(_cursor).where(there).values(position=position))

        self._run(add)

    def anchor(self, lane: str, seq: int, hash: bytes, at: str) -> None:
        def add(connection: Connection) -> None:
            here = (_anchor.c.lane == lane) & (_anchor.c.seq == seq)
            if connection.execute(select(_anchor.c.seq).where(here)).first() is None:
                connection.execute(insert(_anchor).values(lane=lane, seq=seq, hash=hash, at=at))

        self._run(add)

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    def head(self, lane: str) -> tuple[int, bytes] | None:
        newest = (
            select(_entry.c.seq, _entry.c.hash)
            .where(_entry.c.lane == lane)
            .order_by(_entry.c.seq.desc())
            .limit(1)
        )
        row = self._run(lambda c: c.execute(newest).first())
        return (int(row[0]), bytes(row[1])) if row else None

    def cursor(self, source: str) -> int:
        position = select(_cursor.c.position).where(_cursor.c.source == source)
        return int(self._run(lambda c: c.execute(position).scalar()) or 0)

    def anchors(self) -> list[tuple[str, int, bytes]]:
        kept = select(_anchor.c.lane, _anchor.c.seq, _anchor.c.hash)
        rows = self._run(lambda c: c.execute(kept).all())
        return [(row[0], int(row[1]), bytes(row[2])) for row in rows]

    def hash_at(self, lane: str, seq: int) -> bytes | None:
        one = select(_entry.c.hash).where(_entry.c.lane == lane, _entry.c.seq == seq)
        found = self._run(lambda c: c.execute(one).scalar())
        return None if found is None else bytes(found)

    def newest(self, operation: str | None, limit: int) -> list[Link]:
        statement = select(*_LINK).order_by(_entry.c.at.desc(), _entry.c.seq.desc()).limit(limit)
        if operation:
            statement = statement.where(_entry.c.operation == operation)
        return [_link(row) for row in self._run(lambda c: c.execute(statement).all())]

    def links(self) -> Iterator[Link]:
        lanes = self._run(
            lambda c: c.execute(select(_entry.c.lane).distinct().order_by(_entry.c.lane)).scalars()
        )
        for lane in list(lanes):
            last = 0
            while rows := self._page(lane, last):
                yield from rows
                last = rows[-1].seq

    def _page(self, lane: str, after: int) -> list[Link]:
        statement = (
            select(*_LINK)
            .where(_entry.c.lane == lane, _entry.c.seq > after)
            .order_by(_entry.c.seq)
            .limit(READ_AT_ONCE)
        )
        return [_link(row) for row in self._run(lambda c: c.execute(statement).all())]

    def count(self) -> int:
        counted = select(func.count()).select_from(_entry)
        return int(self._run(lambda c: c.execute(counted).scalar()) or 0)

    def known(self, requests: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(requests), ASKED_AT_ONCE):
            some = requests[start : start + ASKED_AT_ONCE]
            found.update(self._run(partial(_requests_among, some)))
        return found


def _requests_among(some: Sequence[str], connection: Connection) -> list[str]:
    among = select(_entry.c.request).where(_entry.c.request.in_(some))
    return list(connection.execute(among).scalars())


def _link(row: Any) -> Link:
    return Link(row[0], int(row[1]), row[2], row[3], bytes(row[4]))


def guard(connection: Connection, schema: str) -> None:
    """Have the database refuse every change and removal, also to the owner. Again is the same."""
    make = _postgresql if connection.dialect.name == "postgresql" else _mysql
    for statement in make(schema):
        connection.execute(text(statement))


def _postgresql(schema: str) -> Iterator[str]:
    refuse = f'"{schema}".audit_refuse'
    yield (
        f"CREATE OR REPLACE FUNCTION {refuse}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    for table in GUARDED:
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON "
            f'"{schema}".{table} FOR EACH STATEMENT EXECUTE FUNCTION {refuse}()'
        )


def _mysql(schema: str) -> Iterator[str]:
    for table in GUARDED:
        for kind in ("UPDATE", "DELETE"):
            yield (
                f"CREATE TRIGGER IF NOT EXISTS `{schema}`.`{table}_{kind.lower()}` BEFORE {kind} "
                f"ON `{schema}`.`{table}` FOR EACH ROW SIGNAL SQLSTATE '45000' "
                "SET MESSAGE_TEXT = 'the audit log is append-only'"
            )
