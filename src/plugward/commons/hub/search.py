"""Search 检索: find messages by any indexed field and time; follow one through everything.

The newest come first. A search looks back through the ledger window by window and stops when it
has a page or its time is used up; then it says how far it came, and the next page goes on there.
"""

import sqlite3
from time import perf_counter
from typing import Any, NamedTuple

from plugward.kit.time import Instant

from .ledger_tables import instant, micros

BUDGET_S = 0.15
WINDOW = 20_000
PAGE = 50


class Wanted(NamedTuple):
    """What is looked for; what is empty is anything."""

    text: str = ""
    """A control id, or whom it is about."""
    kind: str = ""
    sender: str = ""
    destination: str = ""
    state: str = ""
    since: Instant | None = None
    until: Instant | None = None
    before: int = 0
    """Only what came before this message."""


class Hit(NamedTuple):
    """One message, without its text."""

    seq: int
    at: Instant
    kind: str
    sender: str
    control_id: str
    subject: str
    code: str
    peer: str
    size: int
    ends: tuple["End", ...] = ()


class End(NamedTuple):
    """Where a message went and how it stands there."""

    destination: str
    key: str
    part: int
    route: str
    state: str
    attempts: int
    reason: str
    settled_at: Instant | None
    took_us: int


class Try(NamedTuple):
    """One attempt that did not succeed."""

    destination: str
    ended_at: Instant
    took_us: int
    reason: str


class Hits(NamedTuple):
    """A page."""

    messages: tuple[Hit, ...]
    before: int
    """Where the next page begins; 0: nothing more."""


def search(connection: sqlite3.Connection, wanted: Wanted, budget_s: float = BUDGET_S) -> Hits:
    """The newest page of what is wanted."""
    until = perf_counter() + budget_s
    lowest = 1 if wanted.since is None else _seq_at(connection, micros(wanted.since))
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM message").fetchone()
    top = last + 1 if wanted.until is None else _seq_at(connection, micros(wanted.until))
    top = min(top, wanted.before) if wanted.before else top
    conditions, values = _conditions(wanted)
    found: list[int] = []
    size = WINDOW
    while top > lowest and len(found) < PAGE:
        # What has an index of few rows needs no windows: all of it at once.
        bottom = lowest if wanted.text or wanted.state in ("dead", "pending") else top - size
        bottom = max(bottom, lowest)
        rows = connection.execute(
            f"SELECT m.seq FROM message m WHERE m.seq >= ? AND m.seq < ? {conditions} "  # noqa: S608 - our own words
            f"ORDER BY m.seq DESC LIMIT ?",
            (bottom, top, *values, PAGE - len(found)),
        )
        found += [seq for (seq,) in rows]
        top = found[-1] if len(found) == PAGE else bottom
        size *= 2
        if perf_counter() > until:
            break
    hits = tuple(hit(connection, seq) for seq in found)
    return Hits(tuple(one for one in hits if one is not None), top if top > lowest else 0)


def hit(connection: sqlite3.Connection, seq: int) -> Hit | None:
    """One message and how it stands."""
    row = connection.execute(
        "SELECT seq, received_at, kind, sender, control_id, subject, code, peer, length(body) "
        "FROM message WHERE seq = ?",
        (seq,),
    ).fetchone()
    if row is None:
        return None
    ends = connection.execute(
        "SELECT d.destination, d.key, d.part, d.route, d.state, "
        "CASE d.state WHEN 'pending' THEN coalesce(l.attempts, 0) ELSE d.attempts END, "
        "CASE d.state WHEN 'pending' THEN coalesce(l.reason, '') ELSE d.reason END, "
        "d.settled_at, d.took FROM delivery d "
        "LEFT JOIN lane l ON l.destination = d.destination AND l.key = d.key "
        "WHERE d.seq = ? ORDER BY d.destination, d.part",
        (seq,),
    )
    return Hit._make((row[0], instant(row[1]), *row[2:], tuple(_end(one) for one in ends)))


def tries(connection: sqlite3.Connection, seq: int) -> list[Try]:
    """The attempts that failed, the oldest first."""
    rows = connection.execute(
        "SELECT destination, ended_at, took, reason FROM attempt WHERE seq = ? "
        "ORDER BY ended_at LIMIT 100",
        (seq,),
    )
    return [Try(to, instant(at), took, reason) for to, at, took, reason in rows]


def _end(row: tuple[Any, ...]) -> End:
    *told, settled, took = row
    return End._make((*told, None if settled is None else instant(settled), took))


def _conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    parts: list[str] = []
    values: list[Any] = []
    if wanted.text:
        parts.append("(m.control_id = ? OR (m.subject = ? AND m.subject <> ''))")
        values += [wanted.text, wanted.text]
    for column, value in (("kind", wanted.kind), ("sender", wanted.sender)):
        if value:
            parts.append(f"m.{column} = ?")
            values.append(value)
    if wanted.state in ("dead", "pending"):
        # The index of what is not done is small, however many messages there are.
        parts.append("m.seq IN (SELECT seq FROM delivery WHERE state = ? AND state <> 'done')")
        values.append(wanted.state)
    if wanted.destination:
        parts.append("EXISTS (SELECT 1 FROM delivery d WHERE d.seq = m.seq AND d.destination = ?)")
        values.append(wanted.destination)
    return "".join(f"AND {part} " for part in parts), values


def _seq_at(connection: sqlite3.Connection, at: int) -> int:
    """The first message of an instant or later: the ledger is in the order of arrival."""
    (high,) = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM message").fetchone()
    low = 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT seq, received_at FROM message WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return low
