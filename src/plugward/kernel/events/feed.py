"""Feeds 事件流: committed outbox rows of one board, read by position."""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, Select, Table, bindparam, func, select

from ..store import quick
from ..store.engine import Engine
from ..store.frames import Frame, frame_of_row
from ..store.tables import BoardTables

KEPT = 1_000
BATCH = 500


class Source(Protocol):
    """Where a consumer reads one board's facts: its outbox, or what comes from another process."""

    board: str
    last_position: int

    async def after(self, position: int) -> Sequence[Frame]:
        """The next frames after a position; waits until there is one."""
        ...

    def passed(self, position: int) -> None:
        """The consumer has dealt with everything up to here and will never ask for it again."""
        ...


class Feed:
    """The outbox of one board. Recent frames are kept at hand, older ones come from the table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.board = engine.tables.board
        self._recent: deque[Frame] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self.last_position = 0
        self.is_started = False

    async def start(self) -> None:
        """Learn how far the outbox has come, then hear of everything new."""
        self._engine.listen(self.committed)
        last = await self._engine.read(self._last)
        self.last_position = max(self.last_position, last)
        self.is_started = True
        self._tell()  # who listens already may have waited for what an earlier process left

    def committed(self, frames: Sequence[Frame]) -> None:
        """Called on the event loop after each commit, in order."""
        if self._recent and frames[0].position != (self._recent[-1].position or 0) + 1:
            self._recent.clear()  # another process numbered some in between: the table has them
        self._recent.extend(frames)
        self.last_position = max(self.last_position, frames[-1].position or 0)
        self._tell()

    async def look(self) -> None:
        """Learn what other processes on the same store have written."""
        last = await self._engine.read(self._last)
        if last > self.last_position:
            self.last_position = last
            self._tell()

    def passed(self, position: int) -> None:
        """Nothing to forget: the outbox is the record."""

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def after(self, position: int) -> Sequence[Frame]:
        """The next frames after a position; waits until there is one."""
        while True:
            news = self._news
            if self.last_position > position:
                found = await self._next(position)
                if found:
                    return found
            await news.wait()

    async def _next(self, position: int) -> Sequence[Frame]:
        if self._recent and (self._recent[0].position or 0) <= position + 1:
            first = position + 1 - (self._recent[0].position or 0)
            if found := list(islice(self._recent, first, first + BATCH)):
                return found
        return await self._engine.read(lambda c: read_frames(c, self._engine.tables, position))

    def _last(self, connection: Connection) -> int:
        outbox = self._engine.tables.system.outbox
        return connection.execute(select(func.max(outbox.c.position))).scalar() or 0


def read_frames(connection: Connection, tables: BoardTables, position: int) -> list[Frame]:
    """The next batch of committed frames after a position."""
    rows = quick.rows(connection, _following(tables.system.outbox), {"position": position})
    return [frame_of_row(row, tables.board) for row in rows]


@cache
def _following(outbox: Table) -> Select[Any]:
    after = outbox.c.position > bindparam("position")
    return select(outbox).where(after).order_by(outbox.c.position).limit(BATCH)
