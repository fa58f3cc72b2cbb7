"""Server databases: PostgreSQL and the MySQL face (MariaDB, TDSQL), under SQLAlchemy Core.

Each unit is one transaction, run by ``run_sync`` on the async driver. Outbox rows are inserted
without a position; the sequencer numbers what is committed, so that a transaction that commits
late is never passed over by a reader's cursor.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from asyncpg.exceptions import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    InternalClientError,
)
from sqlalchemy import Connection, Select, bindparam, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ..refusals import AlreadyThere, BadRequest, ChangedMeanwhile, Refusal, Unavailable
from .engine import OnCommit, Reach
from .frames import Frame, frame_of_row
from .migrations import Step, bring_up
from .roles import ROWS, connect_as, grant
from .tables import BoardTables
from .unit import Done, Unit

T = TypeVar("T")
_log = logging.getLogger("plugward.store")
POOL_WAIT_S = 10.0
START_S = 10.0
ATTEMPTS_MAX = 8
PAUSE_S = 0.002
RACES_MAX = 3
NUMBERED_AT_ONCE = 500
LOOK_EVERY_S = 1.0  # for rows that another process committed
RARE = "𠮷𡈽 €"  # outside the basic plane: must survive the round trip
_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
}
# Serialisation failure, deadlock, lock time-out; a login's last connection is not quite closed yet.
_PASSING = ("40001", "40P01", "1213", "1205", "53300", "1226")
_FAULTS = (ProgrammingError, DataError, NotSupportedError)  # of whoever wrote the statement
# A text is longer than its column, or holds what the database cannot keep (PostgreSQL: NUL).
_UNKEEPABLE = ("22001", "22021", "1406", "1366")
# The driver's own word, where SQLAlchemy knows none: of these servers nobody may be written to.
NOBODY_WRITES: type[Exception] = InternalClientError
_AWAY = (DBAPIError, NoneFree, OSError, NOBODY_WRITES)


class ServerEngine:
    """One board's schema (PostgreSQL) or database (MySQL)."""

    def __init__(
        self,
        tables: BoardTables,
        url: str,
        *,
        now: Callable[[], Any],
        steps: tuple[Step, ...] = (),
        reach: Reach | None = None,
    ) -> None:
        self.tables = tables
        self._url = with_driver(make_url(url))
        self._reach = reach or Reach()
        self._owner = with_driver(make_url(self._reach.owner)) if self._reach.owner else None
        self._now = now
        self._steps = steps
        self._listener: OnCommit = _deaf
        self._wake = asyncio.Event()
        self._sequencer: asyncio.Task[None] | None = None
        self._started = False

    @property
    def schema(self) -> str:
        """Where this board's tables are: a prefix keeps several hospitals apart on one server."""
        prefix = self._url.query.get("prefix", "")
        return f"{prefix}{self.tables.board}"

    async def prepare(self) -> None:
        """The schema and its tables as they must be in this version, and the role that works."""
        await self._make_schema()
        await self._bring_up()

    async def start(self) -> None:
        if not self._reach.prepared:
            await self.prepare()
        as_role = self._reach.prepared or self._owner is not None
        self._engine = self._create(self._url, as_role=as_role)
        await self._connect_patiently()
        self._wake = asyncio.Event()
        self._wake.set()
        self._numbering = asyncio.Lock()
        self._sequencer = asyncio.get_running_loop().create_task(self._sequence())
        self._started = True

    async def stop(self) -> None:
        if not self._started:
            return
        self._started = False
        if self._sequencer is not None:
            self._sequencer.cancel()
            await asyncio.wait({self._sequencer})
        await self._engine.dispose()

    def listen(self, on_commit: OnCommit) -> None:
        self._listener = on_commit

    async def run(self, unit: Unit) -> Any:
        try:
            done: Done = await self._transaction(unit.run)
        except Refusal:
            # A copy of this very request may have been quicker: then its answer is ours too.
            earlier = await self.read(unit.earlier)
            if earlier is None:
                raise
            done = earlier
        if done.frames:
            self._wake.set()
        return done.answer

    async def system(self, function: Callable[[Connection], T]) -> T:
        result: T = await self._transaction(function)
        return result

    async def read(self, function: Callable[[Connection], T], *, what: str = "") -> T:
        del what
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                async with self._open().connect() as connection:
                    return await connection.run_sync(function)
            except _FAULTS:
                raise
            except _AWAY as error:
                self._wait_for(error, attempt)
            await asyncio.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    # ── transactions ────────────────────────────────────────────────────────────────────────
    async def _transaction(self, run: Callable[[Connection], Any]) -> Any:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                async with self._open().begin() as connection:
                    return await connection.run_sync(run)
            except ChangedMeanwhile:
                # Somebody was quicker. Seen again, as if it came later, there may be a better
                # answer than that: who was, and when.
                if attempt == RACES_MAX:
                    raise
            except IntegrityError as error:
                # Two copies of one request at once: the other one has committed, ask again.
                if attempt == ATTEMPTS_MAX:
                    raise AlreadyThere from error
            except _AWAY as error:
                self._wait_for(error, attempt)
            await asyncio.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("unreachable")

    def _open(self) -> AsyncEngine:
        if not self._started:
            raise Unavailable(self.tables.board, "stopped")
        return self._engine

    def _wait_for(self, error: Exception, attempt: int) -> None:
        """Return if the next attempt may go better; the server's state in words if not."""
        if isinstance(error, NoneFree):
            raise Unavailable(self.tables.board, "overloaded") from error
        if isinstance(error, DBAPIError) and _code(error) in _UNKEEPABLE:
            raise BadRequest(
                where="a text is too long, or holds a character that cannot be kept"
            ) from error
        passes = isinstance(error, DBAPIError) and _code(error) in _PASSING
        if not passes or attempt == ATTEMPTS_MAX:
            raise Unavailable(self.tables.board, "storage") from error

    # ── the sequencer ───────────────────────────────────────────────────────────────────────
    async def _sequence(self) -> None:
        """Number committed outbox rows; the counter's row is the lease between processes."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
            self._wake.clear()
            try:
                await self.settle()
            except (*_AWAY, Unavailable) as error:
                _log.warning("%s: numbering waits: %s", self.tables.board, type(error).__name__)
                await asyncio.sleep(LOOK_EVERY_S)

    async def settle(self) -> None:
        """Number and hand on everything that is committed now."""
        async with self._numbering:
            while frames := await self._number():
                self._listener(frames)

    async def _number(self) -> Sequence[Frame]:
        async with self._engine.begin() as connection:
            return await connection.run_sync(number_batch, self.tables)

    # ── set-up ──────────────────────────────────────────────────────────────────────────────
    async def _bring_up(self) -> None:
        """Tables to this version: by their owner, who is then gone, where there is one."""
        engine = self._create(self._owner or self._url, as_role=False)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(
                    lambda c: bring_up(c, self.tables, self._now(), self._steps, self.schema)
                )
                if self._owner is not None:
                    login = self._url.username or ""
                    who = "" if login == self._owner.username else login
                    await connection.run_sync(grant, self.schema, who, {"*": ROWS})
        finally:
            await engine.dispose()

    def _create(self, url: URL, *, as_role: bool) -> AsyncEngine:
        url = without(url, "prefix")
        arguments: dict[str, Any] = connect_as(url, self.schema) if as_role else {}
        options: dict[str, Any] = {"connect_args": arguments}
        if url.get_backend_name() != "postgresql":
            # a role has its rights only after the connection is made: no database before that
            url = url.set(database=None if as_role else self.schema)
            arguments["charset"] = "utf8mb4"
        if as_role or url.get_backend_name() == "postgresql":
            options["execution_options"] = {"schema_translate_map": {None: self.schema}}
        return create_async_engine(
            url,
            pool_size=self._reach.connections,  # made when needed, never more
            max_overflow=0,
            pool_use_lifo=True,
            pool_timeout=POOL_WAIT_S,
            pool_pre_ping=True,
            hide_parameters=True,  # an error's text never quotes a patient
            isolation_level="READ COMMITTED",
            **options,
        )

    async def _make_schema(self) -> None:
        url = without(self._owner or self._url, "prefix")
        postgresql = url.get_backend_name() == "postgresql"
        engine = create_async_engine(url if postgresql else url.set(database=None))
        statement = (
            f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"'
            if postgresql
            else f"CREATE DATABASE IF NOT EXISTS `{self.schema}` "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
        try:
            async with engine.begin() as connection:
                await connection.execute(text(statement))
        except IntegrityError:
            pass  # another board's process made it at this very moment
        finally:
            await engine.dispose()

    async def _connect_patiently(self) -> None:
        """A login's former connections may still be closing, or a server may be changing over."""
        until = asyncio.get_running_loop().time() + (START_S if self._reach.prepared else 0)
        while True:
            try:
                async with self._engine.begin() as connection:
                    await self._check_characters(connection)
            except _AWAY:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(START_S / 50)
            else:
                return

    async def _check_characters(self, connection: AsyncConnection) -> None:
        """A rare character must survive: bare MySQL defaults lose Chinese names."""
        echo: Select[Any] = select(bindparam("t", RARE))
        found = (await connection.execute(echo)).scalar()
        if found != RARE:
            raise Unavailable(self.tables.board, "storage")


