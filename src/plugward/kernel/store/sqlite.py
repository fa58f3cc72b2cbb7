"""SQLite: WAL, ``synchronous=FULL``, one writer thread per file with group commit.

Pooled writers starve each other; one writer that commits many units at once does not. Each unit
runs in its own savepoint, so a refused unit undoes only itself. An answer leaves after COMMIT; if
COMMIT fails, every unit of the group fails.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from ..refusals import Unavailable
from .engine import OnCommit
from .frames import Frame
from .migrations import Step, bring_up
from .tables import BoardTables
from .unit import Done, Unit

T = TypeVar("T")
GROUP_MAX = 256
READERS = 2
CACHE_KB = 3_000  # a connection; a hospital has three a board
WAITING_MAX = 10_000


class _Job(msgspec.Struct):
    run: Callable[[Connection], Any]
    future: "asyncio.Future[Any]"


class SqliteEngine:
    """One board's file. ``path=None`` keeps it in memory (tests)."""

    def __init__(
        self,
        tables: BoardTables,
        path: Path | None,
        *,
        now: Callable[[], Any],
        steps: tuple[Step, ...] = (),
        durable: bool = True,
    ) -> None:
        self.tables = tables
        self._path = path
        self._now = now
        self._steps = steps
        self._durable = durable
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._listener: OnCommit = _deaf
        self._position = 0
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = _open(self._path, durable=self._durable)
        self._writer = self._engine.connect()
        self._migrate()
        outbox = self.tables.system.outbox
        self._position = self._writer.execute(select(func.max(outbox.c.position))).scalar() or 0
        self._thread = threading.Thread(
            target=self._write, name=f"store-{self.tables.board}", daemon=True
        )
        self._thread.start()
        self._readers = None if self._path is None else _Readers(self._engine, self.tables.board)

    def _migrate(self) -> None:
        """All or nothing: a failed migration leaves the file as it was."""
        self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            bring_up(self._writer, self.tables, self._now(), self._steps)
        except BaseException:
            self._undo(self._writer)
            self._writer.close()
            raise
        self._writer.exec_driver_sql("COMMIT")

    async def stop(self) -> None:
        if self._thread is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._thread = None
        if self._readers is not None:
            self._readers.close()
        self._writer.close()
        self._engine.dispose()

    def listen(self, on_commit: OnCommit) -> None:
        self._listener = on_commit

    async def run(self, unit: Unit) -> Any:
        done: Done = await self._submit(partial(unit.run, next_position=self._next_position))
        return done.answer

    async def system(self, function: Callable[[Connection], T]) -> T:
        result: T = await self._submit(function)
        return result

    async def read(self, function: Callable[[Connection], T]) -> T:
        if self._readers is None:
            return await self.system(function)
        try:
            return await self._readers.run(function)
        except DBAPIError as error:
            raise self._told(error) from error

    async def _submit(self, run: Callable[[Connection], Any]) -> Any:
        if self._thread is None:
            raise Unavailable(self.tables.board, "stopped")
        if self._jobs.qsize() > WAITING_MAX:
            raise Unavailable(self.tables.board, "overloaded")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(_Job(run, future))
        return await future

    # ── the writer thread ───────────────────────────────────────────────────────────────────
    def _write(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group, stopping = [job], False
            while len(group) < GROUP_MAX:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stopping = True
                    break
                group.append(following)
            self._commit_group(group)
            if stopping:
                return

    def _commit_group(self, group: list[_Job]) -> None:
        connection, position = self._writer, self._position
        outcomes: list[tuple[_Job, Any, BaseException | None]] = []
        frames: list[Frame] = []
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for job in group:
                outcomes.append(self._attempt(connection, job, frames))
            connection.exec_driver_sql("COMMIT")
        except DBAPIError:
            # A full or failing disk: nothing of this group happened, and everyone is told so.
            self._undo(connection)
            self._position, frames = position, []
            failure = Unavailable(self.tables.board, "storage")
            outcomes = [(job, None, failure) for job in group]
        self._loop_call(outcomes, frames)

    def _attempt(
        self, connection: Connection, job: _Job, frames: list[Frame]
    ) -> tuple[_Job, Any, BaseException | None]:
        connection.exec_driver_sql("SAVEPOINT unit")
        position = self._position
        try:
            result = job.run(connection)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            # If SQLite has ended the transaction by itself (disk full), this fails in its turn
            # and takes the whole group with it, as it must.
            connection.exec_driver_sql("ROLLBACK TO unit")
            connection.exec_driver_sql("RELEASE unit")
            self._position = position
            return job, None, self._told(error)
        connection.exec_driver_sql("RELEASE unit")
        if isinstance(result, Done):
            frames.extend(result.frames)
        return job, result, None

    def _told(self, error: BaseException) -> BaseException:
        """A full or failing disk is an outage, not a bug of the board."""
        return Unavailable(self.tables.board, "storage") if _is_storage(error) else error

    def _next_position(self) -> int:
        """Only this thread commits, so the order of inserting is the order of committing."""
        self._position += 1
        return self._position

    def _undo(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except DBAPIError:
            return  # SQLite has rolled back by itself

    def _loop_call(
        self, outcomes: list[tuple[_Job, Any, BaseException | None]], frames: Sequence[Frame]
    ) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, outcomes, frames)

    def _settle(
        self, outcomes: list[tuple[_Job, Any, BaseException | None]], frames: Sequence[Frame]
    ) -> None:
        if frames:
            self._listener(frames)
        for job, result, error in outcomes:
            if job.future.done():
                continue  # the caller was cancelled; the write stands
            if error is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(error)


# SQLite: busy, locked, read-only, I/O, corrupt, full, cannot open, not a database.
_STORAGE = frozenset({5, 6, 8, 10, 11, 13, 14, 26})


def _is_storage(error: BaseException) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _STORAGE


class _Readers:
    """Read connections apart from the writer, each on its own thread."""

    def __init__(self, engine: Engine, board: str) -> None:
        self._engine = engine
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix=f"read-{board}")
        self._open: list[Connection] = []

    async def run(self, function: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, function)

    def _read(self, function: Callable[[Connection], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._engine.connect()
            connection.exec_driver_sql("PRAGMA query_only=1")
            self._local.connection = connection
            self._open.append(connection)
        return function(connection)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for connection in self._open:
            connection.close()


def _open(path: Path | None, *, durable: bool) -> Engine:
    if path is None:
        engine = create_engine(
            "sqlite://",
            hide_parameters=True,
            poolclass=StaticPool,
            connect_args={"check_same_thread": False, "cached_statements": 512},
        )
    else:
        engine = create_engine(
            f"sqlite:///{path}",
            hide_parameters=True,
            poolclass=NullPool,
            connect_args={"check_same_thread": False, "cached_statements": 512, "timeout": 10},
        )
    synchronous = "FULL" if durable else "OFF"

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN and COMMIT are ours
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "temp_store=MEMORY",
            f"cache_size=-{CACHE_KB}",
            "busy_timeout=10000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _deaf(frames: Sequence[Frame]) -> None:
    del frames
