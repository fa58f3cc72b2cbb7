"""The ledger's tables and statements 总账的表与语句.

``message`` is append-only. ``delivery`` is one row per message and lane; ``lane`` exists only
while something waits on it, so looking for work never scans what is done.
"""

import sqlite3
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from plugward.kit.time import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGES_BEFORE_CHECKPOINT = 4000


class State(StrEnum):
    """Of a delivery."""

    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"


SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    sender TEXT NOT NULL,
    control_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    kind TEXT NOT NULL,
    peer TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    answer BLOB,
    code TEXT NOT NULL DEFAULT '',
    subject TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS refused (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    refused_at INTEGER NOT NULL,
    peer TEXT NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS message_sender ON message (sender, control_id);
CREATE INDEX IF NOT EXISTS message_control ON message (control_id);
CREATE INDEX IF NOT EXISTS message_subject ON message (subject) WHERE subject <> '';
CREATE INDEX IF NOT EXISTS message_kind ON message (kind);
CREATE TABLE IF NOT EXISTS attempt (
    seq INTEGER NOT NULL,
    destination TEXT NOT NULL,
    part INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    took INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS attempt_message ON attempt (seq);
CREATE TABLE IF NOT EXISTS delivery (
    destination TEXT NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES message (seq),
    part INTEGER NOT NULL DEFAULT 0,
    route TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    settled_at INTEGER,
    body BLOB,
    answer BLOB,
    took INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (destination, key, seq, part)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_open ON delivery (state, seq) WHERE state <> 'done';
CREATE INDEX IF NOT EXISTS delivery_pending ON delivery (destination, key, seq, part)
    WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS delivery_message ON delivery (seq);
CREATE TABLE IF NOT EXISTS lane (
    destination TEXT NOT NULL,
    key TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    fault TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (destination, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lane_due ON lane (destination, due_at);
"""

VERSION = 3
# The first shape had one delivery for each message and lane, and no body of its own.
FROM_1 = """
ALTER TABLE delivery RENAME TO delivery_1;
DROP INDEX delivery_open;
DROP INDEX delivery_pending;
ALTER TABLE lane ADD COLUMN fault TEXT NOT NULL DEFAULT '';
"""
FROM_1_COPY = """
INSERT INTO delivery (destination, key, seq, state, attempts, reason, settled_at, answer)
SELECT destination, key, seq, state, attempts, reason, settled_at, answer FROM delivery_1;
DROP TABLE delivery_1;
"""

# The second could not be searched by patient, and kept no times of attempts.
FROM_2 = """
ALTER TABLE message ADD COLUMN subject TEXT NOT NULL DEFAULT '';
"""
FROM_2_DELIVERY = """
ALTER TABLE delivery ADD COLUMN took INTEGER NOT NULL DEFAULT 0;
"""

FIND_SAME = """
SELECT seq, id, digest, answer, code FROM message
WHERE sender = ? AND control_id = ? AND received_at >= ? ORDER BY seq DESC LIMIT 1
"""
ADD = """
INSERT INTO message
    (id, sender, control_id, digest, kind, peer, received_at, body, subject, answer, code)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# The first answer stands, but for AE: that one asked the sender to come again.
ANSWER = """
UPDATE message SET answer = ?, code = ? WHERE seq = ? AND (answer IS NULL OR code = 'AE')
"""
ADD_REFUSED = "INSERT INTO refused (refused_at, peer, reason, body) VALUES (?, ?, ?, ?)"
FORGET_REFUSED = "DELETE FROM refused WHERE seq <= (SELECT max(seq) FROM refused) - ?"
REFUSED = "SELECT refused_at, peer, reason, body FROM refused ORDER BY seq DESC LIMIT ?"
ENQUEUE = """
INSERT INTO delivery (destination, key, seq, part, route, body) VALUES (?, ?, ?, ?, ?, ?)
"""
PARTS = "SELECT count(*) FROM delivery WHERE seq = ?"
OPEN_LANE = """
INSERT INTO lane (destination, key, due_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
"""
DUE = """
SELECT key, attempts, fault FROM lane WHERE destination = ? AND due_at <= ? ORDER BY due_at LIMIT ?
"""
COMING = "SELECT key, due_at FROM lane WHERE destination = ? ORDER BY due_at LIMIT ?"
PENDING = """
SELECT m.seq, d.part, m.id, m.kind, m.control_id, m.sender, coalesce(d.body, m.body),
       m.received_at, d.route
FROM delivery d JOIN message m ON m.seq = d.seq
WHERE d.destination = ? AND d.key = ? AND d.state = 'pending' AND (d.seq, d.part) > (?, ?)
ORDER BY d.seq, d.part LIMIT ?
"""
# Failures of another kind are counted anew: an outage does not use up the patience for refusals.
POSTPONE = """
UPDATE lane SET due_at = ?, reason = ?, attempts = CASE fault WHEN ? THEN attempts + 1 ELSE 1 END,
                fault = ?
WHERE destination = ? AND key = ?
"""
FINISH = """
UPDATE delivery SET state = ?, attempts = ?, reason = ?, settled_at = ?, answer = ?, took = ?
WHERE destination = ? AND key = ? AND seq = ? AND part = ?
"""
ADD_ATTEMPT = """
INSERT INTO attempt (seq, destination, part, ended_at, took, reason) VALUES (?, ?, ?, ?, ?, ?)
"""
CLOSE_LANE = """
DELETE FROM lane WHERE destination = ? AND key = ? AND NOT EXISTS (
    SELECT 1 FROM delivery WHERE destination = ? AND key = ? AND state = 'pending')
"""
MOVE_ON = """
UPDATE lane SET due_at = ?, attempts = 0, fault = '', reason = '' WHERE destination = ? AND key = ?
"""
REVIVE = """
UPDATE delivery SET state = 'pending', reason = ''
WHERE destination = ? AND key = ? AND seq = ? AND state = 'dead'
"""
RETRY_NOW = "UPDATE lane SET due_at = ? WHERE destination = ?"
BODY = "SELECT body FROM message WHERE seq = ?"
ANSWERED = "SELECT answer, code FROM message WHERE seq = ?"
OUTCOMES = """
SELECT d.destination, d.state, CASE d.state WHEN 'pending' THEN coalesce(l.reason, '')
                                            ELSE d.reason END
FROM delivery d LEFT JOIN lane l ON l.destination = d.destination AND l.key = d.key
WHERE d.seq = ? ORDER BY d.destination, d.key, d.part
"""
LETTERS = """
SELECT d.seq, d.destination, d.key, m.kind, m.control_id,
       CASE d.state WHEN 'pending' THEN coalesce(l.attempts, 0) ELSE d.attempts END,
       CASE d.state WHEN 'pending' THEN coalesce(l.reason, '') ELSE d.reason END,
       m.received_at
FROM delivery d JOIN message m ON m.seq = d.seq
LEFT JOIN lane l ON l.destination = d.destination AND l.key = d.key
WHERE d.state = ? AND d.state <> 'done' ORDER BY d.seq LIMIT ?
"""
DEAD_OF = """
SELECT DISTINCT seq, key FROM delivery
WHERE state = 'dead' AND state <> 'done' AND destination = ? ORDER BY seq LIMIT ?
"""
BACKLOG = """
SELECT destination, count(*) FROM delivery WHERE state = ? AND state <> 'done'
GROUP BY destination
"""
COUNTS = """
SELECT 'messages', count(*) FROM message
UNION ALL SELECT state, count(*) FROM delivery GROUP BY state
"""
OLDEST = """
SELECT d.destination, min(m.received_at) FROM delivery d JOIN message m ON m.seq = d.seq
WHERE d.state = 'pending' AND d.state <> 'done' GROUP BY d.destination
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an earlier release into this shape."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LedgerTooNew(f"the ledger is of shape {version}; this release knows {VERSION}")
    known = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    is_older = "delivery" in known and version < VERSION
    is_first_shape = is_older and version < 2  # noqa: PLR2004 - the second shape
    connection.executescript(
        "BEGIN IMMEDIATE;"
        + (FROM_2 if is_older else "")
        + (FROM_2_DELIVERY if is_older and not is_first_shape else "")
        + (FROM_1 if is_first_shape else "")
        + SCHEMA
        + (FROM_1_COPY if is_first_shape else "")
        + f"PRAGMA user_version = {VERSION}; COMMIT;"
    )


def dead_of(connection: sqlite3.Connection, destination: str, limit: int) -> list[tuple[int, str]]:
    """A destination's dead letters, the oldest first."""
    return connection.execute(DEAD_OF, (destination, limit)).fetchall()


class LedgerTooNew(RuntimeError):
    """The file was written by a later release."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits only when told, durable at every commit."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_BEFORE_CHECKPOINT}")
    connection.execute("PRAGMA busy_timeout = 5000")
    return connection


def micros(at: Instant) -> int:
    """An instant as the tables keep it."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(value: int) -> Instant:
    """The instant of a table's value."""
    return _EPOCH + timedelta(microseconds=value)
