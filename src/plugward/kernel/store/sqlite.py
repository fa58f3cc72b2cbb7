"""SQLite: WAL, ``synchronous=FULL``, one writer per file with group commit.

Pooled writers starve each other; one writer that commits many units at once does not. Quick units
run where the interpreter already is, on the event loop's thread: threads of their own would fight
it for the interpreter at every statement (ADR 0070). What waits for the disk, COMMIT, waits on the
file's own thread, and so does whatever was slow lately. Savepoints keep the units of a group
apart, so a refused unit undoes only itself. An answer leaves after COMMIT; if COMMIT fails, every
unit of the group fails.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
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
from .pace import Pace, name_of
from .tables import BoardTables
from .threads import Errands, Readers
from .unit import Done, Unit

T = TypeVar("T")
GROUP_MAX = 256
HERE_S = 0.005  # so long the event loop stays with one board's units before it commits them
CACHE_KB = 3_000  # a connection; a hospital has a few a board
WAITING_MAX = 10_000
LOCK_WAIT_S = 10.0  # for another process that writes to the same file
LOOK_AGAIN_S = 0.005
_PROBLEMS = (DBAPIError, sqlite3.Error)


class _Job(msgspec.Struct):
    what: str
    run: Callable[[Connection], Any]
    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None


class _Group(msgspec.Struct):
    """Units that are committed together, and the position before them."""

    position: int
    jobs: list[_Job] = []
    frames: list[Frame] = []
    is_parted: bool = False  # each unit has a savepoint
    failed: bool = False


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
        self._durable = durable and path is not None
        self._is_open = False
        self._waiting: deque[_Job] = deque()
        self._idle = asyncio.Event()  # clear while a group is under way
        self._idle.set()
        self._pace = Pace()
        self._listener: OnCommit = _deaf
        self._position = 0
        self._version = -1  # the positions given so far are asked for by the first group

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = _open(self._path, durable=self._durable)
        self._writer = self._engine.connect()
        self._migrate()
        driver: Any = self._writer.connection.driver_connection
        self._file: sqlite3.Connection = driver
        self._file.execute("PRAGMA busy_timeout=0")  # the event loop waits for no other process
        self._readers = Readers(self._engine, self.tables.board, self._pace)
        self._errands = Errands(self._loop, f"store-{self.tables.board}")
        self._is_open = True

    def _migrate(self) -> None:
        """All or nothing: a failed migration leaves the file as it was."""
        self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            bring_up(self._writer, self.tables, self._now(), self._steps)
        except BaseException:
            with suppress(DBAPIError):  # SQLite may have rolled back by itself
                self._writer.exec_driver_sql("ROLLBACK")
            self._writer.close()
            raise
        self._writer.exec_driver_sql("COMMIT")

    async def stop(self) -> None:
        """Finish what waits, then let go of the file."""
        if not self._is_open:
            return
        self._is_open = False
        await self._idle.wait()
        await asyncio.to_thread(self._errands.finish)
        await asyncio.to_thread(self._readers.close)
        self._writer.close()
        self._engine.dispose()

    def listen(self, on_commit: OnCommit) -> None:
        self._listener = on_commit

    async def run(self, unit: Unit) -> Any:
        run = partial(unit.run, next_position=self._next_position)
        done: Done = await self._submit(unit.name, run)
        return done.answer

    async def system(self, function: Callable[[Connection], T]) -> T:
        result: T = await self._submit(name_of(function), function)
        return result

    async def read(self, function: Callable[[Connection], T], *, what: str = "") -> T:
        if not self._is_open:
            raise Unavailable(self.tables.board, "stopped")
        try:
            if self._path is None:
                return function(self._writer)
            return await self._readers.run(function, what)
        except _PROBLEMS as error:
            raise self._told(error) from error

    async def _submit(self, what: str, run: Callable[[Connection], Any]) -> Any:
        if not self._is_open:
            raise Unavailable(self.tables.board, "stopped")
        if len(self._waiting) > WAITING_MAX:
            raise Unavailable(self.tables.board, "overloaded")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Job(what, run, future))
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._turn)
        return await future

    # ── one group after the other ───────────────────────────────────────────────────────────
    def _turn(self) -> None:
        """Begin the next group: of what is quick here, of what is slow on the file's thread."""
        group = _Group(self._position)
        if self._next_is_quick() and not self._is_locked(group):
            self._run_here(group)
            if self._durable and not group.failed:
                self._errands.run(partial(self._commit, group), partial(self._settle, group))
                return
            self._commit(group)
            self._settle(group)
            return
        while self._waiting and len(group.jobs) < GROUP_MAX:
            group.jobs.append(self._waiting.popleft())
            if self._next_is_quick():
                break
        self._errands.run(partial(self._run_apart, group), partial(self._settle, group))

    def _next_is_quick(self) -> bool:
        """Whether there is a next unit and it is quick; in memory all are."""
        return bool(self._waiting) and (
            self._path is None or self._pace.is_quick(self._waiting[0].what)
        )

    def _is_locked(self, group: _Group) -> bool:
        """Begin a transaction, unless another process is writing to the file.

        What another one has written since (a version of the board on trial, beside this one) took
        positions: the next is asked of the table then.
        """
        try:
            self._file.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return True
        version: int = self._file.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            self._position = self._last_position()
        group.position = self._position
        return False

    def _last_position(self) -> int:
        outbox = self.tables.system.outbox
        return self._writer.execute(select(func.max(outbox.c.position))).scalar() or 0

    def _run_here(self, group: _Group) -> None:
        until = time.perf_counter() + HERE_S
        try:
            while self._next_is_quick() and len(group.jobs) < GROUP_MAX:
                group.jobs.append(self._waiting.popleft())
                self._attempt(group)
                if time.perf_counter() > until:
                    return
        except _PROBLEMS:
            self._fail(group)

    def _run_apart(self, group: _Group) -> None:
        jobs, patience = group.jobs, time.monotonic() + LOCK_WAIT_S
        while self._is_locked(group):
            if time.monotonic() > patience:
                self._fail(group)
                return
            time.sleep(LOOK_AGAIN_S)
        try:
            group.jobs = []
            for job in jobs:
                group.jobs.append(job)
                self._attempt(group)
        except _PROBLEMS:
            group.jobs = jobs
            self._fail(group)
        self._commit(group)

    def _attempt(self, group: _Group) -> None:
        """Run the newest unit of a group."""
        job, position = group.jobs[-1], self._position
        if group.is_parted:
            self._file.execute("SAVEPOINT unit")
        began = time.thread_time()  # not what other threads took meanwhile
        try:
            job.result = job.run(self._writer)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            if group.is_parted:
                # If SQLite has ended the transaction by itself (disk full), this fails in its
                # turn and takes the whole group with it, as it must.
                self._file.execute("ROLLBACK TO unit")
                self._file.execute("RELEASE unit")
                job.error, self._position = self._told(error), position
            else:
                self._part(group, self._told(error))
            return
        if group.is_parted:
            self._file.execute("RELEASE unit")
        self._pace.note(job.what, time.thread_time() - began)
        if isinstance(job.result, Done):
            group.frames.extend(job.result.frames)

    def _part(self, group: _Group, error: BaseException) -> None:
        """The newest unit of a group is refused. Units are seldom refused, and a savepoint for each
        costs a tenth of its time: undo all, and run them again, each on a savepoint of its own."""
        self._file.execute("ROLLBACK")
        self._position = group.position
        if self._is_locked(group):
            raise sqlite3.OperationalError("another process writes to the file")
        if len(group.jobs) == 1:
            group.jobs[0].error = error
            return
        again, group.jobs, group.frames, group.is_parted = group.jobs, [], [], True
        try:
            for job in again:
                job.error = None
                group.jobs.append(job)
                self._attempt(group)
        except _PROBLEMS:  # the whole group fails: nobody of it may be left waiting
            group.jobs = again
            raise

    def _commit(self, group: _Group) -> None:
        if group.failed:
            return
        try:
            self._file.execute("COMMIT")
        except sqlite3.Error:
            self._fail(group)

    def _fail(self, group: _Group) -> None:
        """A full or failing disk: nothing of this group happened, and everyone is told so."""
        with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            self._file.execute("ROLLBACK")
        self._position = group.position
        group.frames, group.failed = [], True
        for job in group.jobs:
            job.error = Unavailable(self.tables.board, "storage")

    def _settle(self, group: _Group) -> None:
        """Tell of what is durable, and go on with what has come meanwhile."""
        if group.frames:
            self._listener(group.frames)
        for job in group.jobs:
            if job.future.done():
                continue  # the caller was cancelled; the write stands
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
        if self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self._idle.set()

    def _told(self, error: BaseException) -> BaseException:
        """A full or failing disk is an outage, not a bug of the board."""
        return Unavailable(self.tables.board, "storage") if _is_storage(error) else error

    def _next_position(self) -> int:
        """One group at a time commits, so the order of inserting is the order of committing."""
        self._position += 1
        return self._position


# SQLite: busy, locked, read-only, I/O, corrupt, full, cannot open, not a database.
_STORAGE = frozenset({5, 6, 8, 10, 11, 13, 14, 26})


def _is_storage(error: BaseException) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _STORAGE


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
