"""The publisher 发布: one board's outbox, onto the bus, in order of position.

Nobody waits for it: a call is answered when its facts are in the outbox. It begins after the last
fact that the bus has; what is published twice is known by its id.
"""

import asyncio
import logging
from contextlib import suppress

from plugward.kernel.events.feed import Feed
from plugward.kernel.refusals import Unavailable
from plugward.kernel.store.frames import COMMAND_DONE

from .source import Bus

AGAIN_S = 0.5
LOOK_S = 0.25  # for what replicas on the same store have written
FLUSH_S = 2.0
_log = logging.getLogger("plugward.relay")


class Publisher:
    """Runs beside one board, in one of its replicas."""

    def __init__(self, feed: Feed, bus: Bus) -> None:
        self._feed = feed
        self._bus = bus
        self._read = 0
        self._published = 0
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run()), loop.create_task(self._look())]

    async def stop(self) -> None:
        """Bring what is written to the bus, if it takes it; the next start brings the rest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                while self._read < self._feed.last_position:
                    self._moved.clear()
                    await self._moved.wait()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self) -> None:
        while True:
            try:
                await self._bus.open()
                self._read = self._published = await self._bus.last(self._feed.board)
                while True:
                    await self._publish_on()
            except Unavailable as away:
                _log.warning("the facts of %s wait: %s", self._feed.board, away)
                await asyncio.sleep(AGAIN_S)

    async def _publish_on(self) -> None:
        frames = await self._feed.after(self._read)
        told = [frame for frame in frames if frame.tag != COMMAND_DONE]
        if told:
            await self._bus.publish(told, self._published)
            self._published = told[-1].position or self._published
        self._read = frames[-1].position or self._read
        self._moved.set()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            with suppress(Unavailable):
                await self._feed.look()
