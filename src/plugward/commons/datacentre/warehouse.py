"""Warehouse 数据仓库: the one DuckDB file, its two threads, and the tables in it.

One process owns the file. Writing and reading have a connection and a thread each, so the event
loop never waits for a disk and a report never waits for a batch.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from plugward.kernel.refusals import Unavailable
from plugward.kit.time import Instant

from .schema import FactTable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
FILE = "datacentre.duckdb"
BOARD = "datacentre"
_log = logging.getLogger("plugward.datacentre")

_META = """
CREATE SCHEMA IF NOT EXISTS fact;
CREATE SCHEMA IF NOT EXISTS meta;
CREATE TABLE IF NOT EXISTS meta.source (
    board VARCHAR NOT NULL, position BIGINT NOT NULL, event UUID, recorded_at TIMESTAMP,
    facts VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS meta.shape (
    name VARCHAR NOT NULL, board VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL
);
"""


class Place(msgspec.Struct, frozen=True):
    """How far one board's events are in: the last position read, its event and its time."""

    position: int = 0
    event: str | None = None
    facts: str = ""
    recorded_at: Instant | None = None


class Busy(Exception):
    """Another process holds the file."""


class Misfit(ValueError):
    """A value fits no column of its table. Says what kind of trouble, without the value."""


class Warehouse:
    """The file and who may touch it."""

    def __init__(self, folder: str, *, memory_mb: int) -> None:
        self._path = Path(folder) / FILE if folder else None
        self._memory_mb = memory_mb
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="datacentre-write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="datacentre-read")
        self._connection: DuckDBPyConnection | None = None
        self._cursor: DuckDBPyConnection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    async def open(self) -> None:
        """Open or make the file. Raises ``Busy`` while another process holds it."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._open)

    async def close(self) -> None:
        """Let what runs finish, and let go of the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader, self._close_cursor)
        await loop.run_in_executor(self._writer, self._close)
        self._reader.shutdown()
        self._writer.shutdown()

    async def write(self, function: "Callable[[DuckDBPyConnection], T]") -> T:
        """Run ``function`` as one transaction on the writing thread.

        Raises ``Misfit`` for a value that cannot be stored, ``Unavailable`` for any other trouble
        of the engine: nothing of the transaction is in then.
        """
        if not self.is_open:
            raise Unavailable(BOARD, "stopped")
        return await asyncio.get_running_loop().run_in_executor(
            self._writer, self._transaction, function
        )

    async def read(self, function: "Callable[[DuckDBPyConnection], T]") -> T:
        """Run ``function`` on one committed state, on the reading thread."""
        if not self.is_open:
            raise Unavailable(BOARD, "stopped")
        return await asyncio.get_running_loop().run_in_executor(
            self._reader, self._snapshot, function
        )

    async def compute(self, function: Callable[[], T]) -> T:
        """Run a plain function on the writing thread."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, function)

    # ── on the threads ──────────────────────────────────────────────────────────────────────
    def _open(self) -> None:
        import duckdb  # noqa: PLC0415 - 60 MB that only a running data centre pays for

        where = str(self._path) if self._path else ":memory:"
        config: dict[str, Any] = {
            "threads": 1,
            "memory_limit": f"{self._memory_mb}MB",
            "preserve_insertion_order": False,
            "checkpoint_threshold": "8MB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = duckdb.connect(where, config=config)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise Busy(str(self._path)) from error
            connection = self._opened_anew(duckdb, config)
        except duckdb.Error:
            connection = self._opened_anew(duckdb, config)
        connection.execute(_META)
        connection.execute("SET TimeZone='UTC'")
        if self._path is not None:
            self._path.chmod(0o600)
        self._connection, self._cursor = connection, connection.cursor()

    def _opened_anew(self, duckdb: Any, config: dict[str, Any]) -> "DuckDBPyConnection":
        """A file that cannot be read is put aside: the outboxes hold all that was in it."""
        assert self._path is not None
        for path in (self._path, self._path.with_name(f"{FILE}.wal")):
            if path.exists():
                path.replace(path.with_name(f"{path.name}.unreadable"))
        _log.warning("%s could not be read; its facts are collected again", self._path)
        opened: DuckDBPyConnection = duckdb.connect(str(self._path), config=config)
        return opened

    def _transaction(self, function: "Callable[[DuckDBPyConnection], T]") -> T:
        import duckdb  # noqa: PLC0415 - loaded by now

        connection = self._connection
        assert connection is not None
        try:
            connection.begin()
            try:
                answer = function(connection)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            raise Misfit(type(error).__name__) from error
        except duckdb.Error as error:
            _log.warning("the analysis engine failed: %s", type(error).__name__)
            raise Unavailable(BOARD, "storage") from error
        return answer

    def _snapshot(self, function: "Callable[[DuckDBPyConnection], T]") -> T:
        cursor = self._cursor
        if cursor is None:
            raise Unavailable(BOARD, "stopped")
        cursor.begin()
        try:
            return function(cursor)
        finally:
            cursor.rollback()

    def _close_cursor(self) -> None:
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            cursor.close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


# ── what is in the file: plain functions on a connection ──────────────────────────────────────
def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def prepare_board(
    connection: "DuckDBPyConnection", board: str, tables: Iterable[FactTable], facts: str
) -> Place:
    """Bring one board's tables to today's declarations; where to read its events from.

    A new table, a new event for one, or rows of another shape need the past again: the board is
    read from its first event. Rows that are there stay, and the newer event wins.
    """
    known = dict(
        connection.execute(
            "SELECT name, fingerprint FROM meta.shape WHERE board = ?", [board]
        ).fetchall()
    )
    for table in tables:
        if known.get(table.name) != table.fingerprint:
            _make(connection, table)
    place = place_of(connection, board)
    if place is None:
        connection.execute("INSERT INTO meta.source VALUES (?, 0, NULL, NULL, ?)", [board, facts])
        return Place(facts=facts)
    if place.facts != facts:
        connection.execute(
            "UPDATE meta.source SET position = 0, event = NULL, facts = ? WHERE board = ?",
            [facts, board],
        )
        return Place(facts=facts)
    return place


def forget_board(connection: "DuckDBPyConnection", board: str) -> None:
    """Throw one board's rows away, so that they are collected from its first event."""
    names = connection.execute("SELECT name FROM meta.shape WHERE board = ?", [board]).fetchall()
    for (name,) in names:
        connection.execute(f"DELETE FROM fact.{quoted(name)}")  # noqa: S608 - a quoted name
    connection.execute(
        "UPDATE meta.source SET position = 0, event = NULL, recorded_at = NULL WHERE board = ?",
        [board],
    )


def place_of(connection: "DuckDBPyConnection", board: str) -> Place | None:
    row = connection.execute(
        "SELECT position, event, facts, recorded_at FROM meta.source WHERE board = ?", [board]
    ).fetchone()
    if row is None:
        return None
    event = str(row[1]) if row[1] is not None else None
    return Place(row[0], event, row[2], row[3].replace(tzinfo=UTC) if row[3] else None)


def _make(connection: "DuckDBPyConnection", table: FactTable) -> None:
    name = f"fact.{quoted(table.name)}"
    columns = ", ".join(f"{quoted(column.name)} {column.kind}" for column in table.columns)
    connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.execute(f"CREATE TABLE {name} ({columns}, _position BIGINT, _recorded_at TIMESTAMP)")
    connection.execute("DELETE FROM meta.shape WHERE name = ?", [table.name])
    connection.execute(
        "INSERT INTO meta.shape VALUES (?, ?, ?)", [table.name, table.board, table.fingerprint]
    )
