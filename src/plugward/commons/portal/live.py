"""Live 实时: one event stream per tab. It carries names and ids, never what happened to whom.

A page asks for names: a board (``calling``), an event (``calling.ticket.called``) or a board's
ordering key (``calling:<key>``). Rights are looked at before every delivery: the session must
still run, the person must hold a permission of that board, and see the campus (SEC-WEB-10).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from plugward.commons.identity.contract import SignedIn
from plugward.kernel.envelope import Actor
from plugward.kernel.events.feed import Source
from plugward.kernel.refusals import Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.frames import COMMAND_DONE, Frame
from plugward.kit.time import milliseconds

from .http import HttpError, Request

BEAT_S = 15.0
GATHER_S = 0.2  # what comes within this is told once per name
RETRY_MS = 2_000
TOPICS_MAX = 40
POSITION_DIGITS_MAX = 15
MISSED_MAX = 2_000  # after a longer gap the page is told to look at everything again

Still = Callable[[], Awaitable[SignedIn]]


class Streams:
    """The open streams of this process."""

    def __init__(self, runtime: Runtime, *, per_person_max: int) -> None:
        self._runtime = runtime
        self._per_person_max = per_person_max
        self._open: dict[str, int] = {}
        self._closing = asyncio.Event()

    def close(self) -> None:
        """The portal stops: every stream ends by itself."""
        self._closing.set()

    def open(
        self, request: Request, topics: Sequence[str], still: Still, actor: Actor
    ) -> AsyncIterator[bytes]:
        """A stream for one tab."""
        count = self._open.get(actor.id, 0)
        if count >= self._per_person_max:
            raise HttpError(429, "too-many-streams", retry_after_s=5)
        self._open[actor.id] = count + 1
        last_id = request.headers.get("last-event-id", "")
        tail = _Tail(self._runtime, tuple(topics[:TOPICS_MAX]), last_id)
        return self._run(request, tail, still, actor.id)

    async def _run(
        self, request: Request, tail: "_Tail", still: Still, person: str
    ) -> AsyncIterator[bytes]:
        ends: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(self._closing.wait()),
            asyncio.ensure_future(request.disconnected()),
        }
        try:
            yield f"retry: {RETRY_MS}\n".encode() + self._beat()
            beat_at = time.monotonic() + BEAT_S
            while True:
                frames = await tail.next(ends, beat_at - time.monotonic())
                if any(end.done() for end in ends):
                    return
                if not frames and time.monotonic() < beat_at:
                    continue
                try:
                    signed = await still()
                except (Refusal, Unavailable):
                    return  # the session has ended or is locked: nothing more is told
                yield tail.told(frames, signed) + self._beat()
                beat_at = time.monotonic() + BEAT_S
        finally:
            for end in ends:
                end.cancel()
            tail.close()
            self._leave(person)

    def _leave(self, person: str) -> None:
        count = self._open.get(person, 1) - 1
        if count:
            self._open[person] = count
        else:
            self._open.pop(person, None)

    def _beat(self) -> bytes:
        """The server's time: the page learns that the stream lives, and how late its clock is."""
        return f"event: beat\ndata: {milliseconds(self._runtime.clock.now())}\n\n".encode()


class _Tail:
    """What one stream has not been told yet: a place in the outbox of each board it listens to."""

    def __init__(self, runtime: Runtime, topics: tuple[str, ...], last_id: str) -> None:
        self._runtime = runtime
        self._topics = {_normal(topic): topic for topic in topics}
        self._places: dict[str, int] = {}
        self._missed = False
        known = _places_of(last_id)
        for board in {topic.partition(":")[0].partition(".")[0] for topic in topics}:
            source = self._source(board)
            if source is None:
                continue
            end = source.last_position
            place = known.get(board, end)
            if not 0 <= end - place <= MISSED_MAX or place < getattr(source, "first_position", 0):
                place, self._missed = end, True
            self._places[board] = place
        self._waiting: dict[asyncio.Task[Sequence[Frame]], str] = {}

    def _source(self, board: str) -> Source | None:
        """A board's facts: from its outbox here, or followed where it runs."""
        plugged = self._runtime.shown.get(board)
        if plugged is None:
            return None
        return plugged.feed if plugged.elsewhere is None else plugged.elsewhere.tail

    async def next(self, ends: "set[asyncio.Future[Any]]", seconds: float) -> list[Frame]:
        """What was committed since that the page asked for, after gathering a little."""
        for board, place in self._places.items():
            source = self._source(board)
            if source is not None and board not in self._waiting.values():
                task = asyncio.ensure_future(source.after(place))
                self._waiting[task] = board
        done, _ = await asyncio.wait(
            {*self._waiting, *ends}, timeout=max(0, seconds), return_when=asyncio.FIRST_COMPLETED
        )
        if done and ends.isdisjoint(done):
            await asyncio.wait(ends, timeout=GATHER_S, return_when=asyncio.FIRST_COMPLETED)
        found: list[Frame] = []
        for task in [task for task in self._waiting if task.done()]:
            board = self._waiting.pop(task)
            if task.cancelled() or task.exception() is not None:
                continue
            frames = task.result()
            self._places[board] = frames[-1].position or self._places[board]
            found += (f for f in frames if any(name in self._topics for name in _names(f)))
        return found

    def told(self, frames: list[Frame], signed: SignedIn) -> bytes:
        """The messages for these frames: the last one of each name the page asked for."""
        boards = {permission.partition(".")[0] for permission in signed.permissions}
        latest: dict[str, Frame] = {}
        for frame in frames:
            if frame.source not in boards:
                continue
            if frame.campus and frame.campus not in signed.campuses:
                continue
            for name in _names(frame):
                if name in self._topics:
                    latest[self._topics[name]] = frame
        place = "-".join(f"{board}.{position}" for board, position in self._places.items())
        lines = [_message(name, frame, place) for name, frame in latest.items()]
        if self._missed:
            self._missed = False
            lines.append(f"id: {place}\nevent: beat\ndata: missed\n\n")
        return "".join(lines).encode()

    def close(self) -> None:
        for task in self._waiting:
            task.cancel()


class _Told(msgspec.Struct):
    event: str
    id: str
    key: str


def _names(frame: Frame) -> tuple[str, ...]:
    """What a page may call this event. The kernel's own notes have no name."""
    if frame.tag == COMMAND_DONE:
        return ()
    return frame.source, frame.tag.rpartition(".v")[0], _normal(f"{frame.source}:{frame.key}")


def _normal(topic: str) -> str:
    """A topic as the outbox writes its keys: ids without their dashes."""
    board, colon, key = topic.partition(":")
    return f"{board}{colon}{key.replace('-', '')}"


def _message(name: str, frame: Frame, place: str) -> str:
    told = msgspec.json.encode(_Told(frame.tag, str(frame.id), frame.key)).decode()
    return f"id: {place}\nevent: {name}\ndata: {told}\n\n"


def _places_of(last_id: str) -> dict[str, int]:
    """The places a returning page had reached."""
    found = {}
    for part in last_id.split("-"):
        board, _, position = part.partition(".")
        if position.isdigit() and len(position) <= POSITION_DIGITS_MAX:
            found[board] = int(position)
    return found