POSITION = "sys:position"  # the series row that counts them


def number_batch(connection: Connection, tables: BoardTables) -> list[Frame]:
    """Give committed outbox rows their positions; empty when every row has one."""
    system = tables.system
    outbox, series = system.outbox, system.series
    lease = select(series.c.value).where(series.c.name == POSITION).with_for_update()
    position = connection.execute(lease).scalar()
    if position is None:
        connection.execute(series.insert().values(name=POSITION, value=0))
        position = 0
    rows = connection.execute(
        select(outbox)
        .where(outbox.c.position.is_(None))
        .order_by(outbox.c.recorded_at, outbox.c.id)
        .limit(NUMBERED_AT_ONCE)
    )
    frames = _in_key_order([frame_of_row(row, tables.board) for row in rows])
    if not frames:
        return []
    numbered = [
        msgspec.structs.replace(frame, position=position + index)
        for index, frame in enumerate(frames, start=1)
    ]
    connection.execute(
        update(outbox).where(outbox.c.id == bindparam("of")).values(position=bindparam("to")),
        [{"of": frame.id, "to": frame.position} for frame in numbered],
    )
    connection.execute(
        update(series).where(series.c.name == POSITION).values(value=numbered[-1].position)
    )
    return numbered


def _in_key_order(frames: list[Frame]) -> list[Frame]:
    """Keep the overall order, but within each key follow the versions the writers took."""
    by_key: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_key[frame.key].append(frame)
    queues = {key: iter(sorted(fs, key=lambda f: f.key_version)) for key, fs in by_key.items()}
    return [next(queues[frame.key]) for frame in frames]


def _code(error: DBAPIError) -> str:
    cause = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state:
        return str(state)
    return str(cause.args[0]) if cause and cause.args else ""


def as_owner(url: str) -> AsyncEngine:
    """A way to the server for whoever makes logins and looks around: one connection, not kept."""
    found = without(with_driver(make_url(url)), "prefix")
    return create_async_engine(
        found, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
    )


def with_driver(url: URL) -> URL:
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def without(url: URL, name: str) -> URL:
    return url.difference_update_query([name])


def _deaf(frames: Sequence[Frame]) -> None:
    del frames
