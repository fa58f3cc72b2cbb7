"""Collector 采集: reads the outbox of every plugged board and keeps the warehouse up with them.

One reader a board, one loader for all. Batches wait for at most ``batch_ms`` and hold at most
``batch_events``. The place each board was read to is written with the rows, so a stop anywhere
loses nothing and repeats nothing. Boards that come and go while the hospital runs are followed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from plugward.kernel.elsewhere import Heard
from plugward.kernel.events.consumer import Consumer
from plugward.kernel.events.feed import Feed
from plugward.kernel.manifest import Settings
from plugward.kernel.plugged import Plugged
from plugward.kernel.refusals import Fault, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.frames import Frame
from plugward.kernel.store.store import Store
from plugward.kit.time import Instant

from .loading import Batch, Broken, Declared, Read, batch_of, write_batch
from .parking import park
from .schema import FactTable, tables_of
from .warehouse import BOARD, Busy, Misfit, Place, Warehouse, forget_board, prepare_board

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FIRST_LOOK_S = 0.02
LOOK_S = 0.5  # how often plugged and unplugged boards are looked for
AWAY_S = 1.0  # how long an outage is waited for before the next try
STOPPING_WAIT_S = 10.0
PLACES_S = 5.0  # how often places are written when nothing else is
DELAYS_KEPT = 10_000
QUEUED_BATCHES = 2
_log = logging.getLogger("plugward.datacentre")


class Source:
    """One plugged board's events, read in order. It stands among the runtime's consumers, so that
    unplugging stops it and a parked fact is replayed like any other parked event."""

    def __init__(self, plugged: Plugged, collector: "Collector") -> None:
        board = plugged.board
        self.plugged = plugged
        self.board = board.name
        self.tables, self.problems = tables_of(board.name, board.facts)
        self.declared: dict[str, tuple[Declared, ...]] = {}
        for fact in board.facts:
            table = self.tables.get(fact.table)
            if table is not None:
                before = self.declared.get(fact.tag, ())
                self.declared[fact.tag] = (*before, Declared(fact, table))
        self.read = Read(0, None, None)
        self.loaded = Read(0, None, None)
        self.waiting: deque[Instant] = deque()  # times of the events read and not yet loaded
        self.whole_at: Instant | None = None  # when everything known was last loaded
        self._collector = collector
        self._task: asyncio.Task[None] | None = None
        self._heard: Heard | None = None  # what comes from another process

    @property
    def feed(self) -> Feed | Heard:
        """Its outbox here, or what is heard of it from elsewhere."""
        return self._heard or self.plugged.feed

    @property
    def facts(self) -> str:
        """What the declarations take from which event: when it changes, the past is read again."""
        functions = sorted(
            f"{tag} {one.table.name} {one.table.fingerprint}"
            for tag, those in self.declared.items()
            for one in those
        )
        return "\n".join(functions)

    def start(self, place: Place) -> None:
        event = UUID(place.event) if place.event else None
        self.read = Read(place.position, event, place.recorded_at)
        self.loaded = self.read
        if self.plugged.elsewhere is not None:
            self._heard = self.plugged.elsewhere.listen(BOARD)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """The runtime stops its consumers: this board goes, or everything does."""
        self._collector.note_stop(self)
        await self.halt()

    async def halt(self) -> None:
        """Stop reading. What was read is still loaded."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._heard is not None:
            await self._heard.stop()

    def come_to(self, place: Read) -> None:
        """Everything up to here is in the file: the bus need not bring it again."""
        self.loaded = place
        self.feed.passed(place.position)

    async def _run(self) -> None:
        while True:
            try:
                frames = await self.feed.after(self.read.position)
            except Unavailable as away:
                _log.warning("the data centre waits for %s: %s", self.board, away)
                await self._collector.pause(AWAY_S)
                continue
            for frame in frames:
                if frame.tag in self.declared:
                    await self._collector.take(self, frame)
                self.read = Read(frame.position or 0, frame.id, frame.recorded_at)

    def as_of(self, now: Instant) -> Instant | None:
        """The instant up to which this board's facts are in; None while the first are read."""
        if self.behind <= 0:
            self.whole_at = now
            return now
        return self.waiting[0] if self.waiting else self.whole_at or self.read.recorded_at

    @property
    def behind(self) -> int:
        """Events that are known and not loaded."""
        if not self.waiting:
            return self.feed.last_position - self.read.position
        return self.feed.last_position - self.loaded.position

    # ── as the runtime's consumers are asked ────────────────────────────────────────────────
    @property
    def source(self) -> str:
        return self.board

    @property
    def lag(self) -> int:
        """Nobody in the hospital waits for a report, so nothing counts as unfinished."""
        return 0

    def reaction(self, name: str) -> Declared | None:
        """A fact function by its name."""
        every = (one for those in self.declared.values() for one in those)
        return next((one for one in every if one.name == name), None)

    async def run(self, declared: Declared, frame: Frame) -> None:
        """Make the rows of one parked event after all."""
        await self._collector.load_one(self, declared, frame)

    def unblock(self, key: str) -> None:
        """Nothing waits behind a parked fact: the newer event of a key wins anyway."""


