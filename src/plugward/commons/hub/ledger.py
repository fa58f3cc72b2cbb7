"""Ledger 总账: every message, durable before it is acknowledged, and where it still has to go.

One SQLite file (WAL, ``synchronous=FULL``), one writer thread that groups whatever waits under one
COMMIT. An answer leaves only after that COMMIT; when it fails, every message of the group fails
and is answered as an error, never as accepted.
"""

import asyncio
import queue
import sqlite3
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from plugward.kit.time import Instant

from . import ledger_tables as sql
from .ledger_records import (
    UNANSWERED,
    Answered,
    Arrival,
    Delivery,
    Kept,
    Lane,
    LedgerBusy,
    LedgerFailed,
    Letter,
    Outcome,
    Parcel,
    delivery_of,
    letter_of,
)
from .ledger_tables import State, instant, micros

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]

GROUP_MAX = 512
WAITING_MAX = 20_000
DUPLICATE_WINDOW = timedelta(days=30)
WRITE_FAILURES = (sqlite3.Error, ValueError, OverflowError, AssertionError)
"""What a write can end with: the disk's trouble, or a value SQLite cannot hold."""
REFUSED = ("AE", "AR")
REFUSED_MAX = 10_000
REFUSED_BYTES_MAX = 64 * 1024
"""Bytes that are no message are kept for looking at, not for ever and not in any size."""
READ_BYTES_MAX = 8 * 1024 * 1024
"""As much is read ahead for one look, and one message more."""
NOWHERE: Mapping[str, tuple[int, int]] = {}


