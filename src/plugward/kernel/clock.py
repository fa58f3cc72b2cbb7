"""Clocks 时钟: the real one, one that is set by hand, and one that runs faster or slower."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from plugward.kit.time import Instant, Timer, hospital_time


class SystemClock:
    """Real time, or real time seen through a rate (a day that runs ten times as fast)."""

    def __init__(self, *, start: Instant | None = None, rate: float = 1.0) -> None:
        self._rate = rate
        self._shift = (start - datetime.now(UTC)) if start else timedelta()
        self._origin = datetime.now(UTC)

    def now(self) -> Instant:
        real = datetime.now(UTC)
        if self._rate == 1.0:
            return real + self._shift
        return self._origin + self._shift + (real - self._origin) * self._rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._rate)

    def every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> Timer:
        return _Repeating(self, seconds, action)


class _Repeating:
    def __init__(
        self, clock: SystemClock, seconds: float, action: Callable[[], Awaitable[None]]
    ) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(clock, seconds, action))

    async def _run(
        self, clock: SystemClock, seconds: float, action: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await clock.sleep(seconds)
            await action()

    def cancel(self) -> None:
        self._task.cancel()


class ManualClock:
    """Time that stands still until it is set: tests and the simulated day."""

    def __init__(self, start: Instant | str) -> None:
        self._now = hospital_time(start) if isinstance(start, str) else start
        self._order = itertools.count()
        self._due: list[tuple[Instant, int, _Alarm]] = []

    def now(self) -> Instant:
        return self._now

    def set(self, instant: Instant | str) -> None:
        """Set the time without ringing anything. Time never runs backwards."""
        self._now = max(self._now, hospital_time(instant) if isinstance(instant, str) else instant)

    async def advance(self, to: Instant | str | timedelta) -> None:
        """Move on to an instant (or by a while), ringing every timer that falls due, in order."""
        if isinstance(to, str):
            to = hospital_time(to)
        until = self._now + to if isinstance(to, timedelta) else to
        while self._due and self._due[0][0] <= until:
            due, _, alarm = heapq.heappop(self._due)
            self._now = max(self._now, due)
            if not alarm.cancelled:
                await alarm.ring()
        self._now = max(self._now, until)

    @property
    def next_due(self) -> Instant | None:
        """When the next timer rings, if there is one."""
        while self._due and self._due[0][2].cancelled:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        self._at(self._now + timedelta(seconds=seconds), _Alarm(wake))
        await woken

    def every(self, seconds: float, action: Callable[[], Awaitable[None]]) -> Timer:
        async def ring() -> None:
            self._at(self._now + timedelta(seconds=seconds), alarm)
            await action()

        alarm = _Alarm(ring)
        self._at(self._now + timedelta(seconds=seconds), alarm)
        return alarm

    def _at(self, due: Instant, alarm: "_Alarm") -> None:
        heapq.heappush(self._due, (due, next(self._order), alarm))


class _Alarm:
    def __init__(self, ring: Callable[[], Awaitable[None]]) -> None:
        self.ring = ring
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
