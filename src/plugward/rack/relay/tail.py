"""The tail 尾随: what a board of another process writes from now on, for all who watch here.

One question waits at the source however many screens are open, and it is asked only while one is.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.store.frames import Frame

from ..wire.face import WAIT_MS_MAX
from .source import AGAIN_S, BATCH, Ask

KEPT = 1_000
IDLE_S = 60.0


class Tail:
    """A source that begins where its board stands when the first one watches."""

    def __init__(self, board: str, ask: Ask) -> None:
        self.board = board
        self.last_position = 0
        self.first_position = 0  # what lies before was never seen here
        self._ask = ask
        self._recent: deque[Frame] = deque(maxlen=KEPT)
        self._news = asyncio.Event()
        self._watching = 0
        self._task: asyncio.Task[None] | None = None

    async def after(self, position: int) -> Sequence[Frame]:
        """The next frames after a position; waits until there is one."""
        self._watching += 1
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._follow())
            while True:
                news = self._news
                found = tuple(f for f in self._recent if (f.position or 0) > position)
                if found:
                    return found
                await news.wait()
        finally:
            self._watching -= 1

    def passed(self, position: int) -> None:
        """Others may still want it."""

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        begun, wanted_at = False, loop.time()
        while self._watching or loop.time() - wanted_at < IDLE_S:
            if self._watching:
                wanted_at = loop.time()
            try:
                if not begun:
                    self._begin((await self._ask(0, 1, 0)).last)
                    begun = True
                facts = await self._ask(self.last_position, BATCH, WAIT_MS_MAX)
            except (Unavailable, Refusal, Fault):
                await asyncio.sleep(AGAIN_S)
                continue
            self._add(facts.frames, facts.upto)

    def _begin(self, last: int) -> None:
        """After a pause the past is not read again: screens are told that they missed something."""
        if last != self.last_position:
            self._recent.clear()
            self.first_position = self.last_position = last

    def _add(self, frames: Sequence[Frame], upto: int) -> None:
        self.last_position = max(self.last_position, upto)
        if frames:
            self._recent.extend(frames)
            news, self._news = self._news, asyncio.Event()
            news.set()