class LocalLedger:
    """The ledger of one node on its own disk."""

    def __init__(self, path: Path, now: Callable[[], Instant]) -> None:
        self._path = path
        self._now = now
        self._waiting: queue.SimpleQueue[tuple[Operation, asyncio.Future[Any]] | None]
        self._waiting = queue.SimpleQueue()
        self._count = 0
        self._thread: threading.Thread | None = None
        self._reader: sqlite3.Connection | None = None
        self._quick: sqlite3.Connection | None = None
        self._reading = ThreadPoolExecutor(1, "hub-ledger-read")
        self._moved: list[tuple[str, int]] = []
        self.pending: Counter[str] = Counter()
        """How many deliveries wait, by destination, as of the last commit."""

    async def start(self) -> None:
        """Open the file, making it if it is not there."""
        self._loop = asyncio.get_running_loop()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        writer = sql.connect(self._path)
        sql.prepare(writer)
        self._reader = sql.connect(self._path)
        self._quick = sql.connect(self._path)
        self.pending.update(dict(writer.execute(sql.BACKLOG, (State.PENDING,)).fetchall()))
        self._thread = threading.Thread(
            target=self._write_groups, args=(writer,), name="hub-ledger-write", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits and close."""
        self._waiting.put(None)
        if self._thread is not None:
            await self._loop.run_in_executor(None, self._thread.join)
        self._reading.shutdown()
        for one in (self._reader, self._quick):
            if one is not None:
                one.close()

    # ── writing ─────────────────────────────────────────────────────────────────────────────
    def append(
        self,
        arrival: Arrival,
        lanes: Sequence[Lane | Parcel] = (),
        answered: Answered = UNANSWERED,
    ) -> Awaitable[Kept]:
        """Make a message durable, with its lanes. Queued before it returns: order is kept.

        A repeat (same sender, control id and content) is not written again. A control id that is
        used again for other content is a clash, unless what it was used for had been refused.
        """
        at = micros(arrival.at)
        since = at - DUPLICATE_WINDOW // timedelta(microseconds=1)
        parcels = [one if isinstance(one, Parcel) else Parcel(one) for one in lanes]
        digest = arrival.digest

        def write(connection: sqlite3.Connection) -> Kept:
            before = connection.execute(
                sql.FIND_SAME, (arrival.sender, arrival.control_id, since)
            ).fetchone()
            if before is not None and (before[2] == digest or before[4] not in REFUSED):
                seq, message, known, first, said = before
                return Kept(seq, UUID(bytes=message), False, known != digest, first, said)
            row = (*_row(arrival, digest, at), *answered)
            seq = connection.execute(sql.ADD, row).lastrowid
            assert seq is not None
            _enqueue(connection, parcels, seq, at)
            self._moved += [(one.lane.destination, 1) for one in parcels]
            return Kept(seq, arrival.id)

        return self._submit(write)

    def settle(self, results: Iterable[tuple[Delivery, Outcome]]) -> Awaitable[None]:
        """Note how attempts ended; lanes move on, wait, or are empty and go."""
        settled = tuple(results)
        now = micros(self._now())

        def write(connection: sqlite3.Connection) -> None:
            _settle(connection, settled, now)
            for delivery, outcome in settled:
                if outcome.state is not State.PENDING:
                    self._moved.append((delivery.destination, -1))
                self._moved += [(one.lane.destination, 1) for one in outcome.parcels]

        return self._submit(write)

    def answered(self, seq: int, answer: bytes, code: str) -> Awaitable[None]:
        """Keep the answer a message got, so that a repeat gets the same."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(sql.ANSWER, (answer, code, seq))

        return self._submit(write)

    def refused(self, body: bytes, *, peer: str, reason: str) -> Awaitable[None]:
        """Keep bytes that were never accepted, for whoever has to find out why."""
        at = micros(self._now())

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(sql.ADD_REFUSED, (at, peer, reason, body[:REFUSED_BYTES_MAX]))
            connection.execute(sql.FORGET_REFUSED, (REFUSED_MAX,))

        return self._submit(write)

    def replay(self, seq: int, lane: Lane) -> Awaitable[bool]:
        """Put a given-up delivery back on its lane; false when there is none."""
        now = self._now()

        def write(connection: sqlite3.Connection) -> bool:
            revived = connection.execute(sql.REVIVE, (*lane, seq)).rowcount
            if revived:
                connection.execute(sql.OPEN_LANE, (*lane, micros(now)))
                self._moved.append((lane.destination, revived))
            return revived > 0

        return self._submit(write)

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    def heads(
        self,
        destination: str,
        *,
        lanes: int,
        per_lane: int,
        busy: Set[str] = frozenset(),
        beyond: Mapping[str, tuple[int, int]] = NOWHERE,
    ) -> list[Delivery]:
        """The next deliveries of the lanes that are due, in order, none of a busy key.

        Of a key in ``beyond`` only what comes after that place. Read on the event loop's thread:
        a thread that hands over costs more than these few rows.
        """
        assert self._quick is not None
        found: list[Delivery] = []
        size = taken = 0
        limit = lanes + len(busy) + len(beyond)
        now = micros(self._now())
        for key, attempts, fault in self._quick.execute(sql.DUE, (destination, now, limit)):
            if key in busy:
                continue
            if taken == lanes or size > READ_BYTES_MAX:
                break
            lane = Lane(destination, key)
            if key in beyond:
                attempts, fault = 0, ""  # noqa: PLW2901 - they were another delivery's
            place = beyond.get(key, (0, -1))
            before = len(found)
            for row in self._quick.execute(sql.PENDING, (*lane, *place, per_lane)):
                found.append(delivery_of(lane, attempts, fault, row))
                attempts, fault = 0, ""  # noqa: PLW2901 - they are the first one's
                size += len(found[-1].body)
                if size > READ_BYTES_MAX:
                    break
            taken += len(found) > before
        return found

    def next_due(self, destination: str, busy: Set[str]) -> Instant | None:
        """When the next lane that is not busy falls due."""
        assert self._quick is not None
        for key, due in self._quick.execute(sql.COMING, (destination, len(busy) + 1)):
            if key not in busy:
                return instant(due)
        return None

    async def body(self, seq: int) -> bytes | None:
        """The bytes of a message, as they came."""
        found = await self._read(lambda c: c.execute(sql.BODY, (seq,)).fetchone())
        return None if found is None else bytes(found[0])

    async def first_answer(self, seq: int) -> tuple[bytes | None, str]:
        """What a message was answered, and that answer's MSA-1."""
        found = await self._read(lambda c: c.execute(sql.ANSWERED, (seq,)).fetchone())
        return (None, "") if found is None else (found[0], found[1])

    async def outcomes(self, seq: int) -> list[tuple[str, State, str]]:
        """What became of a message: for each delivery where to, how it stands, and why."""
        rows = await self._read(lambda c: c.execute(sql.OUTCOMES, (seq,)).fetchall())
        return [(str(to), State(state), str(reason)) for to, state, reason in rows]

    async def oldest(self) -> dict[str, Instant]:
        """Since when the oldest delivery waits, by destination."""
        rows = await self._read(lambda c: c.execute(sql.OLDEST).fetchall())
        return {str(name): instant(at) for name, at in rows}

    async def waiting(self, limit: int = 100) -> list[Letter]:
        """Deliveries not yet made, the oldest first."""
        return await self._letters(State.PENDING, limit)

    async def dead_letters(self, limit: int = 100) -> list[Letter]:
        """Deliveries given up, the oldest first. Each waits for a person."""
        return await self._letters(State.DEAD, limit)

    async def backlog(self, state: State) -> dict[str, int]:
        """How many deliveries wait or were given up, by destination."""
        rows = await self._read(lambda c: c.execute(sql.BACKLOG, (state,)).fetchall())
        return {str(name): int(count) for name, count in rows}

    async def refusals(self, limit: int = 100) -> list[tuple[Instant, str, str, bytes]]:
        """The latest bytes that were never accepted: when, from where, why, what."""
        rows = await self._read(lambda c: c.execute(sql.REFUSED, (limit,)).fetchall())
        return [(instant(at), peer, reason, body) for at, peer, reason, body in rows]

    async def counts(self) -> dict[str, int]:
        """Messages kept, and deliveries by state."""
        rows = await self._read(lambda c: c.execute(sql.COUNTS).fetchall())
        return {str(name): int(count) for name, count in rows}

    async def _letters(self, state: State, limit: int) -> list[Letter]:
        rows = await self._read(lambda c: c.execute(sql.LETTERS, (state, limit)).fetchall())
        return [letter_of(row) for row in rows]

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Something of one's own, such as a search, on the thread that reads."""
        return await self._read(function)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        assert self._reader is not None
        return await self._loop.run_in_executor(self._reading, function, self._reader)

    # ── the writer thread ───────────────────────────────────────────────────────────────────
    def _submit(self, operation: Operation) -> "asyncio.Future[Any]":
        done = self._loop.create_future()
        if self._count >= WAITING_MAX:
            done.set_exception(LedgerBusy(f"{self._count} messages wait to be written"))
            return done
        self._count += 1
        self._waiting.put((operation, done))
        return done

    def _write_groups(self, connection: sqlite3.Connection) -> None:
        is_open = True
        while is_open:
            group = [self._waiting.get()]
            with suppress(queue.Empty):
                while len(group) < GROUP_MAX:
                    group.append(self._waiting.get_nowait())
            is_open = None not in group
            work = [item for item in group if item is not None]
            results = self._run_group(connection, [operation for operation, _ in work])
            answers = [(done, result) for (_, done), result in zip(work, results, strict=True)]
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._answer, answers)
        connection.close()

    def _run_group(self, connection: sqlite3.Connection, operations: list[Operation]) -> list[Any]:
        """All in one transaction; when one fails, each in its own, so that it fails alone."""
        if not operations:
            return []
        try:
            return self._transaction(connection, operations)
        except WRITE_FAILURES as failure:
            if len(operations) == 1:
                return [LedgerFailed(str(failure))]
        return [self._run_group(connection, [one])[0] for one in operations]

    def _transaction(
        self, connection: sqlite3.Connection, operations: list[Operation]
    ) -> list[Any]:
        self._moved.clear()
        try:
            connection.execute("BEGIN IMMEDIATE")
            results = [operation(connection) for operation in operations]
            connection.execute("COMMIT")
        except WRITE_FAILURES:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        for destination, count in self._moved:
            self.pending[destination] += count
        return results

    def _answer(self, answers: list[tuple["asyncio.Future[Any]", Any]]) -> None:
        self._count -= len(answers)
        for done, result in answers:
            if done.done():
                continue
            if isinstance(result, LedgerFailed):
                done.set_exception(result)
            else:
                done.set_result(result)


