"""Call book 调用账: one row for every call that is passed through, on disk before it goes out.

A call's row is written, and synced, before the other side hears of it; how it ended is noted after.
A row without an ending is a call that was under way when the process died: it may have happened.
Neither bodies nor headers are kept; of a query only the names, unless the service says otherwise.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec

from plugward.kit.time import Instant

from ..ledger import WRITE_FAILURES
from ..ledger_tables import connect, instant, micros

FILE = Path("hub") / "calls.sqlite"
GROUP_MAX = 512
WAITING_MAX = 20_000
KEPT_DAYS = 190
"""The law asks for six months of network logs (网络安全法, article 21)."""
_FORGET_EVERY = 4096
_FORGET_AT_ONCE = 2048
_ENDINGS_WAIT_S = 0.05

_SCHEMA = """
CREATE TABLE IF NOT EXISTS call (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    caller TEXT NOT NULL,
    address TEXT NOT NULL,
    service TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER,
    bytes_in INTEGER,
    bytes_out INTEGER,
    micros INTEGER,
    error TEXT
);
"""
_BEGIN = "INSERT INTO call (seq, at, caller, address, service, method, path) VALUES (?,?,?,?,?,?,?)"
_END = "UPDATE call SET status=?, bytes_in=?, bytes_out=?, micros=?, error=? WHERE seq=?"
_LATEST = """
SELECT seq, at, caller, address, service, method, path, status, bytes_in, bytes_out, micros, error
FROM call WHERE (? = '' OR service = ?) AND (? = '' OR caller = ?) ORDER BY seq DESC LIMIT ?
"""
_FORGET = "DELETE FROM call WHERE seq < (SELECT min(seq) FROM call) + ? AND at < ?"


class BookFailed(OSError):
    """It could not be written down: it is not to happen."""


class Call(msgspec.Struct, frozen=True):
    """Who calls what."""

    at: Instant
    caller: str
    address: str
    service: str
    method: str
    path: str


class Ending(msgspec.Struct, frozen=True):
    """How a call ended."""

    status: int
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    error: str = ""


class Entry(msgspec.Struct, frozen=True):
    """A row as a person reads it. Without a status it may or may not have happened."""

    seq: int
    at: Instant
    caller: str
    address: str
    service: str
    method: str
    path: str
    status: int | None
    bytes_in: int | None
    bytes_out: int | None
    ms: float | None
    error: str | None


_Row = tuple[object, ...]
_Waiting = tuple[str, _Row, "asyncio.Future[None] | None"]


class CallBook:
    """One SQLite file, one writer thread that groups whatever waits under one COMMIT."""

    def __init__(self, path: Path, now: Callable[[], Instant]) -> None:
        self._path = path
        self._now = now
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._count = 0
        self._seq = 0
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Open the file, making it if it is not there."""
        self._loop = asyncio.get_running_loop()
        connection = connect(self._path)
        connection.executescript(_SCHEMA)
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM call").fetchone()
        self._seq = int(last)
        self._thread = threading.Thread(
            target=self._write_groups, args=(connection,), name="hub-calls-write", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits and close."""
        self._waiting.put(None)
        if self._thread is not None:
            await self._loop.run_in_executor(None, self._thread.join)

    async def begin(self, call: Call) -> int:
        """The call's number, once its row is on disk. Raises ``BookFailed``."""
        if self._count >= WAITING_MAX:
            raise BookFailed(f"{self._count} calls wait to be written down")
        self._seq += 1
        seq = self._seq
        written: asyncio.Future[None] = self._loop.create_future()
        self._count += 1
        row = (seq, micros(call.at), *msgspec.structs.astuple(call)[1:])
        self._waiting.put((_BEGIN, row, written))
        await written
        return seq

    def end(self, seq: int, ending: Ending) -> None:
        """Note how it ended; written with whatever is written next."""
        took = int(ending.seconds * 1_000_000)
        row = (ending.status, ending.bytes_in, ending.bytes_out, took, ending.error, seq)
        self._waiting.put((_END, row, None))

    # ── the writer thread ───────────────────────────────────────────────────────────────────
    def _write_groups(self, connection: sqlite3.Connection) -> None:
        is_open, written = True, 0
        while is_open:
            group = [self._waiting.get()]
            hurries = not _is_ending(group[0])
            with suppress(queue.Empty):
                while len(group) < GROUP_MAX:
                    # Endings alone are in no hurry: they go with the next call's row.
                    one = self._waiting.get(not hurries, None if hurries else _ENDINGS_WAIT_S)
                    hurries = hurries or not _is_ending(one)
                    group.append(one)
            is_open = None not in group
            work = [one for one in group if one is not None]
            failure = _write(connection, work)
            waiting = [done for _, _, done in work if done is not None]
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._written, waiting, failure)
            if written // _FORGET_EVERY != (written + len(work)) // _FORGET_EVERY:
                self._forget(connection)
            written += len(work)
        connection.close()

    def _written(self, waiting: list["asyncio.Future[None]"], failure: str) -> None:
        self._count -= len(waiting)
        for done in waiting:
            if done.done():
                continue
            if failure:
                done.set_exception(BookFailed(failure))
            else:
                done.set_result(None)

    def _forget(self, connection: sqlite3.Connection) -> None:
        before = micros(self._now() - timedelta(days=KEPT_DAYS))
        with suppress(sqlite3.Error):  # it is tried again with the next few thousand
            connection.execute(_FORGET, (_FORGET_AT_ONCE, before))


def _is_ending(one: _Waiting | None) -> bool:
    return one is not None and one[2] is None


def _write(connection: sqlite3.Connection, work: list[_Waiting]) -> str:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for statement, row, _ in work:
            connection.execute(statement, row)
        connection.execute("COMMIT")
    except WRITE_FAILURES as failure:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return str(failure)
    return ""


def entries(path: Path, *, service: str = "", caller: str = "", limit: int = 100) -> list[Entry]:
    """The latest calls, the newest first; read beside a running hub."""
    if not path.exists():
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return list(_rows(connection, service, caller, limit))
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, service: str, caller: str, limit: int) -> Iterator[Entry]:
    found = connection.execute(_LATEST, (service, service, caller, caller, limit))
    names = Entry.__struct_fields__
    for row in found:
        told = dict(zip(names, row, strict=True))
        took = told["ms"]
        told |= {"at": instant(told["at"]), "ms": None if took is None else took / 1000}
        yield Entry(**told)
