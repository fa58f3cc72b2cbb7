"""Lanes 通道: deliver what the ledger keeps, in order per key, again and again until it is done.

A key that fails waits with growing pauses and holds nobody but itself. What is refused for good,
or fails too often, is given up *visibly*: it stands among the dead letters until a person acts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from uuid import UUID

import msgspec

from plugward.kit.time import Clock, Instant

from .ledger import LocalLedger
from .ledger_records import Delivery, LedgerFailed, Outcome
from .ledger_tables import State

_log = logging.getLogger("plugward.hub.lanes")

Deliver = Callable[[Delivery], Awaitable[Outcome]]
Watch = Callable[[Delivery, Outcome, float], None]
"""Told of every attempt: what, how it ended, and how many seconds it took."""


def _unwatched(delivery: Delivery, outcome: Outcome, seconds: float) -> None:
    del delivery, outcome, seconds


DONE = Outcome(State.DONE)
_AFTER_LEDGER_FAILURE_S = 1.0
_IDLE_S = 3600.0
_PATIENCE_S = 5.0
_UNNOTED_MAX = 2_000
"""Delivered and not yet noted: with more of them, a dying process would repeat too much."""


class Kind(StrEnum):
    """Of a failure. Each has its own patience, counted for itself."""

    CONNECT = "connect"  # nobody there: it cannot have arrived
    NO_ANSWER = "no-answer"  # it may have arrived
    ERROR = "error"  # AE, HTTP 5xx, a SOAP fault of the server: there, and says no for now
    BUSY = "busy"  # HTTP 429, 503: told to come later
    UNREADABLE = "unreadable"  # what came back is no answer to this


@dataclass(frozen=True)
class Retry:
    """How long to wait after the first, second … failure, and when to give up."""

    first_s: float = 1.0
    factor: float = 2.0
    longest_s: float = 300.0
    attempts_max: int = 0
    """0: an outage never makes a letter dead, however long it lasts."""

    def after(self, attempts: int) -> timedelta:
        """The pause after this many failures."""
        # 2.0 ** 1024 is an error, and an outage of a week comes near it.
        return timedelta(
            seconds=min(self.first_s * self.factor ** min(attempts, 64), self.longest_s)
        )


ERRORS_BEFORE_DEAD = 10
POLICY: Mapping[str, Retry] = {
    Kind.CONNECT: Retry(longest_s=60.0),
    Kind.NO_ANSWER: Retry(),
    Kind.ERROR: Retry(attempts_max=ERRORS_BEFORE_DEAD),
    Kind.BUSY: Retry(first_s=5.0),
    Kind.UNREADABLE: Retry(attempts_max=ERRORS_BEFORE_DEAD),
}
"""A receiver that is away is waited for; one that is there and says no, not for ever."""


@dataclass(frozen=True)
class Destination:
    """Somewhere messages go, and how. ``retry`` is one patience for all, or one for each kind."""

    name: str
    deliver: Deliver
    retry: Retry | Mapping[str, Retry] = Retry()
    parallel: int = 1
    lanes_per_run: int = 32
    per_lane: int = 64

    def patience(self, kind: str) -> Retry:
        """How this kind of failure is met."""
        if isinstance(self.retry, Retry):
            return self.retry
        return self.retry.get(kind) or POLICY.get(kind) or Retry()


class Failed(Exception):
    """An attempt failed; the same message will be tried again. ``after_s``: not before that."""

    def __init__(self, reason: str, kind: str = Kind.CONNECT, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.kind = kind
        self.after_s = after_s


class Lanes:
    """The workers: one for each destination."""

    def __init__(self, ledger: LocalLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._workers: dict[str, _Worker] = {}
        self._expected: dict[tuple[UUID, str], asyncio.Future[Outcome]] = {}
        self.watch: Watch = _unwatched

    @property
    def names(self) -> tuple[str, ...]:
        """The destinations that are served."""
        return tuple(self._workers)

    def add(self, destination: Destination) -> None:
        """Serve a destination from now on, beginning with whatever waits for it."""
        worker = _Worker(destination, self._ledger, self._clock, self)
        self._workers[destination.name] = worker
        worker.start()

    async def remove(self, destination: str) -> None:
        """Serve a destination no more; what waits for it stays."""
        worker = self._workers.pop(destination, None)
        if worker is not None:
            await worker.stop()

    async def stop(self) -> None:
        """Finish the attempts under way and stop."""
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        self._workers = {}

    def nudge(self, destination: str) -> None:
        """Something new waits there."""
        if destination in self._workers:
            self._workers[destination].look.set()

    def expect(self, message: UUID, destination: str) -> "asyncio.Future[Outcome]":
        """The outcome of the next attempt at a delivery, once it is durable."""
        place = (message, destination)
        if place not in self._expected:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self._expected[place] = future
            future.add_done_callback(lambda _: self._expected.pop(place, None))
        return self._expected[place]

    def tell(self, delivery: Delivery, outcome: Outcome) -> None:
        """An outcome is durable: whoever waits for it, and lanes it opened, are told."""
        for parcel in outcome.parcels:
            self.nudge(parcel.lane.destination)
        waiting = self._expected.get((delivery.message, delivery.destination))
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)


class _Worker:
    """Delivers to one destination, and notes what ended in one commit for as many as there are.

    Deliveries go on while a commit is under way: what is delivered but not yet noted is known by
    its place (``_beyond``). Should the process die there it is delivered again, in order.
    """

    def __init__(
        self,
        destination: Destination,
        ledger: LocalLedger,
        clock: Clock,
        lanes: Lanes,
    ) -> None:
        self.destination = destination
        self.look = asyncio.Event()
        self._ledger = ledger
        self._clock = clock
        self._lanes = lanes
        self._busy: set[str] = set()
        """Keys that are being delivered to, or wait for their pause to be noted."""
        self._beyond: dict[str, tuple[int, int]] = {}
        """Up to where a key is delivered, while that is not noted yet."""
        self._ended: list[tuple[Delivery, Outcome]] = []
        self._runs: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._has_ended = asyncio.Event()
        self._is_stopping = False

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work()), loop.create_task(self._note())]

    async def stop(self) -> None:
        self._is_stopping = True
        working, noting = self._tasks
        await _cancelled(working)
        if self._runs:
            await asyncio.wait(self._runs, timeout=_PATIENCE_S)
        for run in self._runs:
            run.cancel()
        self._has_ended.set()  # it notes what there is, and ends
        await asyncio.wait({noting}, timeout=_PATIENCE_S)
        await _cancelled(noting)

    async def _work(self) -> None:
        while True:
            self.look.clear()
            free = self.destination.parallel - len(self._runs)
            if free > 0 and len(self._ended) < _UNNOTED_MAX:
                for run in self._runs_due(free):
                    self._begin(run)
            await self._rest()

    def _runs_due(self, free: int) -> list[list[Delivery]]:
        there = self.destination
        found = self._ledger.heads(
            there.name,
            lanes=free * there.lanes_per_run,
            per_lane=there.per_lane,
            busy=self._busy,
            beyond=self._beyond,
        )
        by_key: dict[str, list[Delivery]] = {}
        for delivery in found:
            by_key.setdefault(delivery.key, []).append(delivery)
        runs: list[list[Delivery]] = [[] for _ in range(min(free, len(by_key)))]
        for number, deliveries in enumerate(by_key.values()):
            runs[number % len(runs)] += deliveries
        return runs

    def _begin(self, run: list[Delivery]) -> None:
        self._busy |= {delivery.key for delivery in run}
        task = asyncio.get_running_loop().create_task(self._run(run))
        self._runs.add(task)
        task.add_done_callback(self._run_ended)

    def _run_ended(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        self.look.set()

    async def _rest(self) -> None:
        """Until something new waits, a run ends, or the next lane falls due."""
        if self.look.is_set():
            return
        due = None
        if len(self._runs) < self.destination.parallel:
            due = self._ledger.next_due(self.destination.name, self._busy | self._beyond.keys())
        if due is None:
            await self.look.wait()
            return
        pause = (due - self._clock.now()).total_seconds()
        if pause <= 0:
            return
        waits = [
            asyncio.ensure_future(self.look.wait()),
            asyncio.ensure_future(self._clock.sleep(min(pause, _IDLE_S))),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _run(self, run: Sequence[Delivery]) -> None:
        loop = asyncio.get_running_loop()
        held: set[str] = set()
        for delivery in run:
            if delivery.key in held or self._is_stopping:
                continue
            began = loop.time()
            outcome = await self._attempt(delivery)
            took = loop.time() - began
            self._lanes.watch(delivery, outcome, took)
            outcome = msgspec.structs.replace(outcome, took_us=int(took * 1_000_000))
            if outcome.state is State.PENDING:
                held.add(delivery.key)
            else:
                self._beyond[delivery.key] = (delivery.seq, delivery.part)
            self._ended.append((delivery, outcome))
            self._has_ended.set()
        self._busy -= {delivery.key for delivery in run} - held

    async def _attempt(self, delivery: Delivery) -> Outcome:
        with _Border() as border:
            return await self.destination.deliver(delivery)
        failure = border.failure
        if isinstance(failure, Failed):
            return self._again(delivery, failure)
        kind = type(failure).__name__
        _log.error(
            "fault in the delivery of %s to %s: %s", delivery.kind, delivery.destination, kind
        )
        return Outcome(State.DEAD, f"fault: {kind}")

    def _again(self, delivery: Delivery, failed: Failed) -> Outcome:
        retry = self.destination.patience(failed.kind)
        before = delivery.attempts if delivery.fault in (failed.kind, "") else 0
        if retry.attempts_max and before + 1 >= retry.attempts_max:
            return Outcome(State.DEAD, f"given up after {before + 1} attempts: {failed}")
        pause = max(retry.after(before), timedelta(seconds=failed.after_s))
        at: Instant = self._clock.now() + pause
        return Outcome(State.PENDING, str(failed), retry_at=at, fault=failed.kind)

    async def _note(self) -> None:
        """One commit after the other, each for all that ended meanwhile."""
        while self._ended or not self._is_stopping:
            await self._has_ended.wait()
            self._has_ended.clear()
            noted = self._ended
            if not noted:
                continue
            self._ended = []
            if not await self._settled(noted):
                self._ended = noted + self._ended  # nothing is forgotten while the disk is full
                self._has_ended.set()
                continue
            for delivery, outcome in noted:
                if outcome.state is State.PENDING:
                    self._busy.discard(delivery.key)
                elif self._beyond.get(delivery.key) == (delivery.seq, delivery.part):
                    del self._beyond[delivery.key]
                self._lanes.tell(delivery, outcome)
            self.look.set()

    async def _settled(self, ended: list[tuple[Delivery, Outcome]]) -> bool:
        try:
            await self._ledger.settle(ended)
        except LedgerFailed as failure:
            _log.error("outcomes of %s are not kept yet: %s", self.destination.name, failure)
            await asyncio.sleep(_AFTER_LEDGER_FAILURE_S)
            return False
        return True


class _Border:
    """Whatever a connector raises is its delivery's end, not the worker's."""

    failure: Exception | None = None

    def __enter__(self) -> "_Border":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        del kind, at
        if not isinstance(failure, Exception):
            return False
        self.failure = failure
        return True


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