def _row(arrival: Arrival, digest: bytes, at: int) -> tuple[Any, ...]:
    return (
        arrival.id.bytes,
        arrival.sender,
        arrival.control_id,
        digest,
        arrival.kind,
        arrival.peer,
        at,
        arrival.body,
        arrival.subject,
    )


def _enqueue(
    connection: sqlite3.Connection, parcels: Sequence[Parcel], seq: int, at: int, first: int = 0
) -> None:
    for part, parcel in enumerate(parcels, first):
        row = (*parcel.lane, seq, part, parcel.route, parcel.body)
        connection.execute(sql.ENQUEUE, row)
        connection.execute(sql.OPEN_LANE, (*parcel.lane, at))


def _settle(
    connection: sqlite3.Connection, settled: Sequence[tuple[Delivery, Outcome]], now: int
) -> None:
    """What ended, row by row; then each lane once: on, away when it is empty, or put off."""
    moved: set[Lane] = set()
    for delivery, outcome in settled:
        lane = delivery.lane
        if outcome.reply is not None:
            connection.execute(sql.ANSWER, (outcome.reply, outcome.code, delivery.seq))
        if outcome.state is not State.DONE:
            place = (delivery.seq, delivery.destination, delivery.part)
            connection.execute(sql.ADD_ATTEMPT, (*place, now, outcome.took_us, outcome.reason))
        if outcome.state is State.PENDING:
            continue
        attempts = delivery.attempts + 1
        ended = (outcome.state, attempts, outcome.reason, now, outcome.answer, outcome.took_us)
        connection.execute(sql.FINISH, (*ended, *lane, delivery.seq, delivery.part))
        if outcome.parcels:
            (first,) = connection.execute(sql.PARTS, (delivery.seq,)).fetchone()
            _enqueue(connection, outcome.parcels, delivery.seq, now, first)
        moved.add(lane)
    for lane in moved:
        connection.execute(sql.MOVE_ON, (now, *lane))
        connection.execute(sql.CLOSE_LANE, (*lane, *lane))
    for delivery, outcome in settled:
        if outcome.state is State.PENDING:
            assert outcome.retry_at is not None
            due, fault = micros(outcome.retry_at), outcome.fault
            connection.execute(sql.POSTPONE, (due, outcome.reason, fault, fault, *delivery.lane))
