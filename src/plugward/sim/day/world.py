"""The world 世界: time, chance and who is busy, for everybody who acts in the simulated day."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from random import Random
from typing import Any

from plugward.kernel.clock import ManualClock, SystemClock
from plugward.kernel.runtime import Runtime
from plugward.kit.time import Instant

STEP = timedelta(seconds=60)  # actors' times are as fine as this


class World:
    """Runs actors against a clock.

    With a ``ManualClock`` time jumps from step to step: it moves only when every actor sleeps and
    every fact has been dealt with, so a day of any size keeps its causes and effects in order.
    With a ``SystemClock`` the day runs at that clock's rate.
    """

    def __init__(self, runtime: Runtime, clock: ManualClock | SystemClock, seed: int) -> None:
        self.runtime = runtime
        self.clock = clock
        self.chance = Random(seed)  # noqa: S311 - a simulation, not a secret
        self._awake = 0
        self._all_asleep = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.problems: list[BaseException] = []

    def now(self) -> Instant:
        return self.clock.now()

    def begin(self, actor: Coroutine[Any, Any, None]) -> None:
        """Let an actor live."""
        self._awake += 1
        self._all_asleep.clear()
        task = asyncio.get_running_loop().create_task(actor)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def sleep(self, seconds: float) -> None:
        """An actor waits; the world may go on."""
        self._fall_asleep()
        try:
            await self.clock.sleep(max(seconds, 0))
        finally:
            self._awake += 1
            self._all_asleep.clear()

    async def until(self, instant: Instant) -> None:
        """An actor waits for an instant."""
        wait = (instant - self.now()).total_seconds()
        if wait > 0:
            await self.sleep(wait)

    async def run_to(self, end: Instant) -> None:
        """Live until ``end``, or until nobody is left."""
        while self.now() < end and self._tasks:
            if isinstance(self.clock, ManualClock):
                await self._all_asleep.wait()
                await self.runtime.settled(patience_s=120)
                due = self.clock.next_due
                step = self.now() + STEP
                await self.clock.advance(min(max(step, due or step), end))
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(0.25)
        await self.close()

    async def close(self) -> None:
        """Everybody goes home."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _fall_asleep(self) -> None:
        self._awake -= 1
        if self._awake == 0:
            self._all_asleep.set()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._fall_asleep()
        if not task.cancelled() and (problem := task.exception()) is not None:
            self.problems.append(problem)