class Collector:
    """All sources, and the loader."""

    def __init__(
        self, runtime: Runtime, store: Store, warehouse: Warehouse, settings: Settings
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._warehouse = warehouse
        self._batch_s = settings["batch_ms"] / 1_000
        self._batch_events: int = settings["batch_events"]
        self.sources: dict[str, Source] = {}
        self.delays_s: deque[float] = deque(maxlen=DELAYS_KEPT)
        self.rows = 0
        self.version = 0  # rises with every batch and every board that comes or goes
        self.loaded_at: Instant | None = None
        self._queue: deque[tuple[Source, Frame]] = deque()
        self._news = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = asyncio.Event()
        self._matching = asyncio.Lock()
        self._is_closing = False
        self._tasks: list[asyncio.Task[None]] = []

    # ── life ────────────────────────────────────────────────────────────────────────────────
    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow()), loop.create_task(self._load())]
        for task in self._tasks:
            task.add_done_callback(_ended)

    async def stop(self) -> None:
        """Stop the readers, load what they have read, remember the places."""
        self._stopping.set()
        self._news.set()
        self._full.set()
        for source in self.sources.values():
            await source.halt()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOPPING_WAIT_S)
            for task in late:  # what it holds is read again after the next start
                task.cancel()
        if self._warehouse.is_open:
            await self._write_places()
        for name, source in self.sources.items():
            mine = self._runtime.plugged.get(BOARD)
            if mine is not None and mine.consumers.get(name) is cast("Any", source):
                del mine.consumers[name]
        self.sources = {}

    async def pause(self, seconds: float) -> bool:
        """Wait, unless the board stops before that; says whether it does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _follow(self) -> None:
        """Keep a source for every board that declares facts."""
        wait_s = FIRST_LOOK_S  # the first boards come one after the other while the hospital starts
        while not self._stopping.is_set():
            try:
                if not self._warehouse.is_open:
                    await self._warehouse.open()
                await self.match()
            except Busy as busy:
                _log.warning("another process holds %s; the data centre waits for it", busy)
                await self.pause(AWAY_S)
            except Unavailable as away:
                _log.warning("the data centre cannot follow yet: %s", away)
            await self.pause(wait_s)
            wait_s = min(wait_s * 2, LOOK_S)

    def note_stop(self, source: Source) -> None:
        """A board that is still plugged in is told to stop: so is the hospital, and no board is
        taken up any more."""
        ours = self._runtime.plugged.get(source.board)
        if ours is source.plugged or source.plugged.elsewhere is not None:
            self._is_closing = True

    async def match(self) -> None:
        """Begin with boards that came, end with those that went."""
        async with self._matching:
            if not self._is_closing:
                await self._match()

    async def _match(self) -> None:
        plugged = {**self._runtime.declared, **self._runtime.plugged}
        for name, source in list(self.sources.items()):
            if plugged.get(name) is not source.plugged:
                await source.halt()
                del self.sources[name]
                self.version += 1
            else:
                source.as_of(self._runtime.clock.now())
        for name, one in plugged.items():
            if name not in self.sources and one.board.facts and self._is_ready(one):
                try:
                    await self._add(one)
                except Unavailable as away:
                    _log.info("the data centre waits for %s: %s", name, away)

    def _is_ready(self, plugged: Plugged) -> bool:
        """A board's events are read once its feed runs, and never our own."""
        return (
            (plugged.feed.is_started or plugged.elsewhere is not None)
            and plugged.board.name != BOARD
            and BOARD in self._runtime.plugged
        )

    async def _add(self, plugged: Plugged) -> None:
        source = Source(plugged, self)
        for table, problem in source.problems.items():
            _log.warning("facts of %s in %s are left out: %s", source.board, table, problem)
        for table in list(source.tables):
            owner = next((s for s in self.sources.values() if table in s.tables), None)
            if owner is not None:
                source.problems[table] = f"belongs to {owner.board}"
                del source.tables[table]
        tables, facts = tuple(source.tables.values()), source.facts
        place = await self._warehouse.write(lambda c: prepare_board(c, source.board, tables, facts))
        if not await self._fits(source, place):
            _log.warning("the events of %s are others than before; read anew", source.board)
            await self._warehouse.write(lambda c: forget_board(c, source.board))
            place = Place()
        source.start(place)
        self.sources[source.board] = source
        mine = self._runtime.plugged[BOARD].consumers
        mine[source.board] = cast("Consumer", source)  # asked like one; see Source
        self.version += 1

    async def _fits(self, source: Source, place: Place) -> bool:
        """Whether the outbox is still the one that was read (not one restored from a backup)."""
        if not place.position:
            return True
        elsewhere, feed = source.plugged.elsewhere, source.plugged.feed
        if elsewhere is not None:
            first, last = await elsewhere.look(place.position - 1)
        else:
            first, last = None, feed.last_position
        if last < place.position:
            return False
        if elsewhere is None:
            first = (await feed.after(place.position - 1))[0]
        if first is None or first.position != place.position:
            return True  # a note of the kernel's own stood there
        return str(first.id) == (place.event or str(first.id))

    # ── loading ─────────────────────────────────────────────────────────────────────────────
    async def take(self, source: Source, frame: Frame) -> None:
        """An event to be loaded; waits while too many are queued."""
        await self._room.wait()
        self._queue.append((source, frame))
        source.waiting.append(frame.recorded_at)
        self._news.set()
        if len(self._queue) >= self._batch_events:
            self._full.set()
        if len(self._queue) >= self._batch_events * QUEUED_BATCHES:
            self._room.clear()

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        places_at = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PLACES_S):
                    await self._news.wait()
            if self._queue and not self._stopping.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._batch_s):
                        await self._full.wait()
            batch = [
                self._queue.popleft() for _ in range(min(len(self._queue), self._batch_events))
            ]
            self._full.clear()
            if not self._queue and not self._stopping.is_set():
                self._news.clear()  # whoever stops is the last news, and stays
            if batch:
                await self._until_loaded(batch)
                self._room.set()
            elif self._stopping.is_set():
                return
            elif self._warehouse.is_open and loop.time() - places_at >= PLACES_S:
                await self._write_places()
                places_at = loop.time()

    async def _until_loaded(self, queued: list[tuple[Source, Frame]]) -> None:
        """Load a batch, however often it takes; the same batch twice is the same as once."""
        frames: dict[str, list[Frame]] = {}
        for source, frame in queued:
            frames.setdefault(source.board, []).append(frame)
        sources = {source.board: source for source, _ in queued}
        read = {
            board: Read(those[-1].position or 0, those[-1].id, those[-1].recorded_at)
            for board, those in frames.items()
        }
        while True:
            try:
                broken = await self._try(sources, frames, read)
                break
            except Unavailable as away:
                _log.warning("a batch could not be loaded: %s", away)
                if await self.pause(AWAY_S):
                    return  # read again after the next start
        self.loaded_at = self._runtime.clock.now()
        for source, frame in queued:
            source.waiting.popleft()
            self.delays_s.append((self.loaded_at - frame.recorded_at).total_seconds())
        for board, place in read.items():
            sources[board].come_to(place)
        self.version += 1
        if broken:
            _log.warning("%d facts could not be made and are parked", len(broken))

    async def _try(
        self, sources: dict[str, Source], frames: dict[str, list[Frame]], read: dict[str, Read]
    ) -> list[Broken]:
        """Make the rows, park what fails, write. Parked first: after a stop it is found again."""
        declared = {tag: those for s in sources.values() for tag, those in s.declared.items()}
        every = [frame for those in frames.values() for frame in those]
        tables: dict[str, FactTable] = {}
        for source in sources.values():
            tables |= source.tables
        batch = await self._warehouse.compute(lambda: batch_of(every, declared))
        await self._park(batch.broken)
        try:
            self.rows += await self._warehouse.write(lambda c: write_batch(c, batch, tables, read))
        except Misfit:
            batch.broken += await self._singly(every, declared, tables)
            await self._warehouse.write(lambda c: _write_places(c, read))
        return batch.broken

    async def _singly(
        self,
        frames: list[Frame],
        declared: dict[str, tuple[Declared, ...]],
        tables: dict[str, FactTable],
    ) -> list[Broken]:
        """A value in the batch fits no column: find whose, park that, and load the others."""
        misfits: list[Broken] = []
        for frame in frames:
            for one in declared.get(frame.tag, ()):
                batch = batch_of([frame], {frame.tag: (one,)})
                try:
                    self.rows += await self._warehouse.write(
                        partial(write_batch, batch=batch, tables=tables, read={})
                    )
                except Misfit as misfit:
                    misfits.append(Broken(frame, one.name, str(misfit)))
        await self._park(misfits)
        return misfits

    async def _park(self, broken: list[Broken]) -> None:
        await park(self._store, broken, self._runtime.clock.now())

    async def load_one(self, source: Source, declared: Declared, frame: Frame) -> None:
        """One event for one function; what goes wrong is raised."""
        batch = batch_of([frame], {frame.tag: (declared,)})
        if batch.broken:
            raise Fault(frame.trace)
        await self._warehouse.write(lambda c: write_batch(c, batch, source.tables, {}))
        self.version += 1

    async def _write_places(self) -> None:
        """Remember how far boards were read that had nothing to load."""
        read = {s.board: s.read for s in self.sources.values() if not s.waiting and s.read.position}
        moved = {
            board: place
            for board, place in read.items()
            if place.position > self.sources[board].loaded.position
        }
        if moved:
            await self._warehouse.write(lambda c: _write_places(c, moved))
            for board, place in moved.items():
                self.sources[board].come_to(place)

    async def rebuild(self, board: str) -> bool:
        """Forget one board's rows and collect them from its first event."""
        source = self.sources.get(board)
        if source is None:
            return False
        await source.halt()
        while source.waiting and not await self.pause(self._batch_s):
            pass
        await self._warehouse.write(lambda c: forget_board(c, board))
        source.start(Place())
        self.version += 1
        return True


def _ended(task: "asyncio.Task[None]") -> None:
    """A collector that dies says so; its data grow old visibly."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the data centre's collector stopped: %s", type(error).__name__, exc_info=error)


def _write_places(connection: "DuckDBPyConnection", read: dict[str, Read]) -> int:
    return write_batch(connection, Batch({}, []), {}, read)


def as_of(sources: Iterable[Source], now: Instant) -> Instant | None:
    """The instant up to which every board's facts are in; None while the first are read."""
    times = [source.as_of(now) for source in sources]
    known = [time for time in times if time is not None]
    return min(known, default=now) if len(known) == len(times) else None
