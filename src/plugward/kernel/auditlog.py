"""The audit log 审计日志: append-only and hash-chained per writing process, in a store of its own.

Commands come from the boards' outboxes (they are written with their effect), accesses come from
the dispatch path and are durable before the answer leaves. Each entry's hash covers the one before
it in its lane, so an edited or missing row shows; a cut tail shows against the anchors.
"""

import asyncio
import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from plugward.kit.time import Clock

from .access import Access
from .auditanchors import Anchors, last_heads, verify_anchors
from .auditstore import AuditStore, FileStore, Row, StoreAway
from .codec import from_json, to_json
from .events.feed import Feed
from .refusals import Unavailable
from .store.frames import COMMAND_DONE, CommandDone, Frame

START = b"\0" * 32
GROUP_MAX = 256
UNAVAILABLE_WAIT_S = 1.0
ANCHOR_EVERY = 1_000
ANCHOR_EVERY_S = 60.0
GATHER_S = 0.05  # done commands are safe in their outbox: so long they may gather
STOPPING_WAIT_S = 2.0
_log = logging.getLogger("plugward.audit")


class AuditEntry(msgspec.Struct, frozen=True):
    """One row as it is read back."""

    lane: str
    seq: int
    at: str
    body: dict[str, Any]
    hash: bytes


class _Batch(msgspec.Struct):
    entries: list[Access]
    cursor: tuple[str, int] | None
    future: "asyncio.Future[None]"


class AuditLog:
    """The log of one process: in a file, on a server, or (``None``, tests) in memory.

    ``anchors`` is a folder beyond the reach of whoever administers the store: the heads of all
    lanes go there too, every ``ANCHOR_EVERY`` entries and every ``ANCHOR_EVERY_S`` seconds.
    """

    def __init__(
        self,
        where: Path | AuditStore | None,
        clock: Clock,
        *,
        lane: str = "main",
        anchors: Path | None = None,
    ) -> None:
        self.store: AuditStore = (
            FileStore(where) if where is None or isinstance(where, Path) else where
        )
        self._outside = Anchors(anchors, lane) if anchors else None
        self._anchored_at = 0.0
        self._clock = clock
        self._lane = lane
        self._groups: queue.SimpleQueue[list[_Batch] | None] = queue.SimpleQueue()
        self._gathering: list[_Batch] = []
        self._thread: threading.Thread | None = None
        self._collectors: dict[str, asyncio.Task[None]] = {}
        self.collected: dict[str, int] = {}
        self._feeds: dict[str, Feed] = {}
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()  # clear while a group is under way
        self._idle.set()
        self._seq: int = 0
        self._head: bytes = START

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.store.open)
        self._seq, self._head = self.store.head(self._lane) or (0, START)
        if self._outside is not None:
            self._outside.open()
        self._anchored_at = time.monotonic()
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        until = asyncio.get_running_loop().time() + STOPPING_WAIT_S
        self.hurry()
        while self.lag and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - bounded
            await asyncio.sleep(0.002)
        for task in self._collectors.values():
            task.cancel()
        if self._collectors:
            await asyncio.wait(self._collectors.values())
        thread, self._thread = self._thread, None  # from here on nothing more is taken
        if thread is not None:
            await self._idle.wait()
            self._groups.put(None)
            await asyncio.to_thread(thread.join)
            await asyncio.to_thread(self._anchor)
            await asyncio.to_thread(self.store.close)

    async def append(self, accesses: list[Access]) -> None:
        """Write entries; returns when they are durable. A log that cannot be written refuses."""
        await self._submit(accesses, None)

    def collect(self, feed: Feed) -> None:
        """Copy a board's done commands from its outbox, from where the log left off."""
        self.collected[feed.board] = self.store.cursor(feed.board)
        self._feeds[feed.board] = feed
        self._collectors[feed.board] = self._loop.create_task(self._collect(feed))

    def forget(self, board: str) -> None:
        """The board was unplugged."""
        task = self._collectors.pop(board, None)
        if task is not None:
            task.cancel()
        self._feeds.pop(board, None)

    def hurry(self, *, on: bool = True) -> None:
        """Somebody waits for the log to be whole: collect at once, until nobody does."""
        if on:
            self._hurry.set()
        else:
            self._hurry.clear()

    @property
    def lag(self) -> int:
        return sum(f.last_position - self.collected[n] for n, f in self._feeds.items())

    async def _collect(self, feed: Feed) -> None:
        while True:
            await feed.after(self.collected[feed.board])
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), GATHER_S)
            frames = await feed.after(self.collected[feed.board])
            position = frames[-1].position or 0
            entries = [_entry_of(f) for f in frames if f.tag == COMMAND_DONE]
            if entries and not await self._taken(entries, (feed.board, position)):
                continue
            self.collected[feed.board] = position

    async def _taken(self, entries: list[Access], cursor: tuple[str, int]) -> bool:
        """The commands are safe in the outbox: storage that does not answer is waited for."""
        try:
            await self._submit(entries, cursor)
        except Unavailable as away:
            _log.warning("the audit log waits: %s", away)
            await asyncio.sleep(UNAVAILABLE_WAIT_S)
            return False
        return True

    async def _submit(self, entries: list[Access], cursor: tuple[str, int] | None) -> None:
        if self._thread is None:
            raise Unavailable("audit", "stopped")
        future: asyncio.Future[None] = self._loop.create_future()
        self._gathering.append(_Batch(entries, cursor, future))
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._hand_over)  # after whoever else has something this moment
        await future

    def _hand_over(self) -> None:
        """Give what has gathered to the thread, as one group: one waking, one COMMIT, one fsync.

        Meanwhile the next group gathers; nobody waits for a timer.
        """
        group, self._gathering = self._gathering[:GROUP_MAX], self._gathering[GROUP_MAX:]
        self._groups.put(group)

    def _settle(self, group: Sequence[_Batch], problem: Exception | None) -> None:
        """Tell who waited, and go on with what has come meanwhile."""
        for batch in group:
            if not batch.future.done():
                if problem is None:
                    batch.future.set_result(None)
                else:
                    batch.future.set_exception(problem)
        if self._gathering:
            self._hand_over()
        else:
            self._idle.set()

    # ── the writer thread ───────────────────────────────────────────────────────────────────
    def _write(self) -> None:
        while (group := self._groups.get()) is not None:
            problem = self._commit(group)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._settle, group, problem)

    def _commit(self, group: Sequence[_Batch]) -> Exception | None:
        seq, head, at = self._seq, self._head, self._clock.now().isoformat()
        rows: list[Row] = []
        for batch in group:
            for entry in batch.entries:
                seq += 1
                body = to_json(entry).decode()
                head = _link(head, self._lane, seq, at, body)
                patients = ",".join(map(str, entry.patients))
                named = (patients, entry.operation, entry.actor, str(entry.request))
                rows.append(Row(self._lane, seq, at, body, *named, head))
        try:
            self.store.write(rows, [b.cursor for b in group if b.cursor])
        except StoreAway:
            return Unavailable("audit", "storage")
        before, self._seq, self._head = self._seq, seq, head
        is_late = time.monotonic() - self._anchored_at >= ANCHOR_EVERY_S
        if is_late or before // ANCHOR_EVERY != seq // ANCHOR_EVERY:
            self._anchor()
        return None

    def _anchor(self) -> None:
        """Write down the head of the lane, to find a cut tail later."""
        if not self._seq:
            return
        self._anchored_at, at = time.monotonic(), self._clock.now().isoformat()
        with suppress(StoreAway):  # the next one says as much
            self.store.anchor(self._lane, self._seq, self._head, at)
            if self._outside is not None:
                heads = {lane: (seq, found) for lane, seq, found in last_heads(self.store)}
                heads[self._lane] = (self._seq, self._head)
                self._outside.write(heads, at)

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    def entries(self, *, operation: str | None = None, limit: int = 1_000) -> list[AuditEntry]:
        """The newest entries, newest first."""
        found = self.store.newest(operation, limit)
        return [AuditEntry(r.lane, r.seq, r.at, json.loads(r.body), r.hash) for r in found]

    def count(self) -> int:
        """How many entries there are."""
        return self.store.count()

    def missing(self, requests: Sequence[UUID]) -> list[UUID]:
        """Those of these requests that the log knows nothing of."""
        known = self.store.known([str(request) for request in requests])
        return [request for request in requests if str(request) not in known]

    def verify(self) -> Iterator[str]:
        """Recompute every lane; yields a sentence for the first wrong row of each."""
        yield from verify_store(self.store)
        last = self.store.head(self._lane)
        if (last[0] if last else 0) < self._seq:
            yield f"audit lane {self._lane}: the tail was cut before entry {self._seq}"
        if self._outside is not None:
            yield from verify_anchors(self._outside.folder, self.store)


