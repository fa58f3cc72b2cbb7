"""Consumers 事件处理: one board's reactions to one other board's facts, in order per key.

At least once to the function, once in effect: every unit of work a reaction runs is remembered
under an id that follows from the event. After its retries an event is parked, visibly, and what
follows it under the same key waits behind it. Storage or a needed board that does not answer is
waited for: nothing is parked for an outage.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, select

from plugward.kit.ids import derive
from plugward.kit.time import Clock

from ..codec import convert, from_json, pack
from ..envelope import Actor, Call, Envelope, calling
from ..observe.traces import SPANS
from ..refusals import AlreadyThere, ChangedMeanwhile, Refusal, Unavailable
from ..store.frames import Frame
from ..store.store import Store
from .attempt import attempt
from .declare import Carried, Reaction
from .feed import Source

_log = logging.getLogger("plugward.events")
ATTEMPTS_MAX = 5
IN_FLIGHT_MAX = 1_000
BACK_OFF_S = (0.02, 0.1, 0.5, 1.0)
UNAVAILABLE_WAIT_S = 1.0
A_FLOW = range(2, 100)  # so many at once: more come while they are dealt with, and
GATHER_S = 0.02  # gathering so long makes one commit of many, and leaves the disk to the callers
CURSOR_EVERY = 200
CURSOR_SECONDS = 5.0
STOPPING_WAIT_S = 5.0
BEHIND = "behind a parked event of the same key"
_RACES = (ChangedMeanwhile, AlreadyThere)  # somebody was quicker: tried again like a fault

Inject = Callable[[dict[str, Any]], dict[str, Any]]


class Consumer:
    """One board's ear on one other board."""

    def __init__(
        self,
        store: Store,
        feed: Source,
        reactions: tuple[Reaction, ...],
        *,
        actor: Actor,
        inject: Inject,
        clock: Clock,
    ) -> None:
        self._store = store
        self._feed = feed
        self._reactions = reactions
        self._actor = actor
        self._inject = inject
        self._clock = clock
        self._heard: dict[tuple[str, str], tuple[Reaction, ...]] = {}
        self._injected: dict[str, dict[str, Any]] = {}
        self._lanes: dict[str, deque[Frame]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unfinished: dict[int, None] = {}
        self._room = asyncio.Event()  # something has been dealt with
        self._blocked: set[str] = set()
        self._read_to = 0
        self._saved = 0
        self._saved_at = 0.0
        self._main: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        self._read_to = self._saved = await self._store.engine.read(self._cursor)
        self._blocked = await self._store.engine.read(self._parked_keys)
        self._main = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop reading, let what runs finish, and remember how far it came."""
        self._stopping.set()
        if self._main is not None:
            self._main.cancel()
            await asyncio.wait({self._main})
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOPPING_WAIT_S)
            for task in late:
                task.cancel()
        if self._done_to > self._saved:
            with suppress(Unavailable):  # then a little is repeated after the next start
                await self._save_cursor()

    @property
    def lag(self) -> int:
        """How many frames are known and not yet dealt with."""
        return self._feed.last_position - self._done_to

    @property
    def _done_to(self) -> int:
        return next(iter(self._unfinished)) - 1 if self._unfinished else self._read_to

    async def _run(self) -> None:
        while True:
            try:
                await self._read_on()
            except Unavailable as away:
                _log.warning("%s waits for events: %s", self._store.board, away)
                await asyncio.sleep(UNAVAILABLE_WAIT_S)

    async def _read_on(self) -> None:
        heard = 0
        for frame in await self._feed.after(self._read_to):
            if self._reactions_to(frame):
                while len(self._unfinished) >= IN_FLIGHT_MAX:
                    self._room.clear()
                    await self._room.wait()
                self._enqueue(frame)
                heard += 1
            self._read_to = frame.position or self._read_to
        behind, now = self._done_to - self._saved, asyncio.get_running_loop().time()
        if behind >= CURSOR_EVERY or (behind and now - self._saved_at >= CURSOR_SECONDS):
            await self._save_cursor()
        if heard in A_FLOW:
            await asyncio.sleep(GATHER_S)

    def _reactions_to(self, frame: Frame) -> tuple[Reaction, ...]:
        kind = (frame.tag, frame.carries)
        found = self._heard.get(kind)
        if found is None:
            found = tuple(r for r in self._reactions if r.hears(*kind))
            self._heard[kind] = found
        return found

    def _enqueue(self, frame: Frame) -> None:
        self._unfinished[frame.position or 0] = None
        lane = self._lanes.get(frame.key)
        if lane is not None:
            lane.append(frame)
            return
        self._lanes[frame.key] = deque([frame])
        task = asyncio.get_running_loop().create_task(self._drain(frame.key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, key: str) -> None:
        lane = self._lanes[key]
        while lane:
            frame = lane[0]
            for reaction in self._reactions_to(frame):
                if not await self._settle(reaction, frame):
                    return  # stopping: the frame stays unfinished and is read again
            lane.popleft()
            self._unfinished.pop(frame.position or 0, None)
            self._room.set()
        del self._lanes[key]

    async def _settle(self, reaction: Reaction, frame: Frame) -> bool:
        """Run until it took effect or is parked; False if the board stops before that."""
        tries = 0
        while True:
            error = await attempt(self._turn(reaction, frame))
            if error is None:
                return True
            wait_s = UNAVAILABLE_WAIT_S  # a needed board is away: wait, do not park
            if not isinstance(error, Unavailable):
                tries += 1
                refused = isinstance(error, Refusal) and not isinstance(error, _RACES)
                if refused or tries >= ATTEMPTS_MAX:
                    return await self._park(reaction, frame, kind_of(error), tries)
                wait_s = BACK_OFF_S[tries - 1]
            if await self._stops_within(wait_s):
                return False

    async def _turn(self, reaction: Reaction, frame: Frame) -> None:
        if frame.key not in self._blocked or not await self._wait_behind(reaction, frame):
            await self.run(reaction, frame)

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def run(self, reaction: Reaction, frame: Frame) -> None:
        """One attempt, as the board itself, caused by the event."""
        envelope = Envelope(
            request=derive(frame.id, self._store.board, reaction.name),
            actor=self._actor,
            campus=frame.campus,
            trace=frame.trace,
            caller=self._store.board,
        )
        if SPANS.tracer is None:
            await self._react(reaction, frame, envelope)
            return
        with SPANS.span(f"on:{reaction.name}", envelope, hears=True, tag=frame.tag):
            await self._react(reaction, frame, envelope)

    async def _react(self, reaction: Reaction, frame: Frame, envelope: Envelope) -> None:
        event = self._event_for(reaction, frame)
        with calling(Call(envelope, operation=f"on:{reaction.name}", cause=frame.id)):
            await reaction.function(event, **self._given(reaction))

    def _given(self, reaction: Reaction) -> dict[str, Any]:
        """What the reaction wants injected: the same for as long as the board is plugged in."""
        found = self._injected.get(reaction.name)
        if found is None:
            found = self._injected[reaction.name] = self._inject(reaction.needs)
        return found

    def _event_for(self, reaction: Reaction, frame: Frame) -> Any:
        if reaction.event is not None:
            return from_json(frame.body, reaction.event)
        assert reaction.carrying is not None
        body = from_json(frame.body, dict[str, Any])
        found = tuple(
            convert(part, reaction.carrying) for part in _carried(body, reaction.carrying)
        )
        return Carried(event=frame.id, tag=frame.tag, items=found)

    # ── parked events ───────────────────────────────────────────────────────────────────────
    async def _wait_behind(self, reaction: Reaction, frame: Frame) -> bool:
        """Park behind what waits under the same key; False if nothing waits there any more.

        Looked up in the same transaction: a replay that has just emptied the key must not leave
        this one behind, or what follows would overtake it.
        """
        row = self._row(reaction, frame, BEHIND, 0)
        waits = await self._store.engine.system(lambda c: _park_behind(c, self._store, row))
        if not waits:
            self._blocked.discard(frame.key)
        return waits

    async def _park(self, reaction: Reaction, frame: Frame, error: str, tries: int) -> bool:
        """Write it into the list, however long that takes; False if the board stops before."""
        self._blocked.add(frame.key)
        _log.warning(
            "parked %s for %s.%s: %s",
            frame.tag,
            self._store.board,
            reaction.name,
            error,
            extra={"trace": frame.trace},
        )
        row = self._row(reaction, frame, error, tries)
        while True:
            try:
                await self._store.engine.system(lambda c: _insert_once(c, self._store, row))
            except Unavailable:
                if await self._stops_within(UNAVAILABLE_WAIT_S):
                    return False
            else:
                return True

    def _row(self, reaction: Reaction, frame: Frame, error: str, tries: int) -> dict[str, Any]:
        return {
            "id": derive(frame.id, "parked", self._store.board, reaction.name),
            "event": frame.id,
            "reaction": reaction.name,
            "source": frame.source,
            "position": frame.position,
            "key": frame.key,
            "frame": pack(frame),
            "error": error,
            "attempts": tries,
            "state": "parked",
            "parked_at": self._clock.now(),
        }

    def unblock(self, key: str) -> None:
        """The last parked event of a key has been dealt with."""
        self._blocked.discard(key)

    @property
    def source(self) -> str:
        return self._feed.board

    def reaction(self, name: str) -> Reaction | None:
        return next((r for r in self._reactions if r.name == name), None)

    # ── the cursor ──────────────────────────────────────────────────────────────────────────
    def _cursor(self, connection: Connection) -> int:
        cursor = self._store.engine.tables.system.cursor
        found = connection.execute(
            select(cursor.c.position).where(cursor.c.source == self._feed.board)
        ).scalar()
        return int(found or 0)

    def _parked_keys(self, connection: Connection) -> set[str]:
        parked = self._store.engine.tables.system.parked
        return set(
            connection.execute(
                select(parked.c.key).where(
                    parked.c.state == "parked", parked.c.source == self._feed.board
                )
            ).scalars()
        )

    async def _save_cursor(self) -> None:
        position = self._done_to
        await self._store.engine.system(
            lambda c: save_cursor(c, self._store, self._feed.board, position)
        )
        self._saved, self._saved_at = position, asyncio.get_running_loop().time()
        self._feed.passed(position)


def save_cursor(connection: Connection, store: Store, source: str, position: int) -> None:
    """Remember how far this board has come with another one's facts."""
    cursor = store.engine.tables.system.cursor
    done = connection.execute(
        cursor.update().where(cursor.c.source == source).values(position=position)
    )
    if not done.rowcount:
        connection.execute(cursor.insert().values(source=source, position=position))


def _insert_once(connection: Connection, store: Store, row: dict[str, Any]) -> None:
    parked = store.engine.tables.system.parked
    there = connection.execute(select(parked.c.id).where(parked.c.id == row["id"])).first()
    if there is None:
        connection.execute(parked.insert().values(row))


def _park_behind(connection: Connection, store: Store, row: dict[str, Any]) -> bool:
    parked = store.engine.tables.system.parked
    waiting = connection.execute(
        select(parked.c.id)
        .where(
            parked.c.key == row["key"],
            parked.c.state == "parked",
            parked.c.source == row["source"],
        )
        .limit(1)
    ).first()
    if waiting is not None:
        _insert_once(connection, store, row)
    return waiting is not None


def _carried(body: dict[str, Any], kind: type[Any]) -> list[dict[str, Any]]:
    """The parts of an event that look like ``kind``: direct fields, or lists of them."""
    hashable: Any = kind  # every class is; the metaclass makes mypy doubt it
    required = _required(hashable)
    found: list[dict[str, Any]] = []
    for value in body.values():
        parts = cast("list[Any]", value) if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, dict) and required <= part.keys():
                found.append(cast("dict[str, Any]", part))
    return found


@cache
def _required(kind: type[Any]) -> frozenset[str]:
    return frozenset(f.encode_name for f in msgspec.structs.fields(kind) if f.required)


def kind_of(error: Exception) -> str:
    """What went wrong, without any text that could name a patient."""
    return error.code if isinstance(error, Refusal) else type(error).__name__
