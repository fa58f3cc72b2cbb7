"""Where the audit log is kept: one file of its own. Servers are in ``auditserver``.

A store takes rows and gives them back; the chain, its lanes and its anchors are ``auditlog``'s.
No store has an operation that changes or removes an entry, and its database refuses both.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

SCHEMA = """
CREATE TABLE IF NOT EXISTS audit_entry (
    lane TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
    patients TEXT NOT NULL, operation TEXT NOT NULL, actor TEXT NOT NULL, request TEXT NOT NULL,
    hash BLOB NOT NULL, PRIMARY KEY (lane, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ix_audit_request ON audit_entry (request);
CREATE INDEX IF NOT EXISTS ix_audit_at ON audit_entry (at);
CREATE TABLE IF NOT EXISTS audit_cursor (source TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS audit_anchor (
    lane TEXT NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (lane, seq)) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit_entry
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""
ASKED_AT_ONCE = 500


class StoreAway(Exception):
    """The audit store could not take or give what was asked for."""


class Row(NamedTuple):
    """One entry as it is kept."""

    lane: str
    seq: int
    at: str
    body: str
    patients: str
    operation: str
    actor: str
    request: str
    hash: bytes


class Link(NamedTuple):
    """What an entry's hash is made of, and the hash."""

    lane: str
    seq: int
    at: str
    body: str
    hash: bytes


class AuditStore(Protocol):
    """What a database must do for the audit log. Every call may raise ``StoreAway``."""

    def open(self) -> None:
        """Connect and make what is missing."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...

    def head(self, lane: str) -> tuple[int, bytes] | None:
        """The last entry of a lane: its number and hash."""
        ...

    def write(self, rows: Sequence[Row], cursors: Sequence[tuple[str, int]]) -> None:
        """Add entries, and how far which outbox was read, as one transaction."""
        ...

    def cursor(self, source: str) -> int:
        """How far this board's outbox was read."""
        ...

    def anchor(self, lane: str, seq: int, hash: bytes, at: str) -> None:
        """Keep the head of a lane; one that is there already stays as it is."""
        ...

    def anchors(self) -> list[tuple[str, int, bytes]]:
        """Every head that was kept."""
        ...

    def hash_at(self, lane: str, seq: int) -> bytes | None:
        """The hash of one entry, if it is there."""
        ...

    def newest(self, operation: str | None, limit: int) -> list[Link]:
        """The newest entries, of one operation if it is named, newest first."""
        ...

    def links(self) -> Iterator[Link]:
        """Every entry, by lane and number."""
        ...

    def count(self) -> int:
        """How many entries there are."""
        ...

    def known(self, requests: Sequence[str]) -> set[str]:
        """Those of these requests that have an entry."""
        ...


class FileStore:
    """The log in a file of its own, or in memory (tests)."""

    def __init__(self, path: Path | None = None, *, db: sqlite3.Connection | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        if db is not None:
            self.db = db

    def open(self) -> None:
        name = str(self._path) if self._path else ":memory:"
        self.db = sqlite3.connect(name, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        self.db.close()

    def head(self, lane: str) -> tuple[int, bytes] | None:
        with self._lock:
            found = self.db.execute(
                "SELECT seq, hash FROM audit_entry WHERE lane=? ORDER BY seq DESC LIMIT 1", (lane,)
            ).fetchone()
        return (found[0], found[1]) if found else None

    def write(self, rows: Sequence[Row], cursors: Sequence[tuple[str, int]]) -> None:
        try:
            with self._lock:
                self.db.execute("BEGIN IMMEDIATE")
                self.db.executemany("INSERT INTO audit_entry VALUES (?,?,?,?,?,?,?,?,?)", rows)
                self.db.executemany(
                    "INSERT INTO audit_cursor VALUES (?,?) "
                    "ON CONFLICT (source) DO UPDATE SET position=excluded.position",
                    cursors,
                )
                self.db.execute("COMMIT")
        except sqlite3.Error as error:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise StoreAway from error

    def cursor(self, source: str) -> int:
        with self._lock:
            row = self.db.execute(
                "SELECT position FROM audit_cursor WHERE source=?", (source,)
            ).fetchone()
        return int(row[0]) if row else 0

    def anchor(self, lane: str, seq: int, hash: bytes, at: str) -> None:
        try:
            with self._lock:
                self.db.execute(
                    "INSERT OR IGNORE INTO audit_anchor VALUES (?,?,?,?)", (lane, seq, hash, at)
                )
        except sqlite3.Error as error:
            raise StoreAway from error

    def anchors(self) -> list[tuple[str, int, bytes]]:
        with self._lock:
            return self.db.execute("SELECT lane, seq, hash FROM audit_anchor").fetchall()

    def hash_at(self, lane: str, seq: int) -> bytes | None:
        with self._lock:
            row = self.db.execute(
                "SELECT hash FROM audit_entry WHERE lane=? AND seq=?", (lane, seq)
            ).fetchone()
        return row[0] if row else None

    def newest(self, operation: str | None, limit: int) -> list[Link]:
        where, values = ("WHERE operation=?", (operation,)) if operation else ("", ())
        with self._lock:
            rows = self.db.execute(
                f"SELECT lane, seq, at, body, hash FROM audit_entry {where} "  # noqa: S608 - constants
                "ORDER BY at DESC, seq DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [Link(*row) for row in rows]

    def links(self) -> Iterator[Link]:
        with self._lock:
            for row in self.db.execute(
                "SELECT lane, seq, at, body, hash FROM audit_entry ORDER BY lane, seq"
            ):
                yield Link(*row)

    def count(self) -> int:
        with self._lock:
            return int(self.db.execute("SELECT count(*) FROM audit_entry").fetchone()[0])

    def known(self, requests: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(requests), ASKED_AT_ONCE):
            some = requests[start : start + ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            with self._lock:
                rows = self.db.execute(
                    f"SELECT request FROM audit_entry WHERE request IN ({marks})",  # noqa: S608 - marks only
                    some,
                ).fetchall()
            found.update(row[0] for row in rows)
        return found
