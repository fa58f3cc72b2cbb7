"""The lease 值班: which of a board's processes hears facts and rings timers.

One number in the board's own tables. Who holds the lease moves it on every second; the others look
whether it still moves, each by its own clock. A number that stood still for six seconds belongs to
somebody who is gone, and the first to move it on is next: no clocks of two machines are compared,
and two can never both succeed.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Connection, insert, select, update

from ..refusals import Unavailable
from .engine import Engine

TURN_S = 1.0  # how often the holder moves it on, and the others look
ANSWER_S = 2.0
GONE_S = 6.0
GIVEN_UP_S = 4.0  # a holder that could not move it on for so long has to stop before others begin
_NAME = "sys:lease"


class Lease:
    """One process's view of it. ``turn`` once a second; ``held`` is the outcome."""

    def __init__(self, engine: Engine, seconds: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._seconds = seconds
        self._value: int | None = None
        self._moved_at = 0.0
        self.held = False

    async def turn(self) -> bool:
        """Move it on, or see whether it is free. Whether this process holds it now."""
        now = self._seconds()
        try:
            async with asyncio.timeout(ANSWER_S):
                if self.held and self._value is not None:
                    self.held = await self._move(self._value, abs(self._value) + 1)
                else:
                    await self._look(now)
        except (Unavailable, TimeoutError):
            # The others see it stand still; whoever cannot move it on must not go on either.
            if self.held and self._seconds() - self._moved_at > GIVEN_UP_S:
                self.held = False
            return self.held
        if self.held:
            self._moved_at = now
        return self.held

    async def release(self) -> None:
        """Somebody else may have it at once."""
        if self.held and self._value is not None:
            self.held = False
            with suppress(Unavailable):  # then they wait until it has stood still
                await self._move(self._value, -abs(self._value))

    async def _look(self, now: float) -> None:
        seen = await self._engine.system(self._seen)
        if seen != self._value:
            self._value, self._moved_at = seen, now
        if seen <= 0 or now - self._moved_at > GONE_S:
            self.held = await self._move(seen, abs(seen) + 1)

    async def _move(self, seen: int, to: int) -> bool:
        moved: bool = await self._engine.system(lambda connection: self._swap(connection, seen, to))
        if moved:
            self._value = to
        return moved

    def _seen(self, connection: Connection) -> int:
        """A negative number is free."""
        series = self._engine.tables.system.series
        value = connection.execute(select(series.c.value).where(series.c.name == _NAME)).scalar()
        if value is None:
            connection.execute(insert(series).values(name=_NAME, value=0))
        return int(value or 0)

    def _swap(self, connection: Connection, seen: int, to: int) -> bool:
        series = self._engine.tables.system.series
        mine = update(series).where(series.c.name == _NAME, series.c.value == seen)
        return bool(connection.execute(mine.values(value=to)).rowcount)