def verify(db: sqlite3.Connection) -> Iterator[str]:
    """Recompute the chains of an audit file and compare with the anchors in it."""
    yield from verify_store(FileStore(db=db))


def verify_store(store: AuditStore) -> Iterator[str]:
    """Recompute the chains of an audit store and compare with the anchors in it."""
    lanes: dict[str, tuple[int, bytes]] = {}
    broken: set[str] = set()
    for lane, seq, at, body, found in store.links():
        if lane in broken:
            continue
        last, head = lanes.get(lane, (0, START))
        if seq != last + 1:
            broken.add(lane)
            yield f"audit lane {lane}: entry {last + 1} is missing"
        elif _link(head, lane, seq, at, body) != found:
            broken.add(lane)
            yield f"audit lane {lane}: entry {seq} was changed"
        lanes[lane] = (seq, found)
    for lane, seq, anchored in store.anchors():
        kept = store.hash_at(lane, seq)
        if kept is None:
            yield f"audit lane {lane}: the tail was cut before entry {seq}"
        elif kept != anchored:
            yield f"audit lane {lane}: entry {seq} differs from its anchor"


def _link(head: bytes, lane: str, seq: int, at: str, body: str) -> bytes:
    return sha256(head + f"{lane}\x1f{seq}\x1f{at}\x1f{body}".encode()).digest()


def _entry_of(frame: Frame) -> Access:
    done = from_json(frame.body, CommandDone)
    return Access(
        operation=done.operation,
        result="done",
        actor=done.actor,
        on_behalf_of=done.on_behalf_of,
        roles=done.roles,
        device=done.device,
        address=done.address,
        campus=frame.campus,
        patients=done.patients,
        encounters=done.encounters,
        reason=None,
        request=frame.cause,
        trace=frame.trace,
        arguments_hash=done.arguments_hash,
    )
