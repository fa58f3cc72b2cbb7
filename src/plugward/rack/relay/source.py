"""Sources 事件来源: another process's outbox, as the kernel's consumers read it.

The outbox is the record and the bus only transport. Every message names the position before it, so
a hole shows at once and is filled from the outbox itself; a reconciler asks the outbox now and then
how far it has come, so that even a lost last message is found. What is older than the bus keeps
comes from the outbox too: a new consumer begins at the beginning.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from itertools import chain, repeat
from typing import Any, Protocol

import msgspec

from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.store.frames import Frame

from ..wire.face import WAIT_MS_MAX, Facts

BATCH = 200
RECONCILE_S = 5.0
FIRST_LOOKS_S = (0.5, 0.5)
AGAIN_S = 0.5
KEPT_MAX = 5_000
_log = logging.getLogger("plugward.relay")

Ask = Callable[[int, int, int], Awaitable[Facts]]
"""``(after, limit, wait_ms)``: a stretch of the source's outbox, read over the wire."""


class Delivered(msgspec.Struct):
    """One message of the bus. ``ack`` tells the bus that all up to here is done with."""

    frame: Frame
    previous: int
    ack: Callable[[], Awaitable[None]]


class Bus(Protocol):
    """Where facts are published between processes."""

    async def open(self) -> None:
        """Be ready to publish and to listen."""
        ...

    async def last(self, board: str) -> int:
        """The position of the last fact that was published for a board."""
        ...

    async def publish(self, frames: Sequence[Frame], previous: int) -> None:
        """Publish facts in their order; raises ``Unavailable`` if it is not certain."""
        ...

    def listen(self, source: str, listener: str) -> AsyncIterator[Sequence[Delivered]]:
        """What a board has published, for a durable listener; ends never."""
        ...


class RemoteFeed:
    """The facts of a board that runs in another process, for one listening board."""

    def __init__(self, board: str, listener: str, ask: Ask, bus: Bus | None) -> None:
        self.board = board
        self.last_position = 0
        self.repaired = 0
        self._listener = listener
        self._ask = ask
        self._bus = bus
        self._begun = False
        self._seen = 0
        self._passed = 0
        self._frames: deque[Frame] = deque()
        self._acks: deque[tuple[int, Callable[[], Awaitable[None]]]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._taking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def after(self, position: int) -> Sequence[Frame]:
        """The next frames after a position; waits until there is one."""
        if not self._begun:
            self._begun = True
            self._seen = self.last_position = position
            self._run(self._pull() if self._bus is None else self._listen(self._bus))
            if self._bus is not None:
                self._run(self._reconcile())
        while True:
            self._news.clear()
            while self._frames and (self._frames[0].position or 0) <= position:
                self._frames.popleft()
            self._room.set()
            if self._frames:
                return tuple(self._frames)[:BATCH]
            await self._news.wait()

    def passed(self, position: int) -> None:
        """The consumer has dealt with everything up to here: the bus need not bring it again."""
        self._passed = max(self._passed, position)
        due = None
        while self._acks and self._acks[0][0] <= self._passed:
            due = self._acks.popleft()[1]
        if due is not None:
            self._run(_acknowledged(due))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── from the bus ────────────────────────────────────────────────────────────────────────
    async def _listen(self, bus: Bus) -> None:
        async for delivered in bus.listen(self.board, self._listener):
            for one in delivered:
                await self._take(one)

    async def _take(self, one: Delivered) -> None:
        position = one.frame.position or 0
        async with self._taking:
            if position > self._seen:
                if one.previous > self._seen:
                    await self._fill(one.previous)
                if position > self._seen:
                    self._add((one.frame,), position)
        if position <= self._passed:
            await _acknowledged(one.ack)
        else:
            self._acks.append((position, one.ack))
        await self._wait_for_room()

    async def _fill(self, upto: int) -> None:
        """A hole: what is missing is read from the outbox, however long it is away."""
        while self._seen < upto:
            try:
                facts = await self._ask(self._seen, BATCH, 0)
            except (Unavailable, Refusal, Fault) as away:
                _log.warning("a hole in the facts of %s waits: %s", self.board, away)
                await asyncio.sleep(AGAIN_S)
                continue
            if facts.upto <= self._seen:
                return  # the outbox has been moved to the archive; nothing more to be had here
            self.repaired += sum((frame.position or 0) <= upto for frame in facts.frames)
            self._add(facts.frames, facts.upto)

    async def _reconcile(self) -> None:
        """Compare what was written with what was seen; what stays missing is read.

        Soon after the start: whoever begins anew misses what the bus has forgotten.
        """
        behind = -1
        for wait_s in chain(FIRST_LOOKS_S, repeat(RECONCILE_S)):
            await asyncio.sleep(wait_s)
            try:
                written = await self._ask(self._seen, BATCH, 0)
            except (Unavailable, Refusal, Fault):
                continue  # whoever is away writes nothing
            missing = [f for f in written.frames if (f.position or 0) > self._seen]
            if missing:
                self.last_position = max(self.last_position, missing[-1].position or 0)
            else:
                self._seen = max(self._seen, written.upto)  # only the kernel's own notes
            if missing and behind == self._seen:
                _log.warning("facts of %s did not come by the bus: repaired", self.board)
                async with self._taking:
                    await self._fill(missing[-1].position or 0)
            behind = self._seen

    # ── without a bus ───────────────────────────────────────────────────────────────────────
    async def _pull(self) -> None:
        while True:
            try:
                facts = await self._ask(self._seen, BATCH, WAIT_MS_MAX)
            except (Unavailable, Refusal, Fault):
                await asyncio.sleep(AGAIN_S)
                continue
            if facts.upto > self._seen:
                self._add(facts.frames, facts.upto)
            await self._wait_for_room()

    def _add(self, frames: Sequence[Frame], upto: int) -> None:
        fresh = [frame for frame in frames if (frame.position or 0) > self._seen]
        self._seen = max(self._seen, upto)
        self._frames.extend(fresh)
        if fresh:
            self.last_position = max(self.last_position, fresh[-1].position or 0)
            self._news.set()

    async def _wait_for_room(self) -> None:
        while len(self._frames) > KEPT_MAX:
            self._room.clear()
            await self._room.wait()


async def _acknowledged(ack: Callable[[], Awaitable[None]]) -> None:
    try:
        await ack()
    except (OSError, TimeoutError, Unavailable):
        return  # it will be brought again, and dropped by its position
